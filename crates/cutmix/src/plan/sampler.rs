//! Where the region falls and how large it is.

use std::fmt;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Region;
use crate::Error;

/// How a region is drawn.
///
/// `Paper` and `Uniform` size it from lambda: the side along each of the `d` spatial dimensions is
/// the fraction `(1 - lambda)^(1/d)` of the image's (the square root for images), so that an
/// unclipped region has the share `1 - lambda`. Sides are whole pixels, rounded down (`Paper` to an
/// even number): an image with a side of one pixel is never cut by `Paper`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Yun et al. (2019), Algorithm 1 and the authors' code: the centre is uniform over the
    /// pixels, half the side (rounded down) lies on each side of it, and the border clips. Pixels
    /// in the middle are covered more often than those at the border.
    #[default]
    Paper,
    /// The region may begin outside the image, so that every pixel is covered equally often; the
    /// border clips.
    Uniform,
    /// Each side is uniform between two fractions of the image's (in whole pixels, the upper end
    /// excluded unless both are equal), placed uniformly and entirely inside the image. Lambda is
    /// not drawn; it follows from the region.
    MinMax {
        /// The smallest side, as a fraction of the image's, in `0..=1`.
        min: f64,
        /// The bound of the largest side, in `min..=1`.
        max: f64,
    },
}

/// How long the sides are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sides {
    /// From this lambda.
    Lambda(f64),
    /// So many pixels in every dimension.
    Fixed(usize),
}

impl Sampler {
    pub(super) fn check(&self) -> Result<(), Error> {
        match *self {
            // Written so that a NaN fails too.
            Self::MinMax { min, max } if !(0.0 <= min && min <= max && max <= 1.0) => Err(
                Error::argument("sampler", self, "min and max with 0 <= min <= max <= 1"),
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn draw(&self, sides: Sides, spatial: &[usize], rng: &mut impl Rng) -> Region {
        let ranges = spatial.iter().map(|&size| match *self {
            Self::Paper => {
                let side = match sides {
                    Sides::Lambda(lambda) => side(size, lambda, spatial.len()) / 2 * 2,
                    Sides::Fixed(side) => side,
                };
                let before = side / 2;
                let centre = rng.random_range(0..size);
                centre.saturating_sub(before)..(centre + side - before).min(size)
            }
            Self::Uniform => {
                let side = match sides {
                    Sides::Lambda(lambda) => side(size, lambda, spatial.len()),
                    Sides::Fixed(side) => side,
                };
                if side == 0 {
                    return 0..0;
                }
                // The end runs over 1..=size + side - 1: each pixel lies in `side` of the boxes.
                let end = rng.random_range(1..size + side);
                end.saturating_sub(side)..end.min(size)
            }
            Self::MinMax { min, max } => {
                let [min, max] = [min, max].map(|fraction| (size as f64 * fraction) as usize);
                let side = if min < max {
                    rng.random_range(min..max)
                } else {
                    min
                };
                let start = rng.random_range(0..=size - side);
                start..start + side
            }
        });
        Region::new(ranges.collect::<Vec<_>>())
    }
}

/// The side of a region with the share `1 - lambda` along one dimension, rounded down.
fn side(size: usize, lambda: f64, rank: usize) -> usize {
    // `sqrt` is exact everywhere; the others come from `libm`, so that a plan does not depend on
    // the platform's mathematics library.
    let fraction = match rank {
        1 => 1.0 - lambda,
        2 => (1.0 - lambda).sqrt(),
        3 => libm::cbrt(1.0 - lambda),
        _ => libm::pow(1.0 - lambda, 1.0 / rank as f64),
    };
    (size as f64 * fraction) as usize
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paper => f.write_str("paper"),
            Self::Uniform => f.write_str("uniform"),
            Self::MinMax { min, max } => write!(f, "min-max({min}, {max})"),
        }
    }
}
