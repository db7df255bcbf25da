//! Changed colours.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::registry::Describe;
use super::{Augmentation, Frame, Interval, Transform, ensure, setters};

/// Changes brightness, contrast, saturation and hue of every image, in a random order.
///
/// Each factor is uniform between `1 - strength`, but at least 0, and `1 + strength`; a strength of 0
/// is off. The shift of the hue is uniform in `-hue..=hue`, where 1 is the whole circle of colours. The
/// hue costs more than all others together.
///
/// Leave it out where colours tell classes apart. Source: torchvision's `ColorJitter`; the strengths
/// 0.4, 0.4 and 0.4 are those of Gross and Wilber, "Training and Investigating Residual Nets", 2016
/// (fb.resnet.torch), after Howard, arXiv:1312.5402.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ColorJitter {
    /// Strength of the change of brightness, a finite number of at least 0.
    pub brightness: f64,
    /// Strength of the change of contrast, a finite number of at least 0.
    pub contrast: f64,
    /// Strength of the change of saturation, a finite number of at least 0.
    pub saturation: f64,
    /// Largest shift of the hue as a share of the circle of colours, in 0..=0.5.
    pub hue: f64,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self {
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            hue: 0.0,
        }
    }
}

impl ColorJitter {
    /// Brightness, contrast and saturation change by up to 40 %; the hue stays.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the strength of the change of brightness, a finite number of at least 0.
        with_brightness brightness: f64;
        /// Sets the strength of the change of contrast, a finite number of at least 0.
        with_contrast contrast: f64;
        /// Sets the strength of the change of saturation, a finite number of at least 0.
        with_saturation saturation: f64;
        /// Sets the largest shift of the hue as a share of the circle of colours, in 0..=0.5.
        with_hue hue: f64;
    }
}

impl Describe for ColorJitter {
    const SUMMARY: &'static str = "changes brightness, contrast, saturation and hue";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "brightness",
            "a finite number of at least 0: strength of the change of brightness",
        ),
        (
            "contrast",
            "a finite number of at least 0: strength of the change of contrast",
        ),
        (
            "saturation",
            "a finite number of at least 0: strength of the change of saturation",
        ),
        (
            "hue",
            "a number in 0..=0.5: largest shift as a share of the circle of colours",
        ),
    ];
}

impl Augmentation for ColorJitter {
    fn draw(&self, _frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        let first = transforms.len();
        for (strength, change) in [
            (
                self.brightness,
                Transform::Brightness as fn(f64) -> Transform,
            ),
            (self.contrast, Transform::Contrast),
            (self.saturation, Transform::Saturation),
        ] {
            if strength != 0.0 {
                let factor = Interval::from((1.0 - strength).max(0.0)..=1.0 + strength);
                transforms.push(change(factor.draw(rng)));
            }
        }
        if self.hue != 0.0 {
            let shift = Interval::from(-self.hue..=self.hue);
            transforms.push(Transform::Hue(shift.draw(rng)));
        }
        transforms[first..].shuffle(rng);
    }

    fn check(&self) -> Result<(), DataError> {
        for (name, strength) in [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ] {
            let is_accepted = strength.is_finite() && strength >= 0.0;
            ensure(is_accepted, name, strength, "a finite number of at least 0")?;
        }
        let is_accepted = (0.0..=0.5).contains(&self.hue);
        ensure(is_accepted, "hue", self.hue, "a number in 0..=0.5")
    }
}
