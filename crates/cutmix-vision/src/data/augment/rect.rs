//! Boxes of pixels.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::{DataError, Size};
use super::ensure;

/// A box of pixels in an image: the rows `top..top + height` and columns `left..left + width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rect {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Rect {
    /// The box that covers an image of `size`.
    pub const fn whole(size: Size) -> Self {
        Self {
            top: 0,
            left: 0,
            height: size.height,
            width: size.width,
        }
    }

    /// Height and width of the box.
    pub const fn size(self) -> Size {
        Size::new(self.height, self.width)
    }

    /// The part of the box that is inside `window`, as seen from the corner of `window`; `None` where
    /// they have no pixel in common.
    pub(in crate::data) fn seen_in(self, window: Self) -> Option<Self> {
        let common = |[start, length]: [usize; 2], [from, side]: [usize; 2]| {
            let first = start.max(from);
            let end = start.saturating_add(length).min(from.saturating_add(side));
            (first < end).then(|| [first - from, end - first])
        };
        let [top, height] = common([self.top, self.height], [window.top, window.height])?;
        let [left, width] = common([self.left, self.width], [window.left, window.width])?;
        Some(Self {
            top,
            left,
            height,
            width,
        })
    }

    /// The smallest box that holds all of this one, which is inside an image of `size`, after the image
    /// is resized to `to`.
    pub(in crate::data) fn resized(self, size: Size, to: Size) -> Self {
        let resized = |start: usize, length: usize, side: usize, to: usize| {
            let (side, to) = (side as u64, to as u64);
            let first = start as u64 * to / side;
            let end = ((start + length) as u64 * to).div_ceil(side);
            [first, end - first].map(|pixels| pixels as usize)
        };
        let [top, height] = resized(self.top, self.height, size.height, to.height);
        let [left, width] = resized(self.left, self.width, size.width, to.width);
        Self {
            top,
            left,
            height,
            width,
        }
    }

    pub(super) fn check_inside(self, argument: &'static str, size: Size) -> Result<(), DataError> {
        let is_inside = |start: usize, length: usize, side: usize| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= side)
        };
        let accepted = is_inside(self.top, self.height, size.height)
            && is_inside(self.left, self.width, size.width);
        let expected = format!("a box of at least one pixel inside {size} pixels");
        ensure(accepted, argument, self, expected)
    }
}

/// Rows and columns, as in `rows 0..32, columns 4..36`.
impl fmt::Display for Rect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bottom, right) = (
            self.top.saturating_add(self.height),
            self.left.saturating_add(self.width),
        );
        let (top, left) = (self.top, self.left);
        write!(f, "rows {top}..{bottom}, columns {left}..{right}")
    }
}
