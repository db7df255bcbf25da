//! Learning-rate schedules.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::time::{Duration, Time};

/// The change of the learning rate over the run, as a factor on the base rate.
///
/// A schedule is a function of the time alone, so it has no state to save. Each one starts with a
/// warm-up, over which the factor rises. The factor of a batch is that of its middle (for `Step`,
/// of its start), so that neither the first rate nor the last one is 0.
///
/// As text: `cosine`, `constant`, `step:every=30ep,factor=0.1`, `one-cycle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Schedule {
    /// Half a cosine from the base rate down to 0 at the end of the run (Loshchilov and Hutter,
    /// ICLR 2017, without restarts).
    #[default]
    Cosine,
    /// The base rate.
    Constant,
    /// The base rate, multiplied by `factor` each time `every` elapses from the start of the run.
    Step {
        /// The time between two steps.
        every: Duration,
        /// The factor of a step, above 0 and at most 1; 0.1 is usual.
        factor: f64,
    },
    /// A warm-up from a 25th of the base rate by half a cosine, then half a cosine down to a
    /// 250,000th at the end of the run (Smith and Topin, 2019, with the shape and the numbers that
    /// PyTorch uses).
    OneCycle,
}

/// The factors at which a one-cycle schedule starts and ends.
const FIRST: f64 = 1.0 / 25.0;
const LAST: f64 = FIRST / 1e4;

impl Schedule {
    /// The usual length of the warm-up: 5 % of the run, for a one-cycle schedule 30 %.
    pub fn default_warmup(&self) -> Duration {
        match self {
            Self::OneCycle => Duration::Share(0.3),
            _ => Duration::Share(0.05),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let Self::Step { every, factor } = self else {
            return Ok(());
        };
        every.check_interval("every")?;
        let is_accepted = *factor > 0.0 && *factor <= 1.0;
        Error::ensure(is_accepted, "factor", factor, "above 0 and at most 1")
    }

    /// The factor for the batch from `start` to `end`, with a warm-up of this length.
    pub fn factor(&self, warmup: &Duration, start: &Time, end: &Time) -> f64 {
        let risen = 0.5 * (warmup.times(start) + warmup.times(end));
        if risen < 1.0 {
            return match self {
                Self::OneCycle => 1.0 - (1.0 - FIRST) * falling(risen),
                _ => risen * self.base(start, end, risen),
            };
        }
        self.base(start, end, risen)
    }

    /// The factor without the warm-up.
    fn base(&self, start: &Time, end: &Time, risen: f64) -> f64 {
        let progress = 0.5 * (start.progress + end.progress);
        // The share of the run that follows the warm-up, and how much of it has elapsed. Both the
        // warm-up and the run grow evenly, so `progress / risen` is where the warm-up ends.
        let warmup_end = (progress / risen).min(1.0);
        let after = if risen < 1.0 || warmup_end >= 1.0 {
            0.0
        } else {
            ((progress - warmup_end) / (1.0 - warmup_end)).clamp(0.0, 1.0)
        };
        match self {
            Self::Constant => 1.0,
            Self::Cosine => falling(after),
            Self::Step { every, factor } => {
                let steps = i32::try_from(every.count(start)).unwrap_or(i32::MAX);
                factor.powi(steps)
            }
            Self::OneCycle => LAST + (1.0 - LAST) * falling(after),
        }
    }
}

/// Half a cosine from 1 to 0.
fn falling(share: f64) -> f64 {
    0.5 + 0.5 * (PI * share).cos()
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = match text {
            "cosine" => Some(Self::Cosine),
            "constant" => Some(Self::Constant),
            "one-cycle" => Some(Self::OneCycle),
            _ => text.strip_prefix("step:").and_then(step),
        };
        parsed.ok_or_else(|| {
            Error::argument(
                "schedule",
                format!("\"{text}\""),
                "cosine, constant, one-cycle or step:every=30ep,factor=0.1",
            )
        })
    }
}

/// Parses the settings of a step schedule.
fn step(settings: &str) -> Option<Schedule> {
    let (mut every, mut factor) = (None, 0.1);
    for setting in settings.split(',') {
        match setting.split_once('=')? {
            ("every", value) => every = Some(value.parse::<Duration>().ok()?),
            ("factor", value) => factor = value.parse().ok()?,
            _ => return None,
        }
    }
    let schedule = Schedule::Step {
        every: every?,
        factor,
    };
    schedule.check().is_ok().then_some(schedule)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cosine => f.write_str("cosine"),
            Self::Constant => f.write_str("constant"),
            Self::Step { every, factor } => write!(f, "step:every={every},factor={factor}"),
            Self::OneCycle => f.write_str("one-cycle"),
        }
    }
}

impl TryFrom<String> for Schedule {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.to_string()
    }
}
