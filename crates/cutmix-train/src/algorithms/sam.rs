//! Sharpness-aware minimization.

use std::mem;

use serde::{Deserialize, Serialize};

use super::Algorithm;
use super::registry::Describe;
use crate::parameters::{self, AddScaled};
use crate::{Error, Event, Network, State};

/// Sharpness-aware minimization (SAM): looks for weights whose whole neighbourhood has a low loss.
///
/// # What it does
///
/// After the gradients `g` of a batch it computes them again, with the weights moved by
/// `rho * g / ||g||`: the point at the distance `rho` where the loss is about highest. `||g||` is the
/// norm of all gradients together. The optimizer uses the second gradients, with the weights where
/// they were. The images, targets and dropout masks of the second pass are those of the first.
/// Running statistics of batch normalisation see the first pass alone, and so do the logged loss and
/// training accuracy. What an algorithm changes in the logits or the loss of the first pass is not
/// repeated in the second.
///
/// Where a batch has several parts, each part is moved by its own gradients, and the second
/// gradients are added up. The paper calls this m-sharpness, with m the size of a part, and finds
/// that a small m generalises better (section 4.1). With an `interval` above 1, SAM acts on the
/// last of so many batches, and the others are trained as usual.
///
/// # Starting hyper-parameters
///
/// `rho = 0.05`, the value of the paper for all of its runs without a search. `interval = 1` is the
/// method of the paper; larger intervals save time and give less of the gain.
///
/// # Cost
///
/// A second forward and backward pass: a batch takes about twice the time. The moved weights are a
/// second copy of the weights during the pass. The norm stays on the device, nothing is read back.
///
/// # Source
///
/// Foret, Kleiner, Mobahi, Neyshabur: Sharpness-Aware Minimization for Efficiently Improving
/// Generalization. ICLR 2021, arXiv:2010.01412. The interval is Composer's.
///
/// ```
/// use cutmix_train::algorithms::Sam;
///
/// let sam = Sam::new(0.05).with_interval(2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sam {
    /// The distance by which the weights are moved; finite and above 0.
    pub rho: f64,
    /// The number that is added to the norm, so that gradients of 0 move nothing; finite and above 0.
    pub epsilon: f64,
    /// The interval in batches, at least 1: SAM acts on the last batch of each interval.
    pub interval: u64,
}

impl Default for Sam {
    fn default() -> Self {
        Self {
            rho: 0.05,
            epsilon: 1e-12,
            interval: 1,
        }
    }
}

impl Sam {
    /// SAM on every batch, with the weights moved by the distance `rho`, finite and above 0.
    pub fn new(rho: f64) -> Self {
        Self {
            rho,
            ..Self::default()
        }
    }

    setters! {
        /// Sets the interval in batches, at least 1; SAM acts on the last batch of each.
        with_interval interval: u64;
        /// Adds `epsilon` to the norm of the gradients.
        with_epsilon epsilon: f64;
    }
}

impl Describe for Sam {
    const SUMMARY: &'static str = "sharpness-aware minimization: two passes for each batch";
    const EVENT: Event = Event::AfterBackward;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "rho",
            "a finite number above 0: the distance by which the weights are moved",
        ),
        (
            "epsilon",
            "a finite number above 0: added to the norm of the gradients",
        ),
        (
            "interval",
            "a whole number of at least 1: SAM acts on the last of so many batches",
        ),
    ];
    const UNNAMED: Option<&'static str> = Some("rho");
}

impl<M: Network<D>, const D: usize> Algorithm<M, D> for Sam {
    fn name(&self) -> String {
        "sam".into()
    }

    fn check(&self) -> Result<(), Error> {
        Error::ensure_positive("rho", self.rho)?;
        Error::ensure_positive("epsilon", self.epsilon)?;
        Error::ensure(self.interval > 0, "interval", 0, "at least 1 batch")
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        let acts = (state.time().batch + 1).is_multiple_of(self.interval);
        if event != Event::AfterBackward || !acts {
            return Ok(());
        }
        let Some(squares) = parameters::squared_norm(state.model(), &state.gradients) else {
            return Ok(());
        };
        let scale = (squares.sqrt() + self.epsilon).recip() * self.rho;
        // A clone would share the running statistics, and change those of the model.
        let copy = state.model().valid().train();
        let gradients = mem::take(&mut state.gradients);
        let moved = parameters::combine(copy, gradients, AddScaled { scale });
        state.gradients = state.gradients_of(&moved)?;
        Ok(())
    }
}
