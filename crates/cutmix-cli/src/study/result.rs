//! The result of one run of a study.

use std::collections::BTreeMap;

use cutmix_vision::Split;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::plan::{Plan, PlannedRun};
use super::statistics::mean;
use crate::metrics;
use crate::report::evaluation::{Evaluation, Measures, Outcome};
use crate::settings::Settings;
use crate::training::Trained;

/// What a study keeps of a run, in a file of its own: all that its tables and charts need.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunResult {
    /// The version of the program.
    pub version: String,
    /// Digest of the data of the study.
    pub data: String,
    pub row: String,
    pub seed: u64,
    /// The settings that were given.
    pub given: Table,
    /// All settings of the run but for where things are on the machine.
    pub settings: Table,
    /// The device that it was trained on; not known of results before it was kept.
    #[serde(default)]
    pub device: Option<String>,
    /// Accuracy of the network on the validation set, in percent.
    pub validation_accuracy: Option<f64>,
    /// Seconds of training, with evaluation.
    pub seconds: f64,
    /// The set that was measured at the end.
    pub set: Split,
    pub images: usize,
    /// The scores on it, as in metrics.csv.
    pub scores: BTreeMap<String, Option<f64>>,
    /// Expected calibration error, in 0..=1.
    pub calibration_error: Option<f64>,
    #[serde(flatten)]
    pub measures: Measures,
    /// The scores of each report.
    pub history: Vec<Reported>,
}

/// The scores of a report of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reported {
    /// Elapsed passes over the training data.
    pub epoch: f64,
    /// `None` where one is not finite.
    pub scores: BTreeMap<String, Option<f64>>,
}

/// A number of a run that is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    pub name: String,
    /// A percentage, or a plain number.
    pub is_percent: bool,
    pub higher_is_better: bool,
    /// Whether it is in the table that is read first.
    pub is_main: bool,
    pub value: f64,
}

impl RunResult {
    /// Of a run that is complete, and measured on `set`.
    pub fn new(
        plan: &Plan,
        run: PlannedRun,
        trained: &Trained,
        (set, evaluation): (Split, &Evaluation),
        measures: Measures,
    ) -> Self {
        let reports = &trained.history.reports;
        let best = trained.subject.settings.best.as_deref();
        let kept = best.map_or(reports.last(), |score| trained.history.best(score));
        let finite = |value: f64| value.is_finite().then_some(value);
        let mut settings = trained.subject.settings.to_table();
        settings.retain(|name, _| !Settings::is_of_machine(name));
        let mut given = plan.given(run);
        given.retain(|name, _| !Settings::is_of_machine(name));
        Self {
            version: plan.version.clone(),
            data: plan.data.clone(),
            row: run.row.name.clone(),
            seed: run.seed,
            given,
            settings,
            device: Some(trained.subject.settings.device.clone()),
            seconds: reports.last().map_or(0.0, |report| report.seconds),
            set,
            images: evaluation.images,
            scores: evaluation.scores.clone(),
            validation_accuracy: kept.and_then(|report| finite(report.value("val/accuracy")?)),
            calibration_error: match &evaluation.result {
                Outcome::SingleLabel(result) => finite(result.calibration.expected_error),
                Outcome::MultiLabel(_) => None,
            },
            measures,
            history: reports
                .iter()
                .map(|report| Reported {
                    epoch: report.epoch,
                    scores: (report.scores.iter())
                        .map(|score| (score.name.clone(), finite(score.value)))
                        .collect(),
                })
                .collect(),
        }
    }

    /// All numbers that are compared, the main ones first.
    pub fn numbers(&self) -> Vec<Number> {
        let number = |name: String, value: f64, is_main| Number {
            name,
            is_percent: true,
            higher_is_better: true,
            is_main,
            value,
        };
        let percent = |name: &str, share: f64| number(name.into(), 100.0 * share, true);
        let mut main = Vec::new();
        let mut others = Vec::new();
        for (name, value) in &self.scores {
            let Some(value) = *value else { continue };
            let is_loss = name == metrics::LOSS;
            main.push(Number {
                is_percent: !is_loss,
                higher_is_better: !is_loss,
                ..number(name.clone(), value, true)
            });
        }
        if let Some(value) = self.validation_accuracy.filter(|_| self.set == Split::Test) {
            main.push(number("validation accuracy".into(), value, true));
        }
        if let Some(error) = self.calibration_error {
            main.push(Number {
                higher_is_better: false,
                ..percent("calibration error", error)
            });
        }
        if let Some(occlusion) = &self.measures.occlusion {
            for (place, accuracies) in [
                ("random", &occlusion.random),
                ("centre", &occlusion.centre),
                ("border", &occlusion.border),
            ] {
                main.push(percent(&format!("occlusion, {place}"), mean(accuracies)));
                others.extend(
                    occlusion
                        .shares
                        .iter()
                        .zip(accuracies)
                        .map(|(share, value)| {
                            let name = format!("occlusion, {place}, {} %", 100.0 * share);
                            number(name, 100.0 * value, false)
                        }),
                );
            }
        }
        if let Some(fgsm) = &self.measures.fgsm {
            main.push(percent("fgsm", mean(&fgsm.accuracy)));
            others.extend(
                fgsm.levels
                    .iter()
                    .zip(&fgsm.accuracy)
                    .map(|(level, value)| {
                        number(format!("fgsm, {level} of 255"), 100.0 * value, false)
                    }),
            );
        }
        if let Some(found) = &self.measures.detection {
            main.push(percent("detection, AUROC", found.detection.auroc));
        }
        if let Some(found) = &self.measures.localisation {
            main.push(percent("localisation", found.localisation.known_class));
            main.push(percent("localisation, top 1", found.localisation.top1));
            others.push(number(
                "mean overlap".into(),
                100.0 * found.localisation.mean_overlap,
                false,
            ));
        }
        main.extend(others);
        main
    }
}
