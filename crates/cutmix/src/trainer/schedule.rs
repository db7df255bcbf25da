//! Learning rates over the run.

use burn::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use serde::{Deserialize, Serialize};

use super::Clock;
use crate::Error;

/// How the learning rate changes over the run, as a factor on the base rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Schedule {
    /// The base rate throughout.
    Constant,
    /// A linear warm-up from 0 over the first share `warmup` of the run, in `0.0..1.0`, then half
    /// a cosine down to 0 (Loshchilov and Hutter, ICLR 2017, without restarts).
    Cosine {
        /// The share of the run that warms up.
        warmup: f64,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { warmup: 0.05 }
    }
}

impl Schedule {
    pub(super) fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Cosine { warmup } if !(0.0..1.0).contains(&warmup) => Err(Error::argument(
                "warmup",
                warmup,
                "a share of the run in 0.0..1.0",
            )),
            _ => Ok(()),
        }
    }

    /// The factor at `progress`, the share of the run that lies behind.
    pub fn factor(&self, progress: f64) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Cosine { warmup } if progress < warmup => progress / warmup,
            Self::Cosine { warmup } => {
                let decayed = (progress - warmup) / (1.0 - warmup);
                0.5 + 0.5 * (std::f64::consts::PI * decayed).cos()
            }
        }
    }
}

/// A [`Schedule`] as Burn's learner steps it: it reads the clock, and so has no state of its own.
#[derive(Clone)]
pub(super) struct Scheduler {
    pub base: f64,
    pub schedule: Schedule,
    pub clock: Clock,
}

impl LrScheduler for Scheduler {
    fn step(&mut self) -> f64 {
        // The middle of the batch, so that neither the first nor the last rate is 0.
        self.base * self.schedule.factor(self.clock.middle_of_last_batch())
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new()
    }

    fn load_record(&mut self, _record: LrSchedulerRecord) {}
}
