//! Networks that turn images `[N, C, H, W]` into logits `[N, K]`.
//!
//! [`ModelConfig`] makes a network by its name, as [`AnyNetwork`]; [`architectures`] lists the
//! names, each with its training [`Recipe`]s. A program that always trains the same network makes it
//! from its own configuration, such as [`ResNetConfig`]. [`class_activation_map`] shows where a network
//! sees a class.

mod activation_map;
mod classifier;
mod convnext;
mod differentiable;
mod efficientnet;
mod error;
mod head_only;
mod image_sizes;
mod layers;
mod mlp;
mod optimizer;
mod parts;
mod recipe;
mod registry;
mod resnet;
#[cfg(feature = "onnx")]
mod trace;
mod vit;
mod wide_resnet;

pub use activation_map::{class_activation_map, upsample};
pub use classifier::{Classifier, Features};
pub use convnext::{ConvNeXt, ConvNeXtConfig};
pub use differentiable::differentiable;
pub use efficientnet::{
    EfficientNet, EfficientNetActivation, EfficientNetConfig, EfficientNetStage,
};
pub use error::ModelError;
pub use head_only::HeadOnly;
pub use image_sizes::ImageSizes;
pub use optimizer::{LayerRates, Optimizer};
pub use parts::{Layer, backbone, layers, stages};
pub use recipe::{Recipe, Scaling};
pub use registry::{AnyNetwork, Architecture, ModelConfig, Names, architectures, find, names};
pub use resnet::{ResNet, ResNetBlock, ResNetConfig, ResNetInput};
#[cfg(feature = "onnx")]
pub(crate) use trace::Trace;
#[cfg(feature = "onnx")]
pub use trace::multiplies;
pub use vit::{VisionTransformer, VisionTransformerConfig};
pub use wide_resnet::{WideResNet, WideResNetConfig};
