//! JPEG files, of which only what is needed is decoded.

use image::ImageFormat;
use image::metadata::Orientation;

use super::jpeg::{Damage, File, Part};
use super::{Decoded, Decoder, Failure, Header};
use crate::data::augment::{Rect, Transform, resize_part};
use crate::data::{Image, Size};

/// Denominators of the scales at which a decoder makes fewer pixels, the smallest scale first. 8 x
/// 8 coefficients become a block of 1, 2 or 4 pixels a side.
const DENOMINATORS: [usize; 3] = [8, 4, 2];

impl From<Damage> for Failure {
    fn from(Damage(reason): Damage) -> Self {
        Self::bad(reason)
    }
}

/// Reads the header of a JPEG file.
pub fn header<'a>(decoder: &'a Decoder, bytes: &'a [u8]) -> Result<Header<'a>, Failure> {
    let file = File::new(bytes)?;
    let stored = Size::new(file.height, file.width);
    let channels = if file.components.len() == 1 { 1 } else { 3 };
    Ok(Header {
        decoder,
        bytes,
        format: ImageFormat::Jpeg,
        stored,
        orientation: (file.exif)
            .and_then(Orientation::from_exif_chunk)
            .unwrap_or(Orientation::NoTransforms),
        channels,
        memory: 0,
        jpeg: Some(file),
    })
}

/// All pixels of an image.
pub fn whole(size: Size, channels: usize) -> Part {
    part(Rect::whole(size), 1, channels)
}

/// The pixels of a smaller image in which this region of the stored one is seen.
fn part(region: Rect, denominator: usize, channels: usize) -> Part {
    let span =
        |start: usize, length: usize| start / denominator..(start + length).div_ceil(denominator);
    Part {
        denominator,
        rows: span(region.top, region.height),
        columns: span(region.left, region.width),
        channels,
    }
}

impl Header<'_> {
    /// Decodes a part of a JPEG, and turns it as its file says.
    fn decode_part(&self, file: &File<'_>, part: &Part) -> Result<Decoded<'_>, Failure> {
        let size = Size::new(part.rows.len(), part.columns.len());
        let turned = match self.orientation {
            Orientation::NoTransforms => 0,
            _ => (size.area() * part.channels) as u64,
        };
        let reserved = self.reserve(file.memory(part) + turned)?;
        let image = Image::new(size, part.channels, file.decode(part)?).map_err(Failure::bad)?;
        Ok((super::upright(image, self.orientation), reserved))
    }

    /// Decodes a whole JPEG.
    pub(super) fn decode_jpeg(
        &self,
        file: &File<'_>,
        channels: usize,
    ) -> Result<Decoded<'_>, Failure> {
        self.decode_part(file, &whole(self.stored, channels))
    }

    /// Decodes and transforms a JPEG: at a scale at which it is still as large as what is wanted,
    /// and no more of it than is wanted.
    pub(super) fn decode_jpeg_transformed(
        &self,
        file: &File<'_>,
        transform: &Transform,
        channels: usize,
    ) -> Result<Image, Failure> {
        transform.check(self.size())?;
        let (region, to) = match *transform {
            Transform::Crop { region, to } => (region, to),
            Transform::Resize { to, .. } => (Rect::whole(self.size()), to),
            _ => {
                let (image, _reserved) = self.decode_jpeg(file, channels)?;
                return Ok(transform.apply(image)?);
            }
        };
        // What is cut out of an image that is turned is another part of the file, and so is the
        // border where its last pixels do not fill a smaller one.
        let is_upright = self.orientation == Orientation::NoTransforms;
        let fits = |denominator: &usize| {
            let Size { height, width } = self.stored;
            let is_whole =
                height.is_multiple_of(*denominator) && width.is_multiple_of(*denominator);
            (is_upright || is_whole)
                && region.height >= denominator * to.height
                && region.width >= denominator * to.width
        };
        let denominator = DENOMINATORS.into_iter().find(fits).unwrap_or(1);
        let seen = match transform {
            Transform::Crop { .. } if is_upright => region,
            _ => Rect::whole(self.stored),
        };
        let part = part(seen, denominator, channels);
        let (image, _reserved) = self.decode_part(file, &part)?;
        // The first pixel that was decoded; of an image that is turned, all were.
        let (top, left) = (part.rows.start, part.columns.start);
        if denominator == 1 {
            return Ok(match *transform {
                Transform::Crop { region, to } => {
                    let (top, left) = (region.top - top, region.left - left);
                    let region = Rect {
                        top,
                        left,
                        ..region
                    };
                    Transform::Crop { region, to }.apply(image)?
                }
                _ => transform.apply(image)?,
            });
        }
        // The region that is wanted in the image that was decoded, whose pixels are larger.
        let (corner, size, to) = match *transform {
            Transform::Resize { to, window } => {
                let Size { height, width } = self.size();
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
        let scaled = |value: f64| value / denominator as f64;
        let corner = [
            scaled(corner[0]) - top as f64,
            scaled(corner[1]) - left as f64,
        ];
        Ok(resize_part(&image, corner, size.map(scaled), to)?)
    }
}
