//! What algorithms do to the targets and the loss, and which of them cannot work together.

use super::Algorithm;
use crate::Error;

/// What an algorithm does to the targets, the loss and the weights. By this the trainer knows which
/// algorithms cannot work together, and how training accuracy has to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Training targets become mixtures of classes.
    pub mixes_targets: bool,
    /// The loss is given dense targets, whatever targets the data have.
    pub makes_dense: bool,
    /// The algorithm sets [`State::interpolation`](crate::State::interpolation).
    pub interpolates_loss: bool,
    /// A share of each target moves to all classes.
    pub smooths_labels: bool,
    /// The algorithm keeps [`State::ema_model`](crate::State::ema_model).
    pub keeps_ema: bool,
}

impl Effects {
    /// The effects of both.
    pub fn or(self, other: Self) -> Self {
        Self {
            mixes_targets: self.mixes_targets || other.mixes_targets,
            makes_dense: self.makes_dense || other.makes_dense,
            interpolates_loss: self.interpolates_loss || other.interpolates_loss,
            smooths_labels: self.smooths_labels || other.smooths_labels,
            keeps_ema: self.keeps_ema || other.keeps_ema,
        }
    }
}

/// The reason why two algorithms cannot act in one run, as what would be accepted instead.
fn conflict<M, const D: usize>(
    first: &dyn Algorithm<M, D>,
    second: &dyn Algorithm<M, D>,
) -> Option<String> {
    let (one, other) = (first.effects(), second.effects());
    let dense = |interpolating: String, making: String| {
        Some(format!(
            "one of them, as `{interpolating}` interpolates the loss, which is for class indices, \
             and `{making}` makes the targets dense; or both with dense targets"
        ))
    };
    if one.interpolates_loss && other.interpolates_loss {
        Some("one that interpolates the loss, which has room for one set of partners".into())
    } else if one.interpolates_loss && other.makes_dense {
        dense(first.name(), second.name())
    } else if one.makes_dense && other.interpolates_loss {
        dense(second.name(), first.name())
    } else if one.smooths_labels && other.smooths_labels {
        let reason = "one label smoothing, as the second would smooth what the first has smoothed";
        Some(reason.into())
    } else if one.keeps_ema && other.keeps_ema {
        Some("one moving average of the weights".into())
    } else {
        None
    }
}

/// Checks the algorithms of a run, each by itself and all together, as
/// [`Trainer::fit`](crate::Trainer::fit) does before it starts.
///
/// Refused together, in any order, are an algorithm that interpolates the loss and one that makes
/// the targets dense; two that interpolate the loss; two that smooth the labels; and two moving
/// averages. The choices of a [`OneOf`](super::OneOf) are not checked against each other, but each
/// one against every algorithm beside it. Windows of time ([`When`](super::When)) are not looked at:
/// two algorithms are refused even where they never act in the same batch.
///
/// # Errors
///
/// [`Error::Argument`] for the first setting out of range or the first two algorithms that cannot
/// work together, with the reason.
///
/// ```
/// use cutmix_train::algorithms::{Algorithm, CutMix, LabelSmoothing, check};
///
/// let together: [Box<dyn Algorithm<()>>; 2] = [
///     Box::new(CutMix::new().with_interpolate_loss(true)),
///     Box::new(LabelSmoothing::new(0.1)),
/// ];
/// assert!(check(&together).is_err());
/// ```
pub fn check<M, const D: usize>(algorithms: &[Box<dyn Algorithm<M, D>>]) -> Result<(), Error> {
    algorithms
        .iter()
        .try_for_each(|algorithm| algorithm.check())?;
    for (index, second) in algorithms.iter().enumerate() {
        for first in &algorithms[..index] {
            if let Some(accepted) = conflict(first.as_ref(), second.as_ref()) {
                let both = format!("`{}` and `{}` together", first.name(), second.name());
                return Err(Error::argument("algorithms", both, accepted));
            }
        }
    }
    Ok(())
}
