//! CutMix.

use cutmix::ops;
use cutmix::plan::{Mode, PlanSampler, RegionSampler};
use serde::{Deserialize, Serialize};

use super::labels;
use super::registry::{ALPHA, Describe, INTERPOLATE_LOSS, MODE};
use super::{Algorithm, Effects};
use crate::{Error, Event, State};

/// Cuts a box out of every image of a batch, fills it from another image of the batch, and mixes
/// the labels by area.
///
/// # What it does
///
/// For each minibatch it draws lambda from Beta(alpha, alpha), a box with the share `1 - lambda` of
/// the image, and a permutation of the batch; one of each for the whole batch, or as [`Mode`] says.
/// Sample `i` takes the pixels of the box from sample `partners[i]`, and its target becomes
/// `lambda * own + (1 - lambda) * partner's`, with lambda corrected to the share of pixels that the clipped
/// box really left. The network has to recognise an object from the part that is left, and cannot
/// rely on its most distinctive patch; the paper reports better accuracy, localisation and
/// robustness.
///
/// # Starting hyper-parameters
///
/// `alpha = 1` (lambda uniform), on every batch. Long runs gain most: the task is harder, so the
/// training loss is higher and the gain shows late. Where a short run or a small network learns too
/// little, mix half of the batches ([`When`](super::When)). Composing it with other regularisers
/// often gives diminishing returns; see docs/ALGORITHMS.md.
///
/// # Cost
///
/// Each pixel of the boxes is read once and written once, in place ([`ops`]); a few numbers are
/// uploaded, nothing is read back. `cargo bench --workspace --bench training` measures it against a
/// training step; docs/PERFORMANCE.md has the figures.
///
/// # Source
///
/// Yun, Han, Oh, Chun, Choe, Yoo: CutMix: Regularization Strategy to Train Strong Classifiers with
/// Localizable Features. ICCV 2019, section 3 and appendix A.
///
/// ```
/// use cutmix::plan::RegionSampler;
/// use cutmix_train::algorithms::CutMix;
///
/// let cutmix = CutMix::new().with_alpha(1.0).with_region_sampler(RegionSampler::Paper);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct CutMix {
    /// Alpha of Beta(alpha, alpha), from which lambda is drawn; finite and above 0. Near 0 the box
    /// is almost nothing or almost everything, and 1 makes all sizes equally likely.
    pub alpha: f64,
    /// The rule by which boxes are drawn.
    #[serde(rename = "sampler")]
    pub region_sampler: RegionSampler,
    /// One box for the batch, for each pair of samples, or for each sample.
    pub mode: Mode,
    /// Whether two losses are mixed instead of the targets.
    pub interpolate_loss: bool,
}

impl Default for CutMix {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            region_sampler: RegionSampler::default(),
            mode: Mode::default(),
            interpolate_loss: false,
        }
    }
}

impl CutMix {
    /// CutMix with `alpha` 1 and the paper's boxes, one for each batch.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Draws lambda from Beta(alpha, alpha); `alpha` is finite and above 0.
        with_alpha alpha: f64;
        /// Sets the rule by which boxes are drawn.
        with_region_sampler region_sampler: RegionSampler;
        /// Cuts one box for the batch, for each pair or for each sample.
        with_mode mode: Mode;
        /// Keeps the targets as they are and mixes the losses instead:
        /// `lambda * loss(own) + (1 - lambda) * loss(partner's)`. For losses that only take class
        /// indices; see [`loss::interpolate`](cutmix::loss::interpolate) for when the two are equal.
        with_interpolate_loss interpolate_loss: bool;
    }

    fn sampler(&self) -> PlanSampler {
        PlanSampler::new(self.alpha)
            .with_region_sampler(self.region_sampler)
            .with_mode(self.mode)
    }
}

impl Describe for CutMix {
    const SUMMARY: &'static str = "replaces a box of each image by that of another image";
    const EVENT: Event = Event::BeforeForward;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        ALPHA,
        (
            "sampler",
            "paper, uniform, min-max:MIN..MAX, scale:MIN..MAX or low-frequency:POWER: how the \
             region is drawn, with MIN and MAX as shares of the side of the image",
        ),
        MODE,
        INTERPOLATE_LOSS,
    ];
}

impl<M, const D: usize> Algorithm<M, D> for CutMix {
    fn name(&self) -> String {
        "cutmix".into()
    }

    fn check(&self) -> Result<(), Error> {
        self.sampler().check()?;
        let sampler = self.region_sampler;
        let draws_no_lambda = matches!(
            sampler,
            RegionSampler::MinMax { .. } | RegionSampler::Scale { .. }
        );
        let is_accepted = !draws_no_lambda || self.alpha == Self::default().alpha;
        let accepted = format!("no alpha beside the sampler {sampler}, which draws no lambda");
        Error::ensure(is_accepted, "alpha", self.alpha, accepted)?;
        labels::check_mode(self.mode, self.interpolate_loss)
    }

    fn effects(&self) -> Effects {
        labels::effects(self.interpolate_loss)
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if event == Event::BeforeForward {
            let (name, sampler) = ("cutmix/lambda", self.sampler());
            labels::cut(state, name, &sampler, self.interpolate_loss, ops::paste)?;
        }
        Ok(())
    }
}
