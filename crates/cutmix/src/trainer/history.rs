//! What happened in a run, epoch by epoch.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use serde::{Deserialize, Serialize};

use super::hooks::Hooks;
use crate::Error;

/// Loss and accuracy over a pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The mean loss of a sample.
    pub loss: f64,
    /// In percent; under mixed targets see
    /// [`AccuracyMetric`](crate::trainer::AccuracyMetric).
    pub accuracy: f64,
}

impl Scores {
    const NONE: Self = Self {
        loss: f64::NAN,
        accuracy: f64::NAN,
    };

    /// The scores by the metrics' names.
    fn slot(&mut self, metric: &str) -> Option<&mut f64> {
        match metric {
            "Loss" => Some(&mut self.loss),
            "Accuracy" => Some(&mut self.accuracy),
            _ => None,
        }
    }
}

/// One epoch of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Batches of the run up to its end.
    pub batches: u64,
    /// Samples of the run up to its end.
    pub samples: u64,
    /// The learning rate of its last batch.
    pub learning_rate: f64,
    /// On the training batches, as the network saw them.
    pub train: Scores,
    /// Whether an algorithm mixed the training targets. `train.accuracy` is then the share of each
    /// mixed label that lies on the predicted class, which is lower than accuracy on whole images.
    pub mixed: bool,
    /// On the evaluation set, where there is one.
    pub eval: Option<Scores>,
    /// Seconds spent on its training batches.
    pub train_seconds: f64,
    /// Seconds from the start of the run to the end of this epoch and its evaluation.
    pub seconds: f64,
}

/// One line:
///
/// ```text
/// epoch 1  loss 1.9312  mixed accuracy 31.20 %  eval loss 1.0412  eval accuracy 66.20 %  11.2 s
/// ```
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, train, .. } = self;
        let mixed = if self.mixed { "mixed " } else { "" };
        write!(f, "epoch {epoch}  loss {:.4}  ", train.loss)?;
        write!(f, "{mixed}accuracy {:.2} %  ", train.accuracy)?;
        if let Some(Scores { loss, accuracy }) = self.eval {
            write!(f, "eval loss {loss:.4}  eval accuracy {accuracy:.2} %  ")?;
        }
        write!(f, "{:.1} s", self.seconds)
    }
}

/// The epochs of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// In order.
    pub epochs: Vec<Epoch>,
}

impl History {
    /// The last epoch's scores on the evaluation set.
    pub fn last_eval(&self) -> Option<Scores> {
        self.epochs.last().and_then(|epoch| epoch.eval)
    }
}

/// Told of an epoch when it is over.
pub(super) type OnEpoch = Box<dyn FnMut(&Epoch) -> Result<(), Error> + Send>;

/// Burn's metric logger that writes the history.
pub(super) struct HistoryLogger<const D: usize> {
    history: Arc<Mutex<History>>,
    hooks: Hooks<D>,
    on_epoch: OnEpoch,
    evaluates: bool,
    names: HashMap<MetricId, String>,
    start: Instant,
    epoch_start: Instant,
    /// The epoch in progress.
    current: Epoch,
    eval: Scores,
}

impl<const D: usize> HistoryLogger<D> {
    /// A logger and the history that it writes.
    pub fn new(hooks: Hooks<D>, evaluates: bool, on_epoch: OnEpoch) -> (Self, Arc<Mutex<History>>) {
        let history = Arc::default();
        let logger = Self {
            history: Arc::clone(&history),
            current: Epoch {
                epoch: 0,
                batches: 0,
                samples: 0,
                learning_rate: 0.0,
                train: Scores::NONE,
                mixed: hooks.mixes_targets(),
                eval: None,
                train_seconds: 0.0,
                seconds: 0.0,
            },
            hooks,
            on_epoch,
            evaluates,
            names: HashMap::new(),
            start: Instant::now(),
            epoch_start: Instant::now(),
            eval: Scores::NONE,
        };
        (logger, history)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<const D: usize> MetricLogger for HistoryLogger<D> {
    fn log(&mut self, update: MetricsUpdate, epoch: usize, split: &Split) {
        for metric in update.entries_numeric {
            let Some(name) = self.names.get(&metric.entry.metric_id) else {
                continue;
            };
            let scores = match split {
                Split::Train => &mut self.current.train,
                _ => &mut self.eval,
            };
            match metric.numeric_entry {
                Some(NumericEntry::Final(value)) => {
                    if let Some(slot) = scores.slot(name) {
                        *slot = value;
                    }
                }
                Some(NumericEntry::Aggregated {
                    aggregated_value,
                    count,
                }) if *split == Split::Train => match name.as_str() {
                    "Loss" => {
                        self.current.epoch = epoch;
                        self.current.batches += 1;
                        self.current.samples += count as u64;
                    }
                    "Learning Rate" => self.current.learning_rate = aggregated_value,
                    _ => {}
                },
                _ => {}
            }
        }
    }

    fn read_numeric(
        &mut self,
        name: &str,
        epoch: usize,
        split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        let history = self.history();
        let epoch = history.epochs.iter().find(|e| e.epoch == epoch);
        let scores = epoch.and_then(|epoch| match split {
            Split::Train => Some(epoch.train),
            _ => epoch.eval,
        });
        let value = scores.and_then(|mut scores| scores.slot(name).copied());
        Ok(value.map(NumericEntry::Final).into_iter().collect())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        (self.names).insert(definition.metric_id, definition.name.to_string());
    }

    /// Burn announces the end of the training pass, then that of the evaluation, which is empty
    /// where there is no evaluation set.
    fn log_epoch_summary(&mut self, summary: EpochSummary) {
        if summary.split == Split::Train {
            self.current.train_seconds = self.epoch_start.elapsed().as_secs_f64();
            return;
        }
        self.current.seconds = self.start.elapsed().as_secs_f64();
        self.epoch_start = Instant::now();
        self.current.eval = self.evaluates.then_some(self.eval);
        self.history().epochs.push(self.current.clone());
        if let Err(error) = (self.on_epoch)(&self.current) {
            self.hooks.fail(error);
        }
    }
}
