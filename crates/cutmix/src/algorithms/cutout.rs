//! CutOut.

use super::labels::mean;
use super::{Algorithm, Step};
use crate::functional::{check_value, cutout_plan};
use crate::plan::{Drawer, Length, Mode, Region};
use crate::{Error, ops};

/// Cuts a square out of every image of a batch and leaves a plain surface; the labels stay.
///
/// # What it does
///
/// For each image it draws a centre, uniform over the pixels, and fills the square of the side
/// `length` around it with one value. The border clips the square, so that about as much is cut
/// from an image as it can afford: the paper found it important that some images stay mostly
/// whole. The network cannot rest on one telling patch, and has to use the whole image.
///
/// # Starting hyper-parameters
///
/// The best length depends on the data: the more classes, the smaller. On images of 32 pixels the
/// paper takes 16 pixels for CIFAR-10, 8 for CIFAR-100 and 20 for SVHN. Without a better guess, half
/// of the side, `CutOut::new(0.5)`, and a quarter where there are many classes. The value 0, the
/// default, is the mean of images that have been normalised.
///
/// # Cost
///
/// Each pixel of the squares is written once, where it is ([`ops`]), and nothing is read: less than
/// CutMix. A few numbers are uploaded. `cutmix bench` measures it (`fill`).
///
/// # Source
///
/// DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with Cutout.
/// arXiv:1708.04552, 2017.
///
/// ```
/// use cutmix::algorithms::CutOut;
///
/// let in_pixels = CutOut::new(16);
/// let half_of_the_side = CutOut::new(0.5);
/// ```
#[derive(Clone, Debug)]
pub struct CutOut {
    length: Length,
    value: f64,
    mode: Mode,
}

impl CutOut {
    /// Cuts squares of this side, in pixels (`16`) or as a share of the image's smallest side
    /// (`0.5`), out of each image, and fills them with 0.
    pub fn new(length: impl Into<Length>) -> Self {
        Self {
            length: length.into(),
            value: 0.0,
            mode: Mode::Sample,
        }
    }

    /// Fills the squares with this finite value, in the units of the images.
    pub fn value(mut self, value: f64) -> Self {
        self.value = value;
        self
    }

    /// Cuts a square of its own out of each sample (the default), or the same one out of the whole
    /// batch. There are no pairs.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }
}

impl<const D: usize> Algorithm<D> for CutOut {
    fn name(&self) -> String {
        "cutout".into()
    }

    fn check(&self) -> Result<(), Error> {
        self.length.check()?;
        check_value(self.value)?;
        Drawer::new(1.0).mode(self.mode).check_no_pairs()
    }

    fn before_forward(&self, step: &mut Step<D>) -> Result<(), Error> {
        let regions = cutout_plan(self.length, self.mode, step.images(), &mut step.rng())?;
        let pixels: usize = step.images().dims()[2..].iter().product();
        let share = |region: &Region| region.volume() as f64 / pixels as f64;
        let shares: Vec<_> = regions.iter().map(share).collect();
        step.note("cutout/share", mean(&shares));
        step.map_images(|images| ops::fill(images, &regions, self.value))
    }
}
