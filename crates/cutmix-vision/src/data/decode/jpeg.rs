//! JPEG files.

use image::ImageFormat;
use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Decoder, Failure, Header};
use crate::data::augment::Transform;
use crate::data::{Image, Size};

/// Reads the header of a JPEG file.
pub fn header<'a>(decoder: &'a Decoder, bytes: &'a [u8]) -> Result<Header<'a>, Failure> {
    let mut jpeg = JpegDecoder::new(ZCursor::new(bytes));
    jpeg.decode_headers().map_err(Failure::bad)?;
    let info = jpeg
        .info()
        .ok_or_else(|| Failure::bad("the file has no image"))?;
    let orientation = (jpeg.exif()).and_then(|exif| Orientation::from_exif_chunk(exif));
    let pixels = u64::from(info.width) * u64::from(info.height);
    Ok(Header {
        decoder,
        bytes,
        format: ImageFormat::Jpeg,
        stored: Size {
            height: info.height.into(),
            width: info.width.into(),
        },
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        channels: if info.components == 1 { 1 } else { 3 },
        memory: 6 * pixels,
    })
}

/// Decodes a whole JPEG.
pub fn decode(header: &Header<'_>, channels: usize) -> Result<Image, Failure> {
    let _reserved = header.reserve(header.memory)?;
    let color = if channels == 1 {
        ColorSpace::Luma
    } else {
        ColorSpace::RGB
    };
    let options = DecoderOptions::default()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(color);
    let mut jpeg = JpegDecoder::new_with_options(ZCursor::new(header.bytes), options);
    let pixels = jpeg.decode().map_err(Failure::bad)?;
    let image = Image::new(header.stored, channels, pixels)?;
    Ok(super::upright(image, header.orientation))
}

/// Decodes and transforms a JPEG.
pub fn decode_transformed(
    header: &Header<'_>,
    transform: &Transform,
    channels: usize,
) -> Result<Image, Failure> {
    Ok(transform.apply(decode(header, channels)?)?)
}
