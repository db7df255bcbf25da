//! What the algorithms that mix samples have in common.

use burn::tensor::Tensor;
use cutmix::functional::cutmix_plan;
use cutmix::plan::{Mixture, Mode, Plan, PlanSampler};

use super::Effects;
use crate::state::Interpolation;
use crate::{Error, State};

/// Draws a plan for the batch of a state, logs its mean lambda under `name`, and mixes the targets and,
/// by `paste`, the images.
pub(super) fn cut<M, const D: usize>(
    state: &mut State<M, D>,
    name: &'static str,
    sampler: &PlanSampler,
    interpolate_loss: bool,
    paste: impl FnOnce(Tensor<D>, &Plan) -> Result<Tensor<D>, cutmix::Error>,
) -> Result<(), Error> {
    let plan = cutmix_plan(sampler, state.images()?, &mut state.rng())?;
    state.log(name, mean(plan.lambdas()));
    mix(state, plan.as_ref(), interpolate_loss)?;
    state.map_images(|images| Ok(paste(images, &plan)?))
}

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
    Error::ensure(
        !interpolate_loss || mode == Mode::Batch,
        "interpolate_loss",
        format!("on in the mode `{mode}`"),
        "the mode `batch`, as a loss is interpolated by one lambda for the batch; or dense targets",
    )
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
    Error::ensure(
        state.interpolation.is_none(),
        "interpolation",
        "set by an algorithm before this one",
        "one algorithm that interpolates the loss, and none that makes the targets dense",
    )
}

/// The mean of at least one number.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
