//! Lengths of training, and the position of a run.
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
/// use cutmix_train::Duration;
///
/// assert_eq!("10ep".parse::<Duration>()?, Duration::Epochs(10));
/// assert_eq!("0.9dur".parse::<Duration>()?, Duration::Share(0.9));
/// assert_eq!(Duration::Samples(12800).to_string(), "12800sp");
/// # Ok::<(), cutmix_train::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Duration {
    /// Passes over the training data, `ep`.
    Epochs(u64),
    /// Batches, with one optimizer step each unless it is skipped, `ba`.
    Batches(u64),
    /// Training samples, `sp`.
    Samples(u64),
    /// A share of the run, in `0.0..=1.0`, `dur`.
    Share(f64),
    /// Wall-clock time in whole seconds, as days, hours, minutes and seconds: `1d2h30m15s`. What a
    /// run does by the clock depends on the machine, and no seed repeats it.
    Wall(time::Duration),
}

/// The position of a run: what has elapsed of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Time {
    /// The epoch, from 0: passes over the training data that were completed before this one.
    pub epoch: u64,
    /// The elapsed share of the epoch, in `0.0..=1.0`.
    pub epoch_progress: f64,
    /// The number of the batch, from 0: the batches of the run before this one.
    pub batch: u64,
    /// Samples of the run before this batch.
    pub samples: u64,
    /// The elapsed share of the run, in `0.0..=1.0`.
    pub progress: f64,
    /// The wall-clock time of the run with evaluation, without the time between a stop and its
    /// resumption.
    pub elapsed: time::Duration,
}

impl Time {
    /// The position of a run that started at `start` and is now here, with its progress counted from
    /// there.
    pub(crate) fn since(&self, start: &Self) -> Self {
        let epochs = |time: &Self| time.epoch as f64 + time.epoch_progress;
        let elapsed_epochs = (epochs(self) - epochs(start)).max(0.0);
        let left = 1.0 - start.progress;
        Self {
            epoch: elapsed_epochs as u64,
            epoch_progress: elapsed_epochs.fract(),
            batch: self.batch.saturating_sub(start.batch),
            samples: self.samples.saturating_sub(start.samples),
            progress: if left > 0.0 {
                ((self.progress - start.progress) / left).clamp(0.0, 1.0)
            } else {
                1.0
            },
            elapsed: self.elapsed.saturating_sub(start.elapsed),
        }
    }
}

/// A quotient this far below a whole number counts as that number, since shares like 0.1 are not
/// exact.
const SLACK: f64 = 1e-9;

impl Duration {
    /// The number of times that this duration has elapsed at `time`, with its fraction. Infinite
    /// for a duration of 0.
    ///
    /// ```
    /// use cutmix_train::{Duration, Time};
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
        if length > 0.0 {
            passed / length
        } else {
            f64::INFINITY
        }
    }

    /// Whether this duration has elapsed at `time`.
    pub fn has_elapsed(&self, time: &Time) -> bool {
        self.times(time) + SLACK >= 1.0
    }

    /// Whether something that happens every time this duration elapses became due after `from` and
    /// no later than `to`.
    pub fn is_due(&self, from: &Time, to: &Time) -> bool {
        self.count(to) > self.count(from)
    }

    /// The number of times that the whole duration has elapsed at `time`.
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

    /// Whether the duration is 0.
    pub fn is_zero(&self) -> bool {
        match *self {
            Self::Epochs(count) | Self::Batches(count) | Self::Samples(count) => count == 0,
            Self::Share(share) => share == 0.0,
            Self::Wall(wall) => wall.is_zero(),
        }
    }

    /// Checks a duration that was not parsed.
    pub(crate) fn check(&self, argument: &'static str) -> Result<(), Error> {
        match *self {
            Self::Share(share) => {
                let accepted = "a share of the run from 0dur to 1dur";
                Error::ensure((0.0..=1.0).contains(&share), argument, self, accepted)
            }
            // The text form has no fractions of a second.
            Self::Wall(wall) => {
                let (is_whole, value) = (wall.subsec_nanos() == 0, format!("{wall:?}"));
                Error::ensure(is_whole, argument, value, "whole seconds")
            }
            _ => Ok(()),
        }
    }

    /// Checks the interval between two repetitions.
    pub(crate) fn check_interval(&self, argument: &'static str) -> Result<(), Error> {
        self.check(argument)?;
        Error::ensure(!self.is_zero(), argument, self, "a duration above 0")
    }
}

/// The units of wall-clock time, longest first, with their seconds.
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
                 share of the run \"0.9dur\" or time \"1h30m\"",
            )
        })
    }
}

/// Parses digits alone: `+1` is refused.
fn whole(digits: &str) -> Option<u64> {
    (digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Parses wall-clock time: units from long to short, each at most once.
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
