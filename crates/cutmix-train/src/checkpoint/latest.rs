//! The newest checkpoint of a folder.

use std::io::ErrorKind;
use std::path::Path;

use super::{Checkpoint, file};
use crate::{CheckpointProblem, Error};

/// The newest checkpoint of a folder that can be used.
#[derive(Debug)]
pub struct Latest {
    /// The newest checkpoint that is not damaged.
    pub checkpoint: Checkpoint,
    /// The checkpoint of the run's [best](Checkpoint::best) model, where that is an older one and can be
    /// read.
    pub best: Option<Checkpoint>,
    /// The errors of the damaged files that were skipped, newest first, and of the file of the best model
    /// if that cannot be read; the best is then looked for anew.
    pub damaged: Vec<Error>,
}

impl Checkpoint {
    /// The newest checkpoint in a folder. Damaged files are skipped and named; nothing is
    /// changed. A run may write to the folder meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if there is no checkpoint, or none that is whole, or if the newest file that
    /// is not damaged has another version or cannot be read.
    pub fn latest(folder: &Path) -> Result<Latest, Error> {
        let list = || {
            file::list(folder)
                .map_err(|error| Error::checkpoint(folder, CheckpointProblem::Unreadable(error)))
        };
        let mut batches = list()?;
        loop {
            let latest = Self::latest_of(folder, &batches);
            let misses_one = match &latest {
                Ok(latest) => latest.damaged.iter().any(is_gone),
                Err(error) => is_gone(error),
            };
            if !misses_one {
                return latest;
            }
            // A run that writes a checkpoint removes an older one, perhaps between the list and the read.
            let listed = std::mem::replace(&mut batches, list()?);
            if listed == batches {
                return latest;
            }
        }
    }

    /// The newest of the checkpoints after `batches`, which are in order.
    fn latest_of(folder: &Path, batches: &[u64]) -> Result<Latest, Error> {
        let read = |batch| Self::read(&file::path(folder, batch));
        let mut damaged = Vec::new();
        for &batch in batches.iter().rev() {
            match read(batch) {
                Ok(checkpoint) => {
                    let best = checkpoint.best().map(|(_, best)| best);
                    let best = best.filter(|best| *best != batch).map(read).transpose();
                    let best = best.unwrap_or_else(|error| {
                        damaged.push(error);
                        None
                    });
                    return Ok(Latest {
                        best: best.filter(|best| best.run() == checkpoint.run()),
                        checkpoint,
                        damaged,
                    });
                }
                Err(error) if is_damage(&error) => damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        let missing = || Error::checkpoint(folder, CheckpointProblem::Missing);
        Err(damaged.into_iter().next().unwrap_or_else(missing))
    }
}

/// Whether a file does not exist.
fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::Checkpoint {
            problem: CheckpointProblem::Unreadable(error),
            ..
        } if error.kind() == ErrorKind::NotFound
    )
}

/// Whether a file is of no use to any version of this library.
fn is_damage(error: &Error) -> bool {
    use CheckpointProblem::{Damaged, NotACheckpoint};
    matches!(
        error,
        Error::Checkpoint {
            problem: Damaged | NotACheckpoint,
            ..
        }
    )
}
