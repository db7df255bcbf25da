//! From an image file to the pixels of a sample.

use std::io::Cursor;
use std::path::Path;

use fast_image_resize::images::Image;
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{
    FilterType, PixelTrait, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer,
};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::DataError;

/// Largest side that images are resized to.
const MAX_SIZE: usize = 4096;

/// Decodes the image file `path` to `channels` planes of `size` x `size` values in 0..=255.
///
/// JPEG, PNG, WebP and BMP are recognised by their content; of an animation the first frame is
/// read. An orientation in the EXIF data is applied. The shorter side is resized to `size`
/// (antialiased, bilinear) and the middle is cut out. `channels` is 1 for grey or 3 for RGB: the
/// image is converted, transparency is dropped and 16-bit values become 8-bit.
///
/// # Errors
/// [`DataError::NotFound`], [`DataError::Io`], [`DataError::Image`] where the file is empty or
/// cannot be decoded, [`DataError::Argument`] where `size` is not in 1..=4096 or `channels` not 1
/// or 3.
pub fn load_image(
    path: impl AsRef<Path>,
    size: usize,
    channels: usize,
) -> Result<Vec<u8>, DataError> {
    check_target(size, Some(channels))?;
    let path = path.as_ref();
    resize(path, decode(path)?, size, channels)
}

/// Decodes an image as [`load_image`] does, with the number of channels that it has itself: 1 or 3.
pub(super) fn load_native(path: &Path, size: usize) -> Result<(usize, Vec<u8>), DataError> {
    let image = decode(path)?;
    let channels = if image.color().has_color() { 3 } else { 1 };
    Ok((channels, resize(path, image, size, channels)?))
}

/// Checks the side and number of channels that an image is converted to.
pub(super) fn check_target(size: usize, channels: Option<usize>) -> Result<(), DataError> {
    if !(1..=MAX_SIZE).contains(&size) {
        return Err(DataError::argument("size", size, "1 to 4096 pixels"));
    }
    match channels {
        None | Some(1 | 3) => Ok(()),
        Some(other) => Err(DataError::argument(
            "channels",
            other,
            "1 (grey) or 3 (RGB)",
        )),
    }
}

fn decode(path: &Path) -> Result<DynamicImage, DataError> {
    let bytes = std::fs::read(path).map_err(|error| DataError::io(path, error))?;
    if bytes.is_empty() {
        return Err(DataError::image(path, "the file is empty"));
    }
    let bad = |error| DataError::image(path, error);
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| DataError::io(path, error))?;
    if reader.format().is_none() {
        return Err(DataError::image(path, "not a JPEG, PNG, WebP or BMP file"));
    }
    let mut decoder = reader.into_decoder().map_err(bad)?;
    // A broken EXIF block is no reason to lose the picture.
    let orientation = decoder.orientation().ok();
    // A few bytes may claim to be an image that no memory can hold.
    let mut limits = Limits::default();
    limits.reserve(decoder.total_bytes()).map_err(bad)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(bad)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(image)
}

fn resize(
    path: &Path,
    image: DynamicImage,
    size: usize,
    channels: usize,
) -> Result<Vec<u8>, DataError> {
    let (width, height) = (image.width(), image.height());
    let (pixel, pixels) = match channels {
        1 => (PixelType::U8, image.into_luma8().into_raw()),
        _ => (PixelType::U8x3, image.into_rgb8().into_raw()),
    };
    let side = size as u32;
    let interleaved = if (width, height) == (side, side) {
        pixels
    } else {
        let source = Image::from_vec_u8(width, height, pixels, pixel)
            .map_err(|error| DataError::image(path, error))?;
        let mut target = Image::new(side, side, pixel);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .fit_into_destination(None);
        // For each pixel type by name: the untyped call compiles all of the crate's fifteen.
        match pixel {
            PixelType::U8 => scale::<U8>(&source, &mut target, &options),
            _ => scale::<U8x3>(&source, &mut target, &options),
        }
        .map_err(|error| DataError::image(path, error))?;
        target.into_vec()
    };
    Ok(planes(interleaved, channels))
}

/// Resizes images that both have the pixel type `P`.
fn scale<P: PixelTrait>(
    source: &Image,
    target: &mut Image,
    options: &ResizeOptions,
) -> Result<(), ResizeError> {
    match (source.typed_image::<P>(), target.typed_image_mut::<P>()) {
        (Some(source), Some(mut target)) => {
            Resizer::new().resize_typed(&source, &mut target, options)
        }
        _ => Err(ResizeError::PixelTypesAreDifferent),
    }
}

/// Reorders pixels from `H x W x C` to `C x H x W`.
fn planes(interleaved: Vec<u8>, channels: usize) -> Vec<u8> {
    if channels == 1 {
        return interleaved;
    }
    (0..channels)
        .flat_map(|channel| interleaved.iter().skip(channel).step_by(channels))
        .copied()
        .collect()
}
