//! What the algorithms that mix samples do to the targets.

use cutmix::plan::{Mixture, Mode};

use super::Effects;
use crate::state::Interpolation;
use crate::{Error, State};

/// Mixes the targets of a batch, or keeps them for a mixture of two losses where
/// `interpolate_loss` is set.
pub(super) fn mix<M, const D: usize>(
    state: &mut State<M, D>,
    mixture: &Mixture,
    interpolate_loss: bool,
) -> Result<(), Error> {
    check_interpolation(state)?;
    if interpolate_loss {
        state.interpolation = Some(Interpolation {
            targets: state.targets.partners(mixture)?,
            lambda: mixture.lambda(0),
        });
    } else {
        let num_classes = state.num_classes();
        state.targets = state.targets.clone().mix(num_classes, mixture)?.into();
    }
    state.mixture = Some(mixture.clone());
    Ok(())
}

/// Checks that one lambda serves the whole batch where the loss is interpolated.
pub(super) fn check_mode(mode: Mode, interpolate_loss: bool) -> Result<(), Error> {
    if interpolate_loss && mode != Mode::Batch {
        return Err(Error::argument(
            "interpolate_loss",
            format!("on in the mode `{mode}`"),
            "the mode `batch`, as a loss is interpolated by one lambda for the batch; or dense \
             targets",
        ));
    }
    Ok(())
}

/// The effects of an algorithm that mixes samples.
pub(super) fn effects(interpolate_loss: bool) -> Effects {
    Effects {
        mixes_targets: true,
        makes_dense: !interpolate_loss,
        interpolates_loss: interpolate_loss,
        ..Effects::default()
    }
}

/// Algorithms that declare their effects are checked before the run; this is for those that do not.
pub(super) fn check_interpolation<M, const D: usize>(state: &State<M, D>) -> Result<(), Error> {
    if state.interpolation.is_some() {
        return Err(Error::argument(
            "interpolation",
            "set by an algorithm before this one",
            "one algorithm that interpolates the loss, and none that makes the targets dense",
        ));
    }
    Ok(())
}

/// The mean of at least one number.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
