//! Stochastic gradient descent in one pass over each parameter.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
#[cfg(feature = "flex")]
use burn::{backend::Dispatch, tensor::DType};

#[cfg(feature = "flex")]
use crate::{backend::NnOps, host::SgdStep, modules::has_kernels};

/// Stochastic gradient descent with momentum and weight decay, with the results and the records of
/// [`burn::optim::Sgd`] without dampening.
///
/// ```
/// use burn::optim::ModuleOptimizer;
/// use flex_nn::Sgd;
///
/// let sgd = Sgd {
///     momentum: 0.9,
///     nesterov: true,
///     weight_decay: 5e-4,
/// };
/// let optimizer = ModuleOptimizer::from(sgd);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The share of the velocity that is kept.
    pub momentum: f32,
    /// Whether the momentum is that of Nesterov.
    pub nesterov: bool,
    /// The share of a parameter that is added to its gradient.
    pub weight_decay: f32,
}

/// What [`Sgd`] keeps for a parameter.
#[derive(Clone, Debug)]
pub struct SgdState<const D: usize> {
    /// The decaying sum of the gradients.
    pub velocity: Tensor<D>,
}

/// The name of the velocity in the records of Burn.
const VELOCITY: &str = "momentum.velocity";

impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, VELOCITY, self.velocity.to_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let velocity = source.take_tensor(prefix, VELOCITY)?;
        let velocity = Tensor::from_data(velocity, device);
        Some(Self { velocity })
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let velocity = state.map(|state| state.velocity);
        #[cfg(feature = "flex")]
        if has_kernels(&parameter) && gradient.dtype() == DType::F32 {
            let step = SgdStep {
                rate: rate as f32,
                momentum: self.momentum,
                nesterov: self.nesterov,
                weight_decay: self.weight_decay,
            };
            let (parameter, velocity) = Dispatch::fast_sgd(
                parameter.into_dispatch(),
                gradient.into_dispatch(),
                velocity.map(Tensor::into_dispatch).into(),
                step,
            );
            let velocity = Tensor::from_dispatch(velocity);
            return (
                Tensor::from_dispatch(parameter),
                Some(SgdState { velocity }),
            );
        }
        let gradient = parameter.clone() * self.weight_decay + gradient;
        let velocity = match velocity {
            Some(velocity) => gradient.clone() + velocity * self.momentum,
            None => gradient.clone(),
        };
        let direction = if self.nesterov {
            velocity.clone() * self.momentum + gradient
        } else {
            velocity.clone()
        };
        (parameter - direction * rate, Some(SgdState { velocity }))
    }

    fn to_device<const D: usize>(mut state: SgdState<D>, device: &Device) -> SgdState<D> {
        state.velocity = state.velocity.to_device(device);
        state
    }
}
