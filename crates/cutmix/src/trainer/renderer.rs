//! Renderers for the trainer: a line per epoch, or nothing.

use std::collections::HashMap;
use std::io::Write;
use std::time::Instant;

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};

/// Writes one line for each epoch to standard output:
///
/// ```text
/// epoch 1  loss 1.9312  accuracy 31.20 %  eval loss 1.0412  eval accuracy 66.20 %  11.2 s
/// ```
///
/// Where an algorithm mixes targets, the column says `mixed accuracy`, explained by
/// [`AccuracyMetric`](super::AccuracyMetric).
pub struct Lines {
    accuracy: &'static str,
    names: HashMap<MetricId, String>,
    start: Instant,
    values: HashMap<String, f64>,
}

impl Lines {
    /// The renderer; `mixes_targets` tells how to call the training accuracy.
    pub fn new(mixes_targets: bool) -> Self {
        Self {
            accuracy: match mixes_targets {
                true => "mixed accuracy",
                false => "accuracy",
            },
            names: HashMap::new(),
            start: Instant::now(),
            values: HashMap::new(),
        }
    }

    fn keep(&mut self, prefix: &str, state: MetricState) {
        if let MetricState::Numeric(entry, Some(NumericEntry::Final(value))) = state
            && let Some(name) = self.names.get(&entry.metric_id)
            && !value.is_nan()
        {
            self.values.insert(format!("{prefix}{name}"), value);
        }
    }
}

impl MetricsRendererTraining for Lines {
    fn update_train(&mut self, state: MetricState) {
        self.keep("", state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.keep("eval ", state);
    }
}

impl TrainingProgressLogger for Lines {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, _: Option<&str>) {
        self.start = Instant::now();
    }

    fn update_epoch(&mut self, epoch: usize) {
        let columns = [
            ("Loss", "loss", ""),
            ("Accuracy", self.accuracy, " %"),
            ("eval Loss", "eval loss", ""),
            ("eval Accuracy", "eval accuracy", " %"),
        ];
        let mut line = format!("epoch {epoch}");
        for (key, label, unit) in columns {
            if let Some(value) = self.values.remove(key) {
                let digits = if unit.is_empty() { 4 } else { 2 };
                line += &format!("  {label} {value:.digits$}{unit}");
            }
        }
        line += &format!("  {:.1} s", self.start.elapsed().as_secs_f64());
        // A closed pipe must not end the training.
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    fn start_split(&mut self, _: &str, _: usize) {}
    fn update_split(&mut self, _: usize) {}
    fn end_split(&mut self) {}
    fn end(&mut self) {}
    fn log_event_training(&mut self, _: String) {}
}

impl MetricsRenderer for Lines {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        (self.names).insert(definition.metric_id, definition.name.to_string());
    }
}

/// Shows nothing.
pub struct Silent;

impl MetricsRendererTraining for Silent {
    fn update_train(&mut self, _: MetricState) {}
    fn update_valid(&mut self, _: MetricState) {}
}

impl TrainingProgressLogger for Silent {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, _: Option<&str>) {}
    fn update_epoch(&mut self, _: usize) {}
    fn start_split(&mut self, _: &str, _: usize) {}
    fn update_split(&mut self, _: usize) {}
    fn end_split(&mut self) {}
    fn end(&mut self) {}
    fn log_event_training(&mut self, _: String) {}
}

impl MetricsRenderer for Silent {
    fn manual_close(&mut self) {}
    fn register_metric(&mut self, _: MetricDefinition) {}
}

/// Burn asks every renderer to show evaluations of its own evaluator as well, which the trainer
/// does not use.
macro_rules! no_evaluation {
    ($renderer:ty) => {
        impl MetricsRendererEvaluation for $renderer {
            fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
        }

        impl EvaluationProgressLogger for $renderer {
            fn start_global_progress(&mut self, _: usize) {}
            fn start_test(&mut self, _: &str, _: usize) {}
            fn update_test_progress(&mut self, _: usize) {}
            fn end_test(&mut self) {}
            fn end_global_progress(&mut self) {}
            fn log_event_evaluation(&mut self, _: String) {}
        }
    };
}

no_evaluation!(Lines);
no_evaluation!(Silent);
