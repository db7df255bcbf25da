//! The gradients of a batch, from those of its parts.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use cutmix::loss::Reduction;

use crate::parameters;

/// The sum of the gradients of the parts of a batch.
///
/// This is where the gradients of a batch become one. Processes on other devices will add theirs
/// here.
pub(super) struct PartGradients {
    reduction: Reduction,
    samples: usize,
    sum: Option<GradientsParams>,
    /// What the sum is divided by, where a mean is weighted.
    weight: Option<Tensor<1>>,
}

impl PartGradients {
    pub fn new(reduction: Reduction, samples: usize) -> Self {
        Self {
            reduction,
            samples,
            sum: None,
            weight: None,
        }
    }

    /// Adds the gradients of a part of `size` samples, whose loss is a mean over `weight` where that
    /// is not its size.
    pub fn add<M: Module>(
        &mut self,
        model: &M,
        gradients: GradientsParams,
        size: usize,
        weight: Option<Tensor<1>>,
    ) {
        let gradients = match (self.reduction, weight) {
            (Reduction::Sum, _) => gradients,
            (_, None) => {
                let device = model.devices().into_iter().next().unwrap_or_default();
                let share = size as f32 / self.samples as f32;
                let share = Tensor::from_floats([share], &device.without_autodiff());
                parameters::scale_gradients(model, gradients, &share)
            }
            (_, Some(weight)) => {
                let weight = weight.without_autodiff();
                let scaled = parameters::scale_gradients(model, gradients, &weight);
                self.weight = Some(match self.weight.take() {
                    Some(sum) => sum + weight,
                    None => weight,
                });
                scaled
            }
        };
        self.sum = Some(match self.sum.take() {
            Some(sum) => parameters::add_gradients(model, sum, gradients),
            None => gradients,
        });
    }

    /// The gradients of the batch.
    pub fn reduce<M: Module>(self, model: &M) -> GradientsParams {
        let sum = self.sum.unwrap_or_default();
        match self.weight {
            Some(weight) => parameters::scale_gradients(model, sum, &weight.recip()),
            None => sum,
        }
    }
}
