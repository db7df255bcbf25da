//! JPEG files, of which only what is needed is decoded.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::ImageFormat;
use image::metadata::Orientation;
use libjpeg_turbo_rs::{Decoder as Jpeg, JpegError, PixelFormat, ScalingFactor};

use super::{Decoder, Failure, Header};
use crate::data::augment::{Rect, Transform, resize_part};
use crate::data::{Image, Size};

/// Denominators of the scales at which a decoder makes fewer pixels, the smallest scale first. 8 x 8
/// coefficients become a block of 1, 2 or 4 pixels a side.
const DENOMINATORS: [usize; 3] = [8, 4, 2];

/// Number of bytes that the coefficients and the pixels of a file take, for each of its pixels.
const BASELINE: u64 = 6;
/// The same where a file repeats its image in several scans, whose coefficients are all kept.
const PROGRESSIVE: u64 = 12;

/// Reads the header of a JPEG file.
pub fn header<'a>(decoder: &'a Decoder, bytes: &'a [u8]) -> Result<Header<'a>, Failure> {
    let jpeg = guarded(|| Jpeg::new(bytes))?;
    let frame = jpeg.header();
    let (width, height) = (frame.width(), frame.height());
    let each = if frame.is_progressive {
        PROGRESSIVE
    } else {
        BASELINE
    };
    let orientation = jpeg.exif_orientation().and_then(Orientation::from_exif);
    Ok(Header {
        decoder,
        bytes,
        format: ImageFormat::Jpeg,
        stored: Size::new(height, width),
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        channels: if frame.components.len() == 1 { 1 } else { 3 },
        memory: each * width as u64 * height as u64,
    })
}

/// Decodes a whole JPEG.
pub fn decode(header: &Header<'_>, channels: usize) -> Result<Image, Failure> {
    let (image, _) = decode_part(header, channels, Part::whole())?;
    Ok(super::upright(image, header.orientation))
}

/// Decodes and transforms a JPEG: at a scale at which it is still as large as what is wanted, and of
/// a crop not much more than its region.
pub fn decode_transformed(
    header: &Header<'_>,
    transform: &Transform,
    channels: usize,
) -> Result<Image, Failure> {
    transform.check(header.size())?;
    let (region, to) = match *transform {
        Transform::Crop { region, to } => (region, to),
        Transform::Resize { to, .. } => (Rect::whole(header.size()), to),
        _ => return Ok(transform.apply(decode(header, channels)?)?),
    };
    let is_crop = matches!(transform, Transform::Crop { .. });
    // What is cut out of an image that is turned is another part of the file, and so is the border
    // where its last pixels do not fill a smaller one.
    let is_upright = header.orientation == Orientation::NoTransforms;
    let fits = |denominator: &usize| {
        let Size { height, width } = header.stored;
        let is_whole = height.is_multiple_of(*denominator) && width.is_multiple_of(*denominator);
        (is_upright || is_whole)
            && region.height >= denominator * to.height
            && region.width >= denominator * to.width
    };
    let denominator = DENOMINATORS.into_iter().find(fits).unwrap_or(1);
    let part = Part {
        denominator,
        region: (is_crop && is_upright).then_some(region),
    };
    let (image, [top, left]) = decode_part(header, channels, part)?;
    let image = super::upright(image, header.orientation);
    if !is_crop && denominator == 1 {
        return Ok(transform.apply(image)?);
    }
    // The region that is wanted in the image that was decoded, whose pixels are larger.
    let scaled = |value: f64| value / denominator as f64;
    let (corner, size, to) = match *transform {
        Transform::Resize { to, window } => {
            let Size { height, width } = header.size();
            let (down, right) = (
                height as f64 / to.height as f64,
                width as f64 / to.width as f64,
            );
            let corner = [down * window.top as f64, right * window.left as f64];
            let size = [down * window.height as f64, right * window.width as f64];
            (corner, size, window.size())
        }
        _ => (
            [region.top as f64, region.left as f64],
            [region.height as f64, region.width as f64],
            to,
        ),
    };
    let corner = [
        scaled(corner[0]) - top as f64,
        scaled(corner[1]) - left as f64,
    ];
    let size = size.map(scaled);
    if denominator == 1 {
        // Exactly these pixels and no others.
        let region = Rect {
            top: region.top - top,
            left: region.left - left,
            ..region
        };
        return Ok(Transform::Crop { region, to }.apply(image)?);
    }
    Ok(resize_part(&image, corner, size, to)?)
}

/// What is decoded of an image.
struct Part {
    /// The image is made smaller by this factor: 1, 2, 4 or 8.
    denominator: usize,
    /// Region of the image, or all of it.
    region: Option<Rect>,
}

impl Part {
    fn whole() -> Self {
        Self {
            denominator: 1,
            region: None,
        }
    }

    /// The first pixel that is wanted and the number of pixels, of the smaller image, in one
    /// direction.
    fn span(&self, start: usize, length: usize, side: usize) -> (usize, usize) {
        let first = start / self.denominator;
        let end = (start + length).div_ceil(self.denominator).min(side);
        (first.min(side - 1), end.max(first + 1) - first)
    }
}

/// Decodes a part of an image as it is stored. Returns it with its first row and column in the image
/// of that scale: columns begin at a whole block.
fn decode_part(
    header: &Header<'_>,
    channels: usize,
    part: Part,
) -> Result<(Image, [usize; 2]), Failure> {
    let scale = (part.denominator * part.denominator) as u64;
    let coefficients = header.memory / 2;
    let _reserved = header.reserve(coefficients + coefficients / scale)?;
    guarded(|| {
        let mut jpeg = Jpeg::new(header.bytes)?;
        let format = if channels == 1 {
            PixelFormat::Grayscale
        } else {
            PixelFormat::Rgb
        };
        jpeg.set_output_format(format);
        jpeg.set_scale(ScalingFactor::try_new(1, part.denominator as u32)?);
        // A file that is cut off is no good image.
        jpeg.set_stop_on_warning(true);
        let mut size = Size::new(jpeg.output_height(), jpeg.output_width());
        let mut corner = [0, 0];
        if let Some(region) = part.region {
            let (top, height) = part.span(region.top, region.height, size.height);
            let (first, width) = part.span(region.left, region.width, size.width);
            jpeg.set_crop_region(first, top, width, height);
            let components = jpeg.header().components.iter();
            let samples = components.map(|one| usize::from(one.horizontal_sampling));
            let block = samples.max().unwrap_or(1) * 8 / part.denominator;
            let left = first - first % block.max(1);
            size = Size::new(height, width + first - left);
            corner = [top, left];
        }
        let mut pixels = vec![0; jpeg.output_buffer_size()?];
        jpeg.decode_image_into(&mut pixels)?;
        Ok((size, corner, pixels))
    })
    .and_then(|(size, corner, pixels)| {
        let image = Image::new(size, channels, pixels).map_err(Failure::bad)?;
        Ok((image, corner))
    })
}

/// Runs the decoder. On a few damaged files it panics, which is one more way to say that they are.
fn guarded<T>(work: impl FnOnce() -> Result<T, JpegError>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Failure::bad),
        Err(_) => Err(Failure::bad("the file is damaged")),
    }
}
