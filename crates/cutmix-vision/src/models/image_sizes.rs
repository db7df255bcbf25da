//! The sizes of images that networks take.

use std::fmt;

/// The heights and widths of images that a network takes.
///
/// ```
/// use cutmix_vision::models::find;
///
/// let sizes = find("vit-tiny")?.sizes;
/// assert!(sizes.contains(224) && !sizes.contains(100));
/// assert_eq!(sizes.to_string(), "a multiple of 16");
/// assert_eq!(sizes.near(100), [96, 112]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSizes {
    /// The smallest height and width, a multiple of the next number.
    least: usize,
    /// A number that divides each height and width.
    multiple_of: usize,
}

impl ImageSizes {
    /// Images of any size.
    pub const ANY: Self = Self::at_least(1);

    /// Heights and widths from `least` pixels on.
    pub const fn at_least(least: usize) -> Self {
        Self {
            least,
            multiple_of: 1,
        }
    }

    /// Heights and widths that are multiples of `side`, which is above 0.
    ///
    /// # Panics
    /// Where `side` is 0.
    pub const fn multiples_of(side: usize) -> Self {
        assert!(side > 0, "sides are multiples of a number above 0");
        Self {
            least: side,
            multiple_of: side,
        }
    }

    /// Whether a height or width fits.
    pub fn contains(self, side: usize) -> bool {
        side >= self.least && side.is_multiple_of(self.multiple_of)
    }

    /// The nearest heights or widths that fit, from small to large: `side` itself, or the next one on
    /// each side of it.
    pub fn near(self, side: usize) -> Vec<usize> {
        let step = self.multiple_of;
        let below = side / step * step;
        let above = side.next_multiple_of(step).max(self.least);
        let mut near = vec![below, above];
        near.retain(|side| self.contains(*side));
        near.dedup();
        near
    }
}

/// The sizes, as in "a multiple of 16".
impl fmt::Display for ImageSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.multiple_of) {
            (least, 1) => write!(f, "at least {least}"),
            (least, step) if least <= step => write!(f, "a multiple of {step}"),
            (least, step) => write!(f, "a multiple of {step} from {least} on"),
        }
    }
}
