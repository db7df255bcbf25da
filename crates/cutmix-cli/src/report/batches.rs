//! What algorithms log for each batch, thinned out so that the longest run keeps a small file.

use std::path::{Path, PathBuf};

use cutmix_train::loggers::{BatchLog, Logger, RunStart};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::run_folder::write_csv;
use crate::terminal::Warnings;

/// The number of batches that are kept is at most this, and at least half of it in a longer run.
const MOST: u64 = 512;

/// A number of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNumber {
    pub batch: u64,
    /// Elapsed passes over the training data at the start of the batch.
    pub epoch: f64,
    /// `learning-rate`, or what an algorithm has logged, such as `cutmix/lambda`.
    pub name: String,
    pub value: f64,
}

/// Writes a CSV file of [`BatchNumber`]s before each checkpoint and at the end: those of every batch,
/// of a longer run those of every second, fourth, ... one. A file that cannot be written is a warning.
pub struct BatchNumbers {
    path: PathBuf,
    numbers: Vec<BatchNumber>,
    /// Distance of the batches that are kept.
    step: u64,
    warnings: Warnings,
}

impl BatchNumbers {
    pub fn new(path: PathBuf, warnings: Warnings) -> Self {
        Self {
            path,
            numbers: Vec::new(),
            step: 1,
            warnings,
        }
    }

    /// Keeps what is kept of a run of `batches`, which depends on nothing else.
    fn thin(&mut self, batches: u64) {
        let step = batches.div_ceil(MOST).next_power_of_two();
        if step != self.step {
            self.step = step;
            self.numbers
                .retain(|number| number.batch.is_multiple_of(step));
        }
    }

    fn write(&self) -> Result<(), Error> {
        write_csv(&self.path, |csv| {
            let mut numbers = self.numbers.iter();
            numbers.try_for_each(|number| csv.serialize(number))
        })
    }
}

/// The numbers in a file; none where it is missing or damaged.
pub fn read(path: &Path) -> Vec<BatchNumber> {
    let rows = csv::Reader::from_path(path).map(csv::Reader::into_deserialize);
    rows.map_or_else(|_| Vec::new(), |rows| rows.map_while(Result::ok).collect())
}

impl Logger for BatchNumbers {
    fn start(&mut self, run: &RunStart) -> Result<(), cutmix_train::Error> {
        // Those of later batches will be logged again.
        let batches = run.time.batch;
        self.numbers = read(&self.path);
        self.numbers.retain(|number| number.batch < batches);
        self.step = 0;
        self.thin(batches);
        Ok(())
    }

    fn batch(&mut self, batch: &BatchLog) -> Result<(), cutmix_train::Error> {
        let time = &batch.time;
        self.thin(time.batch + 1);
        if !time.batch.is_multiple_of(self.step) {
            return Ok(());
        }
        let rate = ("learning-rate", batch.learning_rate);
        let logged = batch.logged_means();
        let numbers = std::iter::once(rate)
            .chain(logged)
            .map(|(name, value)| BatchNumber {
                batch: time.batch,
                epoch: time.epoch as f64 + time.epoch_progress,
                name: name.into(),
                value,
            });
        self.numbers.extend(numbers);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), cutmix_train::Error> {
        // A warning at the end of the run is enough.
        let _ = self.write();
        Ok(())
    }

    fn end(&mut self) -> Result<(), cutmix_train::Error> {
        if let Err(error) = self.write() {
            self.warnings.push(error.to_string());
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "../../tests/unit/batches.rs"]
mod tests;
