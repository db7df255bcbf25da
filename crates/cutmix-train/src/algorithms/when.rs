//! The batches on which an algorithm acts.

use rand::RngExt;

use super::{Algorithm, Effects, is_skippable};
use crate::time::Duration;
use crate::{Error, Event, State};

/// Lets an algorithm act on some batches and not on others: with a probability, and within a part
/// of the run.
///
/// # What it does
///
/// The algorithm acts on the batches that start at [`from`](Self::with_from) or later and before
/// [`until`](Self::with_until), and on each of those with the
/// [`probability`](Self::with_probability). It sees all events of such a batch from
/// [`BatchStart`](Event::BatchStart) to [`BeforeStep`](Event::BeforeStep), and none of those of other
/// batches. All other events, among them [`BatchEnd`](Event::BatchEnd), are always passed on.
///
/// The probability is drawn apart from what the algorithm draws. Where it is 1 nothing is drawn, and
/// the algorithm does exactly what it would do without `When`.
///
/// Of a batch of several parts, each part is drawn by itself, and the result holds from
/// `BeforeForward` to `AfterBackward`. That of the first part also holds at `BatchStart`, and that of
/// the last part at `BeforeStep`. The window of time is the same for all parts.
///
/// # Starting hyper-parameters
///
/// `with_probability(0.5)` where mixing every batch makes the task too hard: a small network, a short
/// run. `with_until("0.9dur")` lets the last tenth of the run see whole images, as evaluation does.
///
/// # Cost
///
/// None that could be measured: a comparison, and a number drawn on the host.
///
/// # Source
///
/// The probability is the switch that the authors of CutMix have in their code (Yun et al., ICCV
/// 2019), where it is 0.5 for CIFAR and 1 for ImageNet. He, Xie, Chen, Zhang, Wang and Tian report
/// that training gains from an end on images that are changed less: Data Augmentation Revisited
/// (arXiv:1909.09148, 2019).
///
/// ```
/// use cutmix_train::algorithms::{CutMix, When};
///
/// let cutmix = When::new(CutMix::new())
///     .with_probability(0.5)
///     .with_until("0.9dur".parse()?);
/// # Ok::<(), cutmix_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct When<A> {
    algorithm: A,
    probability: f64,
    from: Option<Duration>,
    until: Option<Duration>,
}

impl<A> When<A> {
    /// Lets `algorithm` act on every batch of the run.
    pub fn new(algorithm: A) -> Self {
        Self {
            algorithm,
            probability: 1.0,
            from: None,
            until: None,
        }
    }

    /// Acts on a batch with this probability, in `0.0..=1.0`.
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// Acts on the batches that start when at least `from` of the run has elapsed.
    pub fn with_from(mut self, from: Duration) -> Self {
        self.from = Some(from);
        self
    }

    /// Acts on the batches that start before `until` of the run has elapsed.
    pub fn with_until(mut self, until: Duration) -> Self {
        self.until = Some(until);
        self
    }

    /// Whether the algorithm acts on this part of a batch.
    fn acts<M, const D: usize>(&self, state: &State<M, D>) -> bool {
        let has_elapsed = |duration: Duration| duration.has_elapsed(state.time());
        self.from.is_none_or(has_elapsed)
            && !self.until.is_some_and(has_elapsed)
            && (self.probability == 1.0 || state.rng().random::<f64>() < self.probability)
    }
}

impl<M, const D: usize, A: Algorithm<M, D>> Algorithm<M, D> for When<A> {
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
        if until.is_zero() {
            let accepted = "a duration above 0; or a run without the algorithm";
            return Err(Error::argument("until", until, accepted));
        }
        if let Some(from) = self.from
            && from.is_no_shorter(&until)
        {
            let accepted = format!("an end after {from}, where the algorithm starts");
            return Err(Error::argument("until", until, accepted));
        }
        Ok(())
    }

    fn effects(&self) -> Effects {
        if self.probability > 0.0 {
            self.algorithm.effects()
        } else {
            Effects::default()
        }
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if is_skippable(event) && !self.acts(state) {
            return Ok(());
        }
        if self.probability == 1.0 {
            // Nothing was drawn here, so the algorithm may draw as if it were alone.
            self.algorithm.apply(event, state)
        } else {
            state.within(0, |state| self.algorithm.apply(event, state))
        }
    }
}
