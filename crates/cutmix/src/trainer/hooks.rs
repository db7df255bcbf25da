//! The algorithms of a run, called at its events.

use std::sync::{Arc, Mutex, PoisonError};

use burn::train::Interrupter;

use super::Clock;
use crate::Error;
use crate::algorithms::{Algorithm, Step};
use crate::plan::Stream;
use crate::time::Time;

/// Any algorithm; the alias makes it `'static`, which a path like `Algorithm::batch_start` needs.
type Any<const D: usize> = dyn Algorithm<D>;

/// The algorithms with what they need; clones share everything.
#[derive(Clone)]
pub(super) struct Hooks<const D: usize> {
    algorithms: Arc<Vec<Box<dyn Algorithm<D>>>>,
    pub stream: Stream,
    pub clock: Clock,
    pub interrupter: Interrupter,
    error: Arc<Mutex<Option<Error>>>,
}

impl<const D: usize> Hooks<D> {
    pub fn new(
        algorithms: Vec<Box<dyn Algorithm<D>>>,
        stream: Stream,
        clock: Clock,
        interrupter: Interrupter,
    ) -> Self {
        Self {
            algorithms: Arc::new(algorithms),
            stream,
            clock,
            interrupter,
            error: Arc::default(),
        }
    }

    /// Whether some algorithm mixes the training targets.
    pub fn mixes_targets(&self) -> bool {
        (self.algorithms.iter()).any(|algorithm| algorithm.effects().mixes_targets)
    }

    /// Calls one event of every algorithm, with the step on each one's lane.
    pub fn step(
        &self,
        event: &'static str,
        step: &mut Step<D>,
        call: impl Fn(&Any<D>, &mut Step<D>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (lane, algorithm) in self.algorithms.iter().enumerate() {
            step.enter(lane as u64);
            let mut result = call(algorithm.as_ref(), step);
            if result.is_ok() && step.is_lost() {
                let accepted = "the error of `map_images` passed on";
                result = Err(Error::argument("images", "lost", accepted));
            }
            result.map_err(|error| at(event, algorithm.as_ref(), step.time(), error))?;
        }
        Ok(())
    }

    /// Calls one event outside a step; an error stops the run.
    pub fn time(
        &self,
        event: &'static str,
        time: Time,
        call: impl Fn(&Any<D>, &Time) -> Result<(), Error>,
    ) {
        for algorithm in self.algorithms.iter() {
            if let Err(error) = call(algorithm.as_ref(), &time) {
                self.fail(at(event, algorithm.as_ref(), &time, error));
            }
        }
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
