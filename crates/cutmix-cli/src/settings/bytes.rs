//! Numbers of bytes as text: `512MiB`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub u64);

/// The units, each with its number of bytes.
const UNITS: [(&str, u64); 7] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("", 1),
];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|letter: char| letter.is_alphabetic() || letter == ' ');
        let unit = text[digits.len()..].trim().to_lowercase();
        let unit = UNITS.iter().find(|(name, _)| name.to_lowercase() == unit);
        let number = digits.parse::<f64>().ok().filter(|number| *number >= 0.0);
        match (number, unit) {
            // `as` saturates.
            (Some(number), Some((_, bytes))) => Ok(Self((number * *bytes as f64) as u64)),
            _ => Err("expected a number with a unit, such as 512MiB or 4GiB".into()),
        }
    }
}

/// In the largest unit that gives a whole number.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |unit: &&(&str, u64)| self.0 >= unit.1 && self.0.is_multiple_of(unit.1);
        let (name, bytes) = UNITS.iter().find(fits).unwrap_or(&("", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.to_string()
    }
}
