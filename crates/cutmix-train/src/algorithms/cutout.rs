//! CutOut.

use cutmix::functional::cutout_regions;
use cutmix::ops;
use cutmix::plan::{Length, Mode, Region};
use serde::{Deserialize, Serialize};

use super::Algorithm;
use super::labels::mean;
use super::registry::Describe;
use crate::{Error, Event, State};

/// Fills a square of every image of a batch with one value; the labels do not change.
///
/// # What it does
///
/// For each image it draws a centre, uniform over the pixels, and fills the square of the side
/// `length` around it with one value. The border clips the square, so that some images stay mostly
/// whole; the paper found this important. The network cannot rely on one distinctive patch, and has
/// to use the whole image.
///
/// # Starting hyper-parameters
///
/// The best length depends on the data: the more classes, the smaller. On images of 32 pixels the
/// paper uses 16 pixels for CIFAR-10, 8 for CIFAR-100 and 20 for SVHN. Without a better guess, use half
/// of the side (`CutOut::new(0.5)`), and a quarter where there are many classes. The value 0, the
/// default, is the mean of images that have been normalised.
///
/// # Cost
///
/// Each pixel of the squares is written once, in place ([`ops`]), and nothing is read: less than
/// CutMix. A few numbers are uploaded. `cutmix bench` measures it (`fill`).
///
/// # Source
///
/// DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with Cutout.
/// arXiv:1708.04552, 2017.
///
/// ```
/// use cutmix_train::algorithms::CutOut;
///
/// let in_pixels = CutOut::new(16);
/// let half_of_the_side = CutOut::new(0.5);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct CutOut {
    /// The side of the squares: a whole number of pixels, or a share of the smallest side of the
    /// image.
    pub length: Length,
    /// The finite value that fills the squares, in the units of the images.
    pub value: f64,
    /// One square for each sample, or one for the batch. There are no pairs.
    pub mode: Mode,
}

impl Default for CutOut {
    fn default() -> Self {
        Self {
            length: Length::Share(0.5),
            value: 0.0,
            mode: Mode::Sample,
        }
    }
}

impl CutOut {
    /// Squares of this side, in pixels (`16`) or as a share of the smallest side of the image
    /// (`0.5`), one for each image, filled with 0.
    pub fn new(length: impl Into<Length>) -> Self {
        Self {
            length: length.into(),
            ..Self::default()
        }
    }

    setters! {
        /// Fills the squares with this finite value, in the units of the images.
        with_value value: f64;
        /// Cuts one square for each sample, or the same one for the whole batch.
        with_mode mode: Mode;
    }
}

impl Describe for CutOut {
    const SUMMARY: &'static str = "fills a square of each image with one value";
    const EVENT: Event = Event::BeforeForward;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "length",
            "the side of the square: pixels, such as 16, or a share of the smallest side of the \
             image above 0.0 and up to 1.0, such as 0.5",
        ),
        (
            "value",
            "a finite number: the value of the pixels in the square",
        ),
        (
            "mode",
            "sample or batch: a square for each sample, or one for the batch",
        ),
    ];
    const UNNAMED: Option<&'static str> = Some("length");

    fn check_images(&self, spatial: &[usize]) -> Result<(), Error> {
        self.length.pixels(spatial)?;
        Ok(())
    }
}

impl<M, const D: usize> Algorithm<M, D> for CutOut {
    fn name(&self) -> String {
        "cutout".into()
    }

    fn check(&self) -> Result<(), Error> {
        self.length.check()?;
        Error::ensure(
            self.value.is_finite(),
            "value",
            self.value,
            "a finite number",
        )?;
        let accepted = "batch or sample, as there are no partners";
        Error::ensure(self.mode != Mode::Pair, "mode", self.mode, accepted)
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if event != Event::BeforeForward {
            return Ok(());
        }
        let regions = cutout_regions(self.length, self.mode, state.images()?, &mut state.rng())?;
        let pixels: usize = state.images()?.dims()[2..].iter().product();
        let share = |region: &Region| region.volume() as f64 / pixels as f64;
        let shares: Vec<_> = regions.iter().map(share).collect();
        state.log("cutout/share", mean(&shares));
        state.map_images(|images| Ok(ops::fill(images, &regions, self.value)?))
    }
}
