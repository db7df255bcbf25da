//! A table of the reports.

use std::fs::File;
use std::path::PathBuf;

use super::{History, LineFile, Logger, Report};
use crate::Error;
use crate::time::Time;

const HEADER: &str = "epoch,batches,samples,learning_rate,train_loss,train_accuracy,eval_loss,\
                      eval_accuracy,seconds";

/// Writes a CSV file with a row for each report, in the file as soon as the report is there.
///
/// Its columns are `epoch` (to four places), `batches`, `samples`, `learning_rate`, `train_loss`,
/// `train_accuracy`, `eval_loss`, `eval_accuracy` (both empty where there was no evaluation) and
/// `seconds`, as in [`Report`]. A run that is resumed writes the rows of what lies behind anew.
///
/// ```no_run
/// # use cutmix::trainer::Trainer;
/// use cutmix::trainer::Csv;
///
/// # fn with(trainer: Trainer<impl cutmix::Classifier>) -> Result<(), cutmix::Error> {
/// let trainer = trainer.logger(Csv::new("run/metrics.csv"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Csv(LineFile);

impl Csv {
    /// To this file, in a folder that exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(LineFile::new(path))
    }

    fn row(&mut self, report: &Report) -> Result<(), Error> {
        let scores = [
            Some(report.train.loss),
            Some(report.train.accuracy),
            report.eval.map(|eval| eval.loss),
            report.eval.map(|eval| eval.accuracy),
        ];
        let cell = |score: Option<f64>| score.map_or(String::new(), |score| format!("{score:.6}"));
        self.0.line(&format!(
            "{},{},{},{:.9},{},{:.1}",
            (1e4 * report.epoch).round() / 1e4,
            report.batches,
            report.samples,
            report.learning_rate,
            scores.map(cell).join(","),
            report.seconds
        ))
    }
}

impl Logger for Csv {
    /// A process that was killed may have written more than what lies behind, and the last of it
    /// by half.
    fn start(&mut self, history: &History, _: &Time) -> Result<(), Error> {
        self.0.open(|path| File::create(path))?;
        self.0.line(HEADER)?;
        let mut reports = history.reports.iter();
        reports.try_for_each(|report| self.row(report))
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        self.row(report)
    }
}
