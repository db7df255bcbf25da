//! Algorithms: what changes a batch, its targets or its loss at named events of the training loop.
//!
//! [`CutMix`], [`MixUp`] and [`CutOut`] change images at `before_forward`, [`LabelSmoothing`] what the
//! loss is given at `before_loss`; [`OneOf`] chooses between algorithms, and [`When`] says on which
//! batches one acts. [`check`] refuses those that cannot work together. docs/ALGORITHMS.md tells
//! which combinations pay.
//!
//! ```
//! use cutmix::algorithms::{Algorithm, LabelSmoothing, OneOf, When, check};
//!
//! let recipe: [Box<dyn Algorithm>; 2] = [
//!     Box::new(When::new(OneOf::mixup_or_cutmix(1000)).until("0.9dur".parse()?)),
//!     Box::new(LabelSmoothing::new(1000, 0.1)),
//! ];
//! check(&recipe)?;
//! # Ok::<(), cutmix::Error>(())
//! ```
//!
//! # Events
//!
//! An [`Algorithm`] has one method for each event, all of which do nothing unless written. The
//! trainer calls them in this order; the algorithms of a run take turns at each event, in the
//! order in which they were added:
//!
//! ```text
//! fit_start
//!   for each epoch: epoch_start
//!     for each batch: batch_start, before_forward, after_forward, before_loss, after_loss,
//!                     before_backward, after_backward, (optimizer step), batch_end
//!   epoch_end, then, where there is an evaluation set: eval_start, eval_end
//! fit_end
//! ```
//!
//! Evaluation and inference see none of the batch events.
//!
//! # Writing one
//!
//! ```
//! use cutmix::{Error, algorithms::{Algorithm, Step}};
//!
//! /// Makes each batch a little brighter or darker.
//! struct Brightness(f64);
//!
//! impl Algorithm for Brightness {
//!     fn name(&self) -> String {
//!         "brightness".into()
//!     }
//!
//!     fn before_forward(&self, step: &mut Step) -> Result<(), Error> {
//!         use rand::RngExt;
//!         let shift = self.0 * step.rng().random_range(-1.0..1.0);
//!         step.map_images(|images| Ok(images + shift))
//!     }
//! }
//! ```

mod combinator;
mod cutmix;
mod cutout;
mod effects;
mod label_smoothing;
mod labels;
mod mixup;
mod one_of;
mod step;
mod when;

pub use self::cutmix::CutMix;
pub use cutout::CutOut;
pub use effects::{Effects, check};
pub use label_smoothing::LabelSmoothing;
pub use mixup::MixUp;
pub use one_of::OneOf;
pub use step::{Interpolation, Note, Step};
pub use when::When;

use crate::Error;
use crate::time::Time;

/// Something that takes part in the training loop. `D` is the rank of the image batch.
///
/// Methods take `&self`, because the devices of a run share the algorithm. What an algorithm
/// draws, it draws from [`Step::rng`]; what it must remember between batches goes behind a
/// `Mutex` or an atomic of its own. An error stops the run and is returned by
/// [`Trainer::fit`](crate::trainer::Trainer::fit).
pub trait Algorithm<const D: usize = 4>: Send + Sync {
    /// A short name, as it appears in messages.
    fn name(&self) -> String;

    /// Checks the settings; called before training begins.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What it does to the targets and the loss.
    fn effects(&self) -> Effects {
        Effects::default()
    }

    /// Before the first epoch.
    fn fit_start(&self, _time: &Time) -> Result<(), Error> {
        Ok(())
    }

    /// Before the first batch of an epoch.
    fn epoch_start(&self, _time: &Time) -> Result<(), Error> {
        Ok(())
    }

    /// The batch is on the device.
    fn batch_start(&self, _step: &mut Step<D>) -> Result<(), Error> {
        Ok(())
    }

    /// The last moment to change images and targets.
    fn before_forward(&self, _step: &mut Step<D>) -> Result<(), Error> {
        Ok(())
    }

    /// The logits are there.
    fn after_forward(&self, _step: &mut Step<D>) -> Result<(), Error> {
        Ok(())
    }

    /// The last moment to change logits and targets for the loss.
    fn before_loss(&self, _step: &mut Step<D>) -> Result<(), Error> {
        Ok(())
    }

    /// The loss is there.
    fn after_loss(&self, _step: &mut Step<D>) -> Result<(), Error> {
        Ok(())
    }

    /// The last moment to change the loss.
    fn before_backward(&self, _step: &mut Step<D>) -> Result<(), Error> {
        Ok(())
    }

    /// The gradients have been computed.
    fn after_backward(&self, _step: &mut Step<D>) -> Result<(), Error> {
        Ok(())
    }

    /// The optimizer has stepped.
    fn batch_end(&self, _time: &Time) -> Result<(), Error> {
        Ok(())
    }

    /// After the last batch of an epoch.
    fn epoch_end(&self, _time: &Time) -> Result<(), Error> {
        Ok(())
    }

    /// Before the first batch of an evaluation.
    fn eval_start(&self, _time: &Time) -> Result<(), Error> {
        Ok(())
    }

    /// After the last batch of an evaluation.
    fn eval_end(&self, _time: &Time) -> Result<(), Error> {
        Ok(())
    }

    /// Training is over.
    fn fit_end(&self, _time: &Time) -> Result<(), Error> {
        Ok(())
    }
}
