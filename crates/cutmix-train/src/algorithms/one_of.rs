//! One of several algorithms.

use std::fmt;

use rand::RngExt;

use super::{Algorithm, Effects, is_skippable};
use crate::{Error, Event, State};

/// Chooses, for each batch, one of several algorithms.
///
/// # What it does
///
/// The choice is random, each algorithm in proportion to its weight. The algorithm that is chosen
/// sees all events of the batch from [`BatchStart`](Event::BatchStart) to
/// [`BeforeStep`](Event::BeforeStep), and the others see none of them. All other events, among them
/// [`BatchEnd`](Event::BatchEnd), are passed on to all algorithms. The choice is drawn apart from
/// what the algorithms draw. It is logged as `one-of/choice`: the number of the algorithm in the
/// order of adding, from 0.
///
/// Of a batch of several parts, each part has a choice of its own, which holds from `BeforeForward`
/// to `AfterBackward`. That of the first part also holds at `BatchStart`, and that of the last part
/// at `BeforeStep`.
///
/// # Starting hyper-parameters
///
/// [`MixUpOrCutMix`](super::MixUpOrCutMix) is the widely used pair. Weights have no unit: 1 and 1 are
/// half and half. For batches on which none of them acts, put [`When`](super::When) with a probability
/// around all of them.
///
/// # Cost
///
/// That of the algorithm that is chosen, and a number drawn on the host.
///
/// # Source
///
/// The pair is the recipe of the library timm, known from Touvron et al.: Training data-efficient
/// image transformers & distillation through attention (ICML 2021).
///
/// ```no_run
/// use cutmix_train::algorithms::{CutMix, CutOut, OneOf};
///
/// # fn with<M: cutmix_train::Network>(trainer: cutmix_train::Trainer<M>) {
/// let one_of = OneOf::new().with(3.0, CutMix::new()).with(1.0, CutOut::new(0.5));
/// let trainer = trainer.algorithm(one_of);
/// # }
/// ```
pub struct OneOf<M, const D: usize = 4> {
    choices: Vec<(f64, Box<dyn Algorithm<M, D>>)>,
}

impl<M, const D: usize> Default for OneOf<M, D> {
    fn default() -> Self {
        Self {
            choices: Vec::new(),
        }
    }
}

impl<M, const D: usize> OneOf<M, D> {
    /// A choice without algorithms; at least one has to be added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an algorithm with its weight: finite, at least 0, and above 0 for one or more of them.
    pub fn with(mut self, weight: f64, algorithm: impl Algorithm<M, D> + 'static) -> Self {
        self.choices.push((weight, Box::new(algorithm)));
        self
    }

    /// The algorithms that can be chosen, with their numbers and weights.
    fn possible(&self) -> impl Iterator<Item = (usize, f64, &dyn Algorithm<M, D>)> {
        (self.choices.iter().enumerate())
            .map(|(number, (weight, algorithm))| (number, *weight, algorithm.as_ref() as _))
            .filter(|(_, weight, _)| *weight > 0.0)
    }

    /// The number of the algorithm that is chosen for this part of a batch.
    fn choice(&self, state: &State<M, D>) -> Option<usize> {
        let total: f64 = self.possible().map(|(_, weight, _)| weight).sum();
        let mut left = total * state.rng().random::<f64>();
        let mut chosen = None;
        for (number, weight, _) in self.possible() {
            chosen = Some(number);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        chosen
    }

    /// Lets one of the algorithms act.
    fn apply_one(
        &mut self,
        number: usize,
        event: Event,
        state: &mut State<M, D>,
    ) -> Result<(), Error> {
        let algorithm = &mut self.choices[number].1;
        state.within(number as u64, |state| algorithm.apply(event, state))
    }
}

impl<M, const D: usize> Algorithm<M, D> for OneOf<M, D> {
    fn name(&self) -> String {
        let names: Vec<_> = self.choices.iter().map(|(_, a)| a.name()).collect();
        format!("one of {}", names.join(", "))
    }

    fn check(&self) -> Result<(), Error> {
        for (weight, algorithm) in &self.choices {
            algorithm.check()?;
            let is_accepted = weight.is_finite() && *weight >= 0.0;
            Error::ensure(
                is_accepted,
                "weight",
                weight,
                "a finite number of at least 0",
            )?;
        }
        let total = (self.choices.iter()).fold(0.0, |total, (weight, _)| total + weight);
        let (is_accepted, value) = (total.is_finite() && total > 0.0, format!("{total} in all"));
        let accepted = "algorithms to choose from, with weights that have a finite sum above 0";
        Error::ensure(is_accepted, "weights", value, accepted)
    }

    fn effects(&self) -> Effects {
        (self.possible())
            .map(|(_, _, algorithm)| algorithm.effects())
            .fold(Effects::default(), Effects::or)
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if !is_skippable(event) {
            let mut numbers = 0..self.choices.len();
            return numbers.try_for_each(|number| self.apply_one(number, event, state));
        }
        // `check` has refused a run without a possible choice.
        let Some(choice) = self.choice(state) else {
            return Ok(());
        };
        if event == Event::BeforeForward {
            state.log("one-of/choice", choice as f64);
        }
        self.apply_one(choice, event, state)
    }
}

impl<M, const D: usize> fmt::Debug for OneOf<M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let choices = (self.choices.iter()).map(|(weight, algorithm)| (algorithm.name(), weight));
        f.debug_map().entries(choices).finish()
    }
}
