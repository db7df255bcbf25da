//! The algorithms and callbacks of a run, called at its events.

use std::sync::{Arc, Mutex, PoisonError};

use burn::train::Interrupter;

use super::{Callback, Event};
use crate::Error;
use crate::algorithms::{Algorithm, Step};
use crate::plan::Stream;
use crate::time::Time;

/// Any algorithm; the alias makes it `'static`, which a path like `Algorithm::batch_start` needs.
type Any<const D: usize> = dyn Algorithm<D>;

/// The events of a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum StepEvent {
    BatchStart,
    BeforeForward,
    AfterForward,
    BeforeLoss,
    AfterLoss,
    BeforeBackward,
    AfterBackward,
}

/// The events outside a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimeEvent {
    FitStart,
    EpochStart,
    BatchEnd,
    EpochEnd,
    EvalStart,
    EvalEnd,
    FitEnd,
}

/// The algorithms with what they need; clones share everything.
#[derive(Clone)]
pub(super) struct Hooks<const D: usize> {
    algorithms: Arc<Vec<Box<dyn Algorithm<D>>>>,
    callbacks: Arc<Mutex<Vec<Box<dyn Callback<D>>>>>,
    pub stream: Stream,
    pub interrupter: Interrupter,
    error: Arc<Mutex<Option<Error>>>,
}

impl<const D: usize> Hooks<D> {
    pub fn new(
        algorithms: Vec<Box<dyn Algorithm<D>>>,
        callbacks: Vec<Box<dyn Callback<D>>>,
        stream: Stream,
    ) -> Self {
        Self {
            algorithms: Arc::new(algorithms),
            callbacks: Arc::new(Mutex::new(callbacks)),
            stream,
            interrupter: Interrupter::new(),
            error: Arc::default(),
        }
    }

    /// Whether some algorithm mixes the training targets.
    pub fn mixes_targets(&self) -> bool {
        (self.algorithms.iter()).any(|algorithm| algorithm.effects().mixes_targets)
    }

    /// Calls one event of every algorithm, with the step on each one's lane, then the callbacks.
    pub fn step(&self, event: StepEvent, step: &mut Step<D>) -> Result<(), Error> {
        let (name, call, seen) = event.parts();
        for (lane, algorithm) in self.algorithms.iter().enumerate() {
            step.enter(lane as u64);
            let mut result = call(algorithm.as_ref(), step);
            if result.is_ok() && step.is_lost() {
                let accepted = "the error of `map_images` passed on";
                result = Err(Error::argument("images", "lost", accepted));
            }
            result.map_err(|error| at(name, algorithm.as_ref(), step.time(), error))?;
        }
        self.tell(seen(step))
    }

    /// Calls one event outside a step.
    pub fn time(&self, event: TimeEvent, time: &Time) -> Result<(), Error> {
        let (name, call, seen) = event.parts();
        for algorithm in self.algorithms.iter() {
            call(algorithm.as_ref(), time)
                .map_err(|error| at(name, algorithm.as_ref(), time, error))?;
        }
        self.tell(seen(time))
    }

    /// Calls the callbacks.
    pub fn tell(&self, event: Event<'_, D>) -> Result<(), Error> {
        let mut callbacks = self
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        callbacks
            .iter_mut()
            .try_for_each(|callback| callback.event(event))
    }

    /// Stops the run; the first error is the one that `fit` returns.
    pub fn fail(&self, error: Error) {
        self.interrupter.stop(Some(&error.to_string()));
        let mut slot = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(error);
    }

    /// The error that stopped the run.
    pub fn error(&self) -> Option<Error> {
        let slot = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        slot.clone()
    }
}

/// An event's name, its call of an algorithm, and what callbacks see.
type Parts<Call, Seen> = (&'static str, Call, Seen);
type StepCall<const D: usize> = fn(&Any<D>, &mut Step<D>) -> Result<(), Error>;
type StepSeen<const D: usize> = for<'a> fn(&'a Step<D>) -> Event<'a, D>;
type TimeCall<const D: usize> = fn(&Any<D>, &Time) -> Result<(), Error>;
type TimeSeen<const D: usize> = for<'a> fn(&'a Time) -> Event<'a, D>;

impl StepEvent {
    fn parts<const D: usize>(self) -> Parts<StepCall<D>, StepSeen<D>> {
        match self {
            Self::BatchStart => ("batch_start", Any::batch_start, |s| Event::BatchStart(s)),
            Self::BeforeForward => ("before_forward", Any::before_forward, |s| {
                Event::BeforeForward(s)
            }),
            Self::AfterForward => ("after_forward", Any::after_forward, |s| {
                Event::AfterForward(s)
            }),
            Self::BeforeLoss => ("before_loss", Any::before_loss, |s| Event::BeforeLoss(s)),
            Self::AfterLoss => ("after_loss", Any::after_loss, |s| Event::AfterLoss(s)),
            Self::BeforeBackward => ("before_backward", Any::before_backward, |s| {
                Event::BeforeBackward(s)
            }),
            Self::AfterBackward => ("after_backward", Any::after_backward, |s| {
                Event::AfterBackward(s)
            }),
        }
    }
}

impl TimeEvent {
    fn parts<const D: usize>(self) -> Parts<TimeCall<D>, TimeSeen<D>> {
        match self {
            Self::FitStart => ("fit_start", Any::fit_start, |t| Event::FitStart(t)),
            Self::EpochStart => ("epoch_start", Any::epoch_start, |t| Event::EpochStart(t)),
            Self::BatchEnd => ("batch_end", Any::batch_end, |t| Event::BatchEnd(t)),
            Self::EpochEnd => ("epoch_end", Any::epoch_end, |t| Event::EpochEnd(t)),
            Self::EvalStart => ("eval_start", Any::eval_start, |t| Event::EvalStart(t)),
            Self::EvalEnd => ("eval_end", Any::eval_end, |t| Event::EvalEnd(t)),
            Self::FitEnd => ("fit_end", Any::fit_end, |t| Event::FitEnd(t)),
        }
    }
}

fn at<const D: usize>(
    event: &'static str,
    algorithm: &dyn Algorithm<D>,
    time: &Time,
    error: Error,
) -> Error {
    Error::Algorithm {
        algorithm: algorithm.name(),
        event,
        batch: time.batch,
        message: error.to_string(),
    }
}

impl<const D: usize> std::fmt::Debug for Hooks<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.algorithms.iter().map(|algorithm| algorithm.name());
        f.debug_list().entries(names).finish()
    }
}
