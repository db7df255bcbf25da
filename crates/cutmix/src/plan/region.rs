//! The part of an image that is replaced.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Mask;
use crate::Error;

/// A set of pixels of an image: a box or a mask. It may be empty.
///
/// It covers the spatial dimensions, and is the same in every channel. For images `[N, C, H, W]` a
/// box has two ranges, rows first: `top..bottom`, `left..right`.
///
/// ```
/// use cutmix::plan::Region;
///
/// let region = Region::new([2..6, 0..3]);
/// assert_eq!(region.volume(), 12);
/// assert_eq!(region.to_string(), "[2..6, 0..3]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Region {
    /// A half-open box, with one range of pixels for each spatial dimension.
    Box(Vec<Range<usize>>),
    /// Any set of pixels.
    Mask(Mask),
}

impl Region {
    /// Creates the box of these ranges, one for each spatial dimension.
    pub fn new(ranges: impl Into<Vec<Range<usize>>>) -> Self {
        Self::Box(ranges.into())
    }

    /// Creates the box that covers a whole image of the spatial shape `spatial`.
    pub fn whole(spatial: &[usize]) -> Self {
        Self::Box(spatial.iter().map(|&size| 0..size).collect())
    }

    /// Returns the ranges of a box, one for each spatial dimension, and `None` for a mask.
    pub fn as_box(&self) -> Option<&[Range<usize>]> {
        match self {
            Self::Box(ranges) => Some(ranges),
            Self::Mask(_) => None,
        }
    }

    /// Returns the mask, and `None` for a box.
    pub fn as_mask(&self) -> Option<&Mask> {
        match self {
            Self::Box(_) => None,
            Self::Mask(mask) => Some(mask),
        }
    }

    /// Returns the smallest box that contains the region: one range for each spatial dimension.
    pub fn bounds(&self) -> Vec<Range<usize>> {
        match self {
            Self::Box(ranges) => ranges.clone(),
            Self::Mask(mask) => mask.bounds(),
        }
    }

    /// Returns the region as a mask of an image of the spatial shape `spatial`, in which it has to lie.
    pub(crate) fn to_mask(&self, spatial: &[usize]) -> Cow<'_, Mask> {
        let ranges = match self {
            Self::Box(ranges) => ranges,
            Self::Mask(mask) => return Cow::Borrowed(mask),
        };
        let (columns, rows) = ranges.split_last().expect("a region has been checked");
        let strides = (1..ranges.len()).map(|axis| spatial[axis..].iter().product::<usize>());
        let strides: Vec<_> = strides.collect();
        let count = if columns.is_empty() {
            0
        } else {
            rows.iter().map(Range::len).product()
        };
        let runs = (0..count).map(|mut row| {
            let mut first = 0;
            for (range, stride) in rows.iter().zip(&strides).rev() {
                first += (range.start + row % range.len()) * stride;
                row /= range.len();
            }
            first + columns.start..first + columns.end
        });
        let mask = Mask::new(spatial.to_vec(), runs);
        Cow::Owned(mask.expect("the rows of a box are in order and inside the image"))
    }

    /// Whether the region contains the pixel with this index along each spatial dimension.
    pub fn contains(&self, pixel: &[usize]) -> bool {
        match self {
            Self::Box(ranges) => {
                let mut pairs = ranges.iter().zip(pixel);
                ranges.len() == pixel.len() && pairs.all(|(range, index)| range.contains(index))
            }
            Self::Mask(mask) => mask.contains(pixel),
        }
    }

    /// The number of spatial dimensions.
    pub fn rank(&self) -> usize {
        match self {
            Self::Box(ranges) => ranges.len(),
            Self::Mask(mask) => mask.spatial().len(),
        }
    }

    /// The number of pixels in the region, at most `usize::MAX`.
    pub fn volume(&self) -> usize {
        match self {
            Self::Box(ranges) => {
                let lengths = ranges.iter().map(Range::len);
                lengths.fold(1, |volume: usize, length| volume.saturating_mul(length))
            }
            Self::Mask(mask) => mask.volume(),
        }
    }

    /// Whether the region has no pixel.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Box(ranges) => ranges.iter().any(Range::is_empty),
            Self::Mask(mask) => mask.runs().is_empty(),
        }
    }

    /// Fails unless the region fits an image of the spatial shape `spatial`.
    pub(crate) fn check(&self, spatial: &[usize]) -> Result<(), Error> {
        match self {
            Self::Box(ranges) => {
                let mut pairs = ranges.iter().zip(spatial);
                let is_inside = ranges.len() == spatial.len()
                    && pairs.all(|(range, &size)| range.start <= range.end && range.end <= size);
                if is_inside {
                    return Ok(());
                }
            }
            Self::Mask(mask) if mask.spatial() == spatial => return Ok(()),
            Self::Mask(_) => {}
        }
        Err(Error::argument(
            "region",
            self,
            format!(
                "a box inside {} or a mask of the shape {spatial:?}",
                Self::whole(spatial)
            ),
        ))
    }
}

impl From<Mask> for Region {
    fn from(mask: Mask) -> Self {
        Self::Mask(mask)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Box(ranges) => write!(f, "{ranges:?}"),
            Self::Mask(mask) => mask.fmt(f),
        }
    }
}

/// A list is a box and a map is a mask. An untagged enum would lose the reason why a mask is
/// refused.
impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoxOrMask;

        impl<'de> Visitor<'de> for BoxOrMask {
            type Value = Region;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of ranges or a mask")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, ranges: A) -> Result<Region, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(ranges)).map(Region::Box)
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Region, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(fields)).map(Region::Mask)
            }
        }

        deserializer.deserialize_any(BoxOrMask)
    }
}
