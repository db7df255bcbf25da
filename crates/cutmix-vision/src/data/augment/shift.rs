//! Shifted images.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::registry::Describe;
use super::{Augmentation, Frame, Transform, ensure_probability, setters};

/// Shifts every image by up to some pixels in each direction; what comes in at the edges has the mean
/// colour. Also known as random crop with padding.
///
/// The shifts down and right are independent of each other, all whole numbers of pixels equally
/// likely. It is the usual change for small images; for photographs
/// [`RandomResizedCrop`](super::RandomResizedCrop) changes more.
///
/// Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: 4 of 32
/// pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Shift {
    /// Largest shift as a share of the shorter side of the image, in 0..=1, rounded down to whole
    /// pixels. Not used where `pixels` is given.
    pub share: f64,
    /// Largest shift in pixels, of which no more than the shorter side of the image is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<usize>,
}

impl Default for Shift {
    fn default() -> Self {
        Self {
            share: 0.125,
            pixels: None,
        }
    }
}

impl Shift {
    /// Shifts by up to an eighth of the shorter side.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the largest shift as a share of the shorter side of the image, in 0..=1.
        with_share share: f64;
        /// Sets the largest shift in pixels, whatever the size of the image.
        with_pixels pixels: usize;
    }
}

impl Describe for Shift {
    const SUMMARY: &'static str = "shifts the image; the mean colour comes in at the edges";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "share",
            "a number in 0..=1: largest shift as a share of the shorter side",
        ),
        (
            "pixels",
            "a whole number: largest shift in pixels, instead of the share",
        ),
    ];
}

impl Augmentation for Shift {
    fn draw(&self, frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        let side = frame.size.shorter_side();
        let share = (side as f64 * self.share) as usize;
        // A side is below 2^31; a shift by all of it leaves nothing of the image.
        let reach = self.pixels.unwrap_or(share).min(side) as i32;
        let mut draw = || rng.random_range(-reach..=reach) as isize;
        let (top, left) = (draw(), draw());
        if (top, left) != (0, 0) {
            transforms.push(Transform::Place {
                canvas: frame.size,
                top,
                left,
                fill: frame.mean,
            });
        }
    }

    fn check(&self) -> Result<(), DataError> {
        ensure_probability("share", self.share)
    }
}
