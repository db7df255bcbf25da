//! How training went: scores over the epochs, and what algorithms did to the batches.

use maud::{Markup, html};

use super::run::{Metrics, Run};
use super::svg::{Chart, Series, Shape};
use super::{data_uri, short};
use crate::metrics;
use crate::report::batches::BatchNumber;
use crate::report::curves::EXPLANATION;

/// Loss, accuracy, other metrics and the learning rate.
pub fn section(run: &Run) -> Markup {
    let mixes = run.settings.effects().mixes_targets;
    let metrics = &run.metrics;
    html! {
        section {
            h2 { "Curves" }
            div.charts {
                @for metric in metric_names(metrics) {
                    (scores(metrics, metric, mixes))
                }
                (learning_rate(run))
            }
            @if mixes { p.faint { (EXPLANATION) } }
        }
    }
}

/// The metrics of the table, each once.
fn metric_names(metrics: &Metrics) -> Vec<&str> {
    let mut names = Vec::new();
    for (_, metric) in metrics
        .columns
        .iter()
        .filter_map(|name| name.split_once('/'))
    {
        if !names.contains(&metric) {
            names.push(metric);
        }
    }
    names
}

fn scores(metrics: &Metrics, metric: &str, mixes: bool) -> Markup {
    let title = &metrics::title(metric);
    let columns = metrics.columns.iter().filter_map(|column| {
        let (set, name) = column.split_once('/')?;
        (name == metric).then_some((set, column))
    });
    let series = columns.map(|(set, column)| Series {
        label: match set {
            "train" if mixes && metric == "accuracy" => "training (mixed accuracy)".into(),
            "train" => "training".into(),
            "val" => "validation".into(),
            other => other.into(),
        },
        shape: Shape::Line,
        points: metrics.over_epochs(column),
    });
    let series: Vec<_> = series.collect();
    Chart {
        title,
        description: description(title, &series),
        x_label: "epoch",
        y_range: None,
        series,
        bands: Vec::new(),
    }
    .figure()
}

fn learning_rate(run: &Run) -> Markup {
    let of_batches = points(&run.batches, "learning-rate");
    let points = if of_batches.is_empty() {
        run.metrics.over_epochs("learning_rate")
    } else {
        of_batches
    };
    let title = "Learning rate";
    let series = vec![Series {
        label: title.into(),
        shape: Shape::Line,
        points,
    }];
    Chart {
        title,
        description: description(title, &series),
        x_label: "epoch",
        y_range: Some([0.0, 0.0]),
        series,
        bands: Vec::new(),
    }
    .figure()
}

/// What a chart shows, in words.
fn description(title: &str, series: &[Series]) -> String {
    let ends = series.iter().filter_map(|one| {
        let ([_, first], [_, last]) = (one.points.first()?, one.points.last()?);
        let ends = format!("from {} to {}", short(*first), short(*last));
        Some(if one.label == title {
            ends
        } else {
            format!("{} {ends}", one.label)
        })
    });
    let ends: Vec<_> = ends.collect();
    format!("{title} over the epochs: {}.", ends.join("; "))
}

fn points(batches: &[BatchNumber], name: &str) -> Vec<[f64; 2]> {
    let numbers = batches.iter().filter(|number| number.name == name);
    numbers.map(|number| [number.epoch, number.value]).collect()
}

/// What algorithms logged over the batches, and the first batch.
pub fn logged(run: &Run) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for number in &run.batches {
        if number.name != "learning-rate" && !names.contains(&number.name.as_str()) {
            names.push(&number.name);
        }
    }
    if names.is_empty() && run.first_batch.is_none() {
        return html! {};
    }
    html! {
        section {
            h2 { "What the algorithms did" }
            @if !names.is_empty() {
                div.charts {
                    @for name in names { (logged_number(name, points(&run.batches, name))) }
                }
                p.faint {
                    "A dot is a batch: the mean over its images. Of long runs, batches at equal distances are shown."
                }
            }
            @if let Some(picture) = &run.first_batch {
                h3 { "First training batch, as the network saw it" }
                div.scroll tabindex="0" role="region" aria-label="First training batch" {
                    img.picture.wide src=(data_uri("image/png", picture))
                        alt="The first images of the first training batch, each with its classes and their shares.";
                }
            }
        }
    }
}

fn logged_number(name: &str, points: Vec<[f64; 2]>) -> Markup {
    let mean = points.iter().map(|point| point[1]).sum::<f64>() / points.len().max(1) as f64;
    let is_share = points.iter().all(|point| (0.0..=1.0).contains(&point[1]));
    let average = moving_average(&points);
    Chart {
        title: name,
        description: format!(
            "{name} of single batches over the epochs; its mean is {}.",
            short(mean)
        ),
        x_label: "epoch",
        y_range: is_share.then_some([0.0, 1.0]),
        series: vec![
            Series {
                label: "moving average".into(),
                shape: Shape::Line,
                points: average,
            },
            Series {
                label: format!("batches, mean {}", short(mean)),
                shape: Shape::Dots,
                points,
            },
        ],
        bands: Vec::new(),
    }
    .figure()
}

/// The mean of each point and its neighbours, a tenth of all points together.
fn moving_average(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let reach = points.len() / 20 + 1;
    let mean = |index: usize| {
        let near = &points[index.saturating_sub(reach)..(index + reach + 1).min(points.len())];
        near.iter().map(|point| point[1]).sum::<f64>() / near.len() as f64
    };
    let points = points.iter().enumerate();
    points
        .map(|(index, point)| [point[0], mean(index)])
        .collect()
}
