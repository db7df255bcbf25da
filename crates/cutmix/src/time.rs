//! Lengths of training, and where a run is.
//!
//! Every length in this library is a [`Duration`]: how long a run lasts, how often it is evaluated
//! and saved, how long the learning rate warms up, when an algorithm begins and ends.

use std::fmt;
use std::str::FromStr;
use std::time;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A length of training: `"10ep"`, `"500ba"`, `"12800sp"`, `"0.9dur"` or `"1h30m"`.
///
/// ```
/// use cutmix::time::Duration;
///
/// assert_eq!("10ep".parse::<Duration>()?, Duration::Epochs(10));
/// assert_eq!("0.9dur".parse::<Duration>()?, Duration::Share(0.9));
/// assert_eq!(Duration::Samples(12800).to_string(), "12800sp");
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Duration {
    /// Passes over the training data, `ep`.
    Epochs(u64),
    /// Batches, and so optimizer steps, `ba`.
    Batches(u64),
    /// Training samples, `sp`.
    Samples(u64),
    /// A share of the run, in `0.0..=1.0`, `dur`.
    Share(f64),
    /// Time on the clock, in whole seconds: days, hours, minutes, seconds, `1d2h30m15s`. What a
    /// run does by the clock depends on the machine, and no seed repeats it.
    Wall(time::Duration),
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Time {
    /// The epoch, from 0: passes over the training data that were completed before this one.
    pub epoch: u64,
    /// The share of the epoch that lies behind, in `0.0..=1.0`.
    pub epoch_progress: f64,
    /// The batch, from 0: batches of the run before this one, and so optimizer steps.
    pub batch: u64,
    /// Samples of the run before this batch.
    pub samples: u64,
    /// The share of the run that lies behind, in `0.0..=1.0`.
    pub progress: f64,
    /// Time on the clock, without that between a stop and its resumption.
    pub elapsed: time::Duration,
}

/// So much below a whole number still counts as that number: shares like 0.1 are not exact.
const SLACK: f64 = 1e-9;

impl Duration {
    /// How often this duration has passed at `time`: 1.5 times, say. Infinite for a duration of
    /// nothing.
    ///
    /// ```
    /// use cutmix::time::{Duration, Time};
    ///
    /// let time = Time { batch: 150, ..Time::default() };
    /// assert_eq!(Duration::Batches(100).times(&time), 1.5);
    /// ```
    pub fn times(&self, time: &Time) -> f64 {
        let (passed, length) = match *self {
            Self::Epochs(epochs) => (time.epoch as f64 + time.epoch_progress, epochs as f64),
            Self::Batches(batches) => (time.batch as f64, batches as f64),
            Self::Samples(samples) => (time.samples as f64, samples as f64),
            Self::Share(share) => (time.progress, share),
            Self::Wall(wall) => (time.elapsed.as_secs_f64(), wall.as_secs_f64()),
        };
        match length > 0.0 {
            true => passed / length,
            false => f64::INFINITY,
        }
    }

    /// Whether so much of the run lies behind `time`.
    pub fn is_over(&self, time: &Time) -> bool {
        self.times(time) + SLACK >= 1.0
    }

    /// Whether a multiple of this duration lies after `from` and not after `to`: something that
    /// happens every so often is due at `to`.
    pub fn is_due(&self, from: &Time, to: &Time) -> bool {
        self.count(to) > self.count(from)
    }

    /// How often this duration has passed as a whole at `time`.
    pub(crate) fn count(&self, time: &Time) -> u64 {
        (self.times(time) + SLACK) as u64
    }

    /// Whether this is at least as long as another one in the same unit. Other units can only be
    /// compared within a run.
    pub(crate) fn is_no_shorter(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Epochs(this), Self::Epochs(other))
            | (Self::Batches(this), Self::Batches(other))
            | (Self::Samples(this), Self::Samples(other)) => this >= other,
            (Self::Share(this), Self::Share(other)) => this >= other,
            (Self::Wall(this), Self::Wall(other)) => this >= other,
            _ => false,
        }
    }

    /// Whether this is nothing: no epoch, no batch, no second.
    pub fn is_zero(&self) -> bool {
        match *self {
            Self::Epochs(count) | Self::Batches(count) | Self::Samples(count) => count == 0,
            Self::Share(share) => share == 0.0,
            Self::Wall(wall) => wall.is_zero(),
        }
    }

    /// Checks a duration that was not parsed: a share has to be one.
    pub(crate) fn check(&self, argument: &'static str) -> Result<(), Error> {
        match *self {
            Self::Share(share) if !(0.0..=1.0).contains(&share) => Err(Error::argument(
                argument,
                self,
                "a share of the run from 0dur to 1dur",
            )),
            _ => Ok(()),
        }
    }

    /// Checks how often something happens.
    pub(crate) fn check_interval(&self, argument: &'static str) -> Result<(), Error> {
        self.check(argument)?;
        match self.is_zero() {
            true => Err(Error::argument(argument, self, "more than nothing")),
            false => Ok(()),
        }
    }
}

/// The units of time on the clock, longest first, with their seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let parsed = match &text[number.len()..] {
            "ep" => whole(number).map(Self::Epochs),
            "ba" => whole(number).map(Self::Batches),
            "sp" => whole(number).map(Self::Samples),
            "dur" => (number.parse().ok())
                .filter(|share| (0.0..=1.0).contains(share))
                .map(Self::Share),
            _ => wall(text).map(Self::Wall),
        };
        parsed.ok_or_else(|| {
            Error::argument(
                "duration",
                format!("\"{text}\""),
                "a number with a unit: epochs \"10ep\", batches \"500ba\", samples \"12800sp\", a \
                 share of the run \"0.9dur\" or time on the clock \"1h30m\"",
            )
        })
    }
}

/// A number of digits alone: `+1` is none.
fn whole(digits: &str) -> Option<u64> {
    (digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Units from long to short, each at most once.
fn wall(text: &str) -> Option<time::Duration> {
    let (mut rest, mut seconds) = (text, 0u64);
    for (unit, length) in UNITS {
        if let Some((digits, after)) = rest.split_once(unit) {
            seconds = seconds.checked_add(whole(digits)?.checked_mul(length)?)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then(|| time::Duration::from_secs(seconds))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epochs(count) => write!(f, "{count}ep"),
            Self::Batches(count) => write!(f, "{count}ba"),
            Self::Samples(count) => write!(f, "{count}sp"),
            Self::Share(share) => write!(f, "{share}dur"),
            Self::Wall(wall) if wall.as_secs() == 0 => f.write_str("0s"),
            Self::Wall(wall) => {
                let mut seconds = wall.as_secs();
                for (unit, length) in UNITS {
                    let count = seconds / length;
                    seconds %= length;
                    if count > 0 {
                        write!(f, "{count}{unit}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl TryFrom<String> for Duration {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}
