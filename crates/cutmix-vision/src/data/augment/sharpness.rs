//! Sharpens and smooths images, in place.

use std::mem;

use super::super::Image;
use super::color::blend;

/// Scales the distance of each pixel to the mean of its neighbourhood by `factor`.
pub(super) fn sharpen(mut image: Image, factor: f64) -> Image {
    let (size, channels, factor) = (image.size(), image.channels(), factor as f32);
    // The border stays.
    if size.shorter_side() < 3 {
        return image;
    }
    let length = size.width * channels;
    let pixels = image.pixels_mut();
    // Two rows as they were before.
    let mut above = pixels[..length].to_vec();
    let mut row = above.clone();
    for start in (length..pixels.len() - length).step_by(length) {
        let (changed, below) = pixels[start..].split_at_mut(length);
        row.copy_from_slice(changed);
        let below = &below[..length];
        let column = |index: usize| {
            u16::from(above[index]) + u16::from(row[index]) + u16::from(below[index])
        };
        for index in channels..length - channels {
            let sides = column(index - channels) + column(index + channels);
            let sum = sides + column(index) + 4 * u16::from(row[index]);
            // Rounded; the weights are 8 ones and a 5.
            let smooth = ((sum + 6) / 13) as u8;
            changed[index] = blend(smooth, row[index], factor);
        }
        mem::swap(&mut above, &mut row);
    }
    image
}
