//! The operations from which RandAugment and TrivialAugment choose.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::Size;
use super::{Frame, Transform};

/// The strongest magnitude; 0 is the weakest.
pub(super) const STRONGEST: usize = 30;

/// Number of operations.
const OPERATIONS: usize = 14;

/// What the operations do at the strongest magnitude. At weaker ones they do proportionally less.
pub(super) struct Space {
    /// Shear along rows or columns.
    pub shear: f64,
    /// Shift along a side, from the length of the side; all in pixels.
    pub shift: fn(f64) -> f64,
    /// Rotation in degrees.
    pub rotation: f64,
    /// Distance of the factors of brightness, saturation, contrast and sharpness to 1.
    pub enhancement: f64,
    /// Number of bits that posterize removes.
    pub posterized_bits: f64,
}

impl Space {
    /// Draws an operation, all equally likely, and its direction; `None` for one that does nothing.
    pub(super) fn draw(
        &self,
        magnitude: usize,
        frame: &Frame,
        rng: &mut ChaCha8Rng,
    ) -> Option<Transform> {
        let chosen = rng.random_range(0..OPERATIONS);
        let direction = if rng.random() { 1.0 } else { -1.0 };
        let Frame { size, mean, .. } = *frame;
        let at = |strongest: f64| strongest * magnitude as f64 / STRONGEST as f64;
        let shear = direction * at(self.shear);
        let left = direction * at((self.shift)(size.width as f64));
        let top = direction * at((self.shift)(size.height as f64));
        let factor = 1.0 + direction * at(self.enhancement);
        let operations: [_; OPERATIONS] = [
            None,
            Some(Transform::shear_horizontally(shear, mean)),
            Some(Transform::shear_vertically(shear, mean)),
            Some(shift(size, 0, left as isize, mean)),
            Some(shift(size, top as isize, 0, mean)),
            Some(Transform::rotation(
                direction * at(self.rotation),
                size,
                mean,
            )),
            Some(Transform::Brightness(factor)),
            Some(Transform::Saturation(factor)),
            Some(Transform::Contrast(factor)),
            Some(Transform::Sharpness(factor)),
            Some(Transform::Posterize(
                8 - at(self.posterized_bits).round() as u8,
            )),
            Some(Transform::Solarize((255.0 - at(255.0)).ceil() as u8)),
            Some(Transform::AutoContrast),
            Some(Transform::Equalize),
        ];
        operations[chosen].clone()
    }
}

fn shift(canvas: Size, top: isize, left: isize, fill: [u8; 3]) -> Transform {
    Transform::Place {
        canvas,
        top,
        left,
        fill,
    }
}
