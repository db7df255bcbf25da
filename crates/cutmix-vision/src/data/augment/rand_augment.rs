//! RandAugment.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::operation::{STRONGEST, Space};
use super::registry::Describe;
use super::{Augmentation, Frame, Transform, ensure, setters};

/// Applies some operations of a list, all at one magnitude, to every image.
///
/// Each is one of 14, equally likely: nothing, shear and shift along either side, rotation,
/// brightness, saturation, contrast, sharpness, posterize, solarize, auto contrast and equalize; where
/// an operation has a direction, both are equally likely. What a shear, shift or rotation uncovers has
/// the mean colour.
///
/// The paper uses two operations of magnitude 9 for ResNet-50 on photographs, and magnitudes up to 28
/// for larger networks.
///
/// Source: Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced Search
/// Space", NeurIPS 2020, section 3; magnitudes as in torchvision's `RandAugment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RandAugment {
    /// Number of operations one after another, in 1..=14.
    pub operations: usize,
    /// Magnitude of the operations, in 0..=30.
    pub magnitude: usize,
}

const SPACE: Space = Space {
    shear: 0.3,
    shift: |side| 150.0 / 331.0 * side,
    rotation: 30.0,
    enhancement: 0.9,
    posterized_bits: 4.0,
};

const MOST_OPERATIONS: usize = 14;

impl Default for RandAugment {
    fn default() -> Self {
        Self {
            operations: 2,
            magnitude: 9,
        }
    }
}

impl RandAugment {
    /// Two operations of magnitude 9.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the number of operations one after another, in 1..=14.
        with_operations operations: usize;
        /// Sets the magnitude of the operations, in 0..=30.
        with_magnitude magnitude: usize;
    }
}

impl Describe for RandAugment {
    const SUMMARY: &'static str = "applies some of 14 operations, all at one magnitude";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "operations",
            "a whole number in 1..=14: number of operations one after another",
        ),
        (
            "magnitude",
            "a whole number in 0..=30: magnitude of the operations",
        ),
    ];
}

impl Augmentation for RandAugment {
    fn draw(&self, frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        let magnitude = self.magnitude.min(STRONGEST);
        for _ in 0..self.operations.min(MOST_OPERATIONS) {
            transforms.extend(SPACE.draw(magnitude, frame, rng));
        }
    }

    fn check(&self) -> Result<(), DataError> {
        let (operations, magnitude) = (self.operations, self.magnitude);
        let is_accepted = (1..=MOST_OPERATIONS).contains(&operations);
        let expected = "a whole number in 1..=14";
        ensure(is_accepted, "operations", operations, expected)?;
        let is_accepted = magnitude <= STRONGEST;
        ensure(
            is_accepted,
            "magnitude",
            magnitude,
            "a whole number in 0..=30",
        )
    }
}
