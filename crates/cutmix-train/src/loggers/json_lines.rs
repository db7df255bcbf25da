//! One JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{BatchLog, Logger, Report, RunStart};
use crate::{AtomicFile, Error};

/// Writes every batch and every report as a line of JSON.
///
/// ```json
/// {"kind":"batch","batch":0,"epoch":0.0,"samples":0,"elapsed":0.1,"learning_rate":0.02,"loss":2.3,"accuracy":12.5,"logged":{"cutmix/lambda":0.7}}
/// {"kind":"report","epoch":1.0,"batches":62,"samples":1984,"scores":{"train/loss":1.9}, ...}
/// ```
///
/// `batch`, `epoch`, `samples` and `elapsed` (in seconds) are those at the start of the batch. A
/// number that is not finite is `null`, as JSON has none. What algorithms log is averaged over the
/// parts of a batch. A resumed run continues in the same file, in which each batch stands once.
///
/// ```no_run
/// # use cutmix_train::{Network, Trainer};
/// use cutmix_train::loggers::JsonLines;
///
/// # fn with(trainer: Trainer<impl Network>) {
/// let trainer = trainer.logger(JsonLines::new("run/log.jsonl"));
/// # }
/// ```
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: Option<File>,
}

impl JsonLines {
    /// Writes to this file, in a folder that exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file: None,
        }
    }

    /// Writes a line at once, so that a reader never sees half of one.
    fn line(&mut self, line: &Value) -> Result<(), Error> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let written = file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| Error::write(&self.path, error))
    }
}

impl Logger for JsonLines {
    fn start(&mut self, run: &RunStart) -> Result<(), Error> {
        let open = || {
            if run.time.batch == 0 || !self.path.exists() {
                return File::create(&self.path);
            }
            keep_before(&self.path, run.time.batch)?;
            OpenOptions::new().append(true).open(&self.path)
        };
        let file = open().map_err(|error| Error::write(&self.path, error))?;
        self.file = Some(file);
        Ok(())
    }

    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        let logged: Map<String, Value> = (batch.logged_means().into_iter())
            .map(|(name, value)| (name.to_string(), value.into()))
            .collect();
        self.line(&json!({
            "kind": "batch",
            "batch": batch.time.batch,
            "epoch": batch.time.epoch as f64 + batch.time.epoch_progress,
            "samples": batch.time.samples,
            "elapsed": batch.time.elapsed.as_secs_f64(),
            "learning_rate": batch.learning_rate,
            "loss": batch.loss,
            "accuracy": batch.accuracy,
            "logged": logged,
        }))
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        let scores: Map<String, Value> = (report.scores.iter())
            .map(|score| (score.name.clone(), score.value.into()))
            .collect();
        self.line(&json!({
            "kind": "report",
            "epoch": report.epoch,
            "batches": report.batches,
            "samples": report.samples,
            "learning_rate": report.learning_rate,
            "scores": scores,
            "mixed": report.mixed,
            "skipped": report.skipped,
            "train_seconds": report.train_seconds,
            "data_seconds": report.data_seconds,
            "seconds": report.seconds,
        }))
    }
}

/// Removes the lines of batches from number `batches` on, and the half of a line.
fn keep_before(path: &Path, batches: u64) -> io::Result<()> {
    let mut kept = AtomicFile::create(path, ".log-")?;
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        let line = line?;
        let value: Value = serde_json::from_slice(&line).unwrap_or_default();
        let is_before = match (value["batch"].as_u64(), value["batches"].as_u64()) {
            (Some(batch), _) => batch < batches,
            (None, Some(before)) => before <= batches,
            (None, None) => false,
        };
        if is_before {
            kept.write_all(&line)?;
            kept.write_all(b"\n")?;
        }
    }
    kept.commit()
}
