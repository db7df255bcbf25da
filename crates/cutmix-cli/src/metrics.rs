//! Metrics by name.

use std::fmt;

use burn::train::metric::{
    AurocMetric, ClassReduction, FBetaScoreMetric, PrecisionMetric, RecallMetric,
    TopKAccuracyMetric,
};
use clap::ValueEnum;
use cutmix_train::{Evaluator, MeanAveragePrecision};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A metric of Burn's. Those of classes are the mean over the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MetricName {
    /// Share of the images whose class is among the five most likely ones, in percent.
    Top5,
    /// F1 score: harmonic mean of precision and recall.
    FScore,
    /// Area under the ROC curve.
    Auroc,
    /// Share of the images predicted as a class that are of it.
    Precision,
    /// Share of the images of a class that are predicted as it.
    Recall,
    /// Mean of the average precisions of the classes, in percent; always measured where images have
    /// several classes.
    MeanAveragePrecision,
}

const CLASSES: ClassReduction = ClassReduction::Macro;

impl MetricName {
    /// Checks that the metric can measure images of so many classes, of which one may have several.
    pub fn check(self, classes: usize, is_multi_label: bool) -> Result<(), Error> {
        if is_multi_label && self != Self::MeanAveragePrecision {
            let expected = "mean-average-precision, as images have several classes";
            return Err(Error::option("metric", self, expected));
        }
        if self == Self::Top5 && classes < 5 {
            let expected = format!("another metric, as the data have {classes} classes");
            return Err(Error::option("metric", "top5", expected));
        }
        Ok(())
    }

    /// Whether Burn counts in the device's default type, whose precision has to suffice for that.
    pub fn counts_on_device(self) -> bool {
        matches!(self, Self::FScore | Self::Precision | Self::Recall)
    }

    /// Adds the metric to an evaluator.
    pub fn add_to(self, evaluator: Evaluator) -> Evaluator {
        let name = self.to_string();
        match self {
            Self::Top5 => evaluator.metric(name, TopKAccuracyMetric::new(5)),
            Self::FScore => evaluator.metric(name, FBetaScoreMetric::multiclass(1.0, 1, CLASSES)),
            Self::Auroc => evaluator.metric(name, AurocMetric::multiclass(CLASSES)),
            Self::Precision => evaluator.metric(name, PrecisionMetric::multiclass(1, CLASSES)),
            Self::Recall => evaluator.metric(name, RecallMetric::multiclass(1, CLASSES)),
            Self::MeanAveragePrecision => evaluator.metric(name, MeanAveragePrecision::new()),
        }
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// The loss, which every evaluation measures. All other metrics are in percent.
pub const LOSS: &str = "loss";

/// The words for a metric of this name.
pub fn label(name: &str) -> &str {
    match name {
        LOSS => "Loss",
        "accuracy" => "Accuracy",
        "top5" => "Top-5 accuracy",
        "f-score" => "F1 score",
        "auroc" => "Area under the ROC curve",
        "precision" => "Precision",
        "recall" => "Recall",
        "mean-average-precision" => "Mean average precision",
        other => other,
    }
}

/// The words for a metric of this name, with its unit.
pub fn title(name: &str) -> String {
    let label = label(name);
    if name == LOSS {
        label.into()
    } else {
        format!("{label} (%)")
    }
}

/// The value of a metric of this name, with its unit.
pub fn text(name: &str, value: f64) -> String {
    if name == LOSS {
        format!("{value:.4}")
    } else {
        format!("{value:.2} %")
    }
}
