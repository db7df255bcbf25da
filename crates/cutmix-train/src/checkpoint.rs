//! Checkpoints: the saved state of a run.

mod file;
mod latest;
mod writer;

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::OptimizerRecord;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Counts};
use crate::history::History;
use crate::metrics::Sums;
use crate::time::Duration;
use crate::trainer::TrainerConfig;
use crate::{CheckpointProblem, Error, State};

pub use latest::Latest;
pub use writer::FolderLock;
pub(crate) use writer::{Writer, run_id};

/// The folder of a run's checkpoints, how often they are written, and how many are kept.
///
/// A checkpoint is one file, `batch-00001234.checkpoint`: weights, optimizer, moving average,
/// counts, history and metrics in progress. It is written under a temporary name, synced and
/// renamed, and ends with the SHA-256 digest of its content. What a run draws at random needs no
/// place in it, because that is a function of the seed and the batch.
///
/// A checkpoint is also written when the run ends or is stopped. Files are written by a thread of
/// their own while training continues.
///
/// A new run does not start in a folder that has checkpoints. A run removes old checkpoints of its
/// own, and nothing else: not those of other runs, nor those that are newer than its position. Where it
/// comes to the position of a newer one of its own, it writes that file anew. A file of another run
/// in that place is renamed: `batch-00001234.checkpoint.1`. As long as the run lasts, it holds a lock
/// on the folder.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    pub(crate) folder: PathBuf,
    pub(crate) interval: Duration,
    pub(crate) keep: usize,
}

impl Checkpoints {
    /// Writes to `folder` after each epoch, and keeps the last two checkpoints.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            interval: Duration::Epochs(1),
            keep: 2,
        }
    }

    setters! {
        /// Writes each time that `interval` elapses.
        with_save_interval interval: Duration;
        /// Keeps the last `keep` checkpoints, at least 1. The one with the best model is kept as well,
        /// where the run returns that model.
        with_keep keep: usize;
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.interval.check_interval("save_interval")?;
        Error::ensure(self.keep > 0, "keep", 0, "at least 1 checkpoint")
    }
}

/// The identity and the running numbers of a run, which a checkpoint stores beside its tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// The identity of the run, drawn when it started.
    pub run: String,
    /// Samples of the training data, and the loader's digest of them.
    pub num_samples: u64,
    pub digest: Option<String>,
    /// Metrics since the last report.
    pub sums: Sums,
    /// Seconds of training since the last report.
    pub train_seconds: f64,
    /// Seconds of them in which training waited for its data.
    #[serde(default)]
    pub data_seconds: f64,
    /// The score by which the best model is kept, and the batch whose checkpoint has it.
    pub best: Option<(String, u64)>,
    /// The index of the first report whose model can be the best: those before it are lost.
    pub best_from: usize,
    /// The index of the first report that patience looks at.
    pub patience_from: usize,
    /// The counts at which the current cycle of the schedule started.
    pub cycle: Counts,
}

/// The header of a checkpoint file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub record: RunRecord,
    pub seed: u64,
    pub max_duration: Duration,
    pub counts: Counts,
    pub history: History,
    pub learning_rate: f64,
    pub skipped: u64,
    /// Bytes of the model, of the optimizer and, where there is one, of the moving average.
    pub lengths: Vec<u64>,
}

/// The saved state of a run, which [`Trainer::resume`](crate::Trainer::resume) resumes.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    header: Header,
    model: Vec<u8>,
    optimizer: Vec<u8>,
    ema_model: Option<Vec<u8>>,
}

impl Checkpoint {
    /// Whether a folder has a checkpoint, whole or not.
    pub fn exists(folder: &Path) -> bool {
        file::list(folder).is_ok_and(|batches| !batches.is_empty())
    }

    /// Reads one file.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`], whose problem tells apart a file that cannot be read, is no
    /// checkpoint, has another version or a wrong digest.
    pub fn read(path: &Path) -> Result<Self, Error> {
        file::read(path).map_err(|problem| Error::checkpoint(path, problem))
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The reports that the run had made when the checkpoint was written.
    pub fn history(&self) -> &History {
        &self.header.history
    }

    /// Elapsed batches of the run.
    pub fn batches(&self) -> u64 {
        self.header.counts.batches
    }

    /// The score by which the run keeps its best model, [`TrainerConfig::best`], and the batch whose
    /// checkpoint has that model; `None` before the first report, and where the run keeps none.
    pub fn best(&self) -> Option<(&str, u64)> {
        let best = self.header.record.best.as_ref();
        best.map(|(score, batch)| (score.as_str(), *batch))
    }

    /// The length that the run was meant to have when the checkpoint was written.
    pub fn max_duration(&self) -> Duration {
        self.header.max_duration
    }

    /// Whether the run had reached its [`max_duration`](Self::max_duration).
    pub fn is_complete(&self) -> bool {
        self.is_over(self.header.max_duration)
    }

    /// Whether a run of this length is over.
    fn is_over(&self, max_duration: Duration) -> bool {
        let samples = self.header.record.num_samples as usize;
        Clock::new(max_duration, samples, self.header.counts).is_over()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.header.counts
    }

    pub(crate) fn run(&self) -> &str {
        &self.header.record.run
    }

    /// Checks that a run with these settings and these data can be the one that was saved.
    pub(crate) fn check(&self, config: &TrainerConfig, data: &RunRecord) -> Result<(), Error> {
        let saved = &self.header.record;
        let value = format!("train, with {} samples", data.num_samples);
        let accepted = format!("the {} samples of the run", saved.num_samples);
        let is_same = saved.num_samples == data.num_samples;
        Error::ensure(is_same, "loader", value, accepted)?;
        let is_same = saved.digest.is_none() || saved.digest == data.digest;
        let accepted = "the data of the run, unchanged";
        Error::ensure(is_same, "loader", "train, with changed data", accepted)?;
        let accepted = format!("{}, the seed of the run", self.header.seed);
        Error::ensure(
            self.header.seed == config.seed,
            "seed",
            config.seed,
            accepted,
        )?;
        let (max, accepted) = (config.max_duration, "a duration that has not elapsed");
        let is_left = max == self.header.max_duration || !self.is_over(max);
        Error::ensure(is_left, "max_duration", max, accepted)
    }

    /// The record with which a run with these settings continues. Where a finished run is extended, a
    /// new cycle of the schedule starts, and patience starts afresh; so it does where patience had ended
    /// the run.
    pub(crate) fn record(&self, config: &TrainerConfig) -> RunRecord {
        let mut record = self.header.record.clone();
        if config.max_duration != self.header.max_duration {
            let history = &self.header.history;
            let has_used_up = |patience| history.has_used_up(patience, record.patience_from);
            let ended_by_patience = config.patience.as_ref().is_some_and(has_used_up);
            if self.is_complete() || ended_by_patience {
                record.patience_from = history.reports.len();
            }
            if self.is_complete() {
                record.cycle = self.header.counts;
            }
        }
        if record.best.as_ref().map(|(score, _)| score) != config.best.as_ref() {
            record.best = None;
        }
        record
    }

    /// Puts the saved weights, optimizer, moving average and history into a state.
    pub(crate) fn restore<M: Module, const D: usize>(
        &self,
        state: &mut State<M, D>,
    ) -> Result<(), Error> {
        if let Some(bytes) = &self.ema_model {
            state.ema_model = Some(self.load(bytes, state.model().valid())?);
        }
        let model = state.model.take();
        state.model = model
            .map(|model| self.load(&self.model, model))
            .transpose()?;
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(self.optimizer.clone()))
            .map_err(|error| self.other_run(error))?;
        let saved = record.len();
        state.optimizer = state.optimizer.clone().load_record(record);
        // Burn passes over the state of another optimizer.
        if state.optimizer.to_record().len() != saved {
            return Err(self.other_run("its optimizer is another one"));
        }
        state.history = self.header.history.clone();
        state.learning_rate = self.header.learning_rate;
        state.skipped = self.header.skipped;
        Ok(())
    }

    /// The best model of the run so far, whose weights are in a checkpoint beside this one; `None`
    /// where there is none that is whole.
    pub(crate) fn best_model<M: Module>(&self, model: M) -> Result<Option<M>, Error> {
        let Some((_, batch)) = self.best() else {
            return Ok(None);
        };
        if batch == self.batches() {
            return self.inference_model(model).map(Some);
        }
        let folder = self.path.parent().unwrap_or(Path::new(""));
        match Self::read(&file::path(folder, batch)) {
            Ok(best) if best.run() == self.run() => best.inference_model(model).map(Some),
            // `latest` has named the file, and a run can do without.
            _ => Ok(None),
        }
    }

    /// `model` with the saved weights with which training continues.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if the weights are those of another model.
    pub fn trained_model<M: Module>(&self, model: M) -> Result<M, Error> {
        self.load(&self.model, model)
    }

    /// `model` with the saved weights that evaluation and the result use: the moving average where the
    /// run keeps one.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if the weights are those of another model.
    pub fn inference_model<M: Module>(&self, model: M) -> Result<M, Error> {
        self.load(self.ema_model.as_ref().unwrap_or(&self.model), model)
    }

    fn load<M: Module>(&self, bytes: &[u8], model: M) -> Result<M, Error> {
        ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.to_vec()))
            .and_then(|record| model.try_load_record(record))
            .map_err(|error| self.other_run(error))
    }

    fn other_run(&self, reason: impl ToString) -> Error {
        // Burn's reasons have several lines.
        let reason = reason.to_string();
        let reason: Vec<_> = reason.split_whitespace().collect();
        Error::checkpoint(&self.path, CheckpointProblem::OtherRun(reason.join(" ")))
    }
}
