//! Label smoothing.

use super::labels::{check_classes, check_interpolation};
use super::{Algorithm, Effects, Step};
use crate::Error;
use crate::functional::{check_smoothing, smooth_labels};

/// Moves a share of each target evenly to all classes.
///
/// # What it does
///
/// Before the loss, each target distribution `t` becomes `(1 - s) * t + s / K` for the smoothing `s`
/// and `K` classes; class indices become distributions. It acts on what the loss is given and
/// nothing else: training accuracy stays that of the targets. The network is no longer rewarded
/// for ever larger logits, and its probabilities become less certain.
///
/// It runs at `before_loss`, after everything that mixes samples, wherever it stands among the
/// algorithms. As it is linear, smoothed mixtures are mixtures of smoothed targets.
///
/// # Starting hyper-parameters
///
/// `smoothing = 0.1`, the value of the source for ImageNet. Beside CutMix or MixUp, whose targets
/// are soft already, it adds less; do not smooth in the loss
/// ([`CrossEntropy::smoothing`](crate::loss::CrossEntropy::smoothing)) as well. The targets have to
/// be distributions: for several labels at once, see
/// [`BinaryCrossEntropy::smoothing`](crate::loss::BinaryCrossEntropy::smoothing).
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
/// use cutmix::algorithms::LabelSmoothing;
///
/// let smoothing = LabelSmoothing::new(1000, 0.1);
/// ```
#[derive(Clone, Debug)]
pub struct LabelSmoothing {
    num_classes: usize,
    smoothing: f64,
}

impl LabelSmoothing {
    /// Smooths the targets of `num_classes` classes by `smoothing`, from 0 to below 1.
    pub fn new(num_classes: usize, smoothing: f64) -> Self {
        Self {
            num_classes,
            smoothing,
        }
    }
}

impl<const D: usize> Algorithm<D> for LabelSmoothing {
    fn name(&self) -> String {
        "label-smoothing".into()
    }

    fn check(&self) -> Result<(), Error> {
        check_classes(self.num_classes)?;
        check_smoothing(self.smoothing)
    }

    fn effects(&self) -> Effects {
        Effects {
            makes_dense: true,
            smooths_labels: true,
            ..Effects::default()
        }
    }

    fn before_loss(&self, step: &mut Step<D>) -> Result<(), Error> {
        check_interpolation(step)?;
        let targets = (step.loss_targets.as_ref()).unwrap_or(&step.targets);
        let smoothed = smooth_labels(targets.clone(), self.num_classes, self.smoothing)?;
        step.loss_targets = Some(smoothed.into());
        Ok(())
    }
}
