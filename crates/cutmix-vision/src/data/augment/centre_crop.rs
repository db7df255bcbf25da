//! Crops of the middle.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::fit::{centre, check_share};
use super::registry::Describe;
use super::{Augmentation, Frame, Transform, setters};

/// Cuts out the middle of every image and resizes it to the target size, as in evaluation; nothing is
/// random.
///
/// Source: [`Fit::Crop`](super::Fit::Crop), which does the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct CentreCrop {
    /// Side of the crop as a share of the largest one that fits into the image, above 0 and up to 1.
    pub share: f64,
}

impl Default for CentreCrop {
    fn default() -> Self {
        Self { share: 0.875 }
    }
}

impl CentreCrop {
    /// Crops whose side is 0.875 (224 of 256 pixels) of the shorter side of the image.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the side of the crop as a share of the largest one that fits into the image, above 0
        /// and up to 1.
        with_share share: f64;
    }
}

impl Describe for CentreCrop {
    const SUMMARY: &'static str = "cuts out the middle and resizes it to the target size";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[(
        "share",
        "a number above 0 and up to 1: side of the crop as a share of the largest that fits",
    )];
}

impl Augmentation for CentreCrop {
    fn draw(&self, frame: &Frame, _rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        transforms.extend(centre(frame, self.share));
    }

    fn resizes(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), DataError> {
        check_share(self.share)
    }
}
