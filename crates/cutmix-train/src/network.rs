//! What the trainer asks of a model.

use std::fmt;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Tensor};

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
#[derive(Clone, Debug)]
pub struct WithForward<M, const D: usize = 4> {
    /// The module.
    pub module: M,
    forward: Forward<M, D>,
}

type ForwardFn<M, const D: usize> = dyn Fn(&M, Tensor<D>) -> Tensor<2> + Send + Sync;

struct Forward<M, const D: usize>(Arc<ForwardFn<M, D>>);

impl<M, const D: usize> Clone for Forward<M, D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M, const D: usize> fmt::Debug for Forward<M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forward")
    }
}

impl<M: Module, const D: usize> WithForward<M, D> {
    /// Makes a network of `module`, whose logits `[N, K]` of images `[N, C, spatial...]` are what
    /// `forward` returns.
    pub fn new(
        module: M,
        forward: impl Fn(&M, Tensor<D>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        Self {
            module,
            forward: Forward(Arc::new(forward)),
        }
    }

    fn with_module(&self, module: M) -> Self {
        Self {
            module,
            forward: self.forward.clone(),
        }
    }
}

// The derive macro refuses a field that names the module but is none.
impl<M: Module, const D: usize> Module for WithForward<M, D> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.module.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        let Self { module, forward } = self;
        let module = module.fork(device);
        Self { module, forward }
    }

    fn to_device(self, device: &Device) -> Self {
        let Self { module, forward } = self;
        let module = module.to_device(device);
        Self { module, forward }
    }

    fn train(self) -> Self {
        let Self { module, forward } = self;
        let module = module.train();
        Self { module, forward }
    }

    fn valid(&self) -> Self {
        self.with_module(self.module.valid())
    }

    fn materialize(self) -> Self {
        let Self { module, forward } = self;
        let module = module.materialize();
        Self { module, forward }
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.module.visit(visitor);
    }

    fn map<T: ModuleMapper>(self, mapper: &mut T) -> Self {
        let Self { module, forward } = self;
        let module = module.map(mapper);
        Self { module, forward }
    }
}

impl<M: Module + 'static, const D: usize> Network<D> for WithForward<M, D> {
    fn forward(&self, images: Tensor<D>) -> Tensor<2> {
        (self.forward.0)(&self.module, images)
    }
}
