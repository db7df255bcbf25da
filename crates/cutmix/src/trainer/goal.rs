//! Which of two models is better.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Report;
use crate::Error;

/// A score of a [`Report`] by which models are compared: the lower loss or the higher accuracy is
/// better. Written `eval-loss`, `eval-accuracy`, `train-loss`, `train-accuracy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The loss on the evaluation set.
    #[default]
    EvalLoss,
    /// The accuracy on the evaluation set.
    EvalAccuracy,
    /// The loss on the training batches.
    TrainLoss,
    /// The accuracy on the training batches.
    TrainAccuracy,
}

impl Goal {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::EvalLoss,
        Self::EvalAccuracy,
        Self::TrainLoss,
        Self::TrainAccuracy,
    ];

    /// The score; none where there was no evaluation, or the score is not a number.
    pub fn score(&self, report: &Report) -> Option<f64> {
        let score = match self {
            Self::EvalLoss => report.eval?.loss,
            Self::EvalAccuracy => report.eval?.accuracy,
            Self::TrainLoss => report.train.loss,
            Self::TrainAccuracy => report.train.accuracy,
        };
        (!score.is_nan()).then_some(score)
    }

    /// Where the best of these reports is, the first of equals.
    pub fn best(&self, reports: &[Report]) -> Option<usize> {
        let scores = (reports.iter().enumerate())
            .filter_map(|(index, report)| Some((index, self.score(report)?)));
        let best = scores.reduce(|best, next| {
            let is_better = match self {
                Self::EvalLoss | Self::TrainLoss => next.1 < best.1,
                Self::EvalAccuracy | Self::TrainAccuracy => next.1 > best.1,
            };
            if is_better { next } else { best }
        });
        best.map(|(index, _)| index)
    }

    /// Whether it needs an evaluation set.
    pub(super) fn is_of_eval(&self) -> bool {
        matches!(self, Self::EvalLoss | Self::EvalAccuracy)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EvalLoss => "eval-loss",
            Self::EvalAccuracy => "eval-accuracy",
            Self::TrainLoss => "train-loss",
            Self::TrainAccuracy => "train-accuracy",
        })
    }
}

impl FromStr for Goal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let goal = Self::ALL.into_iter().find(|goal| goal.to_string() == text);
        goal.ok_or_else(|| {
            let accepted = "eval-loss, eval-accuracy, train-loss or train-accuracy";
            Error::argument("goal", format!("\"{text}\""), accepted)
        })
    }
}
