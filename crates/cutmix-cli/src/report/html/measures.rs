//! What was measured where it was asked for: occlusion, changed pixels, other images, objects.

use cutmix_vision::measures::{Fgsm, Localisation, Occlusion};
use maud::{Markup, html};

use super::percent;
use super::svg::{Chart, Series, Shape};
use crate::report::evaluation::{
    LocalisationAt, Measures, SingleLabel, StoredEvaluation, UnlikeDetection,
};
use crate::terminal::grouped;

/// All that was measured.
pub fn section(evaluated: &StoredEvaluation, result: &SingleLabel) -> Markup {
    let Measures {
        occlusion: occluded,
        fgsm: changed,
        detection: detected,
        localisation: localised,
    } = &result.measures;
    html! {
        @if let Some(found) = occluded { (occlusion(evaluated, found, result.accuracy)) }
        @if let Some(found) = changed { (fgsm(evaluated, found, result.accuracy)) }
        @if let Some(found) = detected { (detection(found)) }
        @if let Some(found) = localised { (localisation(evaluated, found)) }
    }
}

/// Accuracy over the share that is black. `accuracy` is that of the images as they are.
fn occlusion(evaluated: &StoredEvaluation, found: &Occlusion, accuracy: f64) -> Markup {
    let places = [
        ("random place", &found.random),
        ("centre", &found.centre),
        ("border", &found.border),
    ];
    let places = places.map(|(place, accuracies)| (place, with_first(accuracy, accuracies)));
    let shares = with_first(0.0, &found.shares);
    let series = places.iter().map(|(place, accuracies)| Series {
        label: (*place).into(),
        shape: Shape::Line,
        points: shares
            .iter()
            .zip(accuracies)
            .map(|(&share, &accuracy)| [share, accuracy])
            .collect(),
    });
    let ends = places.iter().map(|(place, accuracies)| {
        let last = accuracies.last().copied().unwrap_or_default();
        format!("{place} {last:.2}")
    });
    let chart = Chart {
        title: "Accuracy (%)",
        description: format!(
            "Accuracy in percent over the share of the images that is black: from {:.2} to {}.",
            100.0 * accuracy,
            ends.collect::<Vec<_>>().join(", ")
        ),
        x_label: "black share of the images (%)",
        y_range: Some([0.0, 100.0]),
        series: series.collect(),
        bands: Vec::new(),
    };
    html! {
        h3 { "Occlusion" }
        p.faint {
            "Accuracy where a part of each image is black: a box at a random place, a box in the centre, or the \
            border around a box in the centre."
        }
        div.charts { (chart.figure()) }
        (table(evaluated, "Occlusion", "Black share (%)", &shares, &places))
    }
}

/// Accuracy over the levels by which pixels move.
fn fgsm(evaluated: &StoredEvaluation, found: &Fgsm, accuracy: f64) -> Markup {
    let mut levels = vec![0.0];
    levels.extend(&found.levels);
    let rows = [("accuracy", with_first(accuracy, &found.accuracy))];
    html! {
        h3 { "Changed pixels" }
        p.faint {
            "Accuracy where each value of a pixel moves by some of 255 levels in the direction in which the loss \
            rises, by the fast gradient sign method."
        }
        (table(evaluated, "Changed pixels", "Levels", &levels, &rows))
    }
}

/// Numbers in percent behind a first one: shares of `first` and `shares`.
fn with_first(first: f64, shares: &[f64]) -> Vec<f64> {
    let all = std::iter::once(first).chain(shares.iter().copied());
    all.map(|share| 100.0 * share).collect()
}

/// A table with accuracies in percent, a column for each of `columns`.
fn table(
    evaluated: &StoredEvaluation,
    title: &str,
    head: &str,
    columns: &[f64],
    rows: &[(&str, Vec<f64>)],
) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (title) ", " (evaluated.subject()) } {
            table {
                caption { "Accuracy in percent. The first column is that of the images as they are." }
                thead {
                    tr {
                        th scope="col" { (head) }
                        @for column in columns { th.n scope="col" { (head_number(*column)) } }
                    }
                }
                tbody {
                    @for (name, numbers) in rows {
                        tr {
                            th scope="row" { (name) }
                            @for number in numbers { td.n { (format!("{number:.2}")) } }
                        }
                    }
                }
            }
        }
    }
}

/// A number without the digits of its rounding.
fn head_number(number: f64) -> f64 {
    (1e6 * number).round() / 1e6
}

fn detection(found: &UnlikeDetection) -> Markup {
    html! {
        h3 { "Images unlike the classes" }
        p {
            "The confidence of the network tells them from images of the classes with an area under the ROC curve of "
            (percent(found.detection.auroc)) ": " (found.images()) "."
        }
    }
}

fn localisation(evaluated: &StoredEvaluation, found: &LocalisationAt) -> Markup {
    let Localisation {
        images,
        threshold,
        known_class,
        top1,
        mean_overlap,
    } = found.localisation;
    html! {
        h3 { "Localisation" }
        p.faint {
            "An object is localised where the box around the largest bright region of the class activation map has \
            an overlap (intersection over union) of at least 50 % with the true box. The threshold of the map is "
            (format!("{threshold:.2}")) ", " (found.threshold_from(evaluated.evaluation.set)) "."
        }
        dl {
            dt { "Images with boxes" } dd { (grouped(images)) }
            dt { "Localised, class known" } dd { (percent(known_class)) }
            dt { "Localised, and class predicted" } dd { (percent(top1)) }
            dt { "Mean overlap" } dd { (percent(mean_overlap)) }
        }
    }
}
