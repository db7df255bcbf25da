//! Learning curves.

use std::path::Path;

use cutmix_train::{History, Score};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::chart::{self, GRID, style};
use crate::metrics;
use crate::picture::{FAINT, Page, Result, text_width};

const WIDTH: usize = 1200;
/// The height of a row of two panels.
const HEIGHT: usize = 500;
/// The height of the explanation under the panels.
const FOOT: usize = 36;
/// The colours of the sets, training first.
const COLORS: [RGBColor; 4] = [chart::BLUE, chart::ORANGE, chart::GREEN, chart::VIOLET];

pub const EXPLANATION: &str = "Mixed accuracy: the weight of the predicted class in each mixed label. It is \
                           lower than accuracy on whole images, which the validation shows.";

/// Draws every score over the epochs, a panel for each metric with a curve for each set.
pub fn write(path: &Path, history: &History, mixes_targets: bool) -> Result<()> {
    chart::register()?;
    let metrics = ["loss", "accuracy"]
        .into_iter()
        .chain(names(history).map(|name| name.1));
    let metrics = distinct(metrics);
    let height = HEIGHT * metrics.len().div_ceil(2).max(1);
    let mut page = Page::new(WIDTH, height + if mixes_targets { FOOT } else { 0 });
    {
        let root = page.backend().into_drawing_area();
        let (panels, _) = root.split_vertically(height as i32);
        let panels = panels.split_evenly((height / HEIGHT, 2));
        for (area, metric) in panels.iter().zip(&metrics) {
            let curves = curves(history, metric, mixes_targets);
            panel(area, metric, &curves, history)?;
        }
        root.present().map_err(|error| error.to_string())?;
    }
    if mixes_targets {
        let left = (WIDTH - text_width(16, EXPLANATION)) / 2;
        page.text((left, height + 4), 16, FAINT, EXPLANATION);
    }
    page.write(path)
}

/// The set and the metric of every score.
fn names(history: &History) -> impl Iterator<Item = (&str, &str)> {
    let scores = history.reports.iter().flat_map(|report| &report.scores);
    scores.map(Score::set_and_metric)
}

/// Names, each once, in order.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut known = Vec::new();
    for name in names {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    known
}

struct Curve {
    label: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The curves of a metric, one for each set that has it.
fn curves(history: &History, metric: &str, mixes_targets: bool) -> Vec<Curve> {
    let sets = distinct(names(history).map(|name| name.0));
    let curves = sets.iter().zip(COLORS.iter().cycle()).map(|(set, color)| {
        let name = format!("{set}/{metric}");
        let points = history.reports.iter().filter_map(|report| {
            let value = report.value(&name).filter(|value| value.is_finite())?;
            Some((report.epoch, value))
        });
        let label = match *set {
            "train" if mixes_targets && metric == "accuracy" => "training (mixed accuracy)".into(),
            "train" => "training".into(),
            "val" => "validation".into(),
            set => set.to_string(),
        };
        Curve {
            label,
            color: *color,
            points: points.collect(),
        }
    });
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

fn panel(
    area: &DrawingArea<BitMapBackend<'_>, Shift>,
    metric: &str,
    curves: &[Curve],
    history: &History,
) -> Result<()> {
    let values = curves
        .iter()
        .flat_map(|curve| &curve.points)
        .map(|point| point.1);
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    // Without values, the ends have not met.
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    // Room for the legend above.
    let room = (high - low).max(0.05 * high.abs()).max(1e-3);
    let reports = &history.reports;
    let first = reports.first().map_or(1.0, |report| report.epoch);
    let last = reports.last().map_or(1.0, |report| report.epoch);
    // Half of the usual distance at both ends.
    let margin = match reports.len() {
        0 | 1 => 0.5 * last,
        count => 0.5 * (last - first) / (count - 1) as f64,
    };

    let title = &metrics::title(metric);
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
    let epoch_label = |epoch: &f64| {
        if last >= 4.0 && epoch.fract() != 0.0 {
            String::new()
        } else {
            format!("{}", (1e4 * epoch).round() / 1e4)
        }
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .x_labels(13)
        .x_label_formatter(&epoch_label)
        .y_labels(8)
        .x_desc("epoch")
        .y_desc(title)
        .label_style(style(15))
        .axis_desc_style(style(16))
        .draw()
        .map_err(fail)?;
    for Curve {
        label,
        color,
        points,
    } in curves
    {
        let color = *color;
        let dots = points
            .iter()
            .map(|&point| Circle::new(point, 3, color.filled()));
        chart.draw_series(dots).map_err(fail)?;
        let series = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        chart
            .draw_series(series)
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
