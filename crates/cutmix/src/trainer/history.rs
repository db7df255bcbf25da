//! What happened in a run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Loss and accuracy over a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// The mean loss of a sample.
    pub loss: f64,
    /// In percent; under mixed targets see
    /// [`AccuracyMetric`](crate::trainer::AccuracyMetric).
    pub accuracy: f64,
}

impl Scores {
    pub(super) const NONE: Self = Self {
        loss: f64::NAN,
        accuracy: f64::NAN,
    };
}

/// The state of a run at the end of an evaluation interval, which is an epoch unless set
/// otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Passes over the training data up to here: 1 at the end of the first epoch, 1.5 in the
    /// middle of the second.
    pub epoch: f64,
    /// Batches of the run up to here.
    pub batches: u64,
    /// Samples of the run up to here.
    pub samples: u64,
    /// The learning rate of the last batch.
    pub learning_rate: f64,
    /// On the training batches since the last report, as the network saw them.
    pub train: Scores,
    /// Whether an algorithm mixed the training targets. `train.accuracy` is then the share of each
    /// mixed label that lies on the predicted class, which is lower than accuracy on whole images.
    pub mixed: bool,
    /// On the evaluation set, where there is one.
    pub eval: Option<Scores>,
    /// Batches of the run up to here that changed nothing, because their loss was not a finite
    /// number and [`OnNan::Skip`](crate::trainer::OnNan::Skip) passes over such.
    pub skipped: u64,
    /// Seconds spent on the training batches since the last report.
    pub train_seconds: f64,
    /// Seconds of the run up to here, with evaluation, and without the time between a stop and
    /// its resumption.
    pub seconds: f64,
}

/// One line:
///
/// ```text
/// epoch 1  loss 1.9312  mixed accuracy 31.20 %  eval loss 1.0412  eval accuracy 66.20 %  11.2 s
/// ```
///
/// In the middle of an epoch it begins with the batch.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, train, .. } = self;
        match epoch.fract() == 0.0 {
            true => write!(f, "epoch {epoch}  ")?,
            false => write!(f, "batch {}  ", self.batches)?,
        }
        let mixed = if self.mixed { "mixed " } else { "" };
        write!(f, "loss {:.4}  ", train.loss)?;
        write!(f, "{mixed}accuracy {:.2} %  ", train.accuracy)?;
        if let Some(Scores { loss, accuracy }) = self.eval {
            write!(f, "eval loss {loss:.4}  eval accuracy {accuracy:.2} %  ")?;
        }
        if self.skipped > 0 {
            write!(f, "{} skipped  ", self.skipped)?;
        }
        write!(f, "{:.1} s", self.seconds)
    }
}

/// The reports of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// In order.
    pub reports: Vec<Report>,
}

impl History {
    /// The last scores on the evaluation set.
    pub fn last_eval(&self) -> Option<Scores> {
        self.reports.last().and_then(|report| report.eval)
    }
}

/// JSON has no NaN, which an accuracy may be: it is stored as nothing.
#[derive(Serialize, Deserialize)]
struct Stored {
    loss: Option<f64>,
    accuracy: Option<f64>,
}

impl Serialize for Scores {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let finite = |score: f64| score.is_finite().then_some(score);
        let stored = Stored {
            loss: finite(self.loss),
            accuracy: finite(self.accuracy),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        Ok(Self {
            loss: stored.loss.unwrap_or(f64::NAN),
            accuracy: stored.accuracy.unwrap_or(f64::NAN),
        })
    }
}
