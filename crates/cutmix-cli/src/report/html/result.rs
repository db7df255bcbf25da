//! The result of a run at the top of its report.

use cutmix_vision::Split;
use maud::{Markup, html};

use super::percent;
use super::run::{Run, Status};
use crate::metrics;
use crate::report::evaluation::{Evaluation, Outcome, StoredEvaluation, set_name};
use crate::settings::in_order;
use crate::terminal::{clock, grouped, quoted};
use cutmix_train::Event;

/// The network and the data, without the folder in which they are.
pub fn title(run: &Run) -> String {
    let data = run.settings.data.as_ref().and_then(|data| data.file_name());
    let data = data.map_or(run.settings.data_name(), |name| {
        name.to_string_lossy().into_owned()
    });
    format!("{} on {data}", model(run))
}

fn model(run: &Run) -> &str {
    run.settings.model.as_deref().unwrap_or("network")
}

/// The number by which the run is judged, and what it is a run of.
pub fn summary(run: &Run) -> Markup {
    let Run {
        settings,
        manifest,
        metrics,
        ..
    } = run;
    let size = |split| grouped(manifest.count(split));
    let epochs = metrics.last("epoch").unwrap_or(0.0);
    html! {
        div.result {
            div.number {
                @let (value, what) = headline(run);
                strong { (value) }
                (what)
            }
            dl {
                dt { "Network" } dd { (model(run)) ", " (grouped(run.parameters)) " parameters" }
                dt { "Data" }
                dd {
                    (settings.data_name()) ": " (grouped(manifest.classes.len())) " classes; "
                    (size(Split::Train)) " images to train, " (size(Split::Val)) " to validate, "
                    (size(Split::Test)) " to test"
                }
                dt { "Algorithms" } dd { (in_order(&settings.algorithm, Event::FitEnd, ", then ")) }
                dt { "Training" }
                dd {
                    (count_epochs(epochs)) " with batches of " (settings.batch_size)
                    @match run.status {
                        Status::Finished => {}
                        Status::Stopped => {
                            ", stopped before its end of " (settings.duration.to_string()) "; resume it with "
                            code { "cutmix train --resume " (quoted(&run.path)) }
                        }
                        Status::InProgress => { ", not finished; its end is at " (settings.duration.to_string()) }
                    }
                }
                @if let Some(seconds) = metrics.last("seconds") {
                    dt { "Duration" }
                    dd { (clock(seconds)) " with evaluation, on " (settings.device) }
                }
            }
        }
    }
}

fn count_epochs(epochs: f64) -> String {
    let plural = if epochs == 1.0 { "" } else { "s" };
    format!("{} epoch{plural}", (100.0 * epochs).round() / 100.0)
}

/// The first score of the evaluation that counts, and what it is.
fn headline(run: &Run) -> (String, String) {
    if let Some(StoredEvaluation { evaluation, .. }) = run.main_evaluation() {
        let set = set_name(evaluation.set);
        return match score(evaluation) {
            Some((value, name)) => (value, format!("{name} on the {set}")),
            None => ("–".into(), format!("no score on the {set}")),
        };
    }
    match run.metrics.last("val/accuracy") {
        Some(accuracy) => (
            metrics::text("accuracy", accuracy),
            "accuracy on the validation set, in the last evaluation of the training".into(),
        ),
        None => ("–".into(), "not evaluated".into()),
    }
}

/// The score by which an evaluation is judged, and its name.
fn score(evaluation: &Evaluation) -> Option<(String, &'static str)> {
    match &evaluation.result {
        Outcome::SingleLabel(result) => Some((percent(result.accuracy), "accuracy")),
        Outcome::MultiLabel(result) => {
            let average = result.mean_average_precision?;
            Some((percent(average), "mean average precision"))
        }
    }
}

/// All evaluations in a table, where there are several.
pub fn evaluations(run: &Run) -> Markup {
    if run.evaluations.len() < 2 {
        return html! {};
    }
    html! {
        section {
            h2 { "Evaluations" }
            div.scroll tabindex="0" role="region" aria-label="Evaluations" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Data" } th scope="col" { "Set" } th.n scope="col" { "Images" }
                            th scope="col" { "Score" } th.n scope="col" { "Loss" }
                        }
                    }
                    tbody {
                        @for StoredEvaluation { evaluation, .. } in &run.evaluations {
                            tr {
                                th scope="row" { (evaluation.data) }
                                td { (set_name(evaluation.set)) }
                                td.n { (grouped(evaluation.images)) }
                                td {
                                    @if let Some((value, name)) = score(evaluation) { (value) " " (name) }
                                }
                                td.n {
                                    @if let Some(Some(loss)) = evaluation.scores.get("loss") { (metrics::text("loss", *loss)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
