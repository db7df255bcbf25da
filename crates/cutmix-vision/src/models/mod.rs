//! Networks that turn images `[N, C, H, W]` into logits `[N, K]`.
//!
//! [`ModelConfig`] makes a network by its name, as [`AnyNetwork`]; [`architectures`] lists the
//! names, each with its training [`Recipe`]s. A program that always trains the same network makes it
//! from its own configuration, such as [`ResNetConfig`].

mod classifier;
mod error;
mod head_only;
mod layers;
mod optimizer;
mod parts;
mod recipe;
mod registry;
mod resnet;

pub use classifier::{Classifier, Features};
pub use error::ModelError;
pub use head_only::HeadOnly;
pub use optimizer::{LayerRates, Optimizer};
pub use parts::{Layer, backbone, layers, stages};
pub use recipe::{Recipe, Scaling};
pub use registry::{AnyNetwork, Architecture, ModelConfig, architectures, find, names};
pub use resnet::{ResNet, ResNetBlock, ResNetConfig, ResNetInput};
