//! MixUp.

use cutmix::ops;
use cutmix::plan::{Mode, PlanSampler};
use serde::{Deserialize, Serialize};

use super::labels::{self, mean};
use super::registry::{ALPHA, Describe, INTERPOLATE_LOSS, MODE};
use super::{Algorithm, Effects};
use crate::{Error, Event, State};

/// Blends every sample of a batch with another one, and mixes the labels by the same shares.
///
/// # What it does
///
/// For each minibatch it draws lambda from Beta(alpha, alpha) and a permutation of the batch; one
/// lambda for the whole batch, or as [`Mode`] says. All pixels of sample `i` become
/// `lambda * own + (1 - lambda) * partner's`, and so does its target, by exactly the same numbers.
/// The network is asked to behave linearly between samples; the paper reports better accuracy, and
/// more robustness against wrong labels and adversarial examples.
///
/// # Starting hyper-parameters
///
/// The paper uses `alpha` from 0.1 to 0.4 on ImageNet, where larger values underfit, and 1 on CIFAR.
/// The default here is 0.2. Beside CutMix, 0.8 is widely used; see
/// [`MixUpOrCutMix`](super::MixUpOrCutMix). Like CutMix it makes the task harder:
/// the training loss is higher, and small networks and short runs gain least.
///
/// # Cost
///
/// Each pixel of the batch is read once and written once, in place ([`ops`]): more than CutMix, which
/// touches a box, but still a small part of a training step. A few numbers are uploaded, nothing is
/// read back. `cutmix bench` measures it (`blend`).
///
/// # Source
///
/// Zhang, Cissé, Dauphin, Lopez-Paz: mixup: Beyond Empirical Risk Minimization. ICLR 2018.
///
/// ```
/// use cutmix::plan::Mode;
/// use cutmix_train::algorithms::MixUp;
///
/// let mixup = MixUp::new().with_alpha(0.2).with_mode(Mode::Pair);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct MixUp {
    /// Alpha of Beta(alpha, alpha), from which lambda is drawn; finite and above 0. Near 0 one sample
    /// of two is almost invisible, and 1 makes all shares equally likely.
    pub alpha: f64,
    /// One lambda for the batch, for each pair of samples, or for each sample.
    pub mode: Mode,
    /// Whether two losses are mixed instead of the targets.
    pub interpolate_loss: bool,
}

impl Default for MixUp {
    fn default() -> Self {
        Self {
            alpha: 0.2,
            mode: Mode::default(),
            interpolate_loss: false,
        }
    }
}

impl MixUp {
    /// MixUp with `alpha` 0.2 and one lambda for each batch.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Draws lambda from Beta(alpha, alpha); `alpha` is finite and above 0.
        with_alpha alpha: f64;
        /// Draws one lambda for the batch, for each pair or for each sample.
        with_mode mode: Mode;
        /// Keeps the targets as they are and mixes the losses instead:
        /// `lambda * loss(own) + (1 - lambda) * loss(partner's)`. For losses that only take class
        /// indices; see [`loss::interpolate`](cutmix::loss::interpolate) for when the two are equal.
        with_interpolate_loss interpolate_loss: bool;
    }

    fn sampler(&self) -> PlanSampler {
        PlanSampler::new(self.alpha).with_mode(self.mode)
    }
}

impl Describe for MixUp {
    const SUMMARY: &'static str = "blends each image with another one, and the targets with it";
    const EVENT: Event = Event::BeforeForward;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[ALPHA, MODE, INTERPOLATE_LOSS];
}

impl<M, const D: usize> Algorithm<M, D> for MixUp {
    fn name(&self) -> String {
        "mixup".into()
    }

    fn check(&self) -> Result<(), Error> {
        self.sampler().check()?;
        labels::check_mode(self.mode, self.interpolate_loss)
    }

    fn effects(&self) -> Effects {
        labels::effects(self.interpolate_loss)
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if event != Event::BeforeForward {
            return Ok(());
        }
        let batch = state.images()?.dims()[0];
        let mixture = self.sampler().draw_mixture(batch, &mut state.rng())?;
        state.log("mixup/lambda", mean(mixture.lambdas()));
        labels::mix(state, &mixture, self.interpolate_loss)?;
        state.map_images(|images| Ok(ops::mix(images, &mixture)?))
    }
}
