//! An exponential moving average of the weights.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::registry::Describe;
use super::{Algorithm, Effects};
use crate::parameters::{self, Blend, Replace};
use crate::time::{Duration, Time};
use crate::{Error, Event, State};

/// Keeps an exponential moving average (EMA) of the weights, which evaluation and the result use.
///
/// # What it does
///
/// Every time `update_interval` has elapsed, the average `a` of the weights `w` becomes
/// `d * a + (1 - d) * w`. The decay `d` is `decay`, or follows from `half_life`: after a half-life of
/// the run, weights count half as much as when they were new. Update number `n`, counted from 0 at
/// the start of the run, has a decay of at most `(1 + n) / (10 + n)`, or the average would long
/// remember the initial weights. Running statistics of batch normalisation are averaged as the weights
/// are; what is frozen ([`Freeze`](super::Freeze)) enters as it is. An update that is due after a
/// batch whose step was skipped is left out. Training itself does not change. The average has the
/// type of the weights; f16 and bf16 are too coarse for it.
///
/// The average starts as a copy of the weights at the first update, so that inside a
/// [`When`](super::When) it remembers nothing from before the window. Before that there is none, and
/// evaluation uses the weights themselves.
///
/// # Starting hyper-parameters
///
/// `decay = 0.999` after each batch, or a `half_life` of a twentieth of the run or less. A longer
/// memory gives a smoother average, but one that lags behind while the weights still improve fast.
///
/// # Cost
///
/// One more copy of the weights, and at each update a pass over all weights, on the device and in
/// place.
///
/// # Source
///
/// Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging. SIAM Journal on Control
/// and Optimization 30(4), 1992. The bound on early decays is that of TensorFlow's
/// `ExponentialMovingAverage`; the half-life and the update interval are Composer's.
///
/// ```
/// use cutmix_train::algorithms::Ema;
///
/// let by_decay = Ema::new(0.999);
/// let by_half_life = Ema::default().with_half_life("100ba".parse()?);
/// # Ok::<(), cutmix_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ema {
    /// The share of the average that stays at an update, from 0 to below 1.
    pub decay: f64,
    /// The time after which weights count half as much, in place of `decay`; in the unit of
    /// `update_interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_life: Option<Duration>,
    /// The time between two updates.
    pub update_interval: Duration,
    /// The time at which the batch started, while the algorithm acts on one.
    #[serde(skip)]
    started: Option<Time>,
    /// The time at which the last batch ended, where the algorithm acted on it.
    #[serde(skip)]
    ended: Option<Time>,
}

const DECAY: f64 = 0.999;

impl Default for Ema {
    fn default() -> Self {
        Self::new(DECAY)
    }
}

impl Ema {
    /// An average of which the share `decay`, from 0 to below 1, stays at each update, after every
    /// batch.
    pub fn new(decay: f64) -> Self {
        Self {
            decay,
            half_life: None,
            update_interval: Duration::Batches(1),
            started: None,
            ended: None,
        }
    }

    /// Lets weights count half as much after `half_life`, in place of the decay. The half-life is in
    /// the unit of the update interval ([`with_update_interval`](Self::with_update_interval)).
    pub fn with_half_life(mut self, half_life: Duration) -> Self {
        self.decay = DECAY;
        self.half_life = Some(half_life);
        self
    }

    setters! {
        /// Sets the time between two updates.
        with_update_interval update_interval: Duration;
    }

    /// The share of the average that stays at an update; `None` where the half-life is not in the
    /// unit of the interval.
    fn decay(&self) -> Option<f64> {
        match self.half_life {
            None => Some(self.decay),
            Some(half_life) => {
                let half_lives = ratio(self.update_interval, half_life)?;
                Some((-half_lives).exp2())
            }
        }
    }

    /// Updates the average where it became due after `from`.
    fn update_if_due<M: Module, const D: usize>(&self, from: &Time, state: &mut State<M, D>) {
        let now = state.now();
        if !self.update_interval.is_due(from, &now) || state.was_skipped() {
            return;
        }
        // `valid` brings the running statistics up to date.
        let current = state.model().valid();
        state.ema_model = Some(match state.ema_model.take() {
            None => current,
            Some(ema_model) => {
                let update = self.update_interval.count(&now) - 1; // It is due, so at least 1.
                let early = (1.0 + update as f64) / (10.0 + update as f64);
                let keep = self.decay().unwrap_or(self.decay).min(early);
                let frozen = &state.frozen;
                let trained = parameters::values_of(&current, |id| !frozen.contains(id));
                let average = parameters::combine(ema_model, trained, Blend { keep });
                if frozen.is_empty() {
                    average
                } else {
                    // Blending equal numbers would round them.
                    let fixed = parameters::values_of(&current, |id| frozen.contains(id));
                    parameters::combine(average, fixed, Replace)
                }
            }
        });
    }
}

/// The quotient of two durations above 0 in the same unit.
fn ratio(one: Duration, other: Duration) -> Option<f64> {
    match (one, other) {
        (Duration::Epochs(one), Duration::Epochs(other))
        | (Duration::Batches(one), Duration::Batches(other))
        | (Duration::Samples(one), Duration::Samples(other)) => Some(one as f64 / other as f64),
        (Duration::Share(one), Duration::Share(other)) => Some(one / other),
        (Duration::Wall(one), Duration::Wall(other)) => {
            Some(one.as_secs_f64() / other.as_secs_f64())
        }
        _ => None,
    }
}

impl Describe for Ema {
    const SUMMARY: &'static str = "evaluates and returns a moving average of the weights";
    const EVENT: Event = Event::BatchEnd;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "decay",
            "a number from 0 to below 1: the share of the average that stays at an update",
        ),
        (
            "half-life",
            "a duration in the unit of update-interval, such as 100ba: the time after which \
             weights count half as much, in place of decay",
        ),
        (
            "update-interval",
            "a duration above 0, such as 1ba: the time between two updates",
        ),
    ];
    const UNNAMED: Option<&'static str> = Some("decay");
}

impl<M: Module, const D: usize> Algorithm<M, D> for Ema {
    fn name(&self) -> String {
        "ema".into()
    }

    fn check(&self) -> Result<(), Error> {
        let (is_accepted, accepted) = (
            (0.0..1.0).contains(&self.decay),
            "a number from 0 to below 1",
        );
        Error::ensure(is_accepted, "decay", self.decay, accepted)?;
        self.update_interval.check_interval("update_interval")?;
        let Some(half_life) = self.half_life else {
            return Ok(());
        };
        half_life.check_interval("half_life")?;
        let accepted = format!("no decay beside a half-life, which is {half_life}");
        Error::ensure(self.decay == DECAY, "decay", self.decay, accepted)?;
        let interval = self.update_interval;
        let accepted = format!("a duration in the unit of the update interval, {interval}");
        Error::ensure(self.decay().is_some(), "half_life", half_life, accepted)
    }

    fn effects(&self) -> Effects {
        Effects {
            keeps_ema: true,
            ..Effects::default()
        }
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        match event {
            // Wall-clock time also elapses between two batches.
            Event::BatchStart => {
                self.started = Some(self.ended.take().unwrap_or(*state.time()));
            }
            Event::BatchEnd => {
                self.ended = None;
                if let Some(started) = self.started.take() {
                    self.update_if_due(&started, state);
                    self.ended = Some(state.now());
                }
            }
            // An epoch may end with fewer samples than its loader announced, and then an interval
            // in epochs elapses after the last batch.
            Event::EpochEnd => {
                if let Some(ended) = self.ended.take() {
                    self.update_if_due(&ended, state);
                    self.ended = Some(state.now());
                }
            }
            _ => {}
        }
        Ok(())
    }
}
