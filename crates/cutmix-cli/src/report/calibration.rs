//! The reliability diagram.

use cutmix_train::CalibrationBin;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::chart::{self, BLUE, GRID, ORANGE, style};
use super::evaluation::{CalibrationSummary, SingleLabel};
use crate::picture::{FAINT, INK, Page, Result, fit, text_width};

const WIDTH: usize = 800;
/// The heights of the title, the diagram, the histogram and the explanation.
const HEAD: usize = 84;
const DIAGRAM: usize = 640;
const HISTOGRAM: usize = 220;
const FOOT: usize = 44;
const MARGIN: usize = 24;

const EXPLANATION: &str =
    "Dashed: a calibrated network, which is right as often as it is confident.";

/// Draws accuracy over confidence, and how many images have which confidence, as a PNG file.
pub fn png(title: &str, result: &SingleLabel) -> Result<Vec<u8>> {
    chart::register()?;
    let calibration = &result.calibration;
    let mut page = Page::new(WIDTH, HEAD + DIAGRAM + HISTOGRAM + FOOT);
    {
        let root = page.backend().into_drawing_area();
        let (_, below) = root.split_vertically(HEAD as i32);
        let (diagram, below) = below.split_vertically(DIAGRAM as i32);
        let (histogram, _) = below.split_vertically(HISTOGRAM as i32);
        draw_diagram(&diagram, calibration)?;
        draw_histogram(&histogram, calibration)?;
        root.present().map_err(|error| error.to_string())?;
    }
    let width = WIDTH - 2 * MARGIN;
    page.text((MARGIN, 16), 20, INK, &fit(20, width, title));
    let summary = format!(
        "Expected calibration error {:.2} %: mean confidence {:.2} %, accuracy {:.2} %",
        100.0 * calibration.expected_error,
        100.0 * calibration.mean_confidence,
        100.0 * result.accuracy,
    );
    page.text((MARGIN, 46), 17, INK, &summary);
    let left = (WIDTH - text_width(16, EXPLANATION)) / 2;
    page.text(
        (left, HEAD + DIAGRAM + HISTOGRAM + 8),
        16,
        FAINT,
        EXPLANATION,
    );
    page.png()
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a, 'b> =
    ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A chart over the confidence, with values up to `highest`.
fn chart<'a, 'b>(
    area: &'a Area<'b>,
    highest: f64,
    labels: usize,
    title: &str,
) -> Result<Chart<'a, 'b>> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(MARGIN as i32)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..1.0, 0.0..highest)
        .map_err(fail)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .x_labels(11)
        .y_labels(labels)
        .x_label_formatter(&percent)
        .y_label_formatter(&percent)
        .x_desc("confidence: probability of the predicted class (%)")
        .y_desc(title)
        .label_style(style(15))
        .axis_desc_style(style(16))
        .draw()
        .map_err(fail)?;
    Ok(chart)
}

/// The bar of a bin between two values.
fn bar(bin: &CalibrationBin, (from, to): (f64, f64), style: ShapeStyle) -> Rectangle<(f64, f64)> {
    let mut bar = Rectangle::new([(bin.from, from), (bin.to, to)], style);
    bar.set_margin(0, 0, 1, 1);
    bar
}

/// Parts of the bars: a label, a colour with its opacity, and the ends in a bin.
type Part = (
    &'static str,
    RGBColor,
    f64,
    fn(&CalibrationBin) -> (f64, f64),
);

/// The ends of the last two are equal where the other one applies.
const PARTS: [Part; 3] = [
    (
        "accuracy, as far as mean confidence reaches",
        BLUE,
        0.8,
        |bin| (0.0, bin.accuracy.min(bin.confidence)),
    ),
    (
        "overconfident: mean confidence above accuracy",
        ORANGE,
        0.6,
        |bin| (bin.accuracy, bin.accuracy.max(bin.confidence)),
    ),
    (
        "underconfident: accuracy above mean confidence",
        BLUE,
        0.45,
        |bin| (bin.confidence, bin.confidence.max(bin.accuracy)),
    ),
];

fn draw_diagram(area: &Area, calibration: &CalibrationSummary) -> Result<()> {
    let mut chart = chart(area, 1.0, 11, "accuracy (%)")?;
    for (label, color, opacity, ends) in PARTS {
        let color = color.mix(opacity).filled();
        let bins = calibration.bins.iter().filter(|bin| bin.samples > 0);
        chart
            .draw_series(bins.map(|bin| bar(bin, ends(bin), color)))
            .map_err(fail)?
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 7), (x + 20, y + 7)], color));
    }
    let diagonal = DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 8, 6, INK.stroke_width(2));
    chart
        .draw_series(diagonal)
        .map_err(fail)?
        .label("calibrated")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], INK.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font(style(15))
        .margin(8)
        .draw()
        .map_err(fail)
}

fn draw_histogram(area: &Area, calibration: &CalibrationSummary) -> Result<()> {
    let total: usize = calibration.bins.iter().map(|bin| bin.samples).sum();
    let share = |bin: &CalibrationBin| bin.samples as f64 / total.max(1) as f64;
    let highest = calibration.bins.iter().map(share).fold(0.0, f64::max);
    let mut chart = chart(area, (1.1 * highest).max(0.01), 5, "images (%)")?;
    let color = BLUE.mix(0.8).filled();
    let bars = calibration
        .bins
        .iter()
        .map(|bin| bar(bin, (0.0, share(bin)), color));
    chart.draw_series(bars).map_err(fail)?;
    Ok(())
}

/// A share as a number of percent, without digits that say nothing.
fn percent(share: &f64) -> String {
    format!("{}", (1e4 * share).round() / 100.0)
}

fn fail(error: impl std::fmt::Display) -> String {
    error.to_string()
}
