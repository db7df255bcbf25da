//! The gradients of a batch, from those of its parts.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, FloatDType, Tensor};
use cutmix::loss::Reduction;

use crate::parameters;

/// The sum of the gradients of the parts of a batch.
///
/// This is where the gradients of every batch become one, between the backward passes and the
/// optimizer step. Processes on other devices will add theirs here.
pub(super) struct PartGradients<M> {
    reduction: Reduction,
    /// Samples and parts of the batch.
    samples: usize,
    parts: usize,
    sum: GradientsAccumulator<M>,
    /// The sum of the weights of the parts, where the mean of one of them is weighted.
    weights: Vec<Tensor<1>>,
    is_weighted: bool,
}

impl<M: Module> PartGradients<M> {
    pub fn new(reduction: Reduction, samples: usize, parts: usize) -> Self {
        Self {
            reduction,
            samples,
            parts,
            sum: GradientsAccumulator::new(),
            weights: Vec::new(),
            is_weighted: false,
        }
    }

    /// Adds the gradients of a part of `size` samples, whose loss is a sum, or a mean over `weight`
    /// where that is not its size.
    pub fn add(
        &mut self,
        model: &M,
        gradients: GradientsParams,
        size: usize,
        weight: Option<Tensor<1>>,
        device: &Device,
    ) {
        if self.parts == 1 || self.reduction == Reduction::Sum {
            return self.sum.accumulate(model, gradients);
        }
        self.is_weighted |= weight.is_some();
        // Shares of the batch instead of counts, which f16 might not hold.
        let share = match weight {
            Some(weight) => {
                let weight = weight.without_autodiff().cast(FloatDType::F32);
                weight / self.samples as f64
            }
            None => {
                let share = size as f32 / self.samples as f32;
                let share = Tensor::<1>::from_floats([share], &device.clone().without_autodiff());
                share.cast(FloatDType::F32)
            }
        };
        let gradients = parameters::scale_gradients(model, gradients, &share);
        self.weights.push(share);
        self.sum.accumulate(model, gradients);
    }

    /// The gradients of the batch.
    pub fn reduce(mut self, model: &M) -> GradientsParams {
        let sum = self.sum.grads();
        // The shares of samples add up to 1.
        match self.weights.into_iter().reduce(|sum, next| sum + next) {
            Some(weight) if self.is_weighted => {
                parameters::scale_gradients(model, sum, &weight.recip())
            }
            _ => sum,
        }
    }
}
