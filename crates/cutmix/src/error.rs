//! The one error type of the library.

use std::path::Path;
use std::sync::Arc;

use burn::train::TrainingError;

/// What can go wrong; every message names the argument or part, its value and what is accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument outside what is accepted.
    #[error("`{argument}` is {value}; accepted: {accepted}")]
    Argument {
        /// The argument's name.
        argument: &'static str,
        /// The value that was passed.
        value: String,
        /// What would have been accepted.
        accepted: String,
    },
    /// Dense targets reached something that can only take class indices.
    #[error(
        "the targets are a dense {shape:?} distribution and {taker} takes class indices `[N]`; use {instead}"
    )]
    DenseTargets {
        /// The shape of the targets.
        shape: [usize; 2],
        /// What was given the targets.
        taker: String,
        /// What accepts them.
        instead: String,
    },
    /// An algorithm failed in the middle of a run.
    #[error("algorithm `{algorithm}` at {event} of batch {batch}: {message}")]
    Algorithm {
        /// The algorithm's name.
        algorithm: String,
        /// The event at which it failed.
        event: &'static str,
        /// The batch's number in the run, from 0.
        batch: u64,
        /// What it said.
        message: String,
    },
    /// Burn's training stopped with an error: the data set, a checkpoint, a metric or a worker.
    #[error("{0}")]
    Training(Arc<TrainingError>),
    /// A step failed on one of the devices of a run: it panicked, or the machine that it is on has
    /// gone.
    #[error("the step on device {device} failed: {reason}")]
    Worker {
        /// The device's place in the list that the trainer was given, from 0.
        device: usize,
        /// What was said.
        reason: String,
    },
    /// A checkpoint is damaged, or not of this run, or there is none.
    #[error("checkpoint `{path}`: {reason}")]
    Checkpoint {
        /// The file or folder.
        path: String,
        /// Why it is of no use.
        reason: String,
    },
    /// The loss of a batch was not a finite number.
    #[error("the loss of batch {batch} is {loss}; try a lower learning rate, or `on_nan` with skip{}", go_on(.checkpoint))]
    NotFinite {
        /// The batch's number in the run, from 0.
        batch: u64,
        /// The loss.
        loss: f64,
        /// The last checkpoint from before it, where the run writes such.
        checkpoint: Option<String>,
    },
    /// A value could not be read from the device.
    #[error("the device failed: {0}")]
    Device(String),
    /// A file or folder cannot be written.
    #[error("cannot write `{path}`: {reason}")]
    Write {
        /// The file or folder.
        path: String,
        /// Why not.
        reason: String,
    },
}

fn go_on(checkpoint: &Option<String>) -> String {
    (checkpoint.as_ref()).map_or_else(String::new, |path| {
        format!("; the last good checkpoint is {path}")
    })
}

impl Error {
    /// An [`Error::Write`].
    pub fn write(path: &Path, reason: impl ToString) -> Self {
        Self::Write {
            path: path.display().to_string(),
            // Some libraries break lines in their messages; ours are one line each.
            reason: reason.to_string().replace('\n', " "),
        }
    }

    /// An [`Error::Argument`].
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
