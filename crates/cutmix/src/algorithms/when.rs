//! When an algorithm acts.

use rand::RngExt;

use super::combinator::{Combinator, Inner, StepEvent, TimeEvent, events};
use super::{Algorithm, Effects, Step};
use crate::Error;
use crate::time::{Duration, Time};

/// Lets an algorithm act on some batches and not on others: with a probability, and within a part
/// of the run.
///
/// # What it does
///
/// Each batch is a whole: the algorithm sees all of its events or none. It acts on the batches that
/// begin at [`from`](Self::from) or later and before [`until`](Self::until), and on each of those
/// with the [`probability`](Self::probability). The beginnings and ends of fit, epochs and
/// evaluations, and `batch_end`, are passed on always.
///
/// Its coin is drawn apart from what the algorithm draws. Where the probability is 1 nothing is
/// drawn, and the algorithm does exactly what it would do without `When`.
///
/// # Starting hyper-parameters
///
/// `probability(0.5)` where mixing every batch makes the task too hard: a small network, a short
/// run. `until("0.9dur")` lets the last tenth of the run see whole images, as evaluation does.
///
/// # Cost
///
/// None that could be measured: a comparison, and a number drawn on the host.
///
/// # Source
///
/// The probability is the switch that the authors of CutMix have in their code (Yun et al., ICCV
/// 2019), where it is 0.5 for CIFAR and 1 for ImageNet. That training gains by an end on images
/// that are changed less is reported by He, Xie, Chen, Zhang, Wang, Tian: Data Augmentation
/// Revisited (arXiv:1909.09148, 2019).
///
/// ```
/// use cutmix::algorithms::{CutMix, When};
///
/// let cutmix = When::new(CutMix::new(10))
///     .probability(0.5)
///     .until("0.9dur".parse()?);
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct When<A> {
    algorithm: A,
    probability: f64,
    from: Option<Duration>,
    until: Option<Duration>,
}

impl<A> When<A> {
    /// On every batch of the run.
    pub fn new(algorithm: A) -> Self {
        Self {
            algorithm,
            probability: 1.0,
            from: None,
            until: None,
        }
    }

    /// Acts on a batch with this probability, in `0.0..=1.0`.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// Acts on the first batch that has so much of the run behind it, and on later ones.
    pub fn from(mut self, from: Duration) -> Self {
        self.from = Some(from);
        self
    }

    /// Acts on batches that have less of the run behind them; no longer on the first that has so
    /// much.
    pub fn until(mut self, until: Duration) -> Self {
        self.until = Some(until);
        self
    }

    /// Whether the algorithm acts on the batch of this step; the same at each of its events.
    fn acts<const D: usize>(&self, step: &Step<D>) -> bool {
        let is_over = |duration: Duration| duration.is_over(step.time());
        self.from.is_none_or(is_over)
            && !self.until.is_some_and(is_over)
            && (self.probability == 1.0 || step.rng().random::<f64>() < self.probability)
    }
}

impl<const D: usize, A: Algorithm<D> + 'static> Combinator<D> for When<A> {
    fn at_step(&self, step: &mut Step<D>, event: StepEvent<D>) -> Result<(), Error> {
        let algorithm: &Inner<D> = &self.algorithm;
        match self.acts(step) {
            false => Ok(()),
            // Nothing was drawn here, so the algorithm may draw as if it were alone.
            true if self.probability == 1.0 => event(algorithm, step),
            true => step.within(0, |step| event(algorithm, step)),
        }
    }

    fn at_time(&self, time: &Time, event: TimeEvent<D>) -> Result<(), Error> {
        event(&self.algorithm, time)
    }
}

impl<const D: usize, A: Algorithm<D> + 'static> Algorithm<D> for When<A> {
    fn name(&self) -> String {
        self.algorithm.name()
    }

    fn check(&self) -> Result<(), Error> {
        self.algorithm.check()?;
        if !(0.0..=1.0).contains(&self.probability) {
            let accepted = "a number in 0..=1";
            return Err(Error::argument("probability", self.probability, accepted));
        }
        for (argument, duration) in [("from", self.from), ("until", self.until)] {
            duration.map_or(Ok(()), |duration| duration.check(argument))?;
        }
        let Some(until) = self.until else {
            return Ok(());
        };
        match self.from {
            _ if until.is_zero() => {
                let accepted = "more than nothing; or the algorithm left out";
                Err(Error::argument("until", until, accepted))
            }
            Some(from) if from.is_no_shorter(&until) => {
                let accepted = format!("an end after {from}, where it begins");
                Err(Error::argument("until", until, accepted))
            }
            _ => Ok(()),
        }
    }

    fn effects(&self) -> Effects {
        match self.probability > 0.0 {
            true => self.algorithm.effects(),
            false => Effects::default(),
        }
    }

    events!();
}
