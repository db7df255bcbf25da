//! TrivialAugment.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::operation::{STRONGEST, Space};
use super::registry::Describe;
use super::{Augmentation, Frame, Transform};

/// Applies one operation of a list, at a random magnitude, to every image.
///
/// The operations are those of [`RandAugment`](super::RandAugment), with a wider range of magnitudes;
/// the magnitude is one of 31, equally likely. There is nothing to tune, and the paper reports results
/// as good as those of tuned methods.
///
/// Source: Müller, Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV
/// 2021, section 3, with the wide space; magnitudes as in torchvision's `TrivialAugmentWide`, but for
/// a shift of 16 pixels, which becomes 15 there by rounding in single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrivialAugment {}

const SPACE: Space = Space {
    shear: 0.99,
    shift: |_| 32.0,
    rotation: 135.0,
    enhancement: 0.99,
    posterized_bits: 6.0,
};

impl TrivialAugment {
    /// One of 14 operations, at one of 31 magnitudes.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Describe for TrivialAugment {
    const SUMMARY: &'static str = "applies one of 14 operations, at a random magnitude";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Augmentation for TrivialAugment {
    fn draw(&self, frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        let magnitude = rng.random_range(0..=STRONGEST);
        transforms.extend(SPACE.draw(magnitude, frame, rng));
    }
}
