//! The reliability diagram.

use cutmix_train::CalibrationBin;
use plotters::coord::Shift;
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

const EXPLANATION: &str = "Below the dashed line the network is surer than it is right.";

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

fn draw_diagram(area: &Area, calibration: &CalibrationSummary) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(MARGIN as i32)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)
        .map_err(fail)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .x_labels(11)
        .y_labels(11)
        .x_label_formatter(&percent)
        .y_label_formatter(&percent)
        .x_desc("confidence: probability of the predicted class (%)")
        .y_desc("accuracy (%)")
        .label_style(style(15))
        .axis_desc_style(style(16))
        .draw()
        .map_err(fail)?;
    let bins = || calibration.bins.iter().filter(|bin| bin.samples > 0);
    let bar = |bin: &CalibrationBin, from, to, color: RGBColor, opacity| {
        Rectangle::new(
            [(bin.from, from), (bin.to, to)],
            color.mix(opacity).filled(),
        )
    };
    let accuracies = bins().map(|bin| bar(bin, 0.0, bin.accuracy, BLUE, 0.8));
    let square = |(x, y), color: ShapeStyle| Rectangle::new([(x, y - 7), (x + 20, y + 7)], color);
    chart
        .draw_series(accuracies)
        .map_err(fail)?
        .label("accuracy of the images in the bin")
        .legend(move |at| square(at, BLUE.mix(0.8).filled()));
    let gaps = bins().map(|bin| bar(bin, bin.accuracy, bin.confidence, ORANGE, 0.45));
    chart
        .draw_series(gaps)
        .map_err(fail)?
        .label("gap to their mean confidence")
        .legend(move |at| square(at, ORANGE.mix(0.45).filled()));
    let edges = bins().map(|bin| {
        Rectangle::new(
            [(bin.from, 0.0), (bin.to, bin.accuracy)],
            WHITE.stroke_width(1),
        )
    });
    chart.draw_series(edges).map_err(fail)?;
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
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(MARGIN as i32)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..1.0, 0.0..(1.1 * highest).max(0.01))
        .map_err(fail)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .x_labels(11)
        .y_labels(5)
        .x_label_formatter(&percent)
        .y_label_formatter(&percent)
        .x_desc("confidence (%)")
        .y_desc("images (%)")
        .label_style(style(15))
        .axis_desc_style(style(16))
        .draw()
        .map_err(fail)?;
    let bars = calibration.bins.iter().map(|bin| {
        let mut bar = Rectangle::new(
            [(bin.from, 0.0), (bin.to, share(bin))],
            BLUE.mix(0.8).filled(),
        );
        bar.set_margin(0, 0, 1, 1);
        bar
    });
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
