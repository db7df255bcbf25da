//! How images become those that a network takes.

use serde::{Deserialize, Serialize};

use super::augment::{Fit, Frame, Rect, Transform};
use super::decode::{Failure, Header};
use super::{DataError, Image, Size};

/// Largest side that images are resized to.
pub(crate) const MAX_SIDE: usize = 4096;

/// Colour around images that do not fill their shape: the mean of ImageNet.
pub(crate) const PADDING: [u8; 3] = [124, 116, 104];

/// How images of any size become those that a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct View {
    /// Shape `[C, H, W]` of every image, with `C` 1 (grey) or 3 (RGB), and sides in 1..=4096.
    pub shape: [usize; 3],
    /// What happens to images of another aspect ratio. Default [`Fit::Crop`].
    #[serde(default)]
    pub fit: Fit,
    /// Share of the sides that [`Fit::Crop`] keeps, in (0, 1]: 0.875 cuts 224 pixels out of 256.
    /// Default 1.
    #[serde(default = "one")]
    pub crop_share: f64,
}

fn one() -> f64 {
    1.0
}

impl View {
    /// Images of the shape `[C, H, W]`, cut out of the middle.
    pub fn new(shape: [usize; 3]) -> Self {
        Self {
            shape,
            fit: Fit::Crop,
            crop_share: 1.0,
        }
    }

    /// Sets what happens to images of another aspect ratio.
    pub fn with_fit(self, fit: Fit) -> Self {
        Self { fit, ..self }
    }

    /// Sets the share of the sides that [`Fit::Crop`] keeps.
    pub fn with_crop_share(self, crop_share: f64) -> Self {
        Self { crop_share, ..self }
    }

    /// Checks that every option is in range.
    ///
    /// # Errors
    /// [`DataError::Argument`] for the first one that is not.
    pub fn check(&self) -> Result<(), DataError> {
        let [channels, height, width] = self.shape;
        let sides = 1..=MAX_SIDE;
        if !matches!(channels, 1 | 3) || !sides.contains(&height) || !sides.contains(&width) {
            let expected = "[C, H, W] with C 1 or 3 and sides of 1 to 4096 pixels";
            let value = format!("{:?}", self.shape);
            return Err(DataError::argument("shape", value, expected));
        }
        if !(self.crop_share > 0.0 && self.crop_share <= 1.0) {
            let expected = "a number above 0 and up to 1";
            return Err(DataError::argument("crop_share", self.crop_share, expected));
        }
        Ok(())
    }

    /// Height and width of every image.
    pub fn size(&self) -> Size {
        let [_, height, width] = self.shape;
        Size { height, width }
    }

    /// Share of the area of an image of this size that is seen, in 0..=1.
    pub(crate) fn seen_share(&self, size: Size) -> f64 {
        if self.fit != Fit::Crop {
            return 1.0;
        }
        let ratio = |size: Size| size.width as f64 / size.height as f64;
        let (own, target) = (ratio(size), ratio(self.size()));
        (own / target).min(target / own) * self.crop_share.powi(2)
    }

    /// What is done to an image of this size.
    pub(crate) fn transforms(&self, size: Size) -> Result<Vec<Transform>, DataError> {
        let frame = Frame {
            size,
            target: self.size(),
            mean: PADDING,
        };
        self.fit.transforms(&frame, self.crop_share)
    }

    /// Where a box of an image of this size is in the image that the network sees, cut to it; `None`
    /// where no pixel of it is seen.
    pub(crate) fn seen_box(&self, region: Rect, size: Size) -> Result<Option<Rect>, DataError> {
        let (mut seen, mut size) = (region.seen_in(Rect::whole(size)), size);
        for transform in self.transforms(size)? {
            seen = seen.and_then(|seen| moved(seen, size, &transform));
            size = transform.output_size(size);
        }
        Ok(seen)
    }

    /// An image that may have another size, in that of the view.
    pub(crate) fn fitted(&self, image: Image) -> Result<Image, DataError> {
        if image.size() == self.size() {
            return Ok(image);
        }
        let transforms = self.transforms(image.size())?;
        Transform::apply_all(&transforms, image)
    }
}

/// Where a box inside an image of this size is after a transform of a view; `None` where it is cut off.
fn moved(region: Rect, size: Size, transform: &Transform) -> Option<Rect> {
    match *transform {
        Transform::Crop { region: kept, to } => {
            Some(region.seen_in(kept)?.resized(kept.size(), to))
        }
        Transform::Resize { to, window } => region.resized(size, to).seen_in(window),
        Transform::Place {
            canvas, top, left, ..
        } => {
            let placed = Rect {
                top: region.top + top.max(0).unsigned_abs(),
                left: region.left + left.max(0).unsigned_abs(),
                ..region
            };
            let window = Rect {
                top: top.min(0).unsigned_abs(),
                left: left.min(0).unsigned_abs(),
                ..Rect::whole(canvas)
            };
            placed.seen_in(window)
        }
        // A view resizes, cuts and pads; it moves pixels in no other way.
        _ => Some(region),
    }
}

/// The image of a sample, of which a file has not been decoded.
pub(crate) enum Opened<'a> {
    File(Header<'a>),
    Image(Image),
}

impl Opened<'_> {
    pub fn size(&self) -> Size {
        match self {
            Self::File(header) => header.size(),
            Self::Image(image) => image.size(),
        }
    }

    /// Number of channels that the image has by itself.
    pub fn channels(&self) -> usize {
        match self {
            Self::File(header) => header.channels(),
            Self::Image(image) => image.channels(),
        }
    }

    /// The image with 1 or 3 channels, after these transforms. A file may be decoded only as far as the
    /// first of them needs it.
    pub fn transformed(self, channels: usize, transforms: &[Transform]) -> Result<Image, Failure> {
        let (image, rest) = match (self, transforms) {
            (Self::File(header), [first, rest @ ..]) => {
                (header.decode_transformed(first, channels)?, rest)
            }
            (Self::File(header), []) => return header.decode(channels),
            (Self::Image(image), rest) => (image.into_channels(channels)?, rest),
        };
        Ok(Transform::apply_all(rest, image)?)
    }
}
