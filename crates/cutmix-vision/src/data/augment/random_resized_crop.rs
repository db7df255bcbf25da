//! Random crops that are resized.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::{DataError, Size};
use super::random_box::{MAX_RATIO, TRIES, draw_place, draw_sides};
use super::registry::Describe;
use super::{Augmentation, Frame, Interval, Rect, Transform, setters};

/// Cuts out a box of random area, shape and place, and resizes it to the target size.
///
/// The area is uniform, the logarithm of the ratio of the sides is uniform, and so is the place. Where
/// ten boxes in a row do not fit into the image, the largest one in the middle whose ratio is accepted
/// is taken.
///
/// The default is usual for photographs in runs of 90 epochs and more; short runs often use a scale
/// from 0.35 on, as fast.ai does for Imagenette.
///
/// Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6; the tries and the
/// box after them as in torchvision's `RandomResizedCrop`.
///
/// ```
/// use cutmix_vision::data::augment::RandomResizedCrop;
///
/// let crop = RandomResizedCrop::new().with_scale(0.35..=1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Area of the box as a share of the image's, above 0 and up to 1.
    pub scale: Interval,
    /// Width of the box divided by its height, above 0 and up to 1000.
    pub ratio: Interval,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self {
            scale: (0.08..=1.0).into(),
            ratio: (3.0 / 4.0..=4.0 / 3.0).into(),
        }
    }
}

impl RandomResizedCrop {
    /// Boxes with 8 to 100 % of the area, up to a third longer than high or higher than long.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the area of the box as a share of the image's, above 0 and up to 1.
        with_scale scale: impl Into<Interval>;
        /// Sets the width of the box divided by its height, above 0 and up to 1000.
        with_ratio ratio: impl Into<Interval>;
    }

    /// The largest box in the middle of the image whose ratio is accepted.
    fn largest(&self, size: Size) -> Rect {
        let Size { height, width } = size;
        let ratio = width as f64 / height as f64;
        let part = if ratio < self.ratio.min {
            let height = (width as f64 / self.ratio.min).round_ties_even();
            Size::new((height as usize).max(1), width)
        } else if ratio > self.ratio.max {
            let width = (height as f64 * self.ratio.max).round_ties_even();
            Size::new(height, (width as usize).max(1))
        } else {
            size
        };
        Rect {
            top: height.saturating_sub(part.height) / 2,
            left: width.saturating_sub(part.width) / 2,
            ..Rect::whole(part)
        }
    }
}

impl Describe for RandomResizedCrop {
    const SUMMARY: &'static str = "cuts out a random box and resizes it to the target size";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "scale",
            "MIN..MAX in 0..=1, MIN above 0: area of the box as a share of the image's",
        ),
        (
            "ratio",
            "MIN..MAX above 0 and up to 1000: width of the box divided by its height",
        ),
    ];
}

impl Augmentation for RandomResizedCrop {
    fn draw(&self, frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        let size = frame.size;
        let draw = |_| {
            let [width, height] = draw_sides(size, self.scale, self.ratio, rng);
            let fits = (1..=size.height).contains(&height) && (1..=size.width).contains(&width);
            fits.then(|| draw_place(size, Size::new(height, width), rng))
        };
        let region = (0..TRIES).find_map(draw);
        transforms.push(Transform::Crop {
            region: region.unwrap_or_else(|| self.largest(size)),
            to: frame.target,
        });
    }

    fn resizes(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), DataError> {
        self.scale.check("scale", 1.0)?;
        self.ratio.check("ratio", MAX_RATIO)
    }
}
