//! What is done to one image.

use serde::{Deserialize, Serialize};

use super::super::{DataError, Size};
use super::{Rect, ensure};

/// What is done to one image: plain data, drawn before it is applied.
///
/// Nothing is random here: a transform does the same to every image, so it can be printed, stored,
/// repeated, or applied to an image and its map of classes. The results on images with 1 and 3
/// channels equal those of `torchvision.transforms.functional` on Pillow images within one level of
/// 255. Colours (`fill`) are red, green and blue; an image with 1 channel takes their grey value.
///
/// ```
/// use cutmix_vision::data::augment::Transform;
/// use cutmix_vision::data::{Image, Size};
///
/// let image = Image::new(Size::new(1, 3), 1, vec![10, 20, 30])?;
/// let image = Transform::MirrorHorizontally.apply(image)?;
/// assert_eq!(Transform::Brightness(2.0).apply(image)?.pixels(), [60, 40, 20]);
/// # Ok::<(), cutmix_vision::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Transform {
    /// Cuts out a region and resizes it to the size `to` (bilinear, antialiased). Pixels outside of
    /// the region have no influence, unless the image is a JPEG that is decoded at a fraction of its
    /// size.
    Crop {
        /// The region, which lies inside the image.
        region: Rect,
        /// The size of the result.
        to: Size,
    },
    /// Resizes the whole image to the size `to` (bilinear, antialiased) and keeps a window of the
    /// result. Only the window is computed, so `to` may be larger than an image can be, with sides of
    /// up to 2^32 - 1 pixels.
    Resize {
        /// The size of the whole image after it is resized.
        to: Size,
        /// The part of the resized image that is kept.
        window: Rect,
    },
    /// Puts the image on a canvas, which cuts off what lies outside: a shift, a padding or a crop
    /// without resizing.
    Place {
        /// The size of the canvas, which is that of the result.
        canvas: Size,
        /// Row of the canvas where the image begins; negative above the canvas.
        top: isize,
        /// Column of the canvas where the image begins; negative to the left of the canvas.
        left: isize,
        /// Colour of the canvas that the image does not cover.
        fill: [u8; 3],
    },
    /// Mirrors left and right.
    MirrorHorizontally,
    /// Mirrors top and bottom.
    MirrorVertically,
    /// Moves pixels by an affine map (nearest neighbour); the size stays. The matrix `[a, b, c, d, e,
    /// f]` gives the place in the image from which the pixel at column `x` and row `y` of the result
    /// is taken: column `a x + b y + c`, row `d x + e y + f`, where the centre of the first pixel is
    /// at `x = y = 0.5`. Numbers are in -1e6..=1e6, and rounded to 1/65536.
    Affine {
        /// Matrix from the result to the image.
        matrix: [f64; 6],
        /// Colour where the place lies outside of the image.
        fill: [u8; 3],
    },
    /// Multiplies all values by the factor, at least 0: 0 is black, 1 the image itself.
    Brightness(f64),
    /// Scales the distance to the mean grey value by the factor, at least 0: 0 is uniform grey, 1 the
    /// image itself.
    Contrast(f64),
    /// Scales the distance of each pixel to its grey value by the factor, at least 0: 0 is a grey
    /// image, 1 the image itself. Grey images stay.
    Saturation(f64),
    /// Turns the hue by a share of the colour circle in -0.5..=0.5. Grey images stay.
    Hue(f64),
    /// Scales the distance of each pixel to a smoothed image by the factor, at least 0: 0 is smooth,
    /// 1 the image itself, 2 sharper. Smooth is the mean over 3 x 3 pixels, with weight 5 in the
    /// middle; pixels at the border stay.
    Sharpness(f64),
    /// Keeps the highest 1..=8 bits of each value.
    Posterize(u8),
    /// Inverts the values from the threshold on.
    Solarize(u8),
    /// Stretches the values of each channel to 0..=255.
    AutoContrast,
    /// Spreads the values of each channel so that all are about equally frequent.
    Equalize,
    /// Replaces each value by its distance to 255.
    Invert,
    /// Replaces each pixel by its grey value; the number of channels stays.
    Grayscale,
    /// Fills a region with a colour. Maps of classes stay.
    Erase {
        /// The region, which lies inside the image.
        region: Rect,
        /// The colour that fills the region.
        fill: [u8; 3],
    },
}

impl Transform {
    /// Turns an image of `size` counterclockwise around its centre, by an angle in degrees.
    pub fn rotation(degrees: f64, size: Size, fill: [u8; 3]) -> Self {
        let (sine, cosine) = libm::sincos(degrees.to_radians());
        let (x, y) = (size.width as f64 / 2.0, size.height as f64 / 2.0);
        let matrix = [
            cosine,
            -sine,
            x - cosine * x + sine * y,
            sine,
            cosine,
            y - sine * x - cosine * y,
        ];
        Self::Affine { matrix, fill }
    }

    /// Shears an image along its rows: a row `y` pixels from the top moves to the left by `shear * y`
    /// pixels.
    pub const fn shear_horizontally(shear: f64, fill: [u8; 3]) -> Self {
        let matrix = [1.0, shear, 0.0, 0.0, 1.0, 0.0];
        Self::Affine { matrix, fill }
    }

    /// Shears an image along its columns: a column `x` pixels from the left moves up by `shear * x`
    /// pixels.
    pub const fn shear_vertically(shear: f64, fill: [u8; 3]) -> Self {
        let matrix = [1.0, 0.0, 0.0, shear, 1.0, 0.0];
        Self::Affine { matrix, fill }
    }

    /// Size of an image of the size `input` after the transform.
    pub fn output_size(&self, input: Size) -> Size {
        match self {
            Self::Crop { to, .. } => *to,
            Self::Resize { window, .. } => window.size(),
            Self::Place { canvas, .. } => *canvas,
            _ => input,
        }
    }

    /// Checks that the transform can be applied to an image of the size `input`.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] for a region outside of the image, a window outside of the resized
    /// image, a resized image that is too large, a result with a side that is not in
    /// 1..=[`Size::MAX_SIDE`], or a number out of range.
    pub fn check(&self, input: Size) -> Result<(), DataError> {
        let factor = |argument, factor: f64| {
            let is_accepted = factor.is_finite() && factor >= 0.0;
            ensure(
                is_accepted,
                argument,
                factor,
                "a finite number of at least 0",
            )
        };
        match *self {
            Self::Crop { region, to } => {
                region.check_inside("region", input)?;
                to.check("size of the crop")
            }
            Self::Resize { to, window } => {
                // Smaller parts of a pixel would be lost in rounding.
                let is_accepted = to.height.max(to.width) <= u32::MAX as usize;
                let expected = format!("sides of at most {} pixels", u32::MAX);
                ensure(is_accepted, "size after resizing", to, expected)?;
                window.check_inside("window", to)?;
                window.size().check("size of the window")
            }
            Self::Place { canvas, .. } => canvas.check("canvas"),
            Self::Affine { matrix, .. } => {
                let is_accepted = matrix.iter().all(|value| value.abs() <= 1e6);
                let found = format!("{matrix:?}");
                ensure(is_accepted, "matrix", found, "numbers in -1e6..=1e6")
            }
            Self::Brightness(value) => factor("brightness", value),
            Self::Contrast(value) => factor("contrast", value),
            Self::Saturation(value) => factor("saturation", value),
            Self::Sharpness(value) => factor("sharpness", value),
            Self::Hue(share) => {
                let is_accepted = share.abs() <= 0.5;
                ensure(is_accepted, "hue", share, "a number in -0.5..=0.5")
            }
            Self::Posterize(bits) => {
                ensure((1..=8).contains(&bits), "bits", bits, "a number in 1..=8")
            }
            Self::Erase { region, .. } => region.check_inside("region", input),
            _ => Ok(()),
        }
    }
}
