//! The box that is cut.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A half-open box in pixels over the spatial dimensions of an image; it may be empty.
///
/// For images `[N, C, H, W]` it has two ranges, rows first: `top..bottom`, `left..right`.
///
/// ```
/// use cutmix::plan::Region;
///
/// let region = Region::new([2..6, 0..3]);
/// assert_eq!(region.volume(), 12);
/// assert_eq!(region.to_string(), "[2..6, 0..3]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region {
    ranges: Vec<Range<usize>>,
}

impl Region {
    /// The box of these ranges, one per spatial dimension.
    pub fn new(ranges: impl Into<Vec<Range<usize>>>) -> Self {
        Self {
            ranges: ranges.into(),
        }
    }

    /// The whole image of the given spatial shape.
    pub fn whole(spatial: &[usize]) -> Self {
        Self::new(spatial.iter().map(|&size| 0..size).collect::<Vec<_>>())
    }

    /// The ranges, one per spatial dimension.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// The number of spatial dimensions.
    pub fn rank(&self) -> usize {
        self.ranges.len()
    }

    /// The number of pixels inside, at most `usize::MAX`.
    pub fn volume(&self) -> usize {
        (self.ranges.iter()).fold(1, |volume: usize, range| volume.saturating_mul(range.len()))
    }

    /// Whether no pixel is inside.
    pub fn is_empty(&self) -> bool {
        self.ranges.iter().any(Range::is_empty)
    }

    /// Fails unless the box lies in an image of this spatial shape.
    pub(crate) fn check(&self, spatial: &[usize]) -> Result<(), Error> {
        let inside = self.rank() == spatial.len()
            && (self.ranges.iter().zip(spatial))
                .all(|(range, &size)| range.start <= range.end && range.end <= size);
        if inside {
            return Ok(());
        }
        Err(Error::argument(
            "region",
            self,
            format!("a box inside {}", Region::whole(spatial)),
        ))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.ranges)
    }
}
