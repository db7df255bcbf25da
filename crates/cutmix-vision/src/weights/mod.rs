//! Weights of networks in files, with the names and the layout of PyTorch.
//!
//! [`Weights::read`] reads a safetensors file or a checkpoint of PyTorch, [`Weights::load`] puts what
//! it holds into a network, and [`to_safetensors`] writes a network's own weights.

mod error;
mod file;
mod load;
mod parameters;
mod save;

pub use error::WeightsError;
pub use file::Weights;
pub use load::{Head, Loaded};
pub use save::to_safetensors;
