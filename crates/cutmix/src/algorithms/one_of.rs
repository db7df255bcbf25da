//! One of several algorithms.

use rand::RngExt;

use super::combinator::{Combinator, StepEvent, TimeEvent, events};
use super::{Algorithm, CutMix, Effects, MixUp, Step};
use crate::Error;
use crate::time::Time;

/// Chooses, for each batch, one of several algorithms.
///
/// # What it does
///
/// At random, each in proportion to its weight; the algorithm that is chosen sees all events of
/// the batch, the others none. The beginnings and ends of fit, epochs and evaluations, and
/// `batch_end`, are passed on to all of them. Its choice is drawn apart from what the algorithms
/// draw. It is noted as `one-of/choice`, the number of the algorithm in the order of adding, from 0.
///
/// # Starting hyper-parameters
///
/// [`mixup_or_cutmix`](Self::mixup_or_cutmix): the widely used pair. Weights have no unit: 1 and 1
/// are half and half. An algorithm that does nothing has room among them as well:
/// `When::new(CutMix::new(10)).probability(0.0)`, though [`When`](super::When) around all of them
/// says it better.
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
/// ```
/// use cutmix::algorithms::{CutMix, CutOut, OneOf};
///
/// let recipe = OneOf::<4>::mixup_or_cutmix(1000);
/// let own = OneOf::<4>::new().add(3.0, CutMix::new(10)).add(1.0, CutOut::new(0.5));
/// ```
#[derive(Default)]
pub struct OneOf<const D: usize = 4> {
    choices: Vec<(f64, Box<dyn Algorithm<D>>)>,
}

impl<const D: usize> OneOf<D> {
    /// Without a choice yet; at least one has to be added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an algorithm with its weight: finite, at least 0, and above 0 for one or more of them.
    pub fn add(mut self, weight: f64, algorithm: impl Algorithm<D> + 'static) -> Self {
        self.choices.push((weight, Box::new(algorithm)));
        self
    }

    /// The widely used recipe: [`MixUp`] with alpha 0.8 or [`CutMix`] with alpha 1, each for half of
    /// the batches.
    pub fn mixup_or_cutmix(num_classes: usize) -> Self {
        Self::new()
            .add(0.5, MixUp::new(num_classes).alpha(0.8))
            .add(0.5, CutMix::new(num_classes).alpha(1.0))
    }

    /// The algorithms that are ever chosen, with their numbers.
    fn possible(&self) -> impl Iterator<Item = (usize, f64, &dyn Algorithm<D>)> {
        (self.choices.iter().enumerate())
            .map(|(number, (weight, algorithm))| (number, *weight, algorithm.as_ref() as _))
            .filter(|(_, weight, _)| *weight > 0.0)
    }

    /// The choice for the batch of this step; the same at each of its events.
    fn choice(&self, step: &Step<D>) -> Option<usize> {
        let total: f64 = self.possible().map(|(_, weight, _)| weight).sum();
        let mut left = total * step.rng().random::<f64>();
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
}

impl<const D: usize> Combinator<D> for OneOf<D> {
    fn at_step(&self, step: &mut Step<D>, event: StepEvent<D>) -> Result<(), Error> {
        // `check` has refused a run without one.
        let Some(choice) = self.choice(step) else {
            return Ok(());
        };
        let algorithm = self.choices[choice].1.as_ref();
        step.within(choice as u64, |step| event(algorithm, step))
    }

    fn at_time(&self, time: &Time, event: TimeEvent<D>) -> Result<(), Error> {
        (self.choices.iter()).try_for_each(|(_, algorithm)| event(algorithm.as_ref(), time))
    }
}

impl<const D: usize> Algorithm<D> for OneOf<D> {
    fn name(&self) -> String {
        let names: Vec<_> = self.choices.iter().map(|(_, a)| a.name()).collect();
        format!("one of {}", names.join(", "))
    }

    fn check(&self) -> Result<(), Error> {
        for (weight, algorithm) in &self.choices {
            algorithm.check()?;
            if !(weight.is_finite() && *weight >= 0.0) {
                let accepted = "a finite number of at least 0";
                return Err(Error::argument("weight", weight, accepted));
            }
        }
        let total = (self.choices.iter()).fold(0.0, |total, (weight, _)| total + weight);
        if !(total.is_finite() && total > 0.0) {
            return Err(Error::argument(
                "weights",
                format!("{total} in all"),
                "algorithms to choose from, with weights that have a finite sum above 0",
            ));
        }
        Ok(())
    }

    fn effects(&self) -> Effects {
        (self.possible())
            .map(|(_, _, algorithm)| algorithm.effects())
            .fold(Effects::default(), Effects::or)
    }

    fn before_forward(&self, step: &mut Step<D>) -> Result<(), Error> {
        if let Some(choice) = self.choice(step) {
            step.note("one-of/choice", choice as f64);
        }
        self.at_step(step, Algorithm::before_forward)
    }

    events!(but_before_forward);
}

impl<const D: usize> std::fmt::Debug for OneOf<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let choices = (self.choices.iter()).map(|(weight, algorithm)| (algorithm.name(), weight));
        f.debug_map().entries(choices).finish()
    }
}
