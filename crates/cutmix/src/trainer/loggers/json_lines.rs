//! One JSON object a line.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{BatchLog, History, LineFile, Logger, Report, mean_notes};
use crate::Error;
use crate::time::Time;

/// Writes every batch and every report as a line of JSON.
///
/// ```json
/// {"kind":"batch","batch":0,"epoch":0.0,"samples":0,"elapsed":0.1,"learning_rate":0.02,"loss":2.3,"accuracy":12.5,"notes":{"cutmix/lambda":0.7}}
/// {"kind":"report","epoch":1.0,"batches":62,"samples":1984, ...}
/// ```
///
/// `batch`, `epoch`, `samples` and `elapsed` (in seconds) are those before the batch. A report is as
/// `serde` writes [`Report`]. A number that is not finite is `null`. Notes of the parts of a batch
/// are averaged. A run that is resumed goes on in the same file, in which each batch stands once.
///
/// ```no_run
/// # use cutmix::trainer::Trainer;
/// use cutmix::trainer::JsonLines;
///
/// # fn with(trainer: Trainer<impl cutmix::Classifier>) -> Result<(), cutmix::Error> {
/// let trainer = trainer.logger(JsonLines::new("run/log.jsonl"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonLines(LineFile);

impl JsonLines {
    /// To this file, in a folder that exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(LineFile::new(path))
    }
}

impl Logger for JsonLines {
    fn start(&mut self, _: &History, now: &Time) -> Result<(), Error> {
        self.0.open(|path| {
            if now.batch == 0 || !path.exists() {
                return File::create(path);
            }
            keep(path, now.batch)?;
            OpenOptions::new().append(true).open(path)
        })
    }

    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        let notes: BTreeMap<_, _> = mean_notes(&batch.notes).into_iter().collect();
        let line = json!({
            "kind": "batch",
            "batch": batch.time.batch,
            "epoch": batch.time.epoch as f64 + batch.time.epoch_progress,
            "samples": batch.time.samples,
            "elapsed": batch.time.elapsed.as_secs_f64(),
            "learning_rate": batch.learning_rate,
            "loss": batch.scores.loss,
            "accuracy": batch.scores.accuracy,
            "notes": notes,
        });
        self.0.line(&line.to_string())
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        let mut value = serde_json::to_value(report).expect("a report is plain values");
        value["kind"] = "report".into();
        self.0.line(&value.to_string())
    }
}

/// Removes what was written after so many batches, and the half of a line.
fn keep(path: &Path, batches: u64) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut kept = BufWriter::new(File::create(&part)?);
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        let line = line?;
        let value: Value = serde_json::from_slice(&line).unwrap_or_default();
        let lies_behind = match (value["batch"].as_u64(), value["batches"].as_u64()) {
            (Some(batch), _) => batch < batches,
            (None, Some(before)) => before <= batches,
            (None, None) => false,
        };
        if lies_behind {
            kept.write_all(&line)?;
            kept.write_all(b"\n")?;
        }
    }
    kept.flush()?;
    fs::rename(part, path)
}
