//! CutMix for Burn.

pub mod algorithms;
pub mod functional;
pub mod loss;
pub mod ops;
pub mod plan;
pub mod trainer;

mod batch;
mod error;
mod targets;

pub use batch::Batch;
pub use error::Error;
pub use targets::Targets;
pub use trainer::Classifier;
