//! MixUp.

use super::labels::{Labels, mean};
use super::{Algorithm, Effects, Step};
use crate::plan::{Drawer, Mode};
use crate::{Error, ops};

/// Blends every sample of a batch with another one, and mixes the labels by the same shares.
///
/// # What it does
///
/// For each minibatch it draws lambda from Beta(alpha, alpha) and a permutation of the batch; one
/// lambda for the whole batch, or as [`Mode`] says. Sample `i` becomes
/// `lambda * own + (1 - lambda) * partner's`, all of its pixels, and so does its target, by exactly
/// the same numbers. The network is asked to behave linearly between samples; the paper reports
/// better accuracy, and more robustness against wrong labels and adversarial examples.
///
/// # Starting hyper-parameters
///
/// The paper takes `alpha` from 0.1 to 0.4 on ImageNet, where larger values underfit, and 1 on
/// CIFAR. The default here is 0.2. Beside CutMix, 0.8 is widely used; see
/// [`OneOf::mixup_or_cutmix`](super::OneOf::mixup_or_cutmix). Like CutMix it makes the task harder:
/// training loss is higher, and small networks and short runs gain least.
///
/// # Cost
///
/// Each pixel of the batch is read once and written once, where it is ([`ops`]); more than CutMix,
/// which touches a box, but still a small part of a training step. A few numbers are uploaded,
/// nothing is read back. `cutmix bench` measures it (`blend`).
///
/// # Source
///
/// Zhang, Cissé, Dauphin, Lopez-Paz: mixup: Beyond Empirical Risk Minimization. ICLR 2018.
///
/// ```
/// use cutmix::algorithms::MixUp;
/// use cutmix::plan::Mode;
///
/// let mixup = MixUp::new(1000).alpha(0.2).mode(Mode::Pair);
/// ```
#[derive(Clone, Debug)]
pub struct MixUp {
    labels: Labels,
    drawer: Drawer,
}

impl MixUp {
    /// MixUp for `num_classes` classes, with `alpha` 0.2 and one lambda for the batch.
    pub fn new(num_classes: usize) -> Self {
        Self {
            labels: Labels::new(num_classes),
            drawer: Drawer::new(0.2),
        }
    }

    /// Draws lambda from Beta(alpha, alpha); finite and above 0.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.drawer = self.drawer.alpha(alpha);
        self
    }

    /// Draws one lambda for the batch (the default), for each pair or for each sample.
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

impl<const D: usize> Algorithm<D> for MixUp {
    fn name(&self) -> String {
        "mixup".into()
    }

    fn check(&self) -> Result<(), Error> {
        self.drawer.check()?;
        self.labels.check(self.drawer.mode)
    }

    fn effects(&self) -> Effects {
        self.labels.effects()
    }

    fn before_forward(&self, step: &mut Step<D>) -> Result<(), Error> {
        let batch = step.images().dims()[0];
        let mixture = self.drawer.draw_mixture(batch, &mut step.rng())?;
        step.note("mixup/lambda", mean(mixture.lambdas()));
        self.labels.mix(step, &mixture)?;
        step.map_images(|images| ops::mix(images, &mixture))
    }
}
