//! The batches on which an algorithm acts.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::from_settings;
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
/// `with_probability(0.5)` where mixing every batch makes the task too hard: a small network, a
/// short run. `with_until("0.9dur".parse()?)` lets the last tenth of the run see whole images, as
/// evaluation does.
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
    config: WhenConfig,
}

/// The settings of [`When`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhenConfig {
    /// The share of the batches on which the algorithm acts, in `0.0..=1.0`.
    pub probability: f64,
    /// The time at which the algorithm starts to act; `None` is the start of the run.
    pub from: Option<Duration>,
    /// The time at which the algorithm no longer acts; `None` is the end of the run.
    pub until: Option<Duration>,
}

impl Default for WhenConfig {
    /// The algorithm acts on every batch of the run.
    fn default() -> Self {
        Self {
            probability: 1.0,
            from: None,
            until: None,
        }
    }
}

impl WhenConfig {
    /// The names of the settings, each with a text that begins with the values that are accepted.
    pub const SETTINGS: &[(&str, &str)] = &[
        (
            "probability",
            "a number in 0..=1: acts on this share of the batches [default: 1]",
        ),
        (
            "from",
            "a time, 0.5dur (a share of the run), 3ep, 500ba, 12800sp or 1h30m: acts from then on \
             [default: the start]",
        ),
        (
            "until",
            "a time, 0.9dur (a share of the run), 3ep, 500ba, 12800sp or 1h30m: acts before then \
             [default: the end]",
        ),
    ];

    /// Makes the configuration from values by name; a setting that is not given has its default.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for an unknown setting or a value that is not accepted.
    pub fn from_settings(settings: Map<String, Value>) -> Result<Self, Error> {
        from_settings(Self::SETTINGS, settings)
    }

    /// Lets `algorithm` act on these batches.
    pub fn init<A>(self, algorithm: A) -> When<A> {
        let config = self;
        When { algorithm, config }
    }
}

impl<A> When<A> {
    /// Lets `algorithm` act on every batch of the run.
    pub fn new(algorithm: A) -> Self {
        WhenConfig::default().init(algorithm)
    }

    /// Acts on a batch with this probability, in `0.0..=1.0`.
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.config.probability = probability;
        self
    }

    /// Acts on the batches that start when at least `from` of the run has elapsed.
    pub fn with_from(mut self, from: Duration) -> Self {
        self.config.from = Some(from);
        self
    }

    /// Acts on the batches that start before `until` of the run has elapsed.
    pub fn with_until(mut self, until: Duration) -> Self {
        self.config.until = Some(until);
        self
    }

    /// Whether the algorithm acts on this part of a batch.
    fn acts<M, const D: usize>(&self, state: &State<M, D>) -> bool {
        let has_elapsed = |duration: Duration| duration.has_elapsed(state.time());
        self.config.from.is_none_or(has_elapsed)
            && !self.config.until.is_some_and(has_elapsed)
            && (self.config.probability == 1.0
                || state.rng().random::<f64>() < self.config.probability)
    }
}

impl<M, const D: usize, A: Algorithm<M, D>> Algorithm<M, D> for When<A> {
    fn name(&self) -> String {
        self.algorithm.name()
    }

    fn check(&self) -> Result<(), Error> {
        self.algorithm.check()?;
        Error::ensure_share("probability", self.config.probability)?;
        for (argument, duration) in [("from", self.config.from), ("until", self.config.until)] {
            duration.map_or(Ok(()), |duration| duration.check(argument))?;
        }
        let Some(until) = self.config.until else {
            return Ok(());
        };
        let accepted = "a duration above 0; or a run without the algorithm";
        Error::ensure(!until.is_zero(), "until", until, accepted)?;
        let Some(from) = self.config.from else {
            return Ok(());
        };
        let accepted = format!("an end after {from}, where the algorithm starts");
        Error::ensure(!from.is_no_shorter(&until), "until", until, accepted)
    }

    fn effects(&self) -> Effects {
        if self.config.probability > 0.0 {
            self.algorithm.effects()
        } else {
            Effects::default()
        }
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if is_skippable(event) && !self.acts(state) {
            return Ok(());
        }
        if self.config.probability == 1.0 {
            // Nothing was drawn here, so the algorithm may draw as if it were alone.
            self.algorithm.apply(event, state)
        } else {
            state.within(0, |state| self.algorithm.apply(event, state))
        }
    }
}
