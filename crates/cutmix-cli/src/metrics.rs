//! `metrics.csv`: a row for each epoch, in the file as soon as the epoch is over.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use cutmix::Error;
use cutmix::trainer::Epoch;

const HEADER: &str = "epoch,batches,samples,learning_rate,train_loss,train_accuracy,eval_loss,\
                      eval_accuracy,seconds";

/// The open file.
pub struct Table {
    path: PathBuf,
    file: File,
}

impl Table {
    /// Starts the file with its header.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|error| Error::write(path, error))?;
        let path = path.into();
        let mut table = Self { path, file };
        table.line(HEADER)?;
        Ok(table)
    }

    /// Adds the row of an epoch.
    pub fn row(&mut self, epoch: &Epoch) -> Result<(), Error> {
        let scores = [
            Some(epoch.train.loss),
            Some(epoch.train.accuracy),
            epoch.eval.map(|eval| eval.loss),
            epoch.eval.map(|eval| eval.accuracy),
        ];
        let cell = |score: Option<f64>| score.map_or(String::new(), |score| format!("{score:.6}"));
        self.line(&format!(
            "{},{},{},{:.9},{},{:.1}",
            epoch.epoch,
            epoch.batches,
            epoch.samples,
            epoch.learning_rate,
            scores.map(cell).join(","),
            epoch.seconds
        ))
    }

    /// One write for each line, so that a reader never sees half of one.
    fn line(&mut self, line: &str) -> Result<(), Error> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| Error::write(&self.path, error))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Table;

    #[test]
    fn a_full_disk_is_reported_with_the_path() {
        let error = Table::create("/dev/full".as_ref()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "cannot write `/dev/full`: No space left on device (os error 28)"
        );
    }
}
