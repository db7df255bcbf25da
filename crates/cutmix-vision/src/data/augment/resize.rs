//! Resizes images, bilinear and antialiased.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeError, ResizeOptions, Resizer};

use super::super::{DataError, Image, Size};
use super::Rect;

/// Resizes a region of an image to the size `to`, as if nothing lay outside of the region.
pub(super) fn crop(image: &Image, region: Rect, to: Size) -> Result<Image, DataError> {
    resize(image, region, options(), to)
}

/// Resizes an image to the size `to`, of which only a window is computed.
pub(super) fn window(image: &Image, to: Size, window: Rect) -> Result<Image, DataError> {
    let size = image.size();
    // The window in the pixels of the image.
    let scale = [
        size.height as f64 / to.height as f64,
        size.width as f64 / to.width as f64,
    ];
    let corner = [window.top as f64 * scale[0], window.left as f64 * scale[1]];
    let lengths = [
        window.height as f64 * scale[0],
        window.width as f64 * scale[1],
    ];
    part(image, corner, lengths, window.size())
}

/// Resizes a part of an image to the size `to`. Its first row and column, and its height and width, need
/// not be whole numbers.
pub(in crate::data) fn part(
    image: &Image,
    [top, left]: [f64; 2],
    [height, width]: [f64; 2],
    to: Size,
) -> Result<Image, DataError> {
    let size = image.size();
    // Rounding must not push the end out of the image.
    let height = height.min(size.height as f64 - top);
    let width = width.min(size.width as f64 - left);
    let options = options().crop(left, top, width, height);
    resize(image, Rect::whole(size), options, to)
}

fn options() -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
}

fn resize(
    image: &Image,
    region: Rect,
    options: ResizeOptions,
    to: Size,
) -> Result<Image, DataError> {
    let channels = image.channels();
    let mut pixels = vec![0; to.area() * channels];
    // For each pixel type by name: the untyped call compiles all of the crate's fifteen.
    let resized = match channels {
        1 => convolve::<U8>(image, region, &options, to, &mut pixels),
        _ => convolve::<U8x3>(image, region, &options, to, &mut pixels),
    };
    resized.map_err(|error| {
        let expected = format!("a region that can be resized ({error})");
        DataError::argument("region", region, expected)
    })?;
    Image::new(to, channels, pixels)
}

/// Writes a region of an image to `pixels`, whose size is `to`.
fn convolve<P: PixelTrait>(
    image: &Image,
    region: Rect,
    options: &ResizeOptions,
    to: Size,
    pixels: &mut [u8],
) -> Result<(), ResizeError> {
    // Sides are below 2^15.
    let [top, left, height, width] =
        [region.top, region.left, region.height, region.width].map(|value| value as u32);
    let size = image.size();
    let source =
        TypedImageRef::<P>::from_buffer(size.width as u32, size.height as u32, image.pixels());
    let target = TypedImage::<P>::from_buffer(to.width as u32, to.height as u32, pixels);
    let (Ok(source), Ok(mut target)) = (source, target) else {
        return Err(ResizeError::PixelTypesAreDifferent);
    };
    let source = TypedCroppedImage::from_ref(&source, left, top, width, height)?;
    Resizer::new().resize_typed(&source, &mut target, options)
}
