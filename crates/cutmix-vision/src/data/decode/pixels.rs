//! From the pixels of a file to those of an image: 8 bits, without transparency, grey or RGB.

use image::{DynamicImage, GrayAlphaImage, ImageBuffer, Luma, LumaA, Rgb, Rgba, RgbaImage};

use super::Depth;
use crate::data::{DataError, Image, Size};

/// Turns 16-bit values into 8-bit ones.
pub fn to_eight_bits(image: DynamicImage, depth: Depth) -> DynamicImage {
    match image {
        DynamicImage::ImageLuma16(image) => {
            let (width, height) = image.dimensions();
            let values = scaled(image.into_raw(), 1, 1, depth);
            buffer::<Luma<u8>>(width, height, values).into()
        }
        DynamicImage::ImageLumaA16(image) => {
            let (width, height) = image.dimensions();
            let values = scaled(image.into_raw(), 2, 1, depth);
            buffer::<LumaA<u8>>(width, height, values).into()
        }
        DynamicImage::ImageRgb16(image) => {
            let (width, height) = image.dimensions();
            let values = scaled(image.into_raw(), 3, 3, depth);
            buffer::<Rgb<u8>>(width, height, values).into()
        }
        DynamicImage::ImageRgba16(image) => {
            let (width, height) = image.dimensions();
            let values = scaled(image.into_raw(), 4, 3, depth);
            buffer::<Rgba<u8>>(width, height, values).into()
        }
        image => image,
    }
}

fn buffer<P: image::Pixel<Subpixel = u8>>(
    width: u32,
    height: u32,
    values: Vec<u8>,
) -> ImageBuffer<P, Vec<u8>> {
    ImageBuffer::from_raw(width, height, values)
        .expect("there is one value for each of the 16-bit image")
}

/// 8-bit values for pixels of `channels` values, of which the first `colors` are colours and a last
/// one is opacity, which always uses all 16 bits.
fn scaled(values: Vec<u16>, channels: usize, colors: usize, depth: Depth) -> Vec<u8> {
    let bits = match depth {
        Depth::Bits(bits) => bits,
        Depth::Auto => {
            let mut all = values
                .chunks_exact(channels)
                .flat_map(|pixel| &pixel[..colors]);
            if all.all(|&value| value < 1 << 12) {
                12
            } else {
                16
            }
        }
    };
    let eight = |value: u16, most: u32| ((u32::from(value) * 255 + most / 2) / most).min(255) as u8;
    let most = (1 << bits) - 1;
    let scale = |(at, value)| eight(value, if at % channels < colors { most } else { 65_535 });
    values.into_iter().enumerate().map(scale).collect()
}

/// Puts an 8-bit image on a background where it is transparent, and converts it to 1 or 3 channels.
pub fn flatten(
    image: DynamicImage,
    background: [u8; 3],
    channels: usize,
) -> Result<Image, DataError> {
    let size = Size {
        height: image.height() as usize,
        width: image.width() as usize,
    };
    let (own, pixels) = match image {
        DynamicImage::ImageLuma8(image) => (1, image.into_raw()),
        DynamicImage::ImageRgb8(image) => (3, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => grey_on(image, background),
        DynamicImage::ImageRgba8(image) => (3, color_on(image, background)),
        // Of values that are no whole numbers, such as those of some TIFF files.
        other if other.color().has_color() => (3, color_on(other.into_rgba8(), background)),
        other => grey_on(other.into_luma_alpha8(), background),
    };
    Image::new(size, own, pixels)?.into_channels(channels)
}

/// Grey pixels on a background, which may be coloured; the number of channels and the pixels.
fn grey_on(image: GrayAlphaImage, background: [u8; 3]) -> (usize, Vec<u8>) {
    let is_grey = background.iter().all(|&value| value == background[0]);
    let channels = if is_grey { 1 } else { 3 };
    let mut pixels = Vec::with_capacity(image.len() / 2 * channels);
    for LumaA([value, alpha]) in image.pixels() {
        pixels.extend(
            background[..channels]
                .iter()
                .map(|&behind| over(*value, *alpha, behind)),
        );
    }
    (channels, pixels)
}

fn color_on(image: RgbaImage, background: [u8; 3]) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(image.len() / 4 * 3);
    for Rgba([red, green, blue, alpha]) in image.pixels() {
        let front = [red, green, blue].into_iter().zip(background);
        pixels.extend(front.map(|(&value, behind)| over(value, *alpha, behind)));
    }
    pixels
}

/// A value over another one, at this opacity.
fn over(value: u8, alpha: u8, behind: u8) -> u8 {
    let (value, alpha, behind) = (u32::from(value), u32::from(alpha), u32::from(behind));
    ((value * alpha + behind * (255 - alpha) + 127) / 255) as u8
}
