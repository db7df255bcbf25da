//! Saved moments of a run: files that are there whole or not at all.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::History;
use super::clock::Counts;
use super::run::Best;
use super::tally::Sums;
use crate::Error;
use crate::time::Duration;

/// The first bytes of a checkpoint; the number is that of its format.
const MAGIC: &[u8; 8] = b"cutmix 1";
const DIGEST: usize = 32;
const EXTENSION: &str = "checkpoint";
/// Of a file that is being written.
const PART: &str = "part";

/// Where a run saves itself, how often, and what it keeps.
///
/// A checkpoint is one file, `batch-00001234.checkpoint`: weights, optimizer, moving average,
/// clock, history and metrics in progress. It is written under another name, synced and renamed,
/// and ends with the SHA-256 of what stands before. What a run draws at random needs no place in
/// it, because it is a function of the seed and the batch; nor does the schedule.
///
/// The run is saved once more when it ends or is stopped.
///
/// A new run does not begin in a folder that has checkpoints. One that is resumed removes those of
/// later batches than its own when it first saves itself: they are damaged, or of another run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    pub(super) folder: PathBuf,
    pub(super) interval: Duration,
    pub(super) keep: usize,
}

impl Checkpoints {
    /// Into this folder, after each epoch; the last two are kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            interval: Duration::Epochs(1),
            keep: 2,
        }
    }

    /// How often to save.
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many of the last checkpoints to keep, at least 1. The one with the best model is kept
    /// as well, where the run is to give that one.
    pub fn keep(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    pub(super) fn check(&self, resumes: bool) -> Result<(), Error> {
        self.interval.check_interval("save_interval")?;
        if self.keep == 0 {
            return Err(Error::argument("keep", 0, "at least 1 checkpoint"));
        }
        if !resumes && Checkpoint::exists(&self.folder) {
            return Err(Error::argument(
                "checkpoints",
                format!("{}, where a run has saved itself", self.folder.display()),
                "another folder, or that run to `resume`",
            ));
        }
        let probe = self.folder.join(".probe");
        (fs::create_dir_all(&self.folder))
            .and_then(|()| fs::write(&probe, "x"))
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| Error::write(&self.folder, error))
    }
}

/// A saved moment of a run, from which [`Trainer::resume`](super::Trainer::resume) goes on.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    pub(super) state: State,
    pub(super) model: Vec<u8>,
    pub(super) optimizer: Vec<u8>,
    pub(super) average: Option<Vec<u8>>,
}

/// What a run is besides its tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub seed: u64,
    /// Samples of the training data.
    pub epoch_samples: u64,
    pub counts: Counts,
    pub history: History,
    /// Metrics since the last report.
    pub train: Sums,
    /// Seconds of training since the last report.
    pub train_seconds: f64,
    /// The batch whose checkpoint has the best model so far.
    pub best: Option<u64>,
    /// Batches that changed nothing.
    pub skipped: u64,
}

/// The header of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    state: State,
    /// Bytes of the model, of the optimizer and of the average.
    model: usize,
    optimizer: usize,
    average: Option<usize>,
}

/// The newest checkpoint of a folder that can be used.
#[derive(Clone, Debug)]
pub struct Latest {
    /// It.
    pub checkpoint: Checkpoint,
    /// What cannot be used: newer ones, newest first, and that of the best model, without which the
    /// best is looked for anew. Each says which file and why.
    pub damaged: Vec<Error>,
}

impl Checkpoint {
    /// The newest usable checkpoint in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if there is none, or none that is whole.
    pub fn latest(folder: &Path) -> Result<Latest, Error> {
        let none = |reason: String| Error::Checkpoint {
            path: folder.display().to_string(),
            reason,
        };
        let batches = list(folder, EXTENSION).map_err(|error| none(error.to_string()))?;
        let mut damaged = Vec::new();
        for batch in batches.into_iter().rev() {
            match Self::read(&file(folder, batch)) {
                Ok(checkpoint) => {
                    let best = checkpoint.state.best.filter(|best| *best != batch);
                    let best = best.map(|best| Self::read(&file(folder, best)));
                    damaged.extend(best.and_then(Result::err));
                    return Ok(Latest {
                        checkpoint,
                        damaged,
                    });
                }
                Err(error) => damaged.push(error),
            }
        }
        Err(match damaged.first() {
            None => none("there is no checkpoint in this folder".into()),
            Some(newest) => none(format!("no checkpoint in this folder is whole; {newest}")),
        })
    }

    /// Whether there is a checkpoint in a folder, whole or not.
    pub fn exists(folder: &Path) -> bool {
        list(folder, EXTENSION).is_ok_and(|batches| !batches.is_empty())
    }

    /// Reads one file.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if it cannot be read, or its digest is not that of its content.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Checkpoint {
            path: path.display().to_string(),
            reason,
        };
        let bytes = fs::read(path).map_err(|error| damaged(error.to_string()))?;
        Self::parse(path, &bytes).ok_or_else(|| {
            damaged("the file is damaged: its digest is not that of its content".into())
        })
    }

    fn parse(path: &Path, bytes: &[u8]) -> Option<Self> {
        let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
        if Sha256::digest(content).as_slice() != digest {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (header, rest) = rest.split_at_checked(length)?;
        let header: Header = ciborium::from_reader(header).ok()?;
        let (model, rest) = rest.split_at_checked(header.model)?;
        let (optimizer, rest) = rest.split_at_checked(header.optimizer)?;
        Some(Self {
            path: path.into(),
            state: header.state,
            model: model.into(),
            optimizer: optimizer.into(),
            average: match header.average {
                None => None,
                Some(length) => Some(rest.get(..length)?.into()),
            },
        })
    }

    /// Writes it whole or not at all.
    pub(super) fn write(
        folder: &Path,
        batch: u64,
        state: State,
        [model, optimizer]: [Bytes; 2],
        average: Option<Bytes>,
    ) -> Result<PathBuf, Error> {
        let path = file(folder, batch);
        let part = path.with_extension(PART);
        let header = Header {
            state,
            model: model.len(),
            optimizer: optimizer.len(),
            average: average.as_ref().map(|average| average.len()),
        };
        let mut encoded = Vec::new();
        ciborium::into_writer(&header, &mut encoded).expect("memory takes plain values");
        let header = encoded;
        let length = (header.len() as u64).to_le_bytes();
        let average = average.as_deref().unwrap_or_default();
        let pieces: [&[u8]; 6] = [MAGIC, &length, &header, &model, &optimizer, average];
        let write = || {
            let mut file = File::create(&part)?;
            let mut digest = Sha256::new();
            for piece in pieces {
                digest.update(piece);
                file.write_all(piece)?;
            }
            file.write_all(&digest.finalize())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            sync_folder(folder)
        };
        write().map_err(|error: io::Error| {
            // Gone already, or not ours to remove: the error that counts is the first.
            let _ = fs::remove_file(&part);
            Error::write(&path, error)
        })?;
        Ok(path)
    }

    /// Whether it can be of a run with these settings.
    pub(super) fn check(&self, seed: u64, averages: bool, epoch_samples: u64) -> Result<(), Error> {
        if self.state.epoch_samples != epoch_samples {
            let value = format!("of {epoch_samples} samples");
            let accepted = format!("the {} samples of the run", self.state.epoch_samples);
            return Err(Error::argument("train_loader", value, accepted));
        }
        if self.state.seed != seed {
            let accepted = format!("{}, the seed of the run", self.state.seed);
            return Err(Error::argument("seed", seed, accepted));
        }
        match self.average.is_some() == averages {
            true => Ok(()),
            false => Err(self.not_of_this_run(match averages {
                true => "it has no moving average of the weights",
                false => "it has a moving average of the weights",
            })),
        }
    }

    fn not_of_this_run(&self, reason: impl Display) -> Error {
        // Burn's reasons have several lines.
        let reason = reason.to_string().replace('\n', " ");
        Error::Checkpoint {
            path: self.path.display().to_string(),
            reason: format!("it is not of this run: {}", reason.trim()),
        }
    }

    /// `model` with the saved weights.
    pub(super) fn load_model<M: Module>(&self, model: M) -> Result<M, Error> {
        self.load(&self.model, model)
    }

    /// `model` with the saved weights that inference uses: their moving average, if there is one.
    pub(super) fn inference_model<M: Module>(&self, model: M) -> Result<M, Error> {
        self.load(self.average.as_ref().unwrap_or(&self.model), model)
    }

    fn load<M: Module>(&self, bytes: &[u8], model: M) -> Result<M, Error> {
        ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.to_vec()))
            .and_then(|record| model.try_load_record(record))
            .map_err(|error| self.not_of_this_run(error))
    }

    pub(super) fn load_optimizer(
        &self,
        optimizer: ModuleOptimizer,
    ) -> Result<ModuleOptimizer, Error> {
        OptimizerRecord::from_bytes(Bytes::from_bytes_vec(self.optimizer.clone()))
            .map(|record| optimizer.load_record(record))
            .map_err(|error| self.not_of_this_run(error))
    }

    /// The best model of the run so far, whose weights are in a checkpoint beside
    /// this one.
    pub(super) fn best_model<M: Module>(&self, model: M) -> Result<Option<Best<M>>, Error> {
        let Some(batches) = self.state.best else {
            return Ok(None);
        };
        if batches == self.batches() {
            let model = self.inference_model(model)?;
            return Ok(Some(Best { batches, model }));
        }
        match Self::read(&self.path.with_file_name(name(batches))) {
            Ok(best) => {
                let model = best.inference_model(model)?;
                Ok(Some(Best { batches, model }))
            }
            // `latest` has named it; a run can do without.
            Err(_) => Ok(None),
        }
    }

    /// Which file it was.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What happened before it.
    pub fn history(&self) -> &History {
        &self.state.history
    }

    /// Batches of the run before it.
    pub fn batches(&self) -> u64 {
        self.state.counts.batches
    }
}

/// Removes all checkpoints but the last `keep` up to that of batch `now` and that of the batch
/// `best`. And what a process that was killed left half written.
pub(super) fn prune(folder: &Path, now: u64, keep: usize, best: Option<u64>) -> io::Result<()> {
    let (batches, later): (Vec<_>, Vec<_>) = list(folder, EXTENSION)?
        .into_iter()
        .partition(|batch| *batch <= now);
    for batch in later {
        fs::remove_file(file(folder, batch))?;
    }
    let old = batches.len().saturating_sub(keep);
    for &batch in batches[..old].iter().filter(|&&batch| Some(batch) != best) {
        fs::remove_file(file(folder, batch))?;
    }
    for batch in list(folder, PART)? {
        fs::remove_file(file(folder, batch).with_extension(PART))?;
    }
    Ok(())
}

fn file(folder: &Path, batch: u64) -> PathBuf {
    folder.join(name(batch))
}

fn name(batch: u64) -> String {
    format!("batch-{batch:08}.{EXTENSION}")
}

/// The batches of the files with this extension in a folder, in order.
fn list(folder: &Path, extension: &str) -> io::Result<Vec<u64>> {
    let mut batches = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let batch: Option<u64> =
            (path.file_stem()).and_then(|stem| stem.to_str()?.strip_prefix("batch-")?.parse().ok());
        if path.extension().is_some_and(|found| found == extension) {
            batches.extend(batch);
        }
    }
    batches.sort_unstable();
    Ok(batches)
}

/// Makes a rename last through a power failure.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return File::open(folder)?.sync_all();
    #[cfg(not(unix))]
    {
        let _ = folder;
        Ok(())
    }
}
