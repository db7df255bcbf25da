//! Moves pixels of any type, by nearest neighbour.

use std::iter::repeat_n;

use super::super::Size;
use super::Rect;

/// Mirrors left and right, in place.
pub(super) fn mirror_horizontally<P>(pixels: &mut [P], size: Size) {
    for row in pixels.chunks_exact_mut(size.width) {
        row.reverse();
    }
}

/// Mirrors top and bottom, in place.
pub(super) fn mirror_vertically<P>(pixels: &mut [P], size: Size) {
    let (upper, lower) = pixels.split_at_mut(size.height / 2 * size.width);
    let pairs = upper
        .chunks_exact_mut(size.width)
        .zip(lower.rchunks_exact_mut(size.width));
    for (upper, lower) in pairs {
        upper.swap_with_slice(lower);
    }
}

/// Puts an image of `size` on a `canvas`, at the row `top` and the column `left`.
pub(super) fn place<P: Copy>(
    pixels: &[P],
    size: Size,
    canvas: Size,
    [top, left]: [isize; 2],
    fill: P,
) -> Vec<P> {
    // Columns of the canvas before the image, and columns of the image before the canvas.
    let before = left.max(0).unsigned_abs().min(canvas.width);
    let lost = left.min(0).unsigned_abs().min(size.width);
    let kept = (canvas.width - before).min(size.width - lost);
    let mut placed = Vec::with_capacity(canvas.area());
    for row in 0..canvas.height {
        let from = (row as isize).saturating_sub(top);
        let inside = usize::try_from(from).is_ok_and(|from| from < size.height);
        if inside {
            let row = &pixels[from.unsigned_abs() * size.width..][..size.width];
            placed.extend(repeat_n(fill, before));
            placed.extend_from_slice(&row[lost..lost + kept]);
            placed.extend(repeat_n(fill, canvas.width - before - kept));
        } else {
            placed.extend(repeat_n(fill, canvas.width));
        }
    }
    placed
}

/// Takes each pixel from the place that `matrix` gives for it, in numbers of 1/65536 pixel.
pub(super) fn affine<P: Copy>(pixels: &[P], size: Size, matrix: &[f64; 6], fill: P) -> Vec<P> {
    let [a, b, c, d, e, f] = *matrix;
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    // The place of the centre of the first pixel.
    let (x, y) = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
    let [a, b, d, e] = [a, b, d, e].map(fixed);
    let (height, width) = (size.height as i64, size.width as i64);
    let mut moved = Vec::with_capacity(size.area());
    for row in 0..height {
        let (mut x, mut y) = (x + row * b, y + row * e);
        moved.extend((0..width).map(|_| {
            let (column, line) = (x >> 16, y >> 16);
            x += a;
            y += d;
            if (0..width).contains(&column) && (0..height).contains(&line) {
                pixels[(line * width + column) as usize]
            } else {
                fill
            }
        }));
    }
    moved
}

/// Resizes a region of an image of `size` to the size `to`.
pub(super) fn pick_region<P: Copy>(pixels: &[P], size: Size, region: Rect, to: Size) -> Vec<P> {
    let rows = nearest(region.top, region.height, to.height, 0..to.height);
    let columns = nearest(region.left, region.width, to.width, 0..to.width);
    pick(pixels, size, rows, columns)
}

/// Resizes an image of `size` to the size `to`, of which only a window is computed.
pub(super) fn pick_window<P: Copy>(pixels: &[P], size: Size, to: Size, window: Rect) -> Vec<P> {
    let rows = window.top..window.top + window.height;
    let columns = window.left..window.left + window.width;
    let rows = nearest(0, size.height, to.height, rows);
    let columns = nearest(0, size.width, to.width, columns);
    pick(pixels, size, rows, columns)
}

/// Where the pixels `kept` are taken from when `length` pixels from `start` on become `to` pixels.
fn nearest(
    start: usize,
    length: usize,
    to: usize,
    kept: std::ops::Range<usize>,
) -> impl Iterator<Item = usize> {
    let step = length as f64 / to as f64;
    kept.map(move |index| {
        let offset = ((index as f64 + 0.5) * step) as usize;
        start + offset.min(length - 1)
    })
}

fn pick<P: Copy>(
    pixels: &[P],
    size: Size,
    rows: impl Iterator<Item = usize>,
    columns: impl Iterator<Item = usize>,
) -> Vec<P> {
    let columns: Vec<_> = columns.collect();
    let rows = rows.map(|row| &pixels[row * size.width..][..size.width]);
    rows.flat_map(|row| columns.iter().map(|&column| row[column]))
        .collect()
}
