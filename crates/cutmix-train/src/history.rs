//! The reports of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::trainer::Patience;

/// A number by which a model is measured on a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The set, a slash, and the metric: `val/accuracy`.
    pub name: String,
    /// The value, for an accuracy in percent; NaN or infinite where the metric gives such a number.
    pub value: f64,
    /// Whether a higher value is better.
    pub higher_is_better: bool,
}

impl Score {
    /// The set and the metric: `val` and `accuracy`.
    pub fn set_and_metric(&self) -> (&str, &str) {
        self.name.split_once('/').unwrap_or(("", &self.name))
    }

    /// The value as text: an accuracy as `66.20 %`, any other as `0.9312`.
    pub fn text(&self) -> String {
        match self.set_and_metric() {
            (_, "accuracy") => format!("{:.2} %", self.value),
            _ => format!("{:.4}", self.value),
        }
    }

    /// Whether this score is better than another one of the same name; NaN never is.
    pub fn is_better_than(&self, other: &Self) -> bool {
        let is_better = if self.higher_is_better {
            self.value > other.value
        } else {
            self.value < other.value
        };
        is_better || (other.value.is_nan() && !self.value.is_nan())
    }
}

/// The position, learning rate and scores of a run at the end of an evaluation interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Elapsed passes over the training data: 1 at the end of the first epoch, 1.5 in the middle of
    /// the second.
    pub epoch: f64,
    /// Elapsed batches of the run.
    pub batches: u64,
    /// Elapsed samples of the run.
    pub samples: u64,
    /// The learning rate of the last batch.
    pub learning_rate: f64,
    /// The scores on the training batches since the last report, as the network saw them, and on
    /// each evaluation set.
    pub scores: Vec<Score>,
    /// Whether an algorithm mixed the training targets. `train/accuracy` is then the weight of the predicted class in each mixed label, which is lower than accuracy on whole images.
    pub mixed: bool,
    /// Batches of the run whose update was skipped because it was not finite.
    pub skipped: u64,
    /// Seconds spent on training batches since the last report, without evaluation and saving.
    pub train_seconds: f64,
    /// Seconds of [`train_seconds`](Self::train_seconds) in which training waited for its data.
    #[serde(default)]
    pub data_seconds: f64,
    /// Seconds of the run, with evaluation, and without the time between a stop and its resumption.
    pub seconds: f64,
}

impl Report {
    /// The score of this name, such as `val/accuracy`.
    pub fn score(&self, name: &str) -> Option<&Score> {
        self.scores.iter().find(|score| score.name == name)
    }

    /// The place of the report in the run: `epoch 2`, or `batch 150` in the middle of an epoch.
    pub fn place(&self) -> String {
        match self.epoch.fract() {
            0.0 => format!("epoch {}", self.epoch),
            _ => format!("batch {}", self.batches),
        }
    }

    /// The value of the score of this name; `None` where there is no such score.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.score(name).map(|score| score.value)
    }
}

/// One line:
///
/// ```text
/// epoch 1  train loss 1.9312  mixed accuracy 31.20  val loss 1.0412  val accuracy 66.20  11.2 s
/// ```
///
/// In the middle of an epoch it starts with the batch.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        for score in &self.scores {
            let (set, metric) = match score.set_and_metric() {
                ("train", "accuracy") if self.mixed => ("mixed", "accuracy"),
                names => names,
            };
            write!(f, "  {set} {metric} {}", score.text())?;
        }
        if self.skipped > 0 {
            write!(f, "  {} skipped", self.skipped)?;
        }
        write!(f, "  {:.1} s", self.seconds)
    }
}

/// The reports of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The reports, one for each evaluation interval.
    pub reports: Vec<Report>,
}

impl History {
    /// The value of a score in the last report.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.reports.last().and_then(|report| report.value(name))
    }

    /// The report in which a score is best, the first of equals; `None` where no report has it as a
    /// number.
    pub fn best(&self, name: &str) -> Option<&Report> {
        self.best_since(name, 0).map(|index| &self.reports[index])
    }

    /// Whether the reports from index `first` on have used up a patience.
    pub(crate) fn has_used_up(&self, patience: &Patience, first: usize) -> bool {
        let best = self.best_since(&patience.score, first);
        best.is_some_and(|best| self.reports.len() - 1 - best >= patience.reports)
    }

    /// The index of the best report among those from index `first` on.
    pub(crate) fn best_since(&self, name: &str, first: usize) -> Option<usize> {
        let scores = (self.reports.iter().enumerate().skip(first))
            .filter_map(|(index, report)| Some((index, report.score(name)?)))
            .filter(|(_, score)| !score.value.is_nan());
        let best = scores.reduce(|best, next| {
            if next.1.is_better_than(best.1) {
                next
            } else {
                best
            }
        });
        best.map(|(index, _)| index)
    }
}
