//! Metrics: the loss and the accuracy that every run has, and any metric of Burn's.

mod accuracy;
mod burn_metric;
mod calibration;
mod confusion;
mod label_errors;
mod label_scores;
mod prediction;

use burn::tensor::Tensor;
use cutmix::Targets;
use cutmix::loss::Reduction;
use serde::{Deserialize, Serialize};

pub(crate) use accuracy::shares;
pub use burn_metric::Outputs;
pub(crate) use burn_metric::{BurnMetric, DynMetric};
pub use calibration::{Calibration, CalibrationBin};
pub use confusion::{ClassScores, ConfusionMatrix};
pub use label_errors::{LabelError, label_errors};
pub use label_scores::{LabelScores, MeanAveragePrecision};
pub use prediction::Prediction;

use crate::Error;
use crate::history::Score;
use crate::state::Interpolation;

/// The largest number of batches whose numbers stay on the device, so that a GPU waits once for so
/// many batches.
pub(crate) const MOST_PENDING: usize = 16;

/// The sums of loss and accuracy over samples, in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    loss: f64,
    shares: f64,
    samples: u64,
}

impl Sums {
    /// Adds a batch whose loss, reduced in this way, and whose shares of the targets on the
    /// predicted class are known.
    pub fn add(&mut self, loss: f64, reduction: Reduction, shares: &[f64], samples: usize) {
        self.loss += match reduction {
            Reduction::Sum => loss,
            _ => loss * samples as f64,
        };
        self.shares += shares.iter().sum::<f64>();
        self.samples += samples as u64;
    }

    pub fn add_all(&mut self, other: &Self) {
        self.loss += other.loss;
        self.shares += other.shares;
        self.samples += other.samples;
    }

    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The mean loss of a sample.
    pub fn loss(&self) -> f64 {
        self.loss / self.samples as f64
    }

    /// The accuracy in percent.
    pub fn accuracy(&self) -> f64 {
        100.0 * self.shares / self.samples as f64
    }

    /// The scores of the set of this name; none before any sample.
    pub fn scores(&self, set: &str) -> Vec<Score> {
        if self.is_empty() {
            return Vec::new();
        }
        let score = |metric, value, higher_is_better| Score {
            name: format!("{set}/{metric}"),
            value,
            higher_is_better,
        };
        vec![
            score("loss", self.loss(), false),
            score("accuracy", self.accuracy(), true),
        ]
    }
}

/// The numbers of a part of a batch, still on the device.
pub(crate) struct Measured {
    pub loss: Tensor<1>,
    pub shares: Tensor<1>,
    pub samples: usize,
}

impl Measured {
    /// Measures a part of a batch without keeping its autodiff graph alive.
    pub fn new(
        loss: &Tensor<1>,
        logits: &Tensor<2>,
        targets: &Targets,
        interpolation: Option<&Interpolation>,
    ) -> Self {
        let logits = logits.clone().without_autodiff();
        Self {
            loss: loss.clone().without_autodiff(),
            samples: logits.dims()[0],
            shares: shares(logits, targets, interpolation),
        }
    }

    /// Reads the numbers from the device: the loss and the shares.
    pub fn read(self) -> Result<(f64, Vec<f64>), Error> {
        let loss = self.loss.try_into_scalar::<f64>().map_err(Error::device)?;
        let shares = self.shares.try_into_data().map_err(Error::device)?;
        Ok((loss, shares.iter::<f64>().collect()))
    }
}

/// The numbers of a part of a batch.
pub(crate) enum Numbers {
    OnDevice(Box<Measured>),
    /// They have been read, or come from another process.
    Read(ReadNumbers),
}

/// The loss of a part of a batch, and the shares of its samples.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReadNumbers {
    pub loss: f64,
    pub shares: Vec<f64>,
    pub samples: usize,
}

impl Numbers {
    pub fn read(self) -> Result<ReadNumbers, Error> {
        match self {
            Self::Read(numbers) => Ok(numbers),
            Self::OnDevice(measured) => {
                let samples = measured.samples;
                let (loss, shares) = measured.read()?;
                Ok(ReadNumbers {
                    loss,
                    shares,
                    samples,
                })
            }
        }
    }
}

/// All metrics of an evaluation set.
pub(crate) struct Evaluation<'a> {
    set: &'a str,
    reduction: Reduction,
    sums: Sums,
    /// The numbers of the last batches, still on the device.
    pending: Vec<Measured>,
    metrics: Vec<(String, Box<dyn DynMetric>)>,
}

impl<'a> Evaluation<'a> {
    pub fn new(
        set: &'a str,
        reduction: Reduction,
        metrics: &[(String, Box<dyn DynMetric>)],
    ) -> Self {
        let fresh = metrics
            .iter()
            .map(|(name, metric)| (name.clone(), metric.fresh()));
        Self {
            set,
            reduction,
            sums: Sums::default(),
            pending: Vec::new(),
            metrics: fresh.collect(),
        }
    }

    pub fn add(&mut self, outputs: Outputs) -> Result<(), Error> {
        let Outputs {
            logits,
            targets,
            loss,
        } = &outputs;
        self.pending
            .push(Measured::new(loss, logits, targets, None));
        if self.pending.len() >= MOST_PENDING {
            self.read_pending()?;
        }
        (self.metrics.iter_mut()).try_for_each(|(_, metric)| metric.update(&outputs))
    }

    fn read_pending(&mut self) -> Result<(), Error> {
        for measured in std::mem::take(&mut self.pending) {
            let samples = measured.samples;
            let (loss, shares) = measured.read()?;
            self.sums.add(loss, self.reduction, &shares, samples);
        }
        Ok(())
    }

    pub fn scores(mut self) -> Result<Vec<Score>, Error> {
        self.read_pending()?;
        let mut scores = self.sums.scores(self.set);
        for (name, metric) in &mut self.metrics {
            scores.push(Score {
                name: format!("{}/{name}", self.set),
                value: metric.value()?,
                higher_is_better: metric.higher_is_better(),
            });
        }
        Ok(scores)
    }
}
