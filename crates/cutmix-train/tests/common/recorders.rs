//! Algorithms, callbacks and loggers that record what happens or disturb a run.

use cutmix::Targets;
use cutmix_train::algorithms::Algorithm;
use cutmix_train::loggers::{BatchLog, Logger, RunStart};
use cutmix_train::{Callback, Error, Event, History, Report, State};

use super::{Shared, Tiny, values};

/// A logger that prints nothing.
pub struct Quiet;

impl Logger for Quiet {}

/// An algorithm that records every event: with the number of the batch and its size while there are
/// images, and with epoch/batch/samples otherwise.
pub struct Recorder {
    log: Shared<String>,
    label: &'static str,
}

impl Recorder {
    pub fn new(log: &Shared<String>) -> Self {
        Self::labelled(log, "")
    }

    pub fn labelled(log: &Shared<String>, label: &'static str) -> Self {
        Self {
            log: log.clone(),
            label,
        }
    }
}

impl<M> Algorithm<M> for Recorder {
    fn name(&self) -> String {
        "recorder".into()
    }

    fn apply(&mut self, event: Event, state: &mut State<M>) -> Result<(), Error> {
        use Event::*;
        let time = state.time();
        let entry = match event {
            BatchStart | BeforeForward | AfterForward | BeforeLoss | AfterLoss | BeforeBackward
            | AfterBackward => {
                let has_logits = !matches!(event, BatchStart | BeforeForward);
                let has_loss = matches!(event, AfterLoss | BeforeBackward | AfterBackward);
                assert_eq!(state.logits.is_some(), has_logits, "{event}");
                assert_eq!(state.loss.is_some(), has_loss, "{event}");
                let [size, ..] = state.images()?.dims();
                format!("{event} {} of {size}", time.batch)
            }
            _ => format!("{event} {}/{}/{}", time.epoch, time.batch, time.samples),
        };
        self.log
            .lock()
            .unwrap()
            .push(format!("{}{entry}", self.label));
        Ok(())
    }
}

/// An algorithm that fails at an event of one batch.
pub struct Failing(pub Event, pub u64);

impl<M> Algorithm<M> for Failing {
    fn name(&self) -> String {
        "failing".into()
    }

    fn apply(&mut self, event: Event, state: &mut State<M>) -> Result<(), Error> {
        if event == self.0 && state.time().batch == self.1 {
            return Err(Error::argument("mood", "bad", "a good one"));
        }
        Ok(())
    }
}

/// An algorithm of a closure, for one event.
pub struct At<F>(pub Event, pub F);

impl<M, F> Algorithm<M> for At<F>
where
    F: FnMut(&mut State<M>) -> Result<(), Error> + Send,
{
    fn name(&self) -> String {
        "at".into()
    }

    fn apply(&mut self, event: Event, state: &mut State<M>) -> Result<(), Error> {
        if event == self.0 {
            (self.1)(state)
        } else {
            Ok(())
        }
    }
}

/// A callback that ends a run at an event of batch `batch`, as a kill does: nothing more is saved.
pub fn kill_at<M>(event: Event, batch: u64) -> impl Callback<M> {
    move |now: Event, state: &State<M>| {
        if now == event && state.time().batch == batch {
            return Err(Error::argument("power", "off", "on"));
        }
        Ok(())
    }
}

/// A callback that records the dense targets of every part, as the loss sees them.
pub fn targets_seen(seen: &Shared<Vec<f32>>) -> impl Callback<Tiny> + use<> {
    let seen = seen.clone();
    move |event: Event, state: &State<Tiny>| {
        if let (Event::BeforeLoss, Targets::Dense(dense)) = (event, &state.targets) {
            seen.lock().unwrap().push(values(dense.clone()));
        }
        Ok(())
    }
}

/// A callback that records the gradients of every batch.
pub fn gradients_seen(seen: &Shared<Vec<f32>>) -> impl Callback<Tiny> + use<> {
    let seen = seen.clone();
    move |event: Event, state: &State<Tiny>| {
        if event == Event::BeforeStep {
            let id = state.model().linear.weight.id;
            let gradient = state
                .gradients
                .get::<2>(id)
                .expect("the weights have a gradient");
            seen.lock().unwrap().push(values(gradient));
        }
        Ok(())
    }
}

/// A logger that records everything that it is given.
#[derive(Clone, Default)]
pub struct LogRecorder {
    pub calls: Shared<String>,
    pub batches: Shared<BatchLog>,
    pub reports: Shared<Report>,
    pub starts: Shared<RunStart>,
}

impl LogRecorder {
    fn call(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    pub fn losses(&self) -> Vec<f64> {
        super::read(&self.batches)
            .iter()
            .map(|batch| batch.loss)
            .collect()
    }

    pub fn rates(&self) -> Vec<f64> {
        super::read(&self.batches)
            .iter()
            .map(|batch| batch.learning_rate)
            .collect()
    }

    pub fn history(&self) -> History {
        History {
            reports: super::read(&self.reports),
        }
    }
}

impl Logger for LogRecorder {
    fn start(&mut self, run: &RunStart) -> Result<(), Error> {
        self.call(format!("start {}", run.history.reports.len()));
        self.starts.lock().unwrap().push(run.clone());
        Ok(())
    }

    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        self.call(format!("batch {}", batch.time.batch));
        self.batches.lock().unwrap().push(batch.clone());
        Ok(())
    }

    fn evaluating(&mut self, set: &str, done: usize, total: usize) {
        self.call(format!("evaluating {set} {done} of {total}"));
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        self.call(format!("report {}", report.batches));
        self.reports.lock().unwrap().push(report.clone());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.call("flush".into());
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.call("end".into());
        Ok(())
    }
}

/// A logger that fails in one of its methods.
pub struct FullDisk(pub &'static str);

impl FullDisk {
    fn at(&self, place: &str) -> Result<(), Error> {
        if place == self.0 {
            return Err(Error::argument("disk", "full", place));
        }
        Ok(())
    }
}

impl Logger for FullDisk {
    fn start(&mut self, _: &RunStart) -> Result<(), Error> {
        self.at("start")
    }

    fn batch(&mut self, _: &BatchLog) -> Result<(), Error> {
        self.at("batch")
    }

    fn report(&mut self, _: &Report) -> Result<(), Error> {
        self.at("report")
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.at("flush")
    }

    fn end(&mut self) -> Result<(), Error> {
        self.at("end")
    }
}
