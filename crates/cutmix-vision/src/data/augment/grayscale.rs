//! Images without colour.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::registry::Describe;
use super::{Augmentation, Frame, Transform, ensure_probability, happens, setters};

/// Takes the colour from some images, so that the network also learns from shapes.
///
/// Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML
/// 2020, appendix A, where the probability is 0.2; the default 0.1 is torchvision's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Grayscale {
    /// Share of the images that are changed, in 0..=1.
    pub probability: f64,
}

impl Default for Grayscale {
    fn default() -> Self {
        Self { probability: 0.1 }
    }
}

impl Grayscale {
    /// One image of ten becomes grey.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the share of the images that are changed, in 0..=1.
        with_probability probability: f64;
    }
}

impl Describe for Grayscale {
    const SUMMARY: &'static str = "takes the colour from some images";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[(
        "probability",
        "a number in 0..=1: share of the images that are changed",
    )];
}

impl Augmentation for Grayscale {
    fn draw(&self, _frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        if happens(self.probability, rng) {
            transforms.push(Transform::Grayscale);
        }
    }

    fn check(&self) -> Result<(), DataError> {
        ensure_probability("probability", self.probability)
    }
}
