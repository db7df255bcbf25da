//! MixUp or CutMix.

use serde::{Deserialize, Serialize};

use super::registry::Describe;
use super::{Algorithm, CutMix, Effects, MixUp, OneOf};
use crate::{Error, Event, State};

/// Mixes each batch with MixUp or with CutMix: the widely used pair of a [`OneOf`].
///
/// # What it does
///
/// A batch is mixed by [`CutMix`] with the probability `switch` and by [`MixUp`] otherwise, so that
/// no image is mixed twice. The choice is logged as `one-of/choice`: 0 for MixUp, 1 for CutMix.
///
/// # Starting hyper-parameters
///
/// `mixup_alpha = 0.8`, `cutmix_alpha = 1`, `switch = 0.5`: the recipe of DeiT and of the library
/// timm, for long runs of large networks.
///
/// # Cost
///
/// That of the algorithm that is chosen, and a number drawn on the host.
///
/// # Source
///
/// Touvron, Cord, Douze, Massa, Sablayrolles, Jégou: Training data-efficient image transformers &
/// distillation through attention. ICML 2021.
///
/// ```
/// use cutmix_train::algorithms::MixUpOrCutMix;
///
/// let mixing = MixUpOrCutMix::new().with_switch(0.7);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct MixUpOrCutMix {
    /// Alpha of MixUp; finite and above 0.
    pub mixup_alpha: f64,
    /// Alpha of CutMix; finite and above 0.
    pub cutmix_alpha: f64,
    /// The share of the batches that CutMix mixes, in `0.0..=1.0`.
    pub switch: f64,
}

impl Default for MixUpOrCutMix {
    fn default() -> Self {
        Self {
            mixup_alpha: 0.8,
            cutmix_alpha: 1.0,
            switch: 0.5,
        }
    }
}

impl MixUpOrCutMix {
    /// MixUp with `alpha` 0.8 on half of the batches, CutMix with `alpha` 1 on the others.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the alpha of MixUp; finite and above 0.
        with_mixup_alpha mixup_alpha: f64;
        /// Sets the alpha of CutMix; finite and above 0.
        with_cutmix_alpha cutmix_alpha: f64;
        /// Sets the share of the batches that CutMix mixes, in `0.0..=1.0`.
        with_switch switch: f64;
    }

    fn one_of<M, const D: usize>(&self) -> OneOf<M, D> {
        OneOf::new()
            .with(1.0 - self.switch, MixUp::new().with_alpha(self.mixup_alpha))
            .with(self.switch, CutMix::new().with_alpha(self.cutmix_alpha))
    }
}

impl Describe for MixUpOrCutMix {
    const SUMMARY: &'static str = "mixes each batch with MixUp or with CutMix";
    const EVENT: Event = Event::BeforeForward;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        ("mixup-alpha", "a finite number above 0: the alpha of MixUp"),
        (
            "cutmix-alpha",
            "a finite number above 0: the alpha of CutMix",
        ),
        (
            "switch",
            "a number from 0 (always MixUp) to 1 (always CutMix): the share of CutMix",
        ),
    ];
}

impl<M, const D: usize> Algorithm<M, D> for MixUpOrCutMix {
    fn name(&self) -> String {
        "mixup-or-cutmix".into()
    }

    fn check(&self) -> Result<(), Error> {
        let accepted = "a number from 0 (always MixUp) to 1 (always CutMix)";
        Error::ensure(
            (0.0..=1.0).contains(&self.switch),
            "switch",
            self.switch,
            accepted,
        )?;
        self.one_of::<M, D>().check()
    }

    fn effects(&self) -> Effects {
        self.one_of::<M, D>().effects()
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        // Both algorithms keep nothing between two events.
        self.one_of().apply(event, state)
    }
}
