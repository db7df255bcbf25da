//! Gradient clipping.

use std::mem;

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::Algorithm;
use super::registry::Describe;
use crate::{Error, Event, State, parameters};

/// The number that is added to the norm, as in PyTorch.
const EPSILON: f64 = 1e-6;

/// Scales the gradients of a batch down where their norm is too large.
///
/// # What it does
///
/// Before the optimizer step it computes the norm of all gradients together, as if they were one
/// vector, and multiplies them by `min(1, max_norm / (norm + 1e-6))`. Their direction stays. Where a
/// batch has several parts, the sum of their gradients is clipped. Gradients that are not finite stay
/// so.
///
/// # Starting hyper-parameters
///
/// `max_norm = 1`, widely used for transformers. Networks with batch normalisation rarely need
/// clipping. Where the loss has spikes, a value a little above the usual norm clips the spikes alone.
///
/// # Cost
///
/// Each gradient is read twice and written once. The norm stays on the device, nothing is read back.
///
/// # Source
///
/// Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks. ICML 2013,
/// section 3.2.
///
/// ```
/// use cutmix_train::algorithms::GradientClipping;
///
/// let clipping = GradientClipping::new(1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct GradientClipping {
    /// The largest norm of all gradients together; finite and above 0.
    pub max_norm: f64,
}

impl Default for GradientClipping {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl GradientClipping {
    /// Clips gradients to this norm, finite and above 0.
    pub fn new(max_norm: f64) -> Self {
        Self { max_norm }
    }
}

impl Describe for GradientClipping {
    const SUMMARY: &'static str = "scales the gradients down to a largest norm";
    const EVENT: Event = Event::BeforeStep;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[(
        "max-norm",
        "a finite number above 0: the largest norm of all gradients together",
    )];
    const UNNAMED: Option<&'static str> = Some("max-norm");
}

impl<M: Module, const D: usize> Algorithm<M, D> for GradientClipping {
    fn name(&self) -> String {
        "gradient-clipping".into()
    }

    fn check(&self) -> Result<(), Error> {
        Error::ensure_positive("max_norm", self.max_norm)
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if event != Event::BeforeStep {
            return Ok(());
        }
        let Some(squares) = parameters::squared_norm(state.model(), &state.gradients) else {
            return Ok(());
        };
        let scale = ((squares.sqrt() + EPSILON).recip() * self.max_norm).clamp_max(1.0);
        let gradients = mem::take(&mut state.gradients);
        state.gradients = parameters::scale_gradients(state.model(), gradients, &scale);
        Ok(())
    }
}
