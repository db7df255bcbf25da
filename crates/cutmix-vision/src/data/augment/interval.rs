//! Intervals that settings are drawn from.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::ensure;

/// An interval that a number is drawn from. The text form, also in files, is `0.08..1`.
///
/// ```
/// use cutmix_vision::data::augment::Interval;
///
/// let scale: Interval = "0.35..1".parse()?;
/// assert_eq!(scale, Interval::from(0.35..=1.0));
/// # Ok::<(), cutmix_vision::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval {
    /// Smallest number.
    pub min: f64,
    /// Largest number.
    pub max: f64,
}

impl Interval {
    /// Draws a number, uniformly.
    pub(super) fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        self.min + (self.max - self.min) * rng.random::<f64>()
    }

    /// Draws a number whose logarithm is uniform. `libm` gives the same on every platform.
    pub(super) fn draw_logarithmic(self, rng: &mut ChaCha8Rng) -> f64 {
        let logarithm = Self {
            min: libm::log(self.min),
            max: libm::log(self.max),
        };
        libm::exp(logarithm.draw(rng))
    }

    /// Checks that the numbers are above 0 and at most `most`.
    pub(super) fn check(self, argument: &'static str, most: f64) -> Result<(), DataError> {
        let is_accepted = 0.0 < self.min && self.min <= self.max && self.max <= most;
        let expected = format!("MIN..MAX with 0 < MIN <= MAX <= {most}");
        ensure(is_accepted, argument, self, expected)
    }
}

impl From<RangeInclusive<f64>> for Interval {
    fn from(range: RangeInclusive<f64>) -> Self {
        let (min, max) = range.into_inner();
        Self { min, max }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.min, self.max)
    }
}

impl FromStr for Interval {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let parse = || {
            let (min, max) = text.split_once("..")?;
            let (min, max) = (min.parse().ok()?, max.parse().ok()?);
            Some(Self { min, max })
        };
        parse().ok_or_else(|| {
            let expected = "two numbers MIN..MAX, such as 0.08..1";
            DataError::argument("interval", format!("{text:?}"), expected)
        })
    }
}

impl TryFrom<String> for Interval {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.to_string()
    }
}
