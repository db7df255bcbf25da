//! The picture of a confusion matrix.

use cutmix_train::ConfusionMatrix;
use plotters::prelude::{RGBColor, WHITE};

use super::chart::{BLUE, ORANGE};
use super::evaluation::SingleLabel;
use crate::picture::{FAINT, INK, Page, Result, fit, text_width};
use crate::terminal::grouped;

/// The most classes whose counts are written into the cells, and whose names are written beside.
const WITH_COUNTS: usize = 30;
const WITH_NAMES: usize = 120;
/// The most cells in a row; more classes share them.
const MOST_CELLS: usize = 1000;
/// The longest side of a matrix without names, about.
const SIDE: usize = 1600;

const MARGIN: usize = 24;
const TITLE: usize = 20;
const TEXT: usize = 16;
/// The height of a line of the head and the foot.
const LINE: usize = 26;
/// The largest width of a name.
const NAME: usize = 220;
const GAP: usize = 6;
/// The least room for the title.
const LEAST_WIDTH: usize = 720;

/// The shares that the key of the colours shows.
const KEY: [f64; 6] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0];
const SWATCH: usize = 18;

/// Draws a cell for each class and each class that its images were predicted as, as a PNG file. With
/// many classes, first the counts and then the names are left out, and then neighbouring classes share
/// a cell.
pub fn png(title: &str, result: &SingleLabel) -> Result<Vec<u8>> {
    let names: Vec<_> = result
        .classes
        .iter()
        .map(|row| row.class.as_str())
        .collect();
    let layout = Layout::new(&names, &result.confusion);
    let mut page = Page::new(layout.width(), layout.height());
    let width = layout.width() - 2 * MARGIN;
    page.text((MARGIN, MARGIN), TITLE, INK, &fit(TITLE, width, title));
    draw_cells(&mut page, &layout, &result.confusion);
    draw_names(&mut page, &layout, &names);
    draw_foot(&mut page, &layout);
    page.png()
}

/// The measures of the picture in pixels.
struct Layout {
    classes: usize,
    /// The number of neighbouring classes that share a cell.
    shared: usize,
    /// The side of a cell.
    cell: usize,
    /// The size of the counts in the cells; `None` where there are none.
    count_size: Option<usize>,
    /// The size of the names; `None` where classes have numbers instead.
    name_size: Option<usize>,
    left: usize,
    top: usize,
}

impl Layout {
    fn new(names: &[&str], matrix: &ConfusionMatrix) -> Self {
        let classes = names.len();
        let (count_size, name_size) = match classes {
            0..=12 => (Some(16), Some(17)),
            13..=WITH_COUNTS => (Some(12), Some(15)),
            _ if classes <= WITH_NAMES => (None, Some(12)),
            _ => (None, None),
        };
        let shared = classes.div_ceil(MOST_CELLS);
        let cell = match (count_size, name_size) {
            (Some(size), _) => {
                let rows = (0..classes).flat_map(|class| matrix.row(class));
                let widest = rows
                    .max()
                    .map_or(0, |&count| text_width(size, &grouped(count)));
                (widest + 10).max(if classes > 12 { 34 } else { 64 })
            }
            (None, Some(size)) => size + 3,
            (None, None) => (SIDE / classes.div_ceil(shared)).max(2),
        };
        let label = match name_size {
            Some(size) => names
                .iter()
                .map(|name| text_width(size, name).min(NAME))
                .max(),
            None => Some(text_width(TEXT, &classes.to_string())),
        };
        let label = label.unwrap_or(0) + GAP;
        Self {
            classes,
            shared,
            cell,
            count_size,
            name_size,
            left: MARGIN + LINE + label,
            top: MARGIN + 2 * LINE + label,
        }
    }

    /// The colour of a cell with this share of its row, on white.
    fn color(&self, is_right: bool, share: f64) -> RGBColor {
        // Small shares are to be seen, also where a cell has few pixels.
        let cover = share.powf(if self.cell < 8 { 0.25 } else { 0.5 });
        let color = if is_right { BLUE } else { ORANGE };
        let mix = |ink: u8| (255.0 + (f64::from(ink) - 255.0) * cover).round() as u8;
        RGBColor(mix(color.0), mix(color.1), mix(color.2))
    }

    /// The number of cells in a row.
    fn cells(&self) -> usize {
        self.classes.div_ceil(self.shared)
    }

    /// The side of the matrix.
    fn side(&self) -> usize {
        self.cells() * self.cell
    }

    fn width(&self) -> usize {
        (self.left + self.side() + MARGIN).max(LEAST_WIDTH)
    }

    fn height(&self) -> usize {
        self.top + self.side() + GAP + self.foot().len() * LINE + 2 * LINE + MARGIN
    }

    /// The lines under the matrix.
    fn foot(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.name_size.is_none() {
            let classes = grouped(self.classes);
            lines.push(format!(
                "{classes} classes, too many for their names: the numbers are their rows in confusion.csv."
            ));
        }
        if self.shared > 1 {
            lines.push(format!(
                "A cell stands for {} neighbouring classes in each direction.",
                self.shared
            ));
        }
        lines
    }
}

/// The counts in the cells, row by row.
fn counts(matrix: &ConfusionMatrix, layout: &Layout) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; layout.cells()]; layout.cells()];
    for class in 0..layout.classes {
        for (predicted, count) in matrix.row(class).iter().enumerate() {
            counts[class / layout.shared][predicted / layout.shared] += count;
        }
    }
    counts
}

fn draw_cells(page: &mut Page, layout: &Layout, matrix: &ConfusionMatrix) {
    // Lines between small cells would hide them.
    let line = usize::from(layout.cell >= 8);
    let frame = RGBColor(205, 205, 212);
    let outer = layout.side() + 2 + line;
    page.fill((layout.left - 1, layout.top - 1), (outer, outer), frame);
    for (row, counts) in counts(matrix, layout).iter().enumerate() {
        let total: usize = counts.iter().sum();
        for (column, &count) in counts.iter().enumerate() {
            let share = count as f64 / total.max(1) as f64;
            let x = layout.left + column * layout.cell;
            let y = layout.top + row * layout.cell;
            let side = layout.cell - line;
            let color = layout.color(row == column, share);
            page.fill((x + line, y + line), (side, side), color);
            if let Some(size) = layout.count_size
                && count > 0
            {
                let text = grouped(count);
                let indent = layout.cell.saturating_sub(text_width(size, &text)) / 2;
                let at = (x + indent, y + (layout.cell - size) / 2 - 1);
                let ink = if share > 0.4 { WHITE } else { INK };
                page.text(at, size, ink, &text);
            }
        }
    }
}

/// Writes the names of the classes, or some of their numbers, at the left and at the top.
fn draw_names(page: &mut Page, layout: &Layout, names: &[&str]) {
    let middle = layout.side() / 2;
    let (rows, columns) = ("class", "predicted as");
    let end = layout.top + middle + text_width(TEXT, rows) / 2;
    page.vertical_text((MARGIN - 4, end), TEXT, FAINT, rows);
    let start = (layout.left + middle).saturating_sub(text_width(TEXT, columns) / 2);
    page.text((start, MARGIN + LINE + 4), TEXT, FAINT, columns);
    let mut label = |class: usize, size: usize, text: &str| {
        let text = fit(size, NAME, text);
        let at = class / layout.shared * layout.cell;
        let shift = (layout.cell as i64 - size as i64) / 2 - 1;
        let beside = |start: usize| (start as i64 + at as i64 + shift).max(0) as usize;
        let right = layout.left - GAP - text_width(size, &text);
        page.text((right, beside(layout.top)), size, INK, &text);
        page.vertical_text((beside(layout.left), layout.top - GAP), size, INK, &text);
    };
    match layout.name_size {
        Some(size) => {
            for (class, name) in names.iter().enumerate() {
                label(class, size, name);
            }
        }
        None => {
            let distance = |step: &usize| step * layout.cell / layout.shared;
            let steps = [20, 50, 100, 200, 500, 1000, 2000];
            let step = steps.into_iter().find(|step| distance(step) >= 60);
            let step = step.unwrap_or(5000);
            // Rows of the table are counted from 1.
            for number in (step..=layout.classes).step_by(step) {
                label(number - 1, TEXT, &number.to_string());
            }
        }
    }
}

/// Writes what the colours mean, and what was left out.
fn draw_foot(page: &mut Page, layout: &Layout) {
    let mut y = layout.top + layout.side() + 2 * GAP;
    for (is_right, what) in [(true, "right"), (false, "wrong")] {
        page.text((MARGIN, y), TEXT, INK, what);
        let mut x = MARGIN + 60;
        for share in KEY {
            page.fill((x, y), (SWATCH, SWATCH), layout.color(is_right, share));
            let text = format!("{} %", 100.0 * share);
            page.text((x + SWATCH + GAP, y), TEXT, INK, &text);
            x += SWATCH + 70;
        }
        if is_right {
            page.text((x, y), TEXT, FAINT, "of the row");
        }
        y += LINE;
    }
    for line in layout.foot() {
        page.text((MARGIN, y), TEXT, FAINT, &line);
        y += LINE;
    }
}

#[cfg(test)]
#[path = "../../tests/unit/confusion.rs"]
mod tests;
