//! Boxes of a random area and shape.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::Size;
use super::{Interval, Rect};

/// The number of boxes that are drawn until one fits.
pub(super) const TRIES: usize = 10;

/// The largest ratio of two sides that is accepted.
pub(super) const MAX_RATIO: f64 = 1000.0;

/// Draws two sides, in pixels, with a share of an image of `size` as their area and a ratio of the
/// first to the second whose logarithm is uniform.
pub(super) fn draw_sides(
    size: Size,
    scale: Interval,
    ratio: Interval,
    rng: &mut ChaCha8Rng,
) -> [usize; 2] {
    let area = size.area() as f64 * scale.draw(rng);
    let ratio = ratio.draw_logarithmic(rng);
    [area * ratio, area / ratio].map(|square| square.sqrt().round_ties_even() as usize)
}

/// Draws a place, uniformly, for a box of the size `part` in an image of `size`.
pub(super) fn draw_place(size: Size, part: Size, rng: &mut ChaCha8Rng) -> Rect {
    Rect {
        top: rng.random_range(0..=size.height.saturating_sub(part.height)),
        left: rng.random_range(0..=size.width.saturating_sub(part.width)),
        height: part.height,
        width: part.width,
    }
}
