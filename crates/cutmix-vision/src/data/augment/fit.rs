//! From images of any size to the size that a network takes.

use serde::{Deserialize, Serialize};

use super::super::{DataError, Size};
use super::{Frame, Rect, Transform, ensure};

/// How an image of any size becomes one of the size that a network takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Keeps a share of the largest box in the middle with the target's ratio of sides, and resizes it.
    ///
    /// A target of 224 pixels with the share 224/256 equals torchvision's `Resize(256)` followed by
    /// `CenterCrop(224)`. Source: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep
    /// Convolutional Neural Networks", NeurIPS 2012, section 2.
    #[default]
    Crop,
    /// Resizes the whole image so that it fits in, and puts it in the middle of the mean colour.
    Pad,
    /// Resizes the whole image, whatever its ratio of sides.
    Stretch,
}

impl Fit {
    /// What is done to an image of the size `frame.size` to give it the size `frame.target`; nothing
    /// where it has that size already and the share is 1. [`Crop`](Self::Crop) keeps the share `share`
    /// of the sides, above 0 and up to 1; the others do not use it.
    ///
    /// ```
    /// use cutmix_vision::data::Size;
    /// use cutmix_vision::data::augment::{Transform, Fit, Frame, Rect};
    ///
    /// let frame = Frame { size: Size::new(64, 32), target: Size::new(32, 32), mean: [0; 3] };
    /// let whole = Transform::Crop { region: Rect::whole(frame.size), to: frame.target };
    /// assert_eq!(Fit::Stretch.transforms(&frame, 1.0)?, [whole]);
    /// # Ok::<(), cutmix_vision::data::DataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] where a side is not in 1..=[`Size::MAX_SIDE`] or `share` is out of
    /// range.
    pub fn transforms(self, frame: &Frame, share: f64) -> Result<Vec<Transform>, DataError> {
        frame.size.check("size of the image")?;
        frame.target.check("target size")?;
        check_share(share)?;
        Ok(match self {
            Self::Crop => centre(frame, share).into_iter().collect(),
            Self::Pad => pad(frame),
            Self::Stretch => stretch(frame.size, frame.target).into_iter().collect(),
        })
    }
}

/// [`DataError::Argument`] unless the share of the sides that a crop keeps is accepted.
pub(super) fn check_share(share: f64) -> Result<(), DataError> {
    let is_accepted = 0.0 < share && share <= 1.0;
    ensure(is_accepted, "share", share, "a number above 0 and up to 1")
}

/// Keeps the share `share` of the largest box in the middle with the ratio of the target.
pub(super) fn centre(frame: &Frame, share: f64) -> Option<Transform> {
    let Frame { size, target, .. } = *frame;
    // The side that decides is resized to the target's divided by the share, the other one follows.
    let enlarged = |side: usize| ((side as f64 / share).round() as usize).max(side);
    let following = |side: usize, decides: usize, to: usize, least: usize| {
        ((side as f64 * to as f64 / decides as f64) as usize).max(least)
    };
    let to = if is_taller(size, target) {
        let width = enlarged(target.width);
        Size::new(
            following(size.height, size.width, width, target.height),
            width,
        )
    } else {
        let height = enlarged(target.height);
        Size::new(
            height,
            following(size.width, size.height, height, target.width),
        )
    };
    if to == target {
        return stretch(size, target);
    }
    let middle = |side: usize, kept: usize| ((side - kept) as f64 / 2.0).round_ties_even() as usize;
    let window = Rect {
        top: middle(to.height, target.height),
        left: middle(to.width, target.width),
        ..Rect::whole(target)
    };
    Some(Transform::Resize { to, window })
}

/// Resizes the whole image to fit in, and puts it in the middle.
fn pad(frame: &Frame) -> Vec<Transform> {
    let Frame { size, target, mean } = *frame;
    let following = |side: usize, decides: usize, to: usize, most: usize| {
        ((side as f64 * to as f64 / decides as f64).round() as usize).clamp(1, most)
    };
    let inner = if is_taller(size, target) {
        let width = following(size.width, size.height, target.height, target.width);
        Size::new(target.height, width)
    } else {
        let height = following(size.height, size.width, target.width, target.height);
        Size::new(height, target.width)
    };
    // Half of a side that fits in an `isize`.
    let place = (inner != target).then(|| Transform::Place {
        canvas: target,
        top: ((target.height - inner.height) / 2) as isize,
        left: ((target.width - inner.width) / 2) as isize,
        fill: mean,
    });
    stretch(size, inner).into_iter().chain(place).collect()
}

/// Resizes the whole image.
fn stretch(size: Size, to: Size) -> Option<Transform> {
    let region = Rect::whole(size);
    (size != to).then_some(Transform::Crop { region, to })
}

/// Whether an image of `size` is taller, relative to its width, than one of the size `other`.
fn is_taller(size: Size, other: Size) -> bool {
    size.height as f64 * other.width as f64 > size.width as f64 * other.height as f64
}
