//! Loggers, which write the numbers of a run.

mod csv;
mod json_lines;
mod renderer;
mod tensorboard;

use std::io::Write;

pub use csv::Csv;
pub use json_lines::JsonLines;
pub use renderer::BurnRenderer;
pub use tensorboard::TensorBoard;

use crate::Error;
use crate::history::{History, Report};
use crate::state::Logged;
use crate::time::{Duration, Time};

/// What a logger is given when a run starts.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// The reports of the run that is resumed; empty for a new run.
    pub history: History,
    /// The position at which the run starts or resumes. What was logged of batches after it will be
    /// logged again.
    pub time: Time,
    /// The length of the run.
    pub max_duration: Duration,
    /// The number of samples in an epoch.
    pub epoch_samples: usize,
    /// Whether an algorithm mixes the training targets.
    pub mixes_targets: bool,
}

/// The numbers of one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchLog {
    /// The position of the run at the start of the batch.
    pub time: Time,
    /// The learning rate of the batch.
    pub learning_rate: f64,
    /// The mean loss of a sample, as the network saw it.
    pub loss: f64,
    /// The accuracy in percent, as the network saw the batch.
    pub accuracy: f64,
    /// What the algorithms logged: one entry of a name for each part of the batch.
    pub logged: Vec<Logged>,
}

impl BatchLog {
    /// What the algorithms logged, the mean over the parts of the batch.
    pub fn logged_means(&self) -> Vec<(&str, f64)> {
        let mut means: Vec<(&str, f64)> = Vec::new();
        for Logged { name, .. } in &self.logged {
            if means.iter().any(|(known, _)| known == name) {
                continue;
            }
            let same = self.logged.iter().filter(|other| other.name == *name);
            let (sum, count) = same.fold((0.0, 0.0), |(sum, count), logged| {
                (sum + logged.value, count + 1.0)
            });
            means.push((name, sum / count));
        }
        means
    }
}

/// A receiver of the numbers of a run, which writes them to a file, a terminal or a service.
///
/// An error stops the run, and [`Trainer::fit`](crate::Trainer::fit) returns it.
pub trait Logger: Send {
    /// Called before the first batch.
    ///
    /// # Errors
    ///
    /// An error stops the run.
    fn start(&mut self, _run: &RunStart) -> Result<(), Error> {
        Ok(())
    }

    /// Called for each batch, in order, once its numbers have been read from the device: some
    /// batches later.
    ///
    /// # Errors
    ///
    /// An error stops the run.
    fn batch(&mut self, _batch: &BatchLog) -> Result<(), Error> {
        Ok(())
    }

    /// Called while the evaluation set of this name is evaluated: `done` of `total` samples are.
    fn evaluating(&mut self, _set: &str, _done: usize, _total: usize) {}

    /// Called at the end of each evaluation interval, after its batches.
    ///
    /// # Errors
    ///
    /// An error stops the run.
    fn report(&mut self, _report: &Report) -> Result<(), Error> {
        Ok(())
    }

    /// Called before a checkpoint is written: what was kept back has to be written, because a run
    /// that is resumed from the checkpoint does not log it again.
    ///
    /// # Errors
    ///
    /// An error stops the run.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Called when the run ends, even by an error: what was kept back has to be written.
    ///
    /// # Errors
    ///
    /// An error is returned by [`Trainer::fit`](crate::Trainer::fit).
    fn end(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Prints each report as a line on standard output, as a trainer without loggers does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl Logger for Lines {
    fn report(&mut self, report: &Report) -> Result<(), Error> {
        // A closed pipe must not end the training.
        let _ = writeln!(std::io::stdout(), "{report}");
        Ok(())
    }
}

/// The loggers of a run.
pub(crate) struct Loggers {
    loggers: Vec<Box<dyn Logger>>,
    /// The number of loggers that have started.
    started: usize,
}

impl Loggers {
    pub fn new(loggers: Vec<Box<dyn Logger>>) -> Self {
        Self {
            loggers,
            started: 0,
        }
    }

    pub fn start(&mut self, run: &RunStart) -> Result<(), Error> {
        for logger in &mut self.loggers {
            logger.start(run)?;
            self.started += 1;
        }
        Ok(())
    }

    /// Passes something on to every logger.
    pub fn each(
        &mut self,
        pass: impl FnMut(&mut Box<dyn Logger>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.loggers.iter_mut().try_for_each(pass)
    }

    /// Ends every logger that has started; the first error is returned.
    pub fn end(&mut self) -> Result<(), Error> {
        let started = self.loggers[..self.started].iter_mut();
        let results: Vec<_> = started.map(|logger| logger.end()).collect();
        results.into_iter().collect()
    }
}
