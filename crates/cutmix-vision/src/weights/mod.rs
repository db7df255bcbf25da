//! Weights of networks in files, with the names and the layout of PyTorch.

mod error;
mod save;

pub use error::WeightsError;
pub use save::to_safetensors;
