//! Learning-rate schedules as they are written on the command line: `step:every=30ep,factor=0.1`.

use std::fmt;
use std::str::FromStr;

use cutmix::time::Duration;
use cutmix::trainer::Schedule;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What follows the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Shape {
    Constant,
    #[default]
    Cosine,
    Step {
        every: Duration,
        factor: f64,
    },
    OneCycle,
}

impl Shape {
    /// The schedule with a warm-up.
    pub fn with(self, warmup: Duration) -> Schedule {
        match self {
            Self::Constant => Schedule::Constant { warmup },
            Self::Cosine => Schedule::Cosine { warmup },
            Self::Step { every, factor } => Schedule::Step {
                warmup,
                every,
                factor,
            },
            Self::OneCycle => Schedule::OneCycle { rise: warmup },
        }
    }

    /// How long the rate rises unless told.
    pub fn warmup(self) -> Duration {
        Duration::Share(match self {
            Self::OneCycle => 0.3,
            _ => 0.1,
        })
    }
}

impl FromStr for Shape {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let (mut every, mut factor) = (None, 0.1);
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            match (name, setting.split_once('=')) {
                ("step", Some(("every", value))) => {
                    let expected = "a duration after every=, like 30ep or 0.3dur";
                    let parsed: Duration = value
                        .parse()
                        .map_err(|_| Error::option("schedule", text, expected))?;
                    if parsed.is_zero() {
                        return Err(Error::option("schedule", text, expected));
                    }
                    every = Some(parsed);
                }
                ("step", Some(("factor", value))) => {
                    let expected = "a factor above 0 and up to 1";
                    factor = (value.parse().ok())
                        .filter(|factor| *factor > 0.0 && *factor <= 1.0)
                        .ok_or_else(|| Error::option("schedule", text, expected))?;
                }
                _ => {
                    let expected = "settings for step alone: step:every=30ep,factor=0.1";
                    return Err(Error::option("schedule", text, expected));
                }
            }
        }
        match name {
            "constant" => Ok(Self::Constant),
            "cosine" => Ok(Self::Cosine),
            "one-cycle" => Ok(Self::OneCycle),
            "step" => match every {
                Some(every) => Ok(Self::Step { every, factor }),
                None => {
                    let expected = "how often it steps: step:every=30ep,factor=0.1";
                    Err(Error::option("schedule", text, expected))
                }
            },
            _ => {
                let known = ["cosine", "constant", "step:every=D,factor=F", "one-cycle"];
                Err(Error::unknown("schedule", name, known))
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Cosine => f.write_str("cosine"),
            Self::Step { every, factor } => write!(f, "step:every={every},factor={factor}"),
            Self::OneCycle => f.write_str("one-cycle"),
        }
    }
}

impl TryFrom<String> for Shape {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Shape> for String {
    fn from(shape: Shape) -> Self {
        shape.to_string()
    }
}
