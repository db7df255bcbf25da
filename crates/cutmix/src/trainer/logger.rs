//! Where the numbers of a run go.

use std::io::Write;

use super::{History, Report, Scores};
use crate::Error;
use crate::algorithms::Note;
use crate::time::Time;

/// The numbers of one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchLog {
    /// Where the run was at its start.
    pub time: Time,
    /// Its learning rate.
    pub learning_rate: f64,
    /// As the network saw it.
    pub scores: Scores,
    /// What the algorithms did: lambda, which of several was chosen. One of a name for each part
    /// of the batch.
    pub notes: Vec<Note>,
}

/// Takes the numbers of a run: to a file, a terminal, a service.
///
/// [`batch`](Self::batch) is called on the thread of the metrics, once the numbers have come from
/// the device, while training goes on. An error stops the run at its next batch, and
/// [`Trainer::fit`](super::Trainer::fit) returns it.
pub trait Logger: Send {
    /// Before the first batch. `history` is what lies behind a run that is resumed; what was
    /// logged after it will be logged again.
    ///
    /// # Errors
    ///
    /// What is to stop the run.
    fn start(&mut self, _history: &History) -> Result<(), Error> {
        Ok(())
    }

    /// After each batch, in order.
    ///
    /// # Errors
    ///
    /// What is to stop the run.
    fn batch(&mut self, _batch: &BatchLog) -> Result<(), Error> {
        Ok(())
    }

    /// At the end of each evaluation interval, after its batches.
    ///
    /// # Errors
    ///
    /// What is to stop the run.
    fn report(&mut self, _report: &Report) -> Result<(), Error> {
        Ok(())
    }

    /// When the run ends, even by an error; what was kept back has to be written now.
    ///
    /// # Errors
    ///
    /// What could not be written.
    fn end(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Prints each report as a line on standard output; what a [`Trainer`](super::Trainer) does that
/// is given no logger.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl Logger for Lines {
    fn report(&mut self, report: &Report) -> Result<(), Error> {
        // A closed pipe must not end the training.
        let _ = writeln!(std::io::stdout(), "{report}");
        Ok(())
    }
}
