//! What the algorithms that mix samples do to the targets.

use super::{Effects, Interpolation, Step};
use crate::Error;
use crate::plan::{Mixture, Mode};

/// Mixes the targets of `num_classes` classes, or keeps them and mixes the losses.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub num_classes: usize,
    pub interpolate_loss: bool,
}

impl Labels {
    pub fn new(num_classes: usize) -> Self {
        Self {
            num_classes,
            interpolate_loss: false,
        }
    }

    pub fn check(&self, mode: Mode) -> Result<(), Error> {
        check_classes(self.num_classes)?;
        if self.interpolate_loss && mode != Mode::Batch {
            return Err(Error::argument(
                "interpolate_loss",
                format!("on in the mode `{mode}`"),
                "the mode `batch`, as a loss is interpolated by one lambda for the batch; or \
                 dense targets",
            ));
        }
        Ok(())
    }

    pub fn effects(&self) -> Effects {
        Effects {
            mixes_targets: true,
            makes_dense: !self.interpolate_loss,
            interpolates_loss: self.interpolate_loss,
            ..Effects::default()
        }
    }

    /// Mixes the targets of a step, of which no other algorithm may interpolate the loss.
    pub fn mix<const D: usize>(&self, step: &mut Step<D>, mixture: &Mixture) -> Result<(), Error> {
        check_interpolation(step)?;
        if self.interpolate_loss {
            step.interpolation = Some(Interpolation {
                targets: step.targets.partners(mixture)?,
                lambda: mixture.lambda(0),
            });
        } else {
            step.targets = step.targets.clone().mix(self.num_classes, mixture)?.into();
        }
        Ok(())
    }
}

pub(super) fn check_classes(num_classes: usize) -> Result<(), Error> {
    match num_classes {
        0 => Err(Error::argument("num_classes", 0, "at least one class")),
        _ => Ok(()),
    }
}

/// Algorithms that say what they do are checked before the run; this is for those that do not.
pub(super) fn check_interpolation<const D: usize>(step: &Step<D>) -> Result<(), Error> {
    match step.interpolation {
        None => Ok(()),
        Some(_) => Err(Error::argument(
            "interpolation",
            "set by an algorithm before this one",
            "one algorithm that interpolates the loss, and none that makes the targets dense",
        )),
    }
}

/// The mean of numbers that there is one or more of.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
