//! Where the numbers of a run go.

mod csv;
mod json_lines;
mod tensorboard;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use csv::Csv;
pub use json_lines::JsonLines;
pub use tensorboard::TensorBoard;

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
    /// Before the first batch. Of a run that is resumed `history` lies behind, and `now` is where it
    /// goes on; what was logged of batches from there on will be logged again.
    ///
    /// # Errors
    ///
    /// What is to stop the run.
    fn start(&mut self, _history: &History, _now: &Time) -> Result<(), Error> {
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

/// A file that grows by lines.
#[derive(Debug)]
struct LineFile {
    path: PathBuf,
    file: Option<File>,
}

impl LineFile {
    fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file: None,
        }
    }

    fn open(&mut self, open: impl FnOnce(&Path) -> io::Result<File>) -> Result<(), Error> {
        let file = open(&self.path).map_err(|error| Error::write(&self.path, error))?;
        self.file = Some(file);
        Ok(())
    }

    /// One write for each line, so that a reader never sees half of one.
    fn line(&mut self, line: &str) -> Result<(), Error> {
        let Some(file) = &mut self.file else {
            let accepted = "lines after `start`";
            return Err(Error::argument("logger", "not started", accepted));
        };
        let written = file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| Error::write(&self.path, error))
    }
}

/// The notes of a batch, those of its parts averaged, in the order of their first.
fn mean_notes(notes: &[Note]) -> Vec<(String, f64)> {
    let mut means: Vec<(String, f64)> = Vec::new();
    for note in notes {
        if means.iter().any(|(name, _)| *name == note.name) {
            continue;
        }
        let same = notes.iter().filter(|other| other.name == note.name);
        let (sum, count) = same.fold((0.0, 0.0), |(sum, count), note| {
            (sum + note.value, count + 1.0)
        });
        means.push((note.name.to_string(), sum / count));
    }
    means
}
