//! `metrics.csv`: a row for each report, in the file as soon as it is there.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use cutmix::Error;
use cutmix::trainer::{History, Logger, Report};

const HEADER: &str = "epoch,batches,samples,learning_rate,train_loss,train_accuracy,eval_loss,\
                      eval_accuracy,seconds";

/// The open file.
pub struct Table {
    path: PathBuf,
    file: File,
}

impl Table {
    /// Starts the file.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|error| Error::write(path, error))?;
        let path = path.into();
        Ok(Self { path, file })
    }

    fn row(&mut self, report: &Report) -> Result<(), Error> {
        let scores = [
            Some(report.train.loss),
            Some(report.train.accuracy),
            report.eval.map(|eval| eval.loss),
            report.eval.map(|eval| eval.accuracy),
        ];
        let cell = |score: Option<f64>| score.map_or(String::new(), |score| format!("{score:.6}"));
        self.line(&format!(
            "{},{},{},{:.9},{},{:.1}",
            (1e4 * report.epoch).round() / 1e4,
            report.batches,
            report.samples,
            report.learning_rate,
            scores.map(cell).join(","),
            report.seconds
        ))
    }

    /// One write for each line, so that a reader never sees half of one.
    fn line(&mut self, line: &str) -> Result<(), Error> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| Error::write(&self.path, error))
    }
}

impl Logger for Table {
    /// With the rows of what lies behind a run that is resumed: a process that was killed may have
    /// written more, and the last of it by half.
    fn start(&mut self, history: &History) -> Result<(), Error> {
        self.line(HEADER)?;
        history
            .reports
            .iter()
            .try_for_each(|report| self.row(report))
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        self.row(report)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use cutmix::trainer::{History, Logger};

    use super::Table;

    #[test]
    fn a_full_disk_is_reported_with_the_path() {
        let mut table = Table::create("/dev/full".as_ref()).unwrap();
        let error = table.start(&History::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot write `/dev/full`: No space left on device (os error 28)"
        );
    }
}
