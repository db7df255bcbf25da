//! The bar that moves while a run trains.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Instant;

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use cutmix::time::{Duration, Time};
use cutmix::trainer::Clock;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::say::{clock, grouped};

/// Steps of the bar; its position is the share of the run that lies behind.
const STEPS: u64 = 1000;
/// Terminals of fewer columns have no room for the bar beside the numbers.
const WIDE: u16 = 96;

/// How much there is to do.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Where the run has an end that can be told in epochs.
    epochs: Option<u64>,
    epoch_batches: u64,
}

impl Size {
    /// Of a run over so many samples, whose batches consist of parts. A last part that is not whole
    /// is left out.
    pub fn new(duration: Duration, samples: usize, batch_size: usize, parts: usize) -> Self {
        let part = batch_size / parts;
        let epoch_parts = (samples / part).max(1);
        let epoch_batches = epoch_parts.div_ceil(parts) as u64;
        let epochs = match duration {
            Duration::Epochs(epochs) => Some(epochs),
            Duration::Batches(batches) => Some(batches.div_ceil(epoch_batches)),
            Duration::Samples(samples) => Some(samples.div_ceil((epoch_parts * part) as u64)),
            Duration::Share(_) | Duration::Wall(_) => None,
        };
        Self {
            epochs,
            epoch_batches,
        }
    }

    /// Where a run is; between two epochs at the end of the first one.
    fn place(&self, time: &Time) -> String {
        let (epoch, progress) = match time.epoch {
            1.. if time.epoch_progress == 0.0 => (time.epoch, 1.0),
            epoch => (epoch + 1, time.epoch_progress),
        };
        let epochs = (self.epochs).map_or(String::new(), |epochs| format!("/{epochs}"));
        let batch = (progress * self.epoch_batches as f64).round();
        format!(
            "epoch {epoch}{epochs}  batch {batch}/{}",
            self.epoch_batches
        )
    }
}

/// The bar, where somebody watches who can see it move.
pub fn bar() -> Option<ProgressBar> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if !std::io::stdout().is_terminal() || set("CI") || dumb {
        return None;
    }
    // No colours, so there is nothing that NO_COLOR would have to switch off.
    let (_, columns) = console::Term::stdout().size();
    let template = match columns < WIDE {
        true => "{prefix}  {wide_msg}",
        false => "{prefix}  {wide_bar}  {msg}",
    };
    let style = ProgressStyle::with_template(template)
        .expect("the template is tested by every run on a terminal")
        .progress_chars("█▉▊▋▌▍▎▏░");
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stdout());
    Some(bar.with_style(style))
}

/// Burn's renderer of a run on a terminal.
pub struct Live {
    bar: ProgressBar,
    clock: Clock,
    size: Size,
    accuracy: &'static str,
    names: HashMap<MetricId, String>,
    /// When this process began, and at what share of the run.
    start: (Instant, f64),
    split: Split,
}

/// The pass in progress.
struct Split {
    trains: bool,
    total: usize,
    start: Instant,
    seen: usize,
    loss: Mean,
    accuracy: Mean,
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64, count: usize) {
        self.sum += value * count as f64;
        self.count += count;
    }

    fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

impl Split {
    fn new(name: &str, total: usize) -> Self {
        Self {
            trains: name == "train",
            total,
            start: Instant::now(),
            seen: 0,
            loss: Mean::default(),
            accuracy: Mean::default(),
        }
    }
}

impl Live {
    /// Moves `bar` through a run of this size. `mixes_targets` tells how to call the training
    /// accuracy.
    pub fn new(bar: ProgressBar, clock: Clock, size: Size, mixes_targets: bool) -> Self {
        Self {
            bar,
            clock,
            size,
            accuracy: match mixes_targets {
                true => "mixed acc",
                false => "acc",
            },
            names: HashMap::new(),
            start: (Instant::now(), 0.0),
            split: Split::new("", 0),
        }
    }

    fn draw(&self) {
        let (bar, time, size, split) = (&self.bar, self.clock.now(), self.size, &self.split);
        bar.set_position((time.progress * STEPS as f64) as u64);
        if !split.trains {
            let share = 100 * split.seen / split.total.max(1);
            bar.set_message(format!("evaluating {share} %"));
            return;
        }
        bar.set_prefix(size.place(&time));
        let speed = split.loss.count as f64 / split.start.elapsed().as_secs_f64().max(1e-9);
        let (start, before) = self.start;
        let done = (time.progress - before).max(1e-9);
        let left = start.elapsed().as_secs_f64() * (1.0 - time.progress) / done;
        bar.set_message(format!(
            "{} images/s  loss {:.3}  {} {:.1} %  {} left",
            grouped(speed as usize),
            split.loss.value(),
            self.accuracy,
            split.accuracy.value(),
            clock(left)
        ));
    }
}

impl MetricsRendererTraining for Live {
    fn update_train(&mut self, state: MetricState) {
        let MetricState::Numeric(entry, Some(value)) = state else {
            return;
        };
        let NumericEntry::Aggregated {
            aggregated_value: value,
            count,
        } = value
        else {
            return;
        };
        match self.names.get(&entry.metric_id).map(String::as_str) {
            Some("Loss") => self.split.loss.add(value, count),
            Some("Accuracy") => self.split.accuracy.add(value, count),
            _ => {}
        }
    }

    fn update_valid(&mut self, _: MetricState) {}

    fn on_train_end(
        &mut self,
        _: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn core::error::Error>> {
        Ok(())
    }
}

impl TrainingProgressLogger for Live {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, _: Option<&str>) {
        self.start = (Instant::now(), self.clock.now().progress);
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        self.split = Split::new(split, total_items);
    }

    fn update_split(&mut self, items_processed: usize) {
        self.split.seen = items_processed;
        self.draw();
    }

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }

    fn update_epoch(&mut self, _: usize) {}
    fn end_split(&mut self) {}
    fn log_event_training(&mut self, _: String) {}
}

impl MetricsRendererEvaluation for Live {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl EvaluationProgressLogger for Live {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

impl MetricsRenderer for Live {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        (self.names).insert(definition.metric_id, definition.name.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, epoch_progress: f64) -> Time {
        Time {
            epoch,
            epoch_progress,
            ..Time::default()
        }
    }

    #[test]
    fn an_epoch_that_is_over_is_shown_at_its_end() {
        let size = Size::new(Duration::Epochs(2), 640, 32, 1);
        assert_eq!(size.place(&at(0, 0.0)), "epoch 1/2  batch 0/20");
        assert_eq!(size.place(&at(0, 0.5)), "epoch 1/2  batch 10/20");
        assert_eq!(size.place(&at(1, 0.0)), "epoch 1/2  batch 20/20");
        assert_eq!(size.place(&at(1, 0.05)), "epoch 2/2  batch 1/20");
        assert_eq!(size.place(&at(2, 0.0)), "epoch 2/2  batch 20/20");
    }

    #[test]
    fn a_last_batch_of_fewer_parts_counts() {
        // 625 parts of 16: 312 batches of two and one of one.
        let epochs = |duration| Size::new(duration, 10_000, 32, 2).place(&at(0, 1.0));
        assert_eq!(epochs(Duration::Batches(313)), "epoch 1/1  batch 313/313");
        assert_eq!(epochs(Duration::Batches(314)), "epoch 1/2  batch 313/313");
        assert_eq!(
            epochs(Duration::Samples(10_001)),
            "epoch 1/2  batch 313/313"
        );
        assert_eq!(epochs(Duration::Share(1.0)), "epoch 1  batch 313/313");
    }
}
