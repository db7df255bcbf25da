//! What an algorithm sees of the training loop.

use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

use crate::plan::Stream;
use crate::{Batch, Error, Targets};

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Time {
    /// The epoch, from 0: passes over the training data that were completed before this one.
    pub epoch: u64,
    /// The batch, from 0: batches of the run before this one.
    pub batch: u64,
    /// Samples of the run before this batch.
    pub samples: u64,
    /// How much of the run lies behind, in `0.0..=1.0`.
    pub progress: f64,
}

/// A second set of targets for the interpolated loss: the loss becomes
/// `lambda * loss(targets) + (1 - lambda) * loss(interpolation.targets)`.
#[derive(Clone, Debug)]
pub struct Interpolation {
    /// The targets of each sample's partner.
    pub targets: Targets,
    /// The share of the samples' own targets, in `0.0..=1.0`.
    pub lambda: f64,
}

/// One training step on its way from batch to gradients.
#[derive(Debug)]
pub struct Step<const D: usize = 4> {
    time: Time,
    stream: Stream,
    /// Taken for a moment while they are changed, so that their owner can work in place; gone for
    /// good where that failed, and the step is then over.
    images: Option<Tensor<D>>,
    /// The targets of the samples.
    pub targets: Targets,
    /// Set by an algorithm that mixes through the loss instead of the targets.
    pub interpolation: Option<Interpolation>,
    /// The model's output `[N, K]`, from `after_forward` on.
    pub logits: Option<Tensor<2>>,
    /// The loss, shape `[1]`, from `after_loss` on.
    pub loss: Option<Tensor<1>>,
}

const LOST: &str = "a step is over once `map_images` has failed";

impl<const D: usize> Step<D> {
    pub(crate) fn new(batch: Batch<D>, time: Time, stream: Stream) -> Self {
        Self {
            time,
            stream,
            images: Some(batch.images),
            targets: batch.targets,
            interpolation: None,
            logits: None,
            loss: None,
        }
    }

    /// Chooses the lane that [`rng`](Self::rng) draws from.
    pub(crate) fn enter(&mut self, lane: u64) {
        self.stream = self.stream.lane(lane);
    }

    /// Where the run is.
    pub fn time(&self) -> &Time {
        &self.time
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
    pub fn rng(&self) -> ChaCha8Rng {
        self.stream.at(self.time.batch)
    }
}
