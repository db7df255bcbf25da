//! CutMix for Burn.
mod batch;
mod targets;

pub use batch::Batch;
pub use targets::Targets;
