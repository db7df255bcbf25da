//! What an algorithm sees of the training loop.

use std::borrow::Cow;

use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

use crate::plan::Stream;
use crate::time::Time;
use crate::{Batch, Error, Targets};

/// A second set of targets for the interpolated loss: the loss becomes
/// `lambda * loss(targets) + (1 - lambda) * loss(interpolation.targets)`.
#[derive(Clone, Debug)]
pub struct Interpolation {
    /// The targets of each sample's partner.
    pub targets: Targets,
    /// The share of the samples' own targets, in `0.0..=1.0`.
    pub lambda: f64,
}

/// What an algorithm did in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The algorithm's name, a slash, and of what this is: `cutmix/lambda`.
    pub name: Cow<'static, str>,
    /// How much.
    pub value: f64,
}

/// One training step on its way from batch to gradients.
#[derive(Debug)]
pub struct Step<const D: usize = 4> {
    time: Time,
    /// The number of the plan, from 0: as the batch's, unless batches are made of several parts.
    position: u64,
    stream: Stream,
    notes: Vec<Note>,
    /// Taken for a moment while they are changed, so that their owner can work in place; gone for
    /// good where that failed, and the step is then over.
    images: Option<Tensor<D>>,
    /// The targets of the samples, on which training accuracy is measured.
    pub targets: Targets,
    /// What the loss is given instead of [`targets`](Self::targets), where an algorithm has set it.
    pub loss_targets: Option<Targets>,
    /// Set by an algorithm that mixes through the loss instead of the targets.
    pub interpolation: Option<Interpolation>,
    /// The model's output `[N, K]`, from `after_forward` on.
    pub logits: Option<Tensor<2>>,
    /// The loss, shape `[1]`, from `after_loss` on.
    pub loss: Option<Tensor<1>>,
}

const LOST: &str = "a step is over once `map_images` has failed";

impl<const D: usize> Step<D> {
    pub(crate) fn new(batch: Batch<D>, time: Time, position: u64, stream: Stream) -> Self {
        Self {
            time,
            position,
            stream,
            notes: Vec::new(),
            images: Some(batch.images),
            targets: batch.targets,
            loss_targets: None,
            interpolation: None,
            logits: None,
            loss: None,
        }
    }

    /// Chooses the lane that [`rng`](Self::rng) draws from.
    pub(crate) fn enter(&mut self, lane: u64) {
        self.stream = self.stream.lane(lane);
    }

    /// Lets an algorithm inside this one act on the step, with a generator of its own. `part` is
    /// its number among those inside.
    pub fn within<T>(&mut self, part: u64, act: impl FnOnce(&mut Self) -> T) -> T {
        let outside = self.stream;
        self.stream = outside.within(part);
        let result = act(self);
        self.stream = outside;
        result
    }

    /// Writes down what an algorithm did in this step, for the loggers of the run: a number that
    /// the host knows, under a name such as `cutmix/lambda`.
    pub fn note(&mut self, name: impl Into<Cow<'static, str>>, value: f64) {
        let name = name.into();
        self.notes.push(Note { name, value });
    }

    /// What the algorithms have written down so far.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Where the run is.
    pub fn time(&self) -> &Time {
        &self.time
    }

    /// The number of this part of a batch in the run, from 0: the batch's own number unless batches
    /// are made of several parts.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The images, shape `[N, C, spatial...]`.
    pub fn images(&self) -> &Tensor<D> {
        self.images.as_ref().expect(LOST)
    }

    /// Whether a change of the images failed.
    pub(crate) fn is_lost(&self) -> bool {
        self.images.is_none()
    }

    /// Changes the images. `change` owns them alone, so that it can work in place.
    ///
    /// # Errors
    ///
    /// Those of `change`; the step is then over, and its images are gone.
    pub fn map_images(
        &mut self,
        change: impl FnOnce(Tensor<D>) -> Result<Tensor<D>, Error>,
    ) -> Result<(), Error> {
        let images = self.images.take().expect(LOST);
        self.images = Some(change(images)?);
        Ok(())
    }

    /// The random generator of this algorithm at this batch: a function of (seed, the algorithm's
    /// place in the run, batch) alone. Every call starts it afresh.
    ///
    /// Where a batch is made of several parts, on one device or on many, each part has its own.
    pub fn rng(&self) -> ChaCha8Rng {
        self.stream.at(self.position)
    }
}
