//! The adaptor for Burn's renderers.

use std::sync::Arc;

use burn::train::metric::{
    MetricAttributes, MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use burn::train::renderer::{MetricState, MetricsRenderer};

use super::{BatchLog, Logger, Report, RunStart};
use crate::Error;
use crate::time::{Duration, Time};

/// Shows a run by one of Burn's renderers, its terminal dashboard for example.
///
/// Burn's renderers count in epochs. A run of another length is shown as one epoch of batches,
/// samples or seconds.
pub struct BurnRenderer {
    renderer: Box<dyn MetricsRenderer>,
    run: Option<RunStart>,
    epoch: usize,
    known: Vec<String>,
    /// The evaluation set that is shown; `None` during training.
    set: Option<String>,
}

impl BurnRenderer {
    /// Shows a run by this renderer.
    pub fn new(renderer: Box<dyn MetricsRenderer>) -> Self {
        Self {
            renderer,
            run: None,
            epoch: 0,
            known: Vec::new(),
            set: None,
        }
    }

    /// The number of epochs that are shown, and of items in each.
    fn size(run: &RunStart) -> (usize, usize) {
        match run.max_duration {
            Duration::Epochs(max) => (max as usize, run.epoch_samples),
            Duration::Batches(max) | Duration::Samples(max) => (1, max as usize),
            Duration::Wall(max) => (1, max.as_secs() as usize),
            Duration::Share(_) => (1, 1),
        }
    }

    /// The epoch, from 0, and the elapsed items of it.
    fn place(run: &RunStart, time: &Time) -> (usize, usize) {
        let items = match run.max_duration {
            Duration::Epochs(_) => (time.epoch_progress * run.epoch_samples as f64) as usize,
            Duration::Batches(_) => time.batch as usize,
            Duration::Samples(_) | Duration::Share(_) => time.samples as usize,
            Duration::Wall(_) => time.elapsed.as_secs() as usize,
        };
        let epoch = match run.max_duration {
            Duration::Epochs(_) => time.epoch as usize,
            _ => 0,
        };
        (epoch, items)
    }

    /// The entry of a number, whose metric is registered when it is first seen.
    fn entry(&mut self, name: &str, value: f64, higher_is_better: bool) -> MetricState {
        let id = MetricId::new(Arc::new(name.to_string()));
        if !self.known.iter().any(|known| known == name) {
            self.known.push(name.to_string());
            self.renderer.register_metric(MetricDefinition {
                metric_id: id.clone(),
                name: Arc::new(name.to_string()),
                description: None,
                attributes: MetricAttributes::Numeric(NumericAttributes {
                    unit: None,
                    higher_is_better,
                }),
            });
        }
        let text = format!("{value:.4}");
        let entry = MetricEntry::new(id, SerializedEntry::new(text.clone(), text));
        MetricState::Numeric(entry, Some(NumericEntry::Value(value)))
    }
}

impl Logger for BurnRenderer {
    fn start(&mut self, run: &RunStart) -> Result<(), Error> {
        let (epochs, items) = Self::size(run);
        let (epoch, _) = Self::place(run, &run.time);
        self.epoch = epoch;
        self.renderer.start(epochs, epoch + 1, Some(items), None);
        self.renderer.start_split("train", items);
        self.run = Some(run.clone());
        Ok(())
    }

    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        let numbers = [
            ("Loss", batch.loss, false),
            ("Accuracy", batch.accuracy, true),
            ("Learning Rate", batch.learning_rate, false),
        ];
        for (name, value, higher_is_better) in numbers {
            let state = self.entry(name, value, higher_is_better);
            self.renderer.update_train(state);
        }
        if let Some(run) = &self.run {
            let (epoch, items) = Self::place(run, &batch.time);
            if epoch != self.epoch {
                self.epoch = epoch;
                self.renderer.update_epoch(epoch);
            }
            self.renderer.update_split(items);
        }
        Ok(())
    }

    fn evaluating(&mut self, set: &str, done: usize, total: usize) {
        if self.set.as_deref() != Some(set) {
            self.set = Some(set.into());
            self.renderer.end_split();
            self.renderer.start_split("valid", total);
        }
        self.renderer.update_split(done);
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        let mut first = None;
        for score in &report.scores {
            let (set, metric) = score.set_and_metric();
            if set == "train" {
                continue;
            }
            // Loss and accuracy of the first set are drawn beside those of training.
            let name = match metric {
                "loss" if *first.get_or_insert(set) == set => "Loss",
                "accuracy" if *first.get_or_insert(set) == set => "Accuracy",
                _ => &score.name,
            };
            let state = self.entry(name, score.value, score.higher_is_better);
            self.renderer.update_valid(state);
        }
        self.set = None;
        self.renderer.end_split();
        if let Some(run) = &self.run {
            let (_, items) = Self::size(run);
            self.renderer.start_split("train", items);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.renderer.end_split();
        self.renderer.end();
        self.renderer
            .on_train_end(None)
            .map_err(|error| Error::other(error.to_string()))
    }
}
