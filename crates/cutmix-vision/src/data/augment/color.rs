//! Changes the colours of images, in place.

use std::array;

use super::super::Image;
use super::super::pixels::{colors, luma};
use super::Rect;

type Table = [u8; 256];

/// The value at `factor` on the line from `from` (0) to `to` (1), cut off at 0 and 255 and rounded
/// down.
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let from = f32::from(from);
    (from + factor * (f32::from(to) - from)) as u8
}

pub(super) fn brightness(image: Image, factor: f64) -> Image {
    map_values(image, |value| blend(0, value, factor as f32))
}

pub(super) fn contrast(image: Image, factor: f64) -> Image {
    let pixels = image.pixels();
    let sum: u64 = match image.channels() {
        1 => pixels.iter().map(|&value| u64::from(value)).sum(),
        _ => colors(pixels).map(|color| u64::from(luma(color))).sum(),
    };
    let mean = (sum as f64 / image.size().area() as f64 + 0.5) as u8;
    map_values(image, |value| blend(mean, value, factor as f32))
}

pub(super) fn saturation(image: Image, factor: f64) -> Image {
    let factor = factor as f32;
    map_colors(image, |color| {
        let grey = luma(color);
        color.map(|value| blend(grey, value, factor))
    })
}

pub(super) fn grayscale(image: Image) -> Image {
    map_colors(image, |color| [luma(color); 3])
}

pub(super) fn posterize(image: Image, bits: u8) -> Image {
    // At least one bit is kept and at most eight, as `Transform::check` says.
    let mask = u8::MAX << (8 - bits);
    map_values(image, |value| value & mask)
}

pub(super) fn solarize(image: Image, threshold: u8) -> Image {
    map_values(image, |value| {
        if value < threshold {
            value
        } else {
            255 - value
        }
    })
}

pub(super) fn invert(image: Image) -> Image {
    map_values(image, |value| 255 - value)
}

pub(super) fn auto_contrast(image: Image) -> Image {
    map_channels(image, |counts| {
        let is_used = |count: &usize| *count > 0;
        let lowest = counts.iter().position(is_used).unwrap_or(0);
        let highest = counts.iter().rposition(is_used).unwrap_or(255);
        if highest <= lowest {
            return identity();
        }
        let scale = 255.0 / (highest - lowest) as f64;
        let offset = -(lowest as f64) * scale;
        array::from_fn(|value| (value as f64 * scale + offset) as u8)
    })
}

/// Maps each value to the share of lower ones, in 255 steps that hold equally many pixels.
pub(super) fn equalize(image: Image) -> Image {
    map_channels(image, |counts| {
        let highest = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        let step = counts[..highest].iter().sum::<usize>() / 255;
        if step == 0 {
            return identity();
        }
        let mut lower = step / 2;
        array::from_fn(|value| {
            let level = (lower / step).min(255) as u8;
            lower += counts[value];
            level
        })
    })
}

pub(super) fn erase(mut image: Image, region: Rect, fill: [u8; 3]) -> Image {
    let (channels, width) = (image.channels(), image.size().width);
    let rows = image.pixels_mut().chunks_exact_mut(width * channels);
    for row in rows.skip(region.top).take(region.height) {
        let erased = &mut row[region.left * channels..][..region.width * channels];
        match channels {
            1 => erased.fill(luma(fill)),
            _ => erased.as_chunks_mut().0.fill(fill),
        }
    }
    image
}

fn identity() -> Table {
    array::from_fn(|value| value as u8)
}

/// Replaces all values.
fn map_values(mut image: Image, change: impl Fn(u8) -> u8) -> Image {
    let table: Table = array::from_fn(|value| change(value as u8));
    for value in image.pixels_mut() {
        *value = table[usize::from(*value)];
    }
    image
}

/// Replaces the values of each channel, by a table that is made from the number of pixels of each
/// value.
fn map_channels(mut image: Image, table: impl Fn(&[usize; 256]) -> Table) -> Image {
    let channels = image.channels();
    for channel in 0..channels {
        let mut counts = [0; 256];
        for &value in image.pixels().iter().skip(channel).step_by(channels) {
            counts[usize::from(value)] += 1;
        }
        let table = table(&counts);
        let values = image.pixels_mut().iter_mut().skip(channel);
        for value in values.step_by(channels) {
            *value = table[usize::from(*value)];
        }
    }
    image
}

/// Replaces the pixels of a colour image.
pub(super) fn map_colors(mut image: Image, change: impl Fn([u8; 3]) -> [u8; 3]) -> Image {
    if image.channels() == 3 {
        for pixel in image.pixels_mut().as_chunks_mut().0 {
            *pixel = change(*pixel);
        }
    }
    image
}
