//! Learning rates over the run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::time::{Duration, Time};

/// How the learning rate changes over the run, as a factor on the base rate.
///
/// A schedule is a function of the time alone, so it has no state to save, and any length of
/// warm-up or step is a [`Duration`]. The factor of a batch is that of its middle, so that neither
/// the first rate nor the last is 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Schedule {
    /// A linear warm-up from 0, then the base rate.
    Constant {
        /// How long the rate rises; `0dur` for not at all.
        warmup: Duration,
    },
    /// A linear warm-up from 0, then half a cosine down to 0 at the end of the run (Loshchilov and
    /// Hutter, ICLR 2017, without restarts).
    Cosine {
        /// How long the rate rises.
        warmup: Duration,
    },
    /// A linear warm-up from 0 to the base rate, which is multiplied by `factor` after each
    /// `every`, counted from the start of the run.
    Step {
        /// How long the rate rises.
        warmup: Duration,
        /// From one step to the next.
        every: Duration,
        /// Above 0 and up to 1; 0.1 is usual.
        factor: f64,
    },
    /// Half a cosine from a 25th of the base rate up to it, then half a cosine down to a
    /// 250,000th at the end of the run (Smith and Topin, 2019, with the shape and the numbers that
    /// PyTorch made usual).
    OneCycle {
        /// How long the rate rises; `0.3dur` is usual.
        rise: Duration,
    },
}

/// Of the base rate, where a one-cycle begins and ends.
const FIRST: f64 = 1.0 / 25.0;
const LAST: f64 = FIRST / 1e4;

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine {
            warmup: Duration::Share(0.05),
        }
    }
}

impl Schedule {
    /// The base rate throughout.
    pub fn constant() -> Self {
        Self::Constant {
            warmup: Duration::Share(0.0),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Constant { warmup } | Self::Cosine { warmup } => warmup.check("warmup"),
            Self::Step {
                warmup,
                every,
                factor,
            } => {
                warmup.check("warmup")?;
                every.check_interval("every")?;
                match *factor > 0.0 && *factor <= 1.0 {
                    true => Ok(()),
                    false => Err(Error::argument("factor", factor, "above 0 and up to 1")),
                }
            }
            Self::OneCycle { rise } => rise.check("rise"),
        }
    }

    /// The factor for the batch that lasts from `start` to `end`.
    pub fn factor(&self, start: &Time, end: &Time) -> f64 {
        let middle = |duration: &Duration| 0.5 * (duration.times(start) + duration.times(end));
        let progress = 0.5 * (start.progress + end.progress);
        // Of what follows a rise that has passed `times` times; both grow evenly with the run.
        let after = |times: f64| {
            let risen = progress / times;
            ((progress - risen) / (1.0 - risen)).clamp(0.0, 1.0)
        };
        let fall = |share: f64| 0.5 + 0.5 * (PI * share).cos();
        match self {
            Self::Constant { warmup } => middle(warmup).min(1.0),
            Self::Cosine { warmup } => match middle(warmup) {
                times if times < 1.0 => times,
                times => fall(after(times)),
            },
            Self::Step {
                warmup,
                every,
                factor,
            } => {
                let steps = i32::try_from(every.count(start)).unwrap_or(i32::MAX);
                middle(warmup).min(1.0) * factor.powi(steps)
            }
            Self::OneCycle { rise } => match middle(rise) {
                times if times < 1.0 => 1.0 - (1.0 - FIRST) * fall(times),
                times => LAST + (1.0 - LAST) * fall(after(times)),
            },
        }
    }
}
