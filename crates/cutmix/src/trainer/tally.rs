//! Adds up what the steps of a run report, on the thread of Burn's metrics.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, MetricLogger, TrainingProgressLogger};
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use serde::{Deserialize, Serialize};

use super::{BatchLog, Scores};
use crate::algorithms::Note;

/// Loss and accuracy of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    loss: f64,
    accuracy: f64,
    samples: f64,
}

impl Sums {
    /// The means; NaN before any sample.
    pub fn scores(&self) -> Scores {
        Scores {
            loss: self.loss / self.samples,
            accuracy: self.accuracy / self.samples,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.samples == 0.0
    }

    fn add(&mut self, metric: &str, value: f64, count: f64) {
        match metric {
            "Loss" => self.loss += value * count,
            // The last of a step's metrics.
            "Accuracy" => {
                self.accuracy += value * count;
                self.samples += count;
            }
            _ => {}
        }
    }
}

/// A step whose numbers are still on their way from the device.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// All but the scores.
    pub batch: BatchLog,
    /// Whether this is the last part of its batch.
    pub is_last: bool,
}

/// What has been added up; clones are handles on the same sums.
#[derive(Clone)]
pub(super) struct Tally {
    inner: Arc<Mutex<Inner>>,
    /// By itself, so that training does not wait for what it writes.
    on_batch: Arc<Mutex<OnBatch>>,
}

#[derive(Default)]
struct Inner {
    train: Sums,
    eval: Sums,
    batch: Sums,
    notes: Vec<Note>,
    pending: VecDeque<Pending>,
    /// The first batch whose loss was not finite, and that loss.
    not_finite: Option<(u64, f64)>,
}

/// Told of each batch once its numbers are there.
pub(super) type OnBatch = Box<dyn FnMut(BatchLog) + Send>;

impl Tally {
    /// Goes on from the sums of a checkpoint.
    pub fn new(train: Sums, on_batch: OnBatch) -> Self {
        let inner = Inner {
            train,
            ..Inner::default()
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            on_batch: Arc::new(Mutex::new(on_batch)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Plain numbers, valid whatever happened to another thread.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a training step before its numbers come.
    pub fn announce(&self, pending: Pending) {
        self.lock().pending.push_back(pending);
    }

    /// The sums on the training batches since they were last taken.
    pub fn train(&self) -> Sums {
        self.lock().train
    }

    /// The sums on the training batches, which begin anew.
    pub fn take_train(&self) -> Sums {
        std::mem::take(&mut self.lock().train)
    }

    /// The sums of the evaluation, which begin anew.
    pub fn take_eval(&self) -> Sums {
        std::mem::take(&mut self.lock().eval)
    }

    /// The first batch whose loss was not finite, and that loss.
    pub fn not_finite(&self) -> Option<(u64, f64)> {
        self.lock().not_finite
    }

    fn train_update(&self, metric: &str, value: f64, count: f64) {
        let mut inner = self.lock();
        inner.train.add(metric, value, count);
        inner.batch.add(metric, value, count);
        if metric == "Loss"
            && !value.is_finite()
            && let Some(batch) = inner
                .pending
                .front()
                .map(|pending| pending.batch.time.batch)
        {
            inner.not_finite.get_or_insert((batch, value));
        }
        if metric == "Accuracy"
            && let Some(pending) = inner.pending.pop_front()
        {
            inner.notes.extend(pending.batch.notes);
            if !pending.is_last {
                return;
            }
            let batch = BatchLog {
                scores: std::mem::take(&mut inner.batch).scores(),
                notes: std::mem::take(&mut inner.notes),
                ..pending.batch
            };
            drop(inner);
            let mut on_batch = (self.on_batch.lock()).unwrap_or_else(PoisonError::into_inner);
            on_batch(batch);
        }
    }
}

/// Burn's renderer that adds up, and hands everything on to the one that shows it.
pub(super) struct Counting {
    pub tally: Tally,
    pub names: HashMap<MetricId, String>,
    pub shown: Option<Box<dyn MetricsRenderer>>,
}

impl Counting {
    fn numbers<'a>(&'a self, state: &MetricState) -> Option<(&'a str, f64, f64)> {
        let MetricState::Numeric(
            entry,
            Some(NumericEntry::Aggregated {
                aggregated_value,
                count,
            }),
        ) = state
        else {
            return None;
        };
        let name = self.names.get(&entry.metric_id)?;
        Some((name, *aggregated_value, *count as f64))
    }
}

impl MetricsRendererTraining for Counting {
    fn update_train(&mut self, state: MetricState) {
        if let Some((name, value, count)) = self.numbers(&state) {
            self.tally.train_update(name, value, count);
        }
        if let Some(shown) = &mut self.shown {
            shown.update_train(state);
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        if let Some((name, value, count)) = self.numbers(&state) {
            self.tally.lock().eval.add(name, value, count);
        }
        if let Some(shown) = &mut self.shown {
            shown.update_valid(state);
        }
    }

    fn on_train_end(
        &mut self,
        summary: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        match &mut self.shown {
            Some(shown) => shown.on_train_end(summary),
            None => Ok(()),
        }
    }
}

impl TrainingProgressLogger for Counting {
    fn start(&mut self, epochs: usize, first: usize, items: Option<usize>, label: Option<&str>) {
        if let Some(shown) = &mut self.shown {
            shown.start(epochs, first, items, label);
        }
    }

    fn update_epoch(&mut self, epoch: usize) {
        if let Some(shown) = &mut self.shown {
            shown.update_epoch(epoch);
        }
    }

    fn start_split(&mut self, split: &str, items: usize) {
        if let Some(shown) = &mut self.shown {
            shown.start_split(split, items);
        }
    }

    fn update_split(&mut self, items: usize) {
        if let Some(shown) = &mut self.shown {
            shown.update_split(items);
        }
    }

    fn end_split(&mut self) {
        if let Some(shown) = &mut self.shown {
            shown.end_split();
        }
    }

    fn end(&mut self) {
        if let Some(shown) = &mut self.shown {
            shown.end();
        }
    }

    fn log_event_training(&mut self, event: String) {
        if let Some(shown) = &mut self.shown {
            shown.log_event_training(event);
        }
    }
}

impl MetricsRenderer for Counting {
    fn manual_close(&mut self) {
        if let Some(shown) = &mut self.shown {
            shown.manual_close();
        }
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        (self.names).insert(definition.metric_id.clone(), definition.name.to_string());
        if let Some(shown) = &mut self.shown {
            shown.register_metric(definition);
        }
    }
}

// Burn's evaluator, which has these, takes no part in training.
impl MetricsRendererEvaluation for Counting {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl EvaluationProgressLogger for Counting {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

/// Keeps Burn from writing metrics to files of its own.
pub(super) struct NoFiles;

impl MetricLogger for NoFiles {
    fn log(&mut self, _: MetricsUpdate, _: usize, _: &Split) {}

    fn read_numeric(&mut self, _: &str, _: usize, _: &Split) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _: MetricDefinition) {}
    fn log_epoch_summary(&mut self, _: EpochSummary) {}
}
