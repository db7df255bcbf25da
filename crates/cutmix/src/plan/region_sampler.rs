//! Random regions.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{Region, low_frequency};
use crate::Error;

/// The rule by which a region is drawn.
///
/// `Paper` and `Uniform` size the region from lambda: the side along each of the `d` spatial
/// dimensions is the fraction `(1 - lambda)^(1/d)` of the side of the image (the square root for
/// images), so that a region that is not clipped has the share `1 - lambda`. Sides are rounded down
/// to whole pixels (`Paper`: to an even number, so that an image with a side of one pixel is never
/// cut).
///
/// The text form is `paper`, `uniform`, `min-max:0.2..0.8`, `scale:0.1..0.8` or `low-frequency:3`;
/// files store it too.
///
/// ```
/// use cutmix::plan::RegionSampler;
///
/// let sampler: RegionSampler = "min-max:0.2..0.8".parse()?;
/// assert_eq!(sampler, RegionSampler::MinMax { min: 0.2, max: 0.8 });
/// assert_eq!(sampler.to_string(), "min-max:0.2..0.8");
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum RegionSampler {
    /// The box of Yun et al. (2019), Algorithm 1, as in the code of the authors: the centre is
    /// uniform over the pixels, half of the side (rounded down) lies on each side of the centre, and
    /// the border clips the box. It covers pixels in the middle more often than those at the border.
    #[default]
    Paper,
    /// A box that may begin outside of the image, so that it covers every pixel equally often. The
    /// border clips the box.
    Uniform,
    /// A box whose sides are drawn independently, each uniform between two fractions of the side of
    /// the image (in whole pixels, the upper end excluded unless both are equal), at a uniform place
    /// inside the image. Lambda is not drawn; it follows from the box.
    MinMax {
        /// The smallest side as a fraction of the side of the image, in `0..=1`.
        min: f64,
        /// The upper bound of the side as a fraction of the side of the image, in `min..=1`.
        max: f64,
    },
    /// The box of ResizeMix (Qin et al., 2020): one fraction, uniform in `min..=max`, gives all of
    /// its sides (rounded down, at least one pixel), at a uniform place inside the image. Lambda is
    /// not drawn; it follows from the box.
    Scale {
        /// The smallest fraction of the side of the image, above 0 and at most 1.
        min: f64,
        /// The largest fraction of the side of the image, in `min..=1`.
        max: f64,
    },
    /// The mask of FMix (Harris et al., 2020): the highest pixels of random low-frequency noise, as
    /// many as lambda asks for, rounded to the nearest. For one to three spatial dimensions.
    LowFrequency {
        /// The power by which the amplitude of the noise falls with the frequency; finite and at
        /// least 0, 3 in the paper. The mask has smoother borders for a larger power.
        decay_power: f64,
    },
}

/// The size of a region before it is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size {
    /// The region has the share `1 - lambda` of the image.
    Lambda(f64),
    /// Each side of the region has this many pixels.
    Side(usize),
}

impl RegionSampler {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a parameter is out of range.
    pub fn check(&self) -> Result<(), Error> {
        // Written so that a NaN fails too.
        let accepted = match *self {
            Self::MinMax { min, max } if !(0.0 <= min && min <= max && max <= 1.0) => {
                "min-max:MIN..MAX with 0 <= MIN <= MAX <= 1"
            }
            Self::Scale { min, max } if !(0.0 < min && min <= max && max <= 1.0) => {
                "scale:MIN..MAX with 0 < MIN <= MAX <= 1"
            }
            Self::LowFrequency { decay_power } if !(0.0..f64::INFINITY).contains(&decay_power) => {
                "low-frequency:POWER with a finite POWER of at least 0 (3 is the usual choice)"
            }
            _ => return Ok(()),
        };
        Err(Error::argument("region_sampler", self, accepted))
    }

    /// Whether the size of the region comes from a lambda.
    pub(super) fn uses_lambda(&self) -> bool {
        !matches!(self, Self::MinMax { .. } | Self::Scale { .. })
    }

    pub(super) fn draw(
        &self,
        size: Size,
        spatial: &[usize],
        rng: &mut impl Rng,
    ) -> Result<Region, Error> {
        let fraction = match *self {
            Self::LowFrequency { decay_power } => {
                let Size::Lambda(lambda) = size else {
                    unreachable!("a side is refused for masks");
                };
                return low_frequency::mask(1.0 - lambda, decay_power, spatial, rng);
            }
            Self::Scale { min, max } => min + (max - min) * rng.random::<f64>(),
            _ => 0.0,
        };
        let ranges = spatial.iter().map(|&length| match *self {
            Self::Paper => {
                let side = match size {
                    Size::Lambda(lambda) => side(length, lambda, spatial.len()) / 2 * 2,
                    Size::Side(side) => side,
                };
                let before = side / 2;
                let centre = rng.random_range(0..length);
                centre.saturating_sub(before)..(centre + side - before).min(length)
            }
            Self::Uniform => {
                let side = match size {
                    Size::Lambda(lambda) => side(length, lambda, spatial.len()),
                    Size::Side(side) => side,
                };
                if side == 0 {
                    return 0..0;
                }
                // The end runs over 1..=length + side - 1: each pixel lies in `side` of the boxes.
                let end = rng.random_range(1..length + side);
                end.saturating_sub(side)..end.min(length)
            }
            Self::MinMax { min, max } => {
                let [min, max] = [min, max].map(|fraction| (length as f64 * fraction) as usize);
                let side = if min < max {
                    rng.random_range(min..max)
                } else {
                    min
                };
                inside(length, side, rng)
            }
            _ => inside(length, ((length as f64 * fraction) as usize).max(1), rng),
        });
        Ok(Region::Box(ranges.collect()))
    }
}

/// A side at a uniform place inside the image.
fn inside(length: usize, side: usize, rng: &mut impl Rng) -> Range<usize> {
    let start = rng.random_range(0..=length - side);
    start..start + side
}

/// The side of a region with the share `1 - lambda` along one dimension, rounded down.
fn side(length: usize, lambda: f64, rank: usize) -> usize {
    // `sqrt` is exact everywhere; the others come from `libm`, so that a plan does not depend on
    // the mathematics library of the platform.
    let fraction = match rank {
        1 => 1.0 - lambda,
        2 => (1.0 - lambda).sqrt(),
        3 => libm::cbrt(1.0 - lambda),
        _ => libm::pow(1.0 - lambda, 1.0 / rank as f64),
    };
    (length as f64 * fraction) as usize
}

impl fmt::Display for RegionSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paper => f.write_str("paper"),
            Self::Uniform => f.write_str("uniform"),
            Self::MinMax { min, max } => write!(f, "min-max:{min}..{max}"),
            Self::Scale { min, max } => write!(f, "scale:{min}..{max}"),
            Self::LowFrequency { decay_power } => write!(f, "low-frequency:{decay_power}"),
        }
    }
}

impl FromStr for RegionSampler {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let bounds = || {
            let (min, max) = parameters.split_once("..")?;
            Some((min.parse().ok()?, max.parse().ok()?))
        };
        let sampler = match name {
            "paper" if parameters.is_empty() => Some(Self::Paper),
            "uniform" if parameters.is_empty() => Some(Self::Uniform),
            "min-max" => bounds().map(|(min, max)| Self::MinMax { min, max }),
            "scale" => bounds().map(|(min, max)| Self::Scale { min, max }),
            "low-frequency" => {
                (parameters.parse().ok()).map(|decay_power| Self::LowFrequency { decay_power })
            }
            _ => None,
        };
        let sampler = sampler.ok_or_else(|| {
            Error::argument(
                "region_sampler",
                format!("{text:?}"),
                "paper, uniform, min-max:0.2..0.8, scale:0.1..0.8 or low-frequency:3",
            )
        })?;
        sampler.check()?;
        Ok(sampler)
    }
}

impl From<RegionSampler> for String {
    fn from(sampler: RegionSampler) -> Self {
        sampler.to_string()
    }
}

impl TryFrom<String> for RegionSampler {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}
