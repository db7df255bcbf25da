//! The side length of a square.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The side length of a square: a number of pixels, or a share of the smallest side of the image.
///
/// As a number, in Rust, in text and in files, a whole number is [`Pixels`](Self::Pixels) and a
/// number with a decimal point is a [`Share`](Self::Share).
///
/// ```
/// use cutmix::plan::Length;
///
/// assert_eq!(Length::from(16), Length::Pixels(16));
/// assert_eq!("0.5".parse(), Ok(Length::Share(0.5)));
/// assert_eq!(Length::Share(0.5).pixels(&[32, 48])?, 16);
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Length {
    /// A number of pixels, at least 1 and at most the smallest side of the image.
    Pixels(usize),
    /// A share of the smallest side of the image, above 0 and at most 1. It is rounded down to whole
    /// pixels.
    Share(f64),
}

impl Length {
    /// Returns the length in pixels for an image of the spatial shape `spatial`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the length is out of range or longer than the smallest side of the image.
    pub fn pixels(&self, spatial: &[usize]) -> Result<usize, Error> {
        self.check()?;
        let smallest = spatial.iter().copied().min().unwrap_or(0);
        match *self {
            Self::Pixels(pixels) if pixels > smallest => Err(Error::argument(
                "length",
                self,
                format!("1 to {smallest} pixels, the smallest side of the image"),
            )),
            Self::Pixels(pixels) => Ok(pixels),
            Self::Share(share) => Ok((smallest as f64 * share) as usize),
        }
    }

    /// Checks everything that does not depend on the image.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for 0 pixels and for a share outside of 0 to 1.
    pub fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Pixels(1..) => Ok(()),
            Self::Share(share) if share > 0.0 && share <= 1.0 => Ok(()),
            _ => Err(Self::refused(self)),
        }
    }

    fn refused(value: impl ToString) -> Error {
        Error::argument(
            "length",
            value,
            "at least 1 pixel (16), or a share of the side of the image above 0.0 and up to 1.0 (0.5)",
        )
    }
}

impl From<usize> for Length {
    fn from(pixels: usize) -> Self {
        Self::Pixels(pixels)
    }
}

impl From<f64> for Length {
    fn from(share: f64) -> Self {
        Self::Share(share)
    }
}

impl FromStr for Length {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let pixels = text.parse().map(Self::Pixels);
        let length = pixels.or_else(|_| text.parse().map(Self::Share));
        let length = length.map_err(|_| Self::refused(text))?;
        length.check()?;
        Ok(length)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            // With a decimal point, whatever the value is.
            Self::Share(share) => write!(f, "{share:?}"),
        }
    }
}
