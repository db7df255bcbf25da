//! What the trainer asks of a model.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;

/// A network that turns a batch of images into logits. `D` is the rank of the batch.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use cutmix_train::Network;
///
/// #[derive(Module, Debug)]
/// struct Perceptron {
///     linear: Linear,
/// }
///
/// impl Network for Perceptron {
///     fn forward(&self, images: Tensor<4>) -> Tensor<2> {
///         self.linear.forward(images.flatten(1, 3))
///     }
/// }
///
/// let device = Device::default();
/// let model = Perceptron { linear: LinearConfig::new(28 * 28, 10).init(&device) };
/// assert_eq!(model.forward(Tensor::zeros([2, 1, 28, 28], &device)).dims(), [2, 10]);
/// ```
///
/// [`WithForward`] makes a network of a module from another crate.
pub trait Network<const D: usize = 4>: Module + 'static {
    /// Logits `[N, K]` of a batch `[N, C, spatial...]`.
    fn forward(&self, images: Tensor<D>) -> Tensor<2>;
}

/// A Burn module with a function that computes its logits: a [`Network`] of a module whose crate
/// does not know this one.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use cutmix_train::{Network, WithForward};
///
/// let device = Device::default();
/// let linear = LinearConfig::new(28 * 28, 10).init(&device);
/// let model = WithForward::new(linear, |linear: &Linear, images: Tensor<4>| {
///     linear.forward(images.flatten(1, 3))
/// });
/// assert_eq!(model.forward(Tensor::zeros([2, 1, 28, 28], &device)).dims(), [2, 10]);
/// ```
#[derive(Module, Debug)]
pub struct WithForward<M, F = fn(&M, Tensor<4>) -> Tensor<2>> {
    /// The module that the function computes logits with.
    pub module: M,
    #[module(skip)]
    forward: F,
}

impl<M: Module + ModuleDisplay, const D: usize> WithForward<M, fn(&M, Tensor<D>) -> Tensor<2>> {
    /// Makes a network of `module`, whose logits `[N, K]` of images `[N, C, spatial...]` are what
    /// `forward` returns: a function, or a closure that captures nothing.
    pub fn new(module: M, forward: fn(&M, Tensor<D>) -> Tensor<2>) -> Self {
        Self { module, forward }
    }
}

impl<M, const D: usize> Network<D> for WithForward<M, fn(&M, Tensor<D>) -> Tensor<2>>
where
    M: Module + ModuleDisplay + 'static,
{
    fn forward(&self, images: Tensor<D>) -> Tensor<2> {
        (self.forward)(&self.module, images)
    }
}
