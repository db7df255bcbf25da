//! Training of the head alone, on features that are computed once.

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{Device, Tensor};
use cutmix_train::Network;

use super::Classifier;

/// A network of which only the head is used: it takes the features `[N, F, 1, 1]` of a
/// [`FeatureLoader`](crate::FeatureLoader) instead of images. Everything else of the network stays as
/// it is, and its parameters have the names of the network.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::models::HeadOnly;
/// use cutmix_vision::{Classifier, ModelConfig};
///
/// let device = Device::default();
/// let network = ModelConfig::new("resnet8", 10).init(&device)?;
/// let images = Tensor::zeros([2, 3, 32, 32], &device);
/// let features = network.pool(network.features(images.clone()));
/// let expected = network.forward(images).into_data();
///
/// let head = HeadOnly(network);
/// let logits = cutmix_train::Network::forward(&head, features.unsqueeze_dims(&[2, 3]));
/// assert_eq!(logits.into_data(), expected);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeadOnly<C>(pub C);

impl<C: Classifier> Network for HeadOnly<C> {
    fn forward(&self, features: Tensor<4>) -> Tensor<2> {
        self.0.head().forward(features.flatten::<2>(1, 3))
    }
}

// Burn's derive would put another name before the names of the parameters.
impl<C: Module> Module for HeadOnly<C> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self(self.0.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        Self(self.0.to_device(device))
    }

    fn train(self) -> Self {
        Self(self.0.train())
    }

    fn valid(&self) -> Self {
        Self(self.0.valid())
    }

    fn materialize(self) -> Self {
        Self(self.0.materialize())
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.0.visit(visitor);
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        Self(self.0.map(mapper))
    }
}

impl<C: ModuleDisplayDefault + Module> ModuleDisplayDefault for HeadOnly<C> {
    fn content(&self, content: Content) -> Option<Content> {
        self.0.content(content)
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl<C: ModuleDisplayDefault + Module> ModuleDisplay for HeadOnly<C> {}
