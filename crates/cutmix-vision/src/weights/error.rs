//! Errors of weights.

/// Reason why weights could not be read, used or written. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The tensors of a network cannot be read from its device.
    #[error("cannot write the weights: {reason}")]
    Write {
        /// What went wrong.
        reason: String,
    },
}
