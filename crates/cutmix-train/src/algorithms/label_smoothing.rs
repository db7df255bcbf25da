//! Label smoothing.

use cutmix::functional::smooth_labels;
use serde::{Deserialize, Serialize};

use super::labels::check_interpolation;
use super::registry::Describe;
use super::{Algorithm, Effects};
use crate::{Error, Event, State};

/// Moves a share of each target evenly to all classes.
///
/// # What it does
///
/// Before the loss, each target distribution `t` becomes `(1 - s) * t + s / K` for the smoothing `s`
/// and `K` classes; class indices become distributions. It changes the targets of the loss alone:
/// training accuracy is still measured on the targets as they were. The network is no longer
/// rewarded for ever larger logits, and its probabilities become less certain.
///
/// It acts at [`BeforeLoss`](Event::BeforeLoss), after everything that mixes samples, wherever it
/// stands among the algorithms. As it is linear, smoothed mixtures are mixtures of smoothed targets.
///
/// # Starting hyper-parameters
///
/// `smoothing = 0.1`, the value of the source for ImageNet. Beside CutMix or MixUp, whose targets
/// are soft already, it adds less; do not smooth in the loss
/// ([`CrossEntropy`](cutmix::loss::CrossEntropy)) as well. The targets have to be distributions: for
/// several labels at once, use the smoothing of
/// [`BinaryCrossEntropy`](cutmix::loss::BinaryCrossEntropy).
///
/// # Cost
///
/// Two operations on `[N, K]` numbers, on the device; images are not touched.
///
/// # Source
///
/// Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception Architecture for Computer
/// Vision. CVPR 2016, section 7. When it helps and when not: Müller, Kornblith, Hinton: When Does
/// Label Smoothing Help? NeurIPS 2019.
///
/// ```
/// use cutmix_train::algorithms::LabelSmoothing;
///
/// let smoothing = LabelSmoothing::new(0.1);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct LabelSmoothing {
    /// The share of each target that moves to all classes, from 0 to below 1.
    pub smoothing: f64,
}

impl Default for LabelSmoothing {
    fn default() -> Self {
        Self::new(0.1)
    }
}

impl LabelSmoothing {
    /// Smooths the targets by `smoothing`, from 0 to below 1.
    pub fn new(smoothing: f64) -> Self {
        Self { smoothing }
    }
}

impl Describe for LabelSmoothing {
    const SUMMARY: &'static str = "moves a share of each target evenly to all classes";
    const EVENT: Event = Event::BeforeLoss;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[(
        "smoothing",
        "a number from 0 to below 1: the share that moves (0.1 is the usual choice)",
    )];
    const UNNAMED: Option<&'static str> = Some("smoothing");
}

impl<M, const D: usize> Algorithm<M, D> for LabelSmoothing {
    fn name(&self) -> String {
        "label-smoothing".into()
    }

    fn check(&self) -> Result<(), Error> {
        let is_accepted = (0.0..1.0).contains(&self.smoothing);
        let accepted = "a number from 0 to below 1 (0.1 is the usual choice)";
        Error::ensure(is_accepted, "smoothing", self.smoothing, accepted)
    }

    fn effects(&self) -> Effects {
        Effects {
            makes_dense: true,
            smooths_labels: true,
            ..Effects::default()
        }
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if event != Event::BeforeLoss {
            return Ok(());
        }
        check_interpolation(state)?;
        let targets = state
            .loss_targets
            .as_ref()
            .unwrap_or(&state.targets)
            .clone();
        let smoothed = smooth_labels(targets, state.num_classes(), self.smoothing)?;
        state.loss_targets = Some(smoothed.into());
        Ok(())
    }
}
