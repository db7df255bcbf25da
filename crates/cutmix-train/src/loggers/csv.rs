//! A table of the reports.

use std::fs::File;
use std::path::PathBuf;

use super::{Logger, Report, RunStart};
use crate::Error;

/// The columns before the scores.
const COLUMNS: [&str; 5] = ["epoch", "batches", "samples", "seconds", "learning_rate"];

/// Writes a CSV file with a row for each report, which is in the file as soon as the report is made.
///
/// Its columns are `epoch` (to four places), `batches`, `samples`, `seconds` and `learning_rate`, as
/// in [`Report`], and then each score under its name: `train/loss`, `val/accuracy`. A resumed run
/// writes the rows of the earlier reports again.
///
/// ```no_run
/// # use cutmix_train::{Network, Trainer};
/// use cutmix_train::loggers::Csv;
///
/// # fn with(trainer: Trainer<impl Network>) {
/// let trainer = trainer.logger(Csv::new("run/metrics.csv"));
/// # }
/// ```
#[derive(Debug)]
pub struct Csv {
    path: PathBuf,
    writer: Option<csv::Writer<File>>,
    /// The names of the scores, once there is a report.
    scores: Vec<String>,
}

impl Csv {
    /// Writes to this file, in a folder that exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            writer: None,
            scores: Vec::new(),
        }
    }

    fn row(&mut self, report: &Report) -> Result<(), Error> {
        let mut rows = Vec::new();
        if self.scores.is_empty() {
            self.scores = report
                .scores
                .iter()
                .map(|score| score.name.clone())
                .collect();
            let header = COLUMNS.iter().map(ToString::to_string);
            rows.push(
                header
                    .chain(self.scores.iter().cloned())
                    .collect::<Vec<_>>(),
            );
        }
        let numbers = [
            ((1e4 * report.epoch).round() / 1e4).to_string(),
            report.batches.to_string(),
            report.samples.to_string(),
            format!("{:.1}", report.seconds),
            format!("{:.9}", report.learning_rate),
        ];
        let scores = self.scores.iter().map(|name| {
            let value = report.value(name);
            value.map_or(String::new(), |value| format!("{value:.6}"))
        });
        rows.push(numbers.into_iter().chain(scores).collect());
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let written = rows.iter().try_for_each(|row| writer.write_record(row));
        let flushed = written.and_then(|()| Ok(writer.flush()?));
        flushed.map_err(|error| Error::write(&self.path, std::io::Error::from(error)))
    }
}

impl Logger for Csv {
    fn start(&mut self, run: &RunStart) -> Result<(), Error> {
        // A process that was killed may have written rows that the checkpoint does not know.
        let file = File::create(&self.path).map_err(|error| Error::write(&self.path, error))?;
        self.writer = Some(csv::Writer::from_writer(file));
        self.scores.clear();
        run.history
            .reports
            .iter()
            .try_for_each(|report| self.row(report))
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        self.row(report)
    }
}
