//! The operations from which RandAugment and TrivialAugment choose.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::Size;
use super::{Frame, Transform};

/// The strongest magnitude; 0 is the weakest.
pub(super) const STRONGEST: usize = 30;

/// An operation, whose strength depends on the [`Space`].
#[derive(Clone, Copy)]
enum Operation {
    Identity,
    ShearHorizontally,
    ShearVertically,
    ShiftHorizontally,
    ShiftVertically,
    Rotate,
    Brightness,
    Saturation,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

use Operation::*;

const OPERATIONS: [Operation; 14] = [
    Identity,
    ShearHorizontally,
    ShearVertically,
    ShiftHorizontally,
    ShiftVertically,
    Rotate,
    Brightness,
    Saturation,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
];

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
        let operation = OPERATIONS[rng.random_range(0..OPERATIONS.len())];
        let direction = if rng.random() { 1.0 } else { -1.0 };
        self.change(operation, magnitude, direction, frame)
    }

    fn change(
        &self,
        operation: Operation,
        magnitude: usize,
        direction: f64,
        frame: &Frame,
    ) -> Option<Transform> {
        let Frame { size, mean, .. } = *frame;
        let at = |strongest: f64| strongest * magnitude as f64 / STRONGEST as f64;
        let shear = direction * at(self.shear);
        let factor = 1.0 + direction * at(self.enhancement);
        Some(match operation {
            Identity => return None,
            ShearHorizontally => Transform::shear_horizontally(shear, mean),
            ShearVertically => Transform::shear_vertically(shear, mean),
            ShiftHorizontally => {
                let left = direction * at((self.shift)(size.width as f64));
                shift(size, 0, left as isize, mean)
            }
            ShiftVertically => {
                let top = direction * at((self.shift)(size.height as f64));
                shift(size, top as isize, 0, mean)
            }
            Rotate => Transform::rotation(direction * at(self.rotation), size, mean),
            Brightness => Transform::Brightness(factor),
            Saturation => Transform::Saturation(factor),
            Contrast => Transform::Contrast(factor),
            Sharpness => Transform::Sharpness(factor),
            Posterize => Transform::Posterize(8 - at(self.posterized_bits).round() as u8),
            Solarize => Transform::Solarize((255.0 - at(255.0)).ceil() as u8),
            AutoContrast => Transform::AutoContrast,
            Equalize => Transform::Equalize,
        })
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
