//! Maps of numbers over images, as colours.

use cutmix_vision::models::{Features, class_activation_map, upsample};
use cutmix_vision::{AnyNetwork, Image, Size};

use super::rgb;
use crate::error::Error;
use crate::outputs::read;

/// The map "inferno" of matplotlib, at equal distances. Equal steps look equal, and it is read by
/// lightness alone as well, so also by people who do not tell red from green.
const COLORS: [[u8; 3]; 17] = [
    [0, 0, 4],
    [11, 7, 36],
    [33, 12, 74],
    [61, 9, 101],
    [87, 16, 110],
    [113, 25, 110],
    [138, 34, 106],
    [163, 44, 97],
    [188, 55, 84],
    [210, 70, 68],
    [228, 90, 49],
    [241, 115, 29],
    [249, 142, 9],
    [252, 172, 17],
    [249, 203, 53],
    [242, 234, 105],
    [252, 255, 164],
];

/// The part of a picture that is colour; the rest is the image in grey.
const COVER: f32 = 0.65;

/// The colour of a share in 0..=1; below it is that of 0, above that of 1.
pub fn color(share: f32) -> [u8; 3] {
    let at = share.clamp(0.0, 1.0) * (COLORS.len() - 1) as f32;
    let below = (at as usize).min(COLORS.len() - 2);
    let rest = at - below as f32;
    std::array::from_fn(|channel| {
        let [low, high] = [below, below + 1].map(|index| f32::from(COLORS[index][channel]));
        (low + (high - low) * rest).round() as u8
    })
}

/// The class activation maps of images with these features for a class each.
pub fn heat_maps(
    model: &AnyNetwork,
    features: Features,
    classes: &[usize],
) -> Result<Vec<Heat>, Error> {
    let maps = class_activation_map(model, features, classes)?;
    let [_, height, width] = maps.dims();
    let size = Size::new(height, width);
    let values = read(maps)?;
    let maps = values.chunks_exact(size.area());
    Ok(maps.map(|map| Heat::new(size, map.to_vec())).collect())
}

/// A map of numbers that covers an image, with fewer places than the image has pixels.
#[derive(Clone, Debug)]
pub struct Heat {
    size: Size,
    values: Vec<f32>,
}

impl Heat {
    /// The map of these values, row by row.
    pub fn new(size: Size, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), size.area(), "the number of values");
        Self { size, values }
    }

    /// The highest value; 0 where none is above 0.
    pub fn highest(&self) -> f32 {
        self.values.iter().copied().fold(0.0, f32::max)
    }

    /// Puts the map over an image, between its places bilinearly: the colours go from 0 to `highest`.
    pub fn over(&self, image: &Image, highest: f32) -> Image {
        let Size { height, width } = image.size();
        let mut pixels = Vec::with_capacity(3 * height * width);
        let scale = if highest > 0.0 { highest.recip() } else { 0.0 };
        let values = upsample(&self.values, self.size, image.size());
        for (at, value) in values.into_iter().enumerate() {
            let [red, green, blue] = rgb(image, at / width, at % width).map(f32::from);
            // The luma of ITU-R BT.601.
            let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
            let color = color(scale * value).map(f32::from);
            pixels.extend(color.map(|ink| (COVER * ink + (1.0 - COVER) * grey).round() as u8));
        }
        Image::new(image.size(), 3, pixels).expect("there are three bytes for each pixel")
    }
}

#[cfg(test)]
#[path = "../../tests/unit/heat.rs"]
mod tests;
