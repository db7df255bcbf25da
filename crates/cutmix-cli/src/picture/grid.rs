//! Rows of small images with captions.

use std::path::Path;

use cutmix_vision::{Image, Rect};
use plotters::style::RGBColor;

use super::{FAINT, INK, Page, Result, Scale, fit, text_width};

/// The colour and the width in pixels of a frame.
const FRAME: (RGBColor, usize) = (RGBColor(240, 120, 0), 2);

/// The side of a tile in pixels, about.
const TILE: usize = 140;
const MARGIN: usize = 20;
const GAP: usize = 12;
const TITLE: usize = 20;
const CAPTION: usize = 16;
const LINE: usize = 18;
/// The distance between a tile and its caption.
const PAD: usize = 6;

/// A titled picture of rows of tiles. All images are shown at one scale.
#[derive(Clone, Debug)]
pub struct Grid {
    pub title: String,
    pub rows: Vec<Row>,
}

/// Tiles side by side, with a label for all of them at their left.
#[derive(Clone, Debug)]
pub struct Row {
    pub label: String,
    pub tiles: Vec<Tile>,
}

/// An image and the lines under it.
#[derive(Clone, Debug)]
pub struct Tile {
    pub image: Image,
    /// A box of the image that is framed.
    pub frame: Option<Rect>,
    pub caption: Vec<String>,
}

/// The measures of a grid in pixels.
struct Layout {
    scale: Scale,
    /// The left edge of the first column.
    left: usize,
    /// The width of a column.
    column: usize,
    /// The height of the largest tile.
    tile: usize,
}

impl Layout {
    fn row_height(&self, row: &Row) -> usize {
        let lines = row
            .tiles
            .iter()
            .map(|tile| tile.caption.len())
            .max()
            .unwrap_or(0);
        self.tile + PAD + LINE * lines + GAP
    }
}

impl Grid {
    /// Writes the picture as a PNG file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let layout = self.layout().ok_or("there is nothing to draw")?;
        let titles: Vec<_> = self.title.lines().collect();
        let title_width = titles
            .iter()
            .map(|line| text_width(TITLE, line))
            .max()
            .unwrap_or(0);
        let columns = self
            .rows
            .iter()
            .map(|row| row.tiles.len())
            .max()
            .unwrap_or(0);
        let content = layout.left + columns * (layout.column + GAP) - GAP;
        let top = MARGIN + titles.len() * (TITLE + 8) + 4;
        let rows: usize = self.rows.iter().map(|row| layout.row_height(row)).sum();
        let mut page = Page::new(
            content.max(MARGIN + title_width) + MARGIN,
            top + rows + MARGIN - GAP,
        );
        for (index, line) in titles.iter().enumerate() {
            page.text((MARGIN, MARGIN + index * (TITLE + 8)), TITLE, INK, line);
        }
        let mut y = top;
        for row in &self.rows {
            draw_row(&mut page, row, y, &layout);
            y += layout.row_height(row);
        }
        page.write(path)
    }

    fn layout(&self) -> Option<Layout> {
        let sizes = || {
            let tiles = self.rows.iter().flat_map(|row| &row.tiles);
            tiles.map(|tile| tile.image.size())
        };
        let height = sizes().map(|size| size.height).max()?;
        let width = sizes().map(|size| size.width).max()?;
        let scale = Scale::to(TILE, height.max(width));
        let labels = self.rows.iter().map(|row| text_width(CAPTION, &row.label));
        let left = match labels.max().unwrap_or(0) {
            0 => MARGIN,
            label => MARGIN + label + GAP,
        };
        Some(Layout {
            scale,
            left,
            // Wide captions need room that narrow images do not give.
            column: scale.of(width).max(TILE),
            tile: scale.of(height),
        })
    }
}

fn draw_row(page: &mut Page, row: &Row, top: usize, layout: &Layout) {
    let middle = top + layout.tile.saturating_sub(CAPTION) / 2;
    page.text((MARGIN, middle), CAPTION, FAINT, &row.label);
    for (index, tile) in row.tiles.iter().enumerate() {
        let x = layout.left + index * (layout.column + GAP);
        let size = tile.image.size();
        let (height, width) = (layout.scale.of(size.height), layout.scale.of(size.width));
        let corner = (
            x + (layout.column - width) / 2,
            top + (layout.tile - height) / 2,
        );
        page.image(corner, &tile.image, layout.scale);
        if let Some(frame) = tile.frame {
            draw_frame(page, corner, frame, layout.scale);
        }
        for (line, text) in tile.caption.iter().enumerate() {
            let text = fit(CAPTION, layout.column, text);
            let indent = (layout.column - text_width(CAPTION, &text)) / 2;
            let at = (x + indent, top + layout.tile + PAD + line * LINE);
            page.text(at, CAPTION, INK, &text);
        }
    }
}

/// Draws the frame just inside a box of an image with its top left at `(left, top)`.
fn draw_frame(page: &mut Page, (left, top): (usize, usize), frame: Rect, scale: Scale) {
    let (color, line) = FRAME;
    let (left, top) = (left + scale.of(frame.left), top + scale.of(frame.top));
    let (width, height) = (scale.of(frame.width), scale.of(frame.height));
    let right = (left + width).saturating_sub(line);
    let bottom = (top + height).saturating_sub(line);
    for (corner, size) in [
        ((left, top), (width, line)),
        ((left, bottom), (width, line)),
        ((left, top), (line, height)),
        ((right, top), (line, height)),
    ] {
        page.fill(corner, size, color);
    }
}
