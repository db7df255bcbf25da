//! CutMix.

use super::labels::{Labels, mean};
use super::{Algorithm, Effects, Step};
use crate::functional::cutmix_plan;
use crate::plan::{Drawer, Mode, Sampler};
use crate::{Error, ops};

/// Cuts a box out of every image of a batch, fills it from another image of the batch, and mixes
/// the labels by area.
///
/// # What it does
///
/// For each minibatch it draws lambda from Beta(alpha, alpha), a box with the share `1 - lambda`
/// of the image, and a permutation of the batch; one of each for the whole batch, or as [`Mode`]
/// says. Sample `i` takes the pixels of the box from sample `partners[i]`, and its target becomes
/// `lambda * own + (1 - lambda) * partner's`, with lambda corrected to the share of pixels that
/// the clipped box really left. The network has to recognise an object from the part that is left,
/// and cannot rest on its most telling patch; the paper reports better accuracy, localisation and
/// robustness.
///
/// # Starting hyper-parameters
///
/// `alpha = 1` (lambda uniform), on every batch. Long runs gain most: the task is harder, so
/// training loss is higher and the gain shows late. Where a short run or a small network learns too
/// little, mix half of the batches ([`When`](super::When)). Composing it with other regularisers
/// often gives diminishing returns; see docs/ALGORITHMS.md.
///
/// # Cost
///
/// Each pixel of the boxes is read once and written once, where it is ([`ops`]); a few numbers are
/// uploaded, nothing is read back. `cargo bench --workspace --bench training` measures it against a
/// training step; docs/PERFORMANCE.md has the figures.
///
/// # Source
///
/// Yun, Han, Oh, Chun, Choe, Yoo: CutMix: Regularization Strategy to Train Strong Classifiers with
/// Localizable Features. ICCV 2019, section 3 and appendix A.
///
/// ```
/// use cutmix::algorithms::CutMix;
/// use cutmix::plan::Sampler;
///
/// let cutmix = CutMix::new(1000).alpha(1.0).sampler(Sampler::Paper);
/// ```
#[derive(Clone, Debug)]
pub struct CutMix {
    labels: Labels,
    drawer: Drawer,
}

impl CutMix {
    /// CutMix for `num_classes` classes, with `alpha` 1 and the paper's sampler.
    pub fn new(num_classes: usize) -> Self {
        Self {
            labels: Labels::new(num_classes),
            drawer: Drawer::new(1.0),
        }
    }

    /// Draws lambda from Beta(alpha, alpha); finite and above 0.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.drawer = self.drawer.alpha(alpha);
        self
    }

    /// Draws regions in another way.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.drawer = self.drawer.sampler(sampler);
        self
    }

    /// Cuts one region for the batch (the default), for each pair or for each sample.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.drawer = self.drawer.mode(mode);
        self
    }

    /// Keeps the targets as they are and mixes the losses instead:
    /// `lambda * loss(own) + (1 - lambda) * loss(partner's)`. For losses that only take class
    /// indices; see [`loss::interpolate`](crate::loss::interpolate) for when the two are equal.
    pub fn interpolate_loss(mut self, interpolate_loss: bool) -> Self {
        self.labels.interpolate_loss = interpolate_loss;
        self
    }
}

impl<const D: usize> Algorithm<D> for CutMix {
    fn name(&self) -> String {
        "cutmix".into()
    }

    fn check(&self) -> Result<(), Error> {
        self.drawer.check()?;
        self.labels.check(self.drawer.mode)
    }

    fn effects(&self) -> Effects {
        self.labels.effects()
    }

    fn before_forward(&self, step: &mut Step<D>) -> Result<(), Error> {
        let plan = cutmix_plan(&self.drawer, step.images(), &mut step.rng())?;
        step.note("cutmix/lambda", mean(plan.lambdas()));
        self.labels.mix(step, plan.as_ref())?;
        step.map_images(|images| ops::paste(images, &plan))
    }
}
