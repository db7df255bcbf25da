//! The error type of the crate.

/// The reason why a call was refused or failed.
///
/// Each message is one line that names the argument, its value and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument has a value that is not accepted.
    #[error("`{argument}` is {value}; accepted: {accepted}")]
    Argument {
        /// The name of the argument.
        argument: &'static str,
        /// The value that was passed.
        value: String,
        /// The values that are accepted.
        accepted: String,
    },
    /// Dense targets were passed to code that only takes class indices.
    #[error(
        "the targets are a dense {shape:?} distribution and {receiver} takes class indices `[N]`; use {instead}"
    )]
    DenseTargets {
        /// The shape of the targets.
        shape: [usize; 2],
        /// The code that received the targets.
        receiver: String,
        /// Code that accepts dense targets.
        instead: String,
    },
}

impl Error {
    /// Creates an [`Error::Argument`].
    pub fn argument(
        argument: &'static str,
        value: impl ToString,
        accepted: impl Into<String>,
    ) -> Self {
        Self::Argument {
            argument,
            value: value.to_string(),
            accepted: accepted.into(),
        }
    }
}
