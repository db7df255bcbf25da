//! `--dashboard`: Burn's, told by the clock where the run is.

mod terminal;

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{thread, time};

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};
use cutmix::time::Duration;
use cutmix::trainer::{Clock, Stop};

use crate::error::Error;

/// Burn's dashboard. It counts in epochs, a run in anything, so what it is told comes from the
/// clock.
pub struct Dashboard {
    /// From `open` until it is dropped.
    shown: Option<TuiMetricsRendererWrapper>,
    /// What the dashboard stops a run by; handed on to `stop`.
    interrupter: Interrupter,
    stop: Stop,
    clock: Clock,
    duration: Duration,
    epoch_samples: usize,
    /// Where a run by anything but epochs began in this process.
    first: usize,
    epoch: usize,
    trains: bool,
}

/// How long the dashboard may take to get hold of the terminal.
const PATIENCE: time::Duration = time::Duration::from_secs(2);

impl Dashboard {
    /// Whether it can be shown here; without a terminal it would panic.
    pub fn check() -> Result<(), Error> {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminals = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        match terminals && !dumb {
            true => Ok(()),
            false => Err(Error::Dashboard(
                "needs a terminal for input and output; without it the run prints a line for each \
                 report",
            )),
        }
    }

    /// Takes the terminal, until it is dropped. `duration` is that of the run, `epoch_samples` how
    /// many its epochs have; `stop` is asked where the user ends the run.
    pub fn open(
        clock: Clock,
        duration: Duration,
        epoch_samples: usize,
        stop: Stop,
    ) -> Box<dyn MetricsRenderer> {
        let interrupter = Interrupter::new();
        let mut dashboard = Self {
            shown: None,
            interrupter: interrupter.clone(),
            stop,
            clock,
            duration,
            epoch_samples,
            first: 0,
            epoch: 0,
            trains: true,
        };
        let (epoch, done) = dashboard.place();
        dashboard.epoch = epoch;
        if !matches!(duration, Duration::Epochs(_)) {
            dashboard.first = done;
        }
        terminal::keep();
        dashboard.shown = Some(TuiMetricsRendererWrapper::new(interrupter, Some(epoch)));
        let start = time::Instant::now();
        while !terminal::let_interrupts_through() && start.elapsed() < PATIENCE {
            thread::sleep(time::Duration::from_millis(1));
        }
        Box::new(dashboard)
    }

    /// Ends the program at once, with the terminal as it was.
    pub fn exit() -> ! {
        terminal::exit()
    }

    /// How many epochs the dashboard counts to, and how many items in each. A run by anything else
    /// is one epoch, of what is left of it: batches, samples or seconds.
    fn size(&self) -> (usize, usize) {
        match self.duration {
            Duration::Epochs(max) => (max as usize, self.epoch_samples),
            Duration::Batches(max) | Duration::Samples(max) => (1, self.left(max)),
            Duration::Wall(max) => (1, self.left(max.as_secs())),
            Duration::Share(_) => unreachable!("a run is no share of itself"),
        }
    }

    fn left(&self, max: u64) -> usize {
        (max as usize).saturating_sub(self.first).max(1)
    }

    /// The epoch, from 0, and the items of it that lie behind. Both from the clock: it is ahead of
    /// the metrics by a batch or two, but never goes back, which Burn's estimate relies on.
    fn place(&self) -> (usize, usize) {
        let time = self.clock.now();
        let (epoch, done) = match self.duration {
            // Of a run that is over it is the last epoch.
            Duration::Epochs(max) if time.epoch >= max => (max as usize - 1, self.epoch_samples),
            Duration::Epochs(_) => {
                let done = time.epoch_progress * self.epoch_samples as f64;
                (time.epoch as usize, done as usize)
            }
            Duration::Batches(_) => (0, time.batch as usize),
            Duration::Samples(_) => (0, time.samples as usize),
            Duration::Wall(_) => (0, time.elapsed.as_secs() as usize),
            Duration::Share(_) => unreachable!("a run is no share of itself"),
        };
        (epoch, done - self.first)
    }

    /// Tells Burn's dashboard something. Where the user has killed the run with it, it panics then,
    /// which has to end the program and not only the thread of the metrics.
    fn tell<T>(&mut self, something: impl FnOnce(&mut TuiMetricsRendererWrapper) -> T) -> T {
        let shown = self.shown.as_mut().expect("`open` has made it");
        let told = catch_unwind(AssertUnwindSafe(|| something(shown)));
        told.unwrap_or_else(|_| Self::exit())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let shown = self.shown.take();
        if catch_unwind(AssertUnwindSafe(|| drop(shown))).is_err() {
            Self::exit();
        }
    }
}

impl MetricsRendererTraining for Dashboard {
    fn update_train(&mut self, state: MetricState) {
        self.tell(|shown| shown.update_train(state));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.tell(|shown| shown.update_valid(state));
    }

    fn on_train_end(
        &mut self,
        summary: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn core::error::Error>> {
        self.tell(|shown| shown.on_train_end(summary))
    }
}

impl TrainingProgressLogger for Dashboard {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, _: Option<&str>) {
        let (epochs, items) = self.size();
        let label = self.duration.to_string();
        let first = self.epoch + 1;
        self.tell(|shown| shown.start(epochs, first, Some(items), Some(&label)));
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        self.trains = split == "train";
        let items = match self.trains {
            true => self.size().1,
            false => total_items,
        };
        self.tell(|shown| shown.start_split(split, items));
    }

    fn update_split(&mut self, items_processed: usize) {
        if self.interrupter.should_stop() {
            self.stop.request();
        }
        if !self.trains {
            return self.tell(|shown| shown.update_split(items_processed));
        }
        let (epoch, done) = self.place();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.tell(|shown| shown.update_epoch(epoch));
        }
        self.tell(|shown| shown.update_split(done));
    }

    fn end_split(&mut self) {
        self.tell(TrainingProgressLogger::end_split);
    }

    fn end(&mut self) {
        self.tell(TrainingProgressLogger::end);
    }

    fn log_event_training(&mut self, event: String) {
        self.tell(|shown| shown.log_event_training(event));
    }

    /// Burn's epochs are reports here.
    fn update_epoch(&mut self, _: usize) {}
}

impl MetricsRenderer for Dashboard {
    fn manual_close(&mut self) {
        self.tell(MetricsRenderer::manual_close);
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.tell(|shown| shown.register_metric(definition));
    }
}

// Burn's evaluator, which has these, takes no part in training.
impl MetricsRendererEvaluation for Dashboard {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl EvaluationProgressLogger for Dashboard {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}
