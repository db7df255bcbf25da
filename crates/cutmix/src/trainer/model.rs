//! What the trainer asks of a model.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;

use crate::loss::CrossEntropy;
use crate::{Error, Targets};

/// A model that turns a batch into logits. `D` is the rank of the batch.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use cutmix::Classifier;
///
/// #[derive(Module, Debug)]
/// struct Perceptron {
///     linear: Linear,
/// }
///
/// impl Classifier for Perceptron {
///     fn forward(&self, images: Tensor<4>) -> Tensor<2> {
///         self.linear.forward(images.flatten(1, 3))
///     }
/// }
///
/// let device = Device::default();
/// let model = Perceptron { linear: LinearConfig::new(28 * 28, 10).init(&device) };
/// assert_eq!(model.forward(Tensor::zeros([2, 1, 28, 28], &device)).dims(), [2, 10]);
/// ```
pub trait Classifier<const D: usize = 4>: Module + ModuleDisplay + 'static {
    /// Logits `[N, K]` of a batch `[N, C, spatial...]`.
    fn forward(&self, images: Tensor<D>) -> Tensor<2>;

    /// The loss of logits `[N, K]`, shape `[1]`: cross-entropy unless written otherwise. With
    /// CutMix the targets are dense, unless it interpolates the loss.
    ///
    /// # Errors
    ///
    /// What the loss refuses; it stops the run.
    fn loss(&self, logits: Tensor<2>, targets: Targets) -> Result<Tensor<1>, Error> {
        CrossEntropy::new().forward(logits, targets)
    }
}
