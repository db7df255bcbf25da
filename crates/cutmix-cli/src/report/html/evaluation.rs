//! An evaluation: classes, confusion, calibration and mistakes.

use cutmix_train::{CalibrationBin, ClassScores, ConfusionMatrix};
use maud::{Markup, html};

use super::svg::{Axis, X_ENDS, Y_ENDS, drawing};
use super::{data_uri, measures, mistakes, percent};
use crate::metrics;
use crate::report::confusion;
use crate::report::evaluation::{
    CalibrationSummary, ClassRow, Evaluation, MultiLabel, Outcome, SingleLabel, StoredEvaluation,
    set_name,
};
use crate::terminal::{count, grouped};

/// The number of classes up to which the confusion matrix is a table of counts; it is a picture for more.
const COUNTED: usize = 30;
/// The number of classes that are listed at most.
const LISTED: usize = 60;
/// The number of pairs of confused classes that are listed.
const PAIRS: usize = 10;
/// The number of labels that may be wrong that are listed.
const LABELS: usize = 20;

/// All of an evaluation.
pub fn section(evaluated: &StoredEvaluation) -> Markup {
    let evaluation = &evaluated.evaluation;
    html! {
        section {
            @if let Some(set) = evaluated.own_set() {
                h2 { (capital(set_name(Some(set)))) ": " (count(evaluation.images, "image")) }
                p.faint { (evaluation.data) }
            } @else {
                h2 { (evaluation.heading()) }
            }
            @if let Some(changes) = &evaluation.changes {
                p { "These are not the data of the run, though most of its images are among them: " (changes) }
            }
            @if let Some(trained_on) = evaluation.trained_on() { p { (trained_on) } }
            @if let Some(first) = evaluation.skipped.first() {
                p { (count(evaluation.skipped.len(), "bad image")) " skipped, the first: " (first.reason) }
            }
            @match &evaluation.result {
                Outcome::SingleLabel(result) => { (single_label(evaluated, result)) }
                Outcome::MultiLabel(result) => { (multi_label(evaluated, result)) }
            }
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

fn single_label(evaluated: &StoredEvaluation, result: &SingleLabel) -> Markup {
    let evaluation = &evaluated.evaluation;
    html! {
        dl {
            dt { "Accuracy" } dd { (percent(result.accuracy)) }
            @if let Some(top5) = result.top5_accuracy { dt { "Top-5 accuracy" } dd { (percent(top5)) } }
            dt { "Mean over the classes" }
            dd {
                "precision " (percent(result.macro_average.precision)) ", recall " (percent(result.macro_average.recall))
                ", F1 score " (percent(result.macro_average.f1))
            }
            (scores(evaluation))
            dt { "Calibration error" } dd { (percent(result.calibration.expected_error)) }
        }
        div.two {
            div { h3 { "Classes" } (classes(evaluated, &result.classes)) }
            div { h3 { "Confusion matrix" } (confusion(evaluated, result)) }
        }
        h3 { "Calibration" }
        (calibration(result))
        (measures::section(evaluated, result))
        (mistakes::section(evaluated, result))
        (labels(evaluated, result))
    }
}

/// The metrics of the run, but for those that the result has.
fn scores(evaluation: &Evaluation) -> Markup {
    let is_known = |name: &str| match &evaluation.result {
        Outcome::SingleLabel(result) => match name {
            "accuracy" | "precision" | "recall" | "f-score" => true,
            "top5" => result.top5_accuracy.is_some(),
            _ => false,
        },
        Outcome::MultiLabel(result) => match name {
            "accuracy" => true,
            "mean-average-precision" => result.mean_average_precision.is_some(),
            _ => false,
        },
    };
    let others = (evaluation.scores.iter()).filter(|(name, _)| !is_known(name));
    html! {
        @for (name, value) in others {
            dt { (metrics::label(name)) }
            dd { @if let Some(value) = value { (metrics::text(name, *value)) } @else { "not finite" } }
        }
    }
}

/// A table with a row for each class, of many classes those with the lowest F1 score.
fn classes(evaluated: &StoredEvaluation, rows: &[ClassRow]) -> Markup {
    let mut shown: Vec<_> = rows.iter().filter(|row| row.images > 0).collect();
    let all = shown.len();
    if all > LISTED {
        shown.sort_by(|a, b| a.scores.f1.total_cmp(&b.scores.f1));
        shown.truncate(LISTED);
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Classes, " (evaluated.subject()) } {
            table {
                caption {
                    "Shares in percent."
                    @if all > LISTED {
                        " The " (LISTED) " of " (grouped(all)) " classes with the lowest F1 score; eval/"
                        (evaluated.name) "/evaluation.json has all."
                    }
                }
                thead {
                    tr {
                        th scope="col" { "Class" }
                        @for head in ["Images", "Precision", "Recall", "F1 score"] { th.n scope="col" { (head) } }
                    }
                }
                tbody {
                    @for row in shown {
                        tr { th scope="row" { (row.class) } td.n { (grouped(row.images)) } (class_scores(&row.scores)) }
                    }
                }
            }
        }
    }
}

fn class_scores(scores: &ClassScores) -> Markup {
    html! {
        @for share in [scores.precision, scores.recall, scores.f1] { td.n { (points(share)) } }
    }
}

/// A share in percent, without the sign.
fn points(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

fn confusion(evaluated: &StoredEvaluation, result: &SingleLabel) -> Markup {
    let names: Vec<_> = result
        .classes
        .iter()
        .map(|row| row.class.as_str())
        .collect();
    html! {
        @if names.len() <= COUNTED {
            (confusion_table(evaluated, &names, &result.confusion))
        } @else if let Ok(picture) = confusion::png(&evaluated.evaluation.heading(), result) {
            div.scroll tabindex="0" role="region" aria-label={ "Confusion matrix, " (evaluated.subject()) } {
                img.picture.wide src=(data_uri("image/png", &picture))
                    alt="The confusion matrix as a picture: a row for each class, a column for each predicted class.";
            }
        }
        (confused(&names, &result.confusion))
    }
}

fn confusion_table(
    evaluated: &StoredEvaluation,
    names: &[&str],
    matrix: &ConfusionMatrix,
) -> Markup {
    let class = if names.len() > 12 {
        "confusion many"
    } else {
        "confusion"
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Confusion matrix, " (evaluated.subject()) } {
            table class=(class) {
                caption { "Rows: the class of an image. Columns: what was predicted." }
                thead {
                    tr { td {} @for name in names { th scope="col" title=(name) { span { (name) } } } }
                }
                tbody {
                    @for (row, name) in names.iter().enumerate() {
                        @let total = matrix.samples(row).max(1);
                        tr {
                            th scope="row" title=(name) { (name) }
                            @for (column, &count) in matrix.row(row).iter().enumerate() {
                                // A root shows small shares as well.
                                @let share = 100.0 * (count as f64 / total as f64).sqrt();
                                td.right[row == column] style=(format!("--share:{share:.0}%")) {
                                    @if count > 0 { (grouped(count)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The pairs of classes that are confused most often.
fn confused(names: &[&str], matrix: &ConfusionMatrix) -> Markup {
    let pairs = matrix.confused();
    if pairs.is_empty() {
        return html! { p { "No class was taken for another." } };
    }
    html! {
        p.faint { "Confused most often" @if pairs.len() > PAIRS { ", " (PAIRS) " of " (count(pairs.len(), "pair")) } ":" }
        ul {
            @for &(class, predicted, images) in pairs.iter().take(PAIRS) {
                li { (names[class]) " taken for " (names[predicted]) ": " (count(images, "image")) }
            }
        }
    }
}

/// The diagram of accuracy over confidence, and how many images have which confidence.
fn calibration(result: &SingleLabel) -> Markup {
    let summary = &result.calibration;
    let words = format!(
        "Expected calibration error {}: mean confidence {}, accuracy {}.",
        percent(summary.expected_error),
        percent(summary.mean_confidence),
        percent(result.accuracy),
    );
    html! {
        p { (words) " The dashed line is a network that is right as often as it is confident." }
        div.charts {
            figure {
                h3 { "Accuracy (%)" }
                ul.legend {
                    li { (swatch("bar")) "accuracy" }
                    li { (swatch("over")) "overconfident by" }
                    li { (swatch("under")) "underconfident by" }
                }
                (diagram(summary, &words))
            }
            figure {
                h3 { "Images (%)" }
                (histogram(summary))
            }
        }
    }
}

fn swatch(class: &str) -> Markup {
    html! { svg.box viewBox="0 0 14 14" aria-hidden="true" { rect class=(class) width="14" height="14" {} } }
}

const CONFIDENCE: &str = "confidence: probability of the predicted class (%)";

fn diagram(summary: &CalibrationSummary, description: &str) -> Markup {
    let [x, y] = [X_ENDS, Y_ENDS].map(|ends| Axis::new([0.0, 100.0].into_iter(), None, ends, 5));
    let bar = |bin: &CalibrationBin, class: &str, from: f64, to: f64| {
        html! { @if to > from { (rect(&x, &y, bin, class, [from, to])) } }
    };
    let bars = html! {
        @for bin in summary.bins.iter().filter(|bin| bin.samples > 0) {
            (bar(bin, "bar", 0.0, bin.accuracy.min(bin.confidence)))
            (bar(bin, "over", bin.accuracy, bin.confidence))
            (bar(bin, "under", bin.confidence, bin.accuracy))
        }
        path.ideal d=(format!("M{:.1} {:.1}L{:.1} {:.1}", X_ENDS[0], Y_ENDS[0], X_ENDS[1], Y_ENDS[1])) {}
    };
    drawing(description, [&x, &y], CONFIDENCE, bars)
}

fn histogram(summary: &CalibrationSummary) -> Markup {
    let total: usize = summary.bins.iter().map(|bin| bin.samples).sum();
    let share = |bin: &CalibrationBin| bin.samples as f64 / total.max(1) as f64;
    let x = Axis::new([0.0, 100.0].into_iter(), None, X_ENDS, 5);
    let highest = summary.bins.iter().map(share).fold(0.01, f64::max);
    let y = Axis::new([0.0, 100.0 * highest].into_iter(), None, Y_ENDS, 5);
    let most = summary.bins.last().map_or(0.0, share);
    let words = format!(
        "How many images have which confidence; {} are in the highest bin.",
        percent(most)
    );
    let bars = html! {
        @for bin in &summary.bins { (rect(&x, &y, bin, "bar", [0.0, share(bin)])) }
    };
    drawing(&words, [&x, &y], CONFIDENCE, bars)
}

/// A bar over a bin, between two shares.
fn rect(x: &Axis, y: &Axis, bin: &CalibrationBin, class: &str, ends: [f64; 2]) -> Markup {
    let [left, right] = [bin.from, bin.to].map(|share| x.place(100.0 * share));
    let [bottom, top] = ends.map(|share| y.place(100.0 * share));
    html! {
        rect class=(class) x=(format!("{:.1}", left + 0.5)) y=(format!("{top:.1}"))
            width=(format!("{:.1}", right - left - 1.0)) height=(format!("{:.1}", bottom - top)) {}
    }
}

/// The images whose labels may be wrong.
fn labels(evaluated: &StoredEvaluation, result: &SingleLabel) -> Markup {
    let errors = &result.label_errors;
    html! {
        @if !errors.is_empty() {
            h3 { "Labels that may be wrong" }
            p.faint {
                (count(errors.len(), "image")) " by confident learning, the least probable labels first"
                @if errors.len() > LABELS { ", of which " (LABELS) " are shown" } "."
            }
            div.scroll tabindex="0" role="region" aria-label={ "Labels that may be wrong, " (evaluated.subject()) } {
                table.names {
                    thead {
                        tr {
                            @for head in ["Image", "Label", "Likely"] { th scope="col" { (head) } }
                            th.n scope="col" { "Probability of the label" }
                        }
                    }
                    tbody {
                        @for image in errors.iter().take(LABELS) {
                            tr {
                                th scope="row" { (image.name) }
                                td { (image.class) }
                                td { (image.likely_class.as_deref().unwrap_or_default()) }
                                td.n { (percent(image.class_probability)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn multi_label(evaluated: &StoredEvaluation, result: &MultiLabel) -> Markup {
    let evaluation = &evaluated.evaluation;
    html! {
        dl {
            @if let Some(average) = result.mean_average_precision {
                dt { "Mean average precision" } dd { (percent(average)) }
            }
            (scores(evaluation))
        }
        h3 { "Classes" }
        p.faint {
            "Shares in percent. Precision, recall and F1 score are those at the threshold that is best on "
            @if result.thresholds_of == evaluation.set { "these images themselves." }
            @else { "the " (set_name(result.thresholds_of)) "." }
        }
        div.scroll tabindex="0" role="region" aria-label={ "Classes, " (evaluated.subject()) } {
            table {
                thead {
                    tr {
                        th scope="col" { "Class" }
                        @for head in ["Images", "Average precision", "Threshold", "Precision", "Recall", "F1 score"] {
                            th.n scope="col" { (head) }
                        }
                    }
                }
                tbody {
                    @for row in &result.classes {
                        @if let Some(average) = row.average_precision {
                            tr {
                                th scope="row" { (row.class) } td.n { (grouped(row.images)) }
                                td.n { (points(average)) } td.n { (format!("{:.3}", row.threshold)) }
                                (class_scores(&row.scores))
                            }
                        }
                    }
                }
            }
        }
    }
}
