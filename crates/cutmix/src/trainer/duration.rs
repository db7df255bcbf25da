//! How long a run lasts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The length of a run: `"10ep"`, `"500ba"` or `"12800sp"`.
///
/// ```
/// use cutmix::trainer::Duration;
///
/// assert_eq!("10ep".parse::<Duration>()?, Duration::Epochs(10));
/// assert_eq!(Duration::Samples(12800).to_string(), "12800sp");
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Duration {
    /// Passes over the training data, `ep`.
    Epochs(u64),
    /// Batches, and so optimizer steps, `ba`.
    Batches(u64),
    /// Training samples, `sp`; the last batch is shortened to end exactly there.
    Samples(u64),
}

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let of = match &text[digits.len()..] {
            "ep" => Self::Epochs,
            "ba" => Self::Batches,
            "sp" => Self::Samples,
            _ => return Err(unknown(text)),
        };
        match digits.parse() {
            Ok(count) if count > 0 => Ok(of(count)),
            _ => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> Error {
    Error::argument(
        "max_duration",
        format!("\"{text}\""),
        "a whole number of at least 1 with a unit: epochs \"10ep\", batches \"500ba\" or samples \
         \"12800sp\"",
    )
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epochs(count) => write!(f, "{count}ep"),
            Self::Batches(count) => write!(f, "{count}ba"),
            Self::Samples(count) => write!(f, "{count}sp"),
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
