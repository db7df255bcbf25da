//! Learning curves.

use std::path::Path;

use cutmix::trainer::{History, Report, Scores};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::{FAINT, FONT_FILE, INK, Page, Result, text_width};

const FAMILY: &str = "sans-serif";
const WIDTH: usize = 1200;
const HEIGHT: usize = 500;
/// The line of explanation under the panels.
const FOOT: usize = 36;
const TRAIN: RGBColor = RGBColor(31, 119, 180);
const EVAL: RGBColor = RGBColor(214, 92, 20);

const EXPLANATION: &str = "Mixed accuracy: the share of each mixed label that lies on the \
                           predicted class. It stays below accuracy on whole images, which the \
                           evaluation shows.";

/// Draws loss and accuracy over the epochs, of training and of evaluation.
pub fn write(path: &Path, history: &History, mixes: bool) -> Result<()> {
    let font = register_font(FAMILY, FontStyle::Normal, FONT_FILE);
    font.map_err(|_| "the font is damaged".to_string())?;
    let mut page = Page::new(WIDTH, HEIGHT + if mixes { FOOT } else { 0 });
    {
        let root = page.backend().into_drawing_area();
        let (panels, _) = root.split_vertically(HEIGHT as i32);
        let (left, right) = panels.split_horizontally(WIDTH as i32 / 2);
        let train = match mixes {
            true => "training (mixed accuracy)",
            false => "training",
        };
        panel(&left, history, "Loss", "training", |scores| scores.loss)?;
        panel(&right, history, "Accuracy (%)", train, |scores| {
            scores.accuracy
        })?;
        root.present().map_err(|error| error.to_string())?;
    }
    if mixes {
        let left = (WIDTH - text_width(16, EXPLANATION)) / 2;
        page.text((left, HEIGHT + 4), 16, FAINT, EXPLANATION);
    }
    page.write(path)
}

fn panel(
    area: &DrawingArea<BitMapBackend<'_>, Shift>,
    history: &History,
    title: &str,
    train: &str,
    value: impl Fn(&Scores) -> f64,
) -> Result<()> {
    let points = |scores: &dyn Fn(&Report) -> Option<Scores>| -> Vec<(f64, f64)> {
        let points = history.reports.iter().filter_map(|report| {
            let value = value(&scores(report)?);
            value.is_finite().then_some((report.epoch, value))
        });
        points.collect()
    };
    let curves = [
        (train, TRAIN, points(&|report| Some(report.train))),
        ("evaluation", EVAL, points(&|report| report.eval)),
    ];
    let values = || {
        curves
            .iter()
            .flat_map(|(_, _, points)| points)
            .map(|point| point.1)
    };
    let (low, high) = values().fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    // Room above for the legend; nothing was measured where the ends have not met.
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let room = (high - low).max(0.05 * high.abs()).max(1e-3);
    let at = |report: Option<&Report>| report.map_or(1.0, |report| report.epoch);
    let (first, last) = (at(history.reports.first()), at(history.reports.last()));
    // Half of the usual distance at both ends.
    let margin = match history.reports.len() {
        0 | 1 => 0.5 * last,
        count => 0.5 * (last - first) / (count - 1) as f64,
    };

    let fail = |error: DrawingAreaErrorKind<_>| format!("{error}");
    let mut chart = ChartBuilder::on(area)
        .margin(20)
        .margin_right(28)
        .caption(title, style(20))
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(
            first - margin..last + margin,
            low - 0.08 * room..high + 0.25 * room,
        )
        .map_err(fail)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(228, 228, 232))
        .axis_style(FAINT)
        .x_labels(13)
        .x_label_formatter(&|epoch| match last >= 4.0 && epoch.fract() != 0.0 {
            true => String::new(),
            false => format!("{}", (1e4 * epoch).round() / 1e4),
        })
        .y_labels(8)
        .x_desc("epoch")
        .y_desc(title)
        .label_style(style(15))
        .axis_desc_style(style(16))
        .draw()
        .map_err(fail)?;
    for (label, color, points) in curves {
        if points.is_empty() {
            continue;
        }
        let dots = points
            .iter()
            .map(|&point| Circle::new(point, 3, color.filled()));
        chart.draw_series(dots).map_err(fail)?;
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))
            .map_err(fail)?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], color.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(210, 210, 216))
        .label_font(style(15))
        .margin(8)
        .draw()
        .map_err(fail)
}

fn style(size: i32) -> TextStyle<'static> {
    (FAMILY, size).into_font().color(&INK)
}
