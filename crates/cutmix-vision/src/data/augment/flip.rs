//! Mirrored images.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::registry::Describe;
use super::{Augmentation, Frame, Transform, ensure_probability, happens, setters};

/// Mirrors some images, left and right or top and bottom.
///
/// Leave it out where a mirrored object is another one, as with digits and letters. Mirroring top and
/// bottom suits images without an up and a down, such as those from above or from a microscope.
///
/// Source: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural
/// Networks", NeurIPS 2012, section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Flip {
    /// Share of the images that are mirrored left and right, in 0..=1.
    pub horizontal: f64,
    /// Share of the images that are mirrored top and bottom, in 0..=1.
    pub vertical: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self {
            horizontal: 0.5,
            vertical: 0.0,
        }
    }
}

impl Flip {
    /// Half of the images are mirrored left and right, none top and bottom.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the share of the images that are mirrored left and right, in 0..=1.
        with_horizontal horizontal: f64;
        /// Sets the share of the images that are mirrored top and bottom, in 0..=1.
        with_vertical vertical: f64;
    }
}

impl Describe for Flip {
    const SUMMARY: &'static str = "mirrors left and right, or top and bottom";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "horizontal",
            "a number in 0..=1: share of the images that are mirrored left and right",
        ),
        (
            "vertical",
            "a number in 0..=1: share of the images that are mirrored top and bottom",
        ),
    ];
}

impl Augmentation for Flip {
    fn draw(&self, _frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        if happens(self.horizontal, rng) {
            transforms.push(Transform::MirrorHorizontally);
        }
        if happens(self.vertical, rng) {
            transforms.push(Transform::MirrorVertically);
        }
    }

    fn check(&self) -> Result<(), DataError> {
        ensure_probability("horizontal", self.horizontal)?;
        ensure_probability("vertical", self.vertical)
    }
}
