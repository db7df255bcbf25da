//! What happened in a run, epoch by epoch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use serde::{Deserialize, Serialize};

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
    /// On the evaluation set, where there is one.
    pub eval: Option<Scores>,
    /// From the start of the run to the end of its training batches, in seconds.
    pub seconds: f64,
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

/// Burn's metric logger that writes the history.
pub(super) struct HistoryLogger {
    history: Arc<Mutex<History>>,
    names: HashMap<MetricId, String>,
    start: Instant,
    evaluates: bool,
    /// The epoch in progress.
    current: Epoch,
    eval: Scores,
}

impl HistoryLogger {
    /// A logger and the history that it writes.
    pub fn new(evaluates: bool) -> (Self, Arc<Mutex<History>>) {
        let history = Arc::default();
        let logger = Self {
            history: Arc::clone(&history),
            names: HashMap::new(),
            start: Instant::now(),
            evaluates,
            current: Epoch {
                epoch: 0,
                batches: 0,
                samples: 0,
                learning_rate: 0.0,
                train: Scores::NONE,
                eval: None,
                seconds: 0.0,
            },
            eval: Scores::NONE,
        };
        (logger, history)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetricLogger for HistoryLogger {
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
        let scores = (history.epochs.iter().find(|e| e.epoch == epoch)).and_then(|e| match split {
            Split::Train => Some(e.train),
            _ => e.eval,
        });
        let value = scores.and_then(|mut scores| scores.slot(name).copied());
        Ok(value.map(NumericEntry::Final).into_iter().collect())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        (self.names).insert(definition.metric_id, definition.name.to_string());
    }

    fn log_epoch_summary(&mut self, summary: EpochSummary) {
        match summary.split {
            Split::Train => {
                self.current.seconds = self.start.elapsed().as_secs_f64();
                let epoch = self.current.clone();
                self.history().epochs.push(epoch);
            }
            _ if self.evaluates => {
                let eval = self.eval;
                if let Some(epoch) = self.history().epochs.last_mut() {
                    epoch.eval = Some(eval);
                }
            }
            _ => {}
        }
    }
}
