//! Algorithms: what changes a batch, its loss, its gradients or the weights at an [`Event`] of the
//! training loop.
//!
//! [`CutMix`], [`MixUp`], [`ResizeMix`], [`FMix`], [`CutOut`] and [`ProgressiveResizing`] change
//! images, [`LabelSmoothing`] the targets of the loss, [`Sam`] and [`GradientClipping`] the
//! gradients; [`Ema`] keeps a moving average of the weights, and [`Freeze`] leaves parts of the
//! network as they are. [`OneOf`] chooses between algorithms ([`MixUpOrCutMix`] between two), and
//! [`When`] says on which batches one acts. [`check`] refuses those that cannot work together.
//! docs/ALGORITHMS.md says which combinations pay.
//!
//! [`AlgorithmConfig`] makes algorithms from names and settings, for files and command lines.
//!
//! # Writing one
//!
//! ```
//! use cutmix_train::algorithms::Algorithm;
//! use cutmix_train::{Error, Event, State};
//! use rand::RngExt;
//!
//! /// Makes each batch a little brighter or darker.
//! struct Brightness(f64);
//!
//! impl<M> Algorithm<M> for Brightness {
//!     fn name(&self) -> String {
//!         "brightness".into()
//!     }
//!
//!     fn apply(&mut self, event: Event, state: &mut State<M>) -> Result<(), Error> {
//!         if event == Event::BeforeForward {
//!             let shift = self.0 * state.rng().random_range(-1.0..1.0);
//!             state.map_images(|images| Ok(images + shift))?;
//!         }
//!         Ok(())
//!     }
//! }
//! ```

mod cutmix;
mod cutout;
mod effects;
mod ema;
mod fmix;
mod freeze;
mod gradient_clipping;
mod label_smoothing;
mod labels;
mod mixup;
mod mixup_or_cutmix;
mod one_of;
mod progressive_resizing;
mod registry;
mod resizemix;
mod sam;
mod when;

pub use self::cutmix::CutMix;
pub use cutout::CutOut;
pub use effects::{Effects, check};
pub use ema::Ema;
pub use fmix::FMix;
pub use freeze::Freeze;
pub use gradient_clipping::GradientClipping;
pub use label_smoothing::LabelSmoothing;
pub use mixup::MixUp;
pub use mixup_or_cutmix::MixUpOrCutMix;
pub use one_of::OneOf;
pub use progressive_resizing::{ProgressiveResizing, ResizeMode};
pub use registry::{ALGORITHMS, AlgorithmConfig, AlgorithmInfo, NAMES, Setting};
pub use resizemix::ResizeMix;
pub use sam::Sam;
pub use when::{When, WhenConfig};

use crate::{Error, Event, State};

/// A change to training, such as CutMix, which acts on the state at some events. `M` is the network
/// and `D` the rank of the images.
///
/// An algorithm draws what is random from [`State::rng`], so that a run can be repeated and resumed.
/// An error stops the run and is returned by [`Trainer::fit`](crate::Trainer::fit).
pub trait Algorithm<M, const D: usize = 4>: Send {
    /// A short name for messages.
    fn name(&self) -> String;

    /// Checks the settings before training starts.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a setting out of range.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What the algorithm does to the targets, the loss and the weights.
    fn effects(&self) -> Effects {
        Effects::default()
    }

    /// Acts on the state at an event; called for every one.
    ///
    /// # Errors
    ///
    /// An error stops the run.
    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error>;
}

/// Whether an algorithm that does not act on a batch is spared this event: the events of a batch up to
/// the optimizer step are, all others are not.
fn is_skippable(event: Event) -> bool {
    match event {
        Event::BatchStart
        | Event::BeforeForward
        | Event::AfterForward
        | Event::BeforeLoss
        | Event::AfterLoss
        | Event::BeforeBackward
        | Event::AfterBackward
        | Event::BeforeStep => true,
        Event::FitStart
        | Event::EpochStart
        | Event::BatchEnd
        | Event::EpochEnd
        | Event::EvalStart
        | Event::EvalEnd
        | Event::Save
        | Event::FitEnd => false,
    }
}

impl<M, const D: usize> Algorithm<M, D> for Box<dyn Algorithm<M, D>> {
    fn name(&self) -> String {
        self.as_ref().name()
    }

    fn check(&self) -> Result<(), Error> {
        self.as_ref().check()
    }

    fn effects(&self) -> Effects {
        self.as_ref().effects()
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        self.as_mut().apply(event, state)
    }
}
