//! The errors of training.

use std::io;
use std::path::{Path, PathBuf};

use crate::data::LoaderError;
use crate::event::Event;

/// The reason why a run could not start or had to stop. Each message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is outside what is accepted.
    #[error("`{argument}` is {value}; accepted: {accepted}")]
    Argument {
        /// The name of the argument.
        argument: &'static str,
        /// The value that was passed.
        value: String,
        /// What would have been accepted.
        accepted: String,
    },
    /// An operation, a plan or a loss failed.
    #[error(transparent)]
    Mix(#[from] cutmix::Error),
    /// An algorithm failed in the middle of a run.
    #[error("algorithm `{algorithm}` at {event} of batch {batch}: {source}")]
    Algorithm {
        /// The name of the algorithm.
        algorithm: String,
        /// The event at which it failed.
        event: Event,
        /// The number of the batch in the run, from 0.
        batch: u64,
        /// The error of the algorithm.
        source: Box<Error>,
    },
    /// A loader failed.
    #[error("cannot read the {set} data: {source}")]
    Data {
        /// `train`, or the name of the evaluation set.
        set: String,
        /// The error of the loader.
        source: LoaderError,
    },
    /// A checkpoint cannot be used.
    #[error("checkpoint `{}`: {problem}", path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: CheckpointProblem,
    },
    /// The loss, the gradients or the weights of a batch were not finite numbers.
    #[error(
        "there is a number that is not finite in the {what} of batch {batch}; try a lower learning \
         rate, or skip such batches{}",
        last_good(checkpoint)
    )]
    NotFinite {
        /// `loss`, `gradients` or `weights`.
        what: &'static str,
        /// The number of the batch in the run, from 0.
        batch: u64,
        /// The last checkpoint before it, where the run writes checkpoints.
        checkpoint: Option<PathBuf>,
    },
    /// The device failed, or a value could not be read from it.
    #[error("the device failed: {0}")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file or folder cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process writes to the folder.
    #[error("folder `{}` is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A callback, a logger or a loss of the user's failed.
    #[error("{0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The reason why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointProblem {
    /// The folder has no checkpoint.
    #[error("there is no checkpoint in this folder")]
    Missing,
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The file is something else.
    #[error("it is not a checkpoint")]
    NotACheckpoint,
    /// The checkpoint was written by a version with another format.
    #[error("its format is version {found}, and this version reads {supported}")]
    Version {
        /// The version of the file's format.
        found: u32,
        /// The version that can be read.
        supported: u32,
    },
    /// The content is not what was written.
    #[error("it is damaged: its digest is not that of its content")]
    Damaged,
    /// The checkpoint belongs to another run.
    #[error("it is of another run: {0}")]
    OtherRun(String),
}

fn last_good(checkpoint: &Option<PathBuf>) -> String {
    (checkpoint.as_ref()).map_or_else(String::new, |path| {
        format!("; the last good checkpoint is {}", path.display())
    })
}

impl Error {
    /// An argument outside what is accepted.
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

    /// [`Error::Argument`] unless the value is accepted.
    pub(crate) fn ensure(
        is_accepted: bool,
        argument: &'static str,
        value: impl ToString,
        accepted: impl Into<String>,
    ) -> Result<(), Self> {
        if is_accepted {
            return Ok(());
        }
        Err(Self::argument(argument, value, accepted))
    }

    /// [`Error::Argument`] unless the value is finite and above 0.
    pub(crate) fn ensure_positive(argument: &'static str, value: f64) -> Result<(), Self> {
        let is_positive = value.is_finite() && value > 0.0;
        Self::ensure(is_positive, argument, value, "a finite number above 0")
    }

    /// [`Error::Argument`] unless the value is in `0.0..=1.0`.
    pub(crate) fn ensure_share(argument: &'static str, value: f64) -> Result<(), Self> {
        let is_share = (0.0..=1.0).contains(&value);
        Self::ensure(is_share, argument, value, "a number in 0..=1")
    }

    /// An error of the user's own.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// A file or folder that cannot be written.
    pub fn write(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Write {
            path: path.into(),
            source: source.into(),
        }
    }

    pub(crate) fn device(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Device(error.into())
    }

    pub(crate) fn checkpoint(path: &Path, problem: CheckpointProblem) -> Self {
        Self::Checkpoint {
            path: path.into(),
            problem,
        }
    }
}
