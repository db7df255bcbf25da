//! Random boxes of one colour.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::{DataError, Size};
use super::random_box::{MAX_RATIO, TRIES, draw_place, draw_sides};
use super::registry::Describe;
use super::{Augmentation, Frame, Interval, Transform, ensure_probability, happens, setters};

/// Fills a random box of some images with the mean colour of the data.
///
/// The area is uniform, the logarithm of the ratio of the sides is uniform, and so is the place. Where
/// ten boxes in a row do not fit into the image, the image stays. The network learns to recognise
/// objects of which a part is hidden.
///
/// Use the default probability 0.5 where little else changes the images, and about 0.1 beside strong
/// augmentations.
///
/// Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020, algorithm 1; area and ratio as
/// in torchvision's `RandomErasing`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RandomErasing {
    /// Share of the images that are changed, in 0..=1.
    pub probability: f64,
    /// Area of the box as a share of the image's, above 0 and up to 1.
    pub scale: Interval,
    /// Height of the box divided by its width, above 0 and up to 1000.
    pub ratio: Interval,
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self {
            probability: 0.5,
            scale: (0.02..=0.33).into(),
            ratio: (0.3..=3.3).into(),
        }
    }
}

impl RandomErasing {
    /// Boxes with 2 to 33 % of the area, in half of the images.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the share of the images that are changed, in 0..=1.
        with_probability probability: f64;
        /// Sets the area of the box as a share of the image's, above 0 and up to 1.
        with_scale scale: impl Into<Interval>;
        /// Sets the height of the box divided by its width, above 0 and up to 1000.
        with_ratio ratio: impl Into<Interval>;
    }
}

impl Describe for RandomErasing {
    const SUMMARY: &'static str = "fills a random box with the mean colour";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "probability",
            "a number in 0..=1: share of the images that are changed",
        ),
        (
            "scale",
            "MIN..MAX in 0..=1, MIN above 0: area of the box as a share of the image's",
        ),
        (
            "ratio",
            "MIN..MAX above 0 and up to 1000: height of the box divided by its width",
        ),
    ];
}

impl Augmentation for RandomErasing {
    fn draw(&self, frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        if !happens(self.probability, rng) {
            return;
        }
        let size = frame.size;
        let draw = |_| {
            let [height, width] = draw_sides(size, self.scale, self.ratio, rng);
            let fits = (1..size.height).contains(&height) && (1..size.width).contains(&width);
            fits.then(|| draw_place(size, Size::new(height, width), rng))
        };
        let erase = |region| Transform::Erase {
            region,
            fill: frame.mean,
        };
        transforms.extend((0..TRIES).find_map(draw).map(erase));
    }

    fn check(&self) -> Result<(), DataError> {
        ensure_probability("probability", self.probability)?;
        self.scale.check("scale", 1.0)?;
        self.ratio.check("ratio", MAX_RATIO)
    }
}
