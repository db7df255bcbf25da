//! Turned images.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::registry::Describe;
use super::{Augmentation, Frame, Interval, Transform, ensure, setters};

/// Turns every image around its centre by a random angle, uniform up to `degrees` in both directions;
/// what comes in at the corners has the mean colour.
///
/// Up to 15 degrees keep an up and a down; 180 suit images that have none.
///
/// Source: Simard, Steinkraus, Platt, "Best Practices for Convolutional Neural Networks Applied to
/// Visual Document Analysis", ICDAR 2003, section 2; pixels as in torchvision's `RandomRotation`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rotate {
    /// Largest angle in degrees, in 0..=180.
    pub degrees: f64,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { degrees: 15.0 }
    }
}

impl Rotate {
    /// Turns by up to 15 degrees.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the largest angle in degrees, in 0..=180.
        with_degrees degrees: f64;
    }
}

impl Describe for Rotate {
    const SUMMARY: &'static str = "turns the image; the mean colour comes in at the corners";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[(
        "degrees",
        "a number in 0..=180: largest angle in both directions",
    )];
}

impl Augmentation for Rotate {
    fn draw(&self, frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        let angles = Interval::from(-self.degrees..=self.degrees);
        transforms.push(Transform::rotation(
            angles.draw(rng),
            frame.size,
            frame.mean,
        ));
    }

    fn check(&self) -> Result<(), DataError> {
        let is_accepted = (0.0..=180.0).contains(&self.degrees);
        ensure(is_accepted, "degrees", self.degrees, "a number in 0..=180")
    }
}
