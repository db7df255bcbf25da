//! How long a side is.

use std::fmt;

use crate::Error;

/// The side of a square: `16` pixels, or `0.5` of the image's smallest side.
///
/// Whole numbers become [`Pixels`](Self::Pixels) and others a [`Share`](Self::Share), here and
/// wherever a length is accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// So many pixels, at least 1 and at most the image's smallest side.
    Pixels(usize),
    /// A share of the image's smallest side, above 0 and at most 1; rounded down to whole pixels.
    Share(f64),
}

impl Length {
    /// The length in an image of this spatial shape.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it is out of range or longer than the image's smallest side.
    pub fn pixels(&self, spatial: &[usize]) -> Result<usize, Error> {
        self.check()?;
        let smallest = spatial.iter().copied().min().unwrap_or(0);
        match *self {
            Self::Pixels(pixels) if pixels > smallest => Err(Error::argument(
                "length",
                self,
                format!("1 to {smallest} pixels, the image's smallest side"),
            )),
            Self::Pixels(pixels) => Ok(pixels),
            Self::Share(share) => Ok((smallest as f64 * share) as usize),
        }
    }

    /// Checks what does not depend on the image.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Pixels(1..) => Ok(()),
            Self::Share(share) if share > 0.0 && share <= 1.0 => Ok(()),
            _ => Err(Error::argument(
                "length",
                self,
                "at least 1 pixel, or a share of the image's side above 0.0 and up to 1.0",
            )),
        }
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

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            // With a point, whatever the value is.
            Self::Share(share) => write!(f, "{share:?}"),
        }
    }
}
