//! Weights of networks in files, with the names and the layout of PyTorch.
//!
//! [`Weights::read`] reads a safetensors file or a checkpoint of PyTorch, [`Weights::load`] puts what
//! it holds into a network, and [`to_safetensors`] writes a network's own weights. With the feature
//! `hub`, `hub::Hub` downloads published ones; with `onnx`, `onnx` writes a network for other programs.

mod error;
mod file;
#[cfg(feature = "hub")]
pub mod hub;
mod load;
#[cfg(feature = "onnx")]
pub mod onnx;
mod parameters;
mod pretrained_config;
mod save;

use burn::tensor::Device;

pub use error::{Misfit, WeightsError};
pub use file::Weights;
pub use load::{Head, Loaded};
pub use pretrained_config::PretrainedConfig;
pub use save::to_safetensors;

/// The device on which new weights are drawn and those of files are compared: the CPU where this build
/// has it, so that a seed gives the same weights everywhere and no GPU is needed, otherwise Burn's
/// default.
pub fn device() -> Device {
    #[cfg(feature = "flex")]
    return Device::flex();
    #[cfg(not(feature = "flex"))]
    Device::default()
}
