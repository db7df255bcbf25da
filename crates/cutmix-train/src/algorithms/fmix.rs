//! FMix.

use cutmix::ops;
use cutmix::plan::{Mode, PlanSampler, RegionSampler};
use serde::{Deserialize, Serialize};

use super::labels;
use super::registry::{ALPHA, Describe, INTERPOLATE_LOSS, MODE};
use super::{Algorithm, Effects};
use crate::{Error, Event, State};

/// Cuts a smooth random shape out of every image of a batch, fills it from another image of the
/// batch, and mixes the labels by area.
///
/// # What it does
///
/// It is CutMix with a mask in place of the box. For each minibatch it draws lambda from
/// Beta(alpha, alpha), low-frequency noise, and a permutation of the batch. The highest pixels of the
/// noise, a share of `1 - lambda` of the image, are the mask. Sample `i` takes the pixels of the mask
/// from sample `partners[i]`, and its target becomes `lambda * own + (1 - lambda) * partner's`, with
/// lambda corrected to the exact share of pixels outside the mask. The masks have many shapes and no
/// straight borders, so that the network cannot learn the shape of the cut.
///
/// # Starting hyper-parameters
///
/// `alpha = 1` and `decay_power = 3`, the values of the paper. A larger `decay_power` gives smoother
/// borders and fewer pieces.
///
/// # Cost
///
/// Each pixel of the masks is read once and written once ([`ops`]), on the CPU in place. The noise is
/// drawn and transformed on the host, once for each mask; in [`Mode::Sample`] that is one mask for each
/// sample. To a GPU the masks are uploaded, one byte for each pixel. Nothing is read back.
///
/// # Source
///
/// Harris, Marcu, Painter, Niranjan, Prügel-Bennett, Hare: FMix: Enhancing Mixed Sample Data
/// Augmentation. arXiv:2002.12047, 2020.
///
/// ```
/// use cutmix_train::algorithms::FMix;
///
/// let fmix = FMix::new().with_alpha(1.0).with_decay_power(3.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct FMix {
    /// Alpha of Beta(alpha, alpha), from which lambda is drawn; finite and above 0.
    pub alpha: f64,
    /// The power by which the amplitude of the noise falls with its frequency; finite and at least 0.
    pub decay_power: f64,
    /// One mask for the batch, for each pair of samples, or for each sample.
    pub mode: Mode,
    /// Whether two losses are mixed instead of the targets.
    pub interpolate_loss: bool,
}

impl Default for FMix {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            decay_power: 3.0,
            mode: Mode::default(),
            interpolate_loss: false,
        }
    }
}

impl FMix {
    /// FMix with `alpha` 1, `decay_power` 3 and one mask for each batch.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Draws lambda from Beta(alpha, alpha); `alpha` is finite and above 0.
        with_alpha alpha: f64;
        /// Sets the power by which the amplitude of the noise falls with its frequency; finite and at
        /// least 0.
        with_decay_power decay_power: f64;
        /// Cuts one mask for the batch, for each pair or for each sample.
        with_mode mode: Mode;
        /// Keeps the targets as they are and mixes the losses instead:
        /// `lambda * loss(own) + (1 - lambda) * loss(partner's)`. For losses that only take class
        /// indices; see [`loss::interpolate`](cutmix::loss::interpolate) for when the two are equal.
        with_interpolate_loss interpolate_loss: bool;
    }

    fn sampler(&self) -> PlanSampler {
        let decay_power = self.decay_power;
        PlanSampler::new(self.alpha)
            .with_region_sampler(RegionSampler::LowFrequency { decay_power })
            .with_mode(self.mode)
    }
}

impl Describe for FMix {
    const SUMMARY: &'static str = "replaces a smooth random shape of each image by another image's";
    const EVENT: Event = Event::BeforeForward;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        ALPHA,
        (
            "decay-power",
            "a finite number of at least 0: larger ones give smoother borders",
        ),
        MODE,
        INTERPOLATE_LOSS,
    ];
}

impl<M, const D: usize> Algorithm<M, D> for FMix {
    fn name(&self) -> String {
        "fmix".into()
    }

    fn check(&self) -> Result<(), Error> {
        self.sampler().check()?;
        labels::check_mode(self.mode, self.interpolate_loss)
    }

    fn effects(&self) -> Effects {
        labels::effects(self.interpolate_loss)
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if event == Event::BeforeForward {
            let (name, sampler) = ("fmix/lambda", self.sampler());
            labels::cut(state, name, &sampler, self.interpolate_loss, ops::paste)?;
        }
        Ok(())
    }
}
