//! Burn's renderers as loggers.

use std::error::Error;

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use cutmix_train::loggers::BurnRenderer;

use super::*;

/// A renderer that records its calls.
struct Calls(Shared<String>);

impl Calls {
    fn call(&self, call: String) {
        self.0.lock().unwrap().push(call);
    }

    fn metric(&self, split: &str, state: MetricState) {
        let MetricState::Numeric(entry, Some(NumericEntry::Value(value))) = state else {
            panic!("{state:?}")
        };
        assert!(value.is_finite());
        self.call(format!("{split} {:?}", entry.metric_id));
    }
}

impl MetricsRendererTraining for Calls {
    fn update_train(&mut self, state: MetricState) {
        self.metric("train", state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.metric("valid", state);
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        assert!(summary.is_none());
        self.call("closed".into());
        Ok(())
    }
}

impl TrainingProgressLogger for Calls {
    fn start(&mut self, epochs: usize, first: usize, items: Option<usize>, _: Option<&str>) {
        self.call(format!("start {epochs} {first} {items:?}"));
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.call(format!("epoch {epoch}"));
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.call(format!("start {split} {items}"));
    }

    fn update_split(&mut self, items: usize) {
        self.call(format!("at {items}"));
    }

    fn end_split(&mut self) {
        self.call("end split".into());
    }

    fn end(&mut self) {
        self.call("end".into());
    }

    fn log_event_training(&mut self, _: String) {}
}

impl MetricsRendererEvaluation for Calls {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl EvaluationProgressLogger for Calls {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

impl MetricsRenderer for Calls {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.call(format!("register {}", definition.name));
    }
}

/// The calls of a run of 6 batches, in epochs of 3.
fn calls(max_duration: &str, sets: &[&str]) -> Vec<String> {
    let calls = Shared::default();
    let renderer = BurnRenderer::new(Box::new(Calls(calls.clone())));
    let mut trainer = trainer(config(max_duration), eleven().fixed()).logger(renderer);
    for set in sets {
        trainer = trainer.eval(*set, Samples::new(5, 5).loader());
    }
    trainer.fit().unwrap();
    read(&calls)
}

#[test]
fn a_renderer_is_given_epochs_metrics_and_its_end() {
    for (duration, start) in [("2ep", "start 2 1 Some(11)"), ("6ba", "start 1 1 Some(6)")] {
        let calls = calls(duration, &["val"]);
        assert_eq!(calls[0], start);
        assert_eq!(calls[calls.len() - 2..], ["end", "closed"]);
        let count = |start: &str| calls.iter().filter(|call| call.starts_with(start)).count();
        assert_eq!(
            count("train "),
            3 * 6,
            "loss, accuracy and learning rate of each batch"
        );
        assert_eq!(count("valid "), 2 * 2, "loss and accuracy of each report");
    }
}

#[test]
fn each_metric_is_registered_once_and_before_it_is_shown() {
    let calls = calls("2ep", &["val"]);
    let registered: Vec<_> = calls
        .iter()
        .filter(|call| call.starts_with("register"))
        .collect();
    let names = [
        "register Loss",
        "register Accuracy",
        "register Learning Rate",
    ];
    assert_eq!(registered, names.iter().collect::<Vec<_>>());
    let shown = calls
        .iter()
        .position(|call| call.starts_with("train "))
        .unwrap();
    let first = calls
        .iter()
        .position(|call| call.starts_with("register"))
        .unwrap();
    assert!(first < shown);
}

#[test]
fn every_split_that_starts_ends_once() {
    for sets in [&[] as &[&str], &["val"], &["val", "hard"]] {
        let mut is_open = false;
        for call in calls("2ep", sets) {
            if call.starts_with("start train") || call.starts_with("start valid") {
                assert!(!is_open, "{sets:?}");
                is_open = true;
            } else if call == "end split" {
                assert!(is_open, "{sets:?}");
                is_open = false;
            }
        }
        assert!(!is_open);
    }
}

#[test]
fn the_first_evaluation_set_is_drawn_beside_training_and_others_under_their_names() {
    let calls = calls("1ep", &["val", "hard"]);
    let registered: Vec<_> = calls
        .iter()
        .filter(|call| call.starts_with("register"))
        .collect();
    assert_eq!(
        registered[3..],
        ["register hard/loss", "register hard/accuracy"]
    );
}
