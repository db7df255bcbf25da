//! Weights that others have published.

#[cfg(feature = "hub")]
pub mod hub;
mod pretrained_config;

pub use pretrained_config::PretrainedConfig;
