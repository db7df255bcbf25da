//! CutMix.

use rand::RngExt;

use super::{Algorithm, Effects, Interpolation, Step};
use crate::functional::cutmix_plan;
use crate::plan::{Drawer, Mode, Plan, Sampler};
use crate::{Error, ops};

/// Cuts a box out of every image of a batch, fills it from another image of the batch, and mixes
/// the labels by area.
///
/// # What it does
///
/// For each minibatch it draws lambda from Beta(alpha, alpha), a box with the share `1 - lambda`
/// of the image, and a permutation of the batch; one of each for the whole batch, or as
/// [`Mode`] says. Sample `i` takes
/// the pixels of the box from sample `partners[i]`, and its target becomes
/// `lambda * own + (1 - lambda) * partner's`, with lambda corrected to the share of pixels that
/// the clipped box really left. The network has to recognise an object from the part that is left,
/// and cannot rest on its most telling patch; the paper reports better accuracy, localisation and
/// robustness.
///
/// # Starting hyper-parameters
///
/// `alpha = 1` (lambda uniform) and `probability = 1`. Long runs gain most: the task is harder, so
/// training loss is higher and the gain shows late. Where a short run or a small network learns too
/// little, lower the probability to 0.5. Composing it with other regularisers often gives diminishing returns.
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
/// let cutmix = CutMix::new(1000).alpha(1.0).sampler(Sampler::Paper).probability(0.5);
/// ```
#[derive(Clone, Debug)]
pub struct CutMix {
    num_classes: usize,
    drawer: Drawer,
    mode: Mode,
    probability: f64,
    interpolate_loss: bool,
}

impl CutMix {
    /// CutMix for `num_classes` classes, with `alpha` 1, the paper's sampler, on every batch.
    pub fn new(num_classes: usize) -> Self {
        Self {
            num_classes,
            drawer: Drawer::new(1.0),
            mode: Mode::default(),
            probability: 1.0,
            interpolate_loss: false,
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
        self.mode = mode;
        self.drawer = self.drawer.mode(mode);
        self
    }

    /// Mixes a batch with this probability, in `0.0..=1.0`.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// Keeps the targets as they are and mixes the losses instead:
    /// `lambda * loss(own) + (1 - lambda) * loss(partner's)`. For losses that only take class
    /// indices; see [`loss::interpolate`](crate::loss::interpolate) for when the two are equal.
    pub fn interpolate_loss(mut self, interpolate_loss: bool) -> Self {
        self.interpolate_loss = interpolate_loss;
        self
    }

    /// The plan for a step, or none if this batch is left alone.
    fn plan<const D: usize>(&self, step: &Step<D>) -> Result<Option<Plan>, Error> {
        let mut rng = step.rng();
        // Without a choice to make nothing is drawn, so that the plan is the functional one.
        if self.probability < 1.0 && rng.random::<f64>() >= self.probability {
            return Ok(None);
        }
        cutmix_plan(&self.drawer, step.images(), &mut rng).map(Some)
    }
}

/// Over the regions of a batch.
fn mean(lambdas: &[f64]) -> f64 {
    lambdas.iter().sum::<f64>() / lambdas.len() as f64
}

impl<const D: usize> Algorithm<D> for CutMix {
    fn name(&self) -> String {
        "cutmix".into()
    }

    fn check(&self) -> Result<(), Error> {
        self.drawer.check()?;
        if self.num_classes == 0 {
            return Err(Error::argument("num_classes", 0, "at least one class"));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::argument(
                "probability",
                self.probability,
                "a number in 0..=1",
            ));
        }
        if self.interpolate_loss && self.mode != Mode::Batch {
            return Err(Error::argument(
                "interpolate_loss",
                format!("on in the mode `{}`", self.mode),
                "the mode `batch`, as a loss is interpolated by one lambda for the batch; or \
                 dense targets",
            ));
        }
        Ok(())
    }

    fn effects(&self) -> Effects {
        Effects {
            mixes_targets: self.probability > 0.0,
            makes_dense: !self.interpolate_loss,
            interpolates_loss: self.interpolate_loss,
            ..Effects::default()
        }
    }

    fn before_forward(&self, step: &mut Step<D>) -> Result<(), Error> {
        if step.interpolation.is_some() {
            return Err(Error::argument(
                "interpolation",
                "set by an algorithm before this one",
                "one algorithm that interpolates the loss, after all that mix targets",
            ));
        }
        let Some(plan) = self.plan(step)? else {
            return Ok(());
        };
        step.note("cutmix/lambda", mean(plan.lambdas()));
        if self.interpolate_loss {
            step.interpolation = Some(Interpolation {
                targets: step.targets.partners(&plan)?,
                lambda: plan.lambda(0),
            });
        } else {
            step.targets = step.targets.clone().mix(self.num_classes, &plan)?.into();
        }
        step.map_images(|images| ops::paste(images, &plan))
    }
}
