//! Event files of TensorBoard: records with checksums, each a protocol-buffer message.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{BatchLog, Logger, Report, RunStart};
use crate::Error;

/// Batches between two flushes; a checkpoint flushes as well.
const FLUSH: u64 = 64;
/// The start of the names of event files.
const PREFIX: &str = "events.out.tfevents";

/// Writes an event file that TensorBoard reads: `tensorboard --logdir FOLDER`.
///
/// Each batch has `train/loss`, `train/accuracy`, `learning_rate`, and what algorithms log under
/// their own names, such as `cutmix/lambda` (averaged over the parts of a batch); each report has the
/// scores of the evaluation sets, such as `val/accuracy`. The step is the number of elapsed batches. A
/// run that is resumed, or starts anew in the folder, starts another file, which makes TensorBoard
/// forget what came after the checkpoint, or all of it.
///
/// ```no_run
/// # use cutmix_train::{Network, Trainer};
/// use cutmix_train::loggers::TensorBoard;
///
/// # fn with(trainer: Trainer<impl Network>) {
/// let trainer = trainer.logger(TensorBoard::new("run/tensorboard"));
/// # }
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    file: Option<(PathBuf, BufWriter<File>)>,
}

impl TensorBoard {
    /// Writes to this folder, which is made where it is missing.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            file: None,
        }
    }

    fn write(
        &mut self,
        act: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), Error> {
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        act(file).map_err(|error| Error::write(path, error))
    }

    fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), Error> {
        let summary: Vec<u8> = (scalars.iter())
            .flat_map(|&(tag, value)| {
                // Summary.Value: tag = 1, simple_value = 2.
                let mut message = bytes(1, tag.as_bytes());
                message.extend(key(2, FIXED_32));
                message.extend((value as f32).to_le_bytes());
                bytes(1, &message)
            })
            .collect();
        self.write(|file| record(file, &event(step, bytes(5, &summary))))
    }
}

/// Whether a folder has an event file.
fn is_written(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?.file_name().to_string_lossy().starts_with(PREFIX) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Logger for TensorBoard {
    fn start(&mut self, run: &RunStart) -> Result<(), Error> {
        fs::create_dir_all(&self.folder).map_err(|error| Error::write(&self.folder, error))?;
        let has_earlier_files =
            is_written(&self.folder).map_err(|error| Error::write(&self.folder, error))?;
        let seconds = wall_time() as u64;
        // TensorBoard reads the files of a folder in the order of their names.
        let name = format!("{PREFIX}.{seconds:010}.cutmix.{}", std::process::id());
        let path = self.folder.join(name);
        let file = File::create(&path).map_err(|error| Error::write(&path, error))?;
        self.file = Some((path, BufWriter::new(file)));
        self.write(|file| {
            record(file, &event(0, bytes(3, b"brain.Event:2")))?;
            if has_earlier_files {
                // SessionLog: status = 1, START: steps from this one on are forgotten.
                let mut start = key(1, VARINT);
                start.extend(varint(1));
                record(file, &event(run.time.batch + 1, bytes(7, &start)))?;
            }
            file.flush()
        })
    }

    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        let mut scalars = vec![
            ("train/loss", batch.loss),
            ("train/accuracy", batch.accuracy),
            ("learning_rate", batch.learning_rate),
        ];
        scalars.extend(batch.logged_means());
        let step = batch.time.batch + 1;
        self.scalars(step, &scalars)?;
        if step.is_multiple_of(FLUSH) {
            self.write(Write::flush)?;
        }
        Ok(())
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        // The scores on training batches have been written batch by batch.
        let scores = (report.scores.iter()).filter(|score| !score.name.starts_with("train/"));
        let scalars: Vec<_> = scores
            .map(|score| (score.name.as_str(), score.value))
            .collect();
        if !scalars.is_empty() {
            self.scalars(report.batches, &scalars)?;
        }
        self.write(Write::flush)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.write(Write::flush)
    }

    fn end(&mut self) -> Result<(), Error> {
        self.write(Write::flush)
    }
}

fn wall_time() -> f64 {
    // A clock before 1970 is wrong anyhow.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// An `Event` message: wall_time = 1, step = 2, and its content.
fn event(step: u64, what: Vec<u8>) -> Vec<u8> {
    let mut message = key(1, FIXED_64);
    message.extend(wall_time().to_le_bytes());
    message.extend(key(2, VARINT));
    message.extend(varint(step));
    message.extend(what);
    message
}

/// Writes a TFRecord: the length, its checksum, the data and their checksum.
fn record(file: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    file.write_all(&length)?;
    file.write_all(&masked(&length).to_le_bytes())?;
    file.write_all(data)?;
    file.write_all(&masked(data).to_le_bytes())
}

fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// The wire types of protocol buffers.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

fn key(field: u64, wire_type: u64) -> Vec<u8> {
    varint(field << 3 | wire_type)
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut message = key(field, BYTES);
    message.extend(varint(content.len() as u64));
    message.extend(content);
    message
}

/// A number in seven bits a byte, the lowest first.
fn varint(mut value: u64) -> Vec<u8> {
    let mut encoded = Vec::new();
    while value >= 0x80 {
        encoded.push(value as u8 | 0x80);
        value >>= 7;
    }
    encoded.push(value as u8);
    encoded
}
