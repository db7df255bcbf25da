//! The state of a training run.

use std::borrow::Cow;
use std::sync::Arc;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use cutmix::Targets;
use cutmix::plan::{Mixture, Stream};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::clock::Clock;
use crate::frozen::Frozen;
use crate::history::History;
use crate::loss::Loss;
use crate::network::Network;
use crate::time::Time;
use crate::{Batch, Error};

/// A second set of targets for the interpolated loss: the loss becomes
/// `lambda * loss(targets) + (1 - lambda) * loss(interpolation.targets)`.
#[derive(Clone, Debug)]
pub struct Interpolation {
    /// The targets of the partner of each sample.
    pub targets: Targets,
    /// The share of the samples' own targets, in `0.0..=1.0`.
    pub lambda: f64,
}

/// A number that an algorithm logs for a batch: lambda, or which of several algorithms was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// The name of the algorithm, a slash, and the name of the number: `cutmix/lambda`.
    pub name: Cow<'static, str>,
    /// The number.
    pub value: f64,
}

/// What a training run is: its model and optimizer, its batch on the way from images to gradients,
/// its position and its history. Algorithms change it, callbacks look at it.
///
/// `M` is the network and `D` the rank of the images.
pub struct State<M, const D: usize = 4> {
    /// The optimizer, with its state.
    pub optimizer: ModuleOptimizer,
    /// A moving average of the weights, which evaluation and the result use where there is one.
    pub ema_model: Option<M>,
    /// The reports up to here.
    pub history: History,
    /// The learning rate of this batch. A change at [`BeforeStep`](crate::Event::BeforeStep) or
    /// before takes effect.
    pub learning_rate: f64,
    /// The targets of the samples, on which training accuracy is measured.
    pub targets: Targets,
    /// The targets that the loss is given instead of [`targets`](Self::targets).
    pub loss_targets: Option<Targets>,
    /// The partners' targets, where an algorithm mixes through the loss.
    pub interpolation: Option<Interpolation>,
    /// The partners and lambdas of the last mixing of this batch, for pictures.
    pub mixture: Option<Mixture>,
    /// The output `[N, K]` of the network, from [`AfterForward`](crate::Event::AfterForward) on.
    pub logits: Option<Tensor<2>>,
    /// The loss, shape `[1]`, from [`AfterLoss`](crate::Event::AfterLoss) on.
    pub loss: Option<Tensor<1>>,
    /// The gradients: of the part at [`AfterBackward`](crate::Event::AfterBackward), of the whole
    /// batch at [`BeforeStep`](crate::Event::BeforeStep).
    pub gradients: GradientsParams,
    pub(crate) model: Option<M>,
    pub(crate) clock: Clock,
    pub(crate) loss_fn: Arc<dyn Loss>,
    pub(crate) logged: Vec<Logged>,
    /// Batches whose update was skipped.
    pub(crate) skipped: u64,
    pub(crate) was_skipped: bool,
    /// What this batch, or outside a batch the last one, does not train.
    pub(crate) frozen: Frozen,
    images: Option<Tensor<D>>,
    device: Device,
    time: Time,
    part: u64,
    num_classes: usize,
    seed: u64,
    stream: Stream,
}

/// The lanes of the seeds of the device's generator, far from those of the algorithms: for what
/// algorithms draw on the device, and for a forward pass (dropout).
const ALGORITHM_LANE: u64 = u64::MAX - 1;
const FORWARD_LANE: u64 = u64::MAX;
const STEP_LANE: u64 = u64::MAX - 2;

const NO_MODEL: &str = "`map_model` returns the model that it took";

fn no_images() -> Error {
    let accepted = "an event from BatchStart to AfterBackward";
    Error::argument("images", "asked for where there are none", accepted)
}

impl<M, const D: usize> State<M, D> {
    pub(crate) fn new(
        model: M,
        optimizer: ModuleOptimizer,
        loss_fn: Arc<dyn Loss>,
        clock: Clock,
        device: Device,
        num_classes: usize,
        seed: u64,
    ) -> Self {
        Self {
            optimizer,
            ema_model: None,
            history: History::default(),
            learning_rate: 0.0,
            targets: Targets::Dense(Tensor::zeros([1, 1], &device)),
            loss_targets: None,
            interpolation: None,
            mixture: None,
            logits: None,
            loss: None,
            gradients: GradientsParams::new(),
            model: Some(model),
            logged: Vec::new(),
            skipped: 0,
            was_skipped: false,
            frozen: Frozen::default(),
            images: None,
            device,
            time: clock.now(),
            clock,
            loss_fn,
            part: 0,
            num_classes,
            seed,
            stream: Stream::new(seed),
        }
    }

    /// Creates a state without a run, to preview what an algorithm does: part `part` of a run with
    /// this seed, before its forward pass.
    pub fn preview(model: M, batch: Batch<D>, num_classes: usize, seed: u64, part: u64) -> Self
    where
        M: Network<D>,
    {
        let device = batch.images.device();
        let clock = Clock::new(
            crate::time::Duration::Epochs(1),
            batch.size(),
            Default::default(),
        );
        let optimizer = burn::optim::SgdConfig::new().init();
        let loss = Arc::new(cutmix::loss::CrossEntropy::new());
        let mut state = Self::new(model, optimizer, loss, clock, device, num_classes, seed);
        state.part = part;
        state.seed_device(ALGORITHM_LANE);
        state.start_part(batch);
        state
    }

    /// Starts a batch at this position of the run, whose first part in all processes has the number `part` among those of the run.
    pub(crate) fn start_batch(&mut self, time: Time, part: u64) {
        self.part = part;
        self.seed_device(ALGORITHM_LANE);
        self.time = time;
        self.was_skipped = false;
        self.frozen = Frozen::default();
        self.logged.clear();
    }

    /// Sets the part by whose number among all parts of the run algorithms draw.
    pub(crate) fn set_part(&mut self, part: u64) {
        if part != self.part {
            self.part = part;
            self.seed_device(ALGORITHM_LANE);
        }
    }

    /// Sets the last part of the batch in all processes, before the optimizer step. What is drawn on the
    /// device from now on is the same in all of them.
    pub(crate) fn start_step(&mut self, part: u64) {
        self.part = part;
        self.seed_device(STEP_LANE);
    }

    /// Sets the next part of the batch.
    pub(crate) fn start_part(&mut self, batch: Batch<D>) {
        self.images = Some(batch.images);
        self.targets = batch.targets;
        self.loss_targets = None;
        self.interpolation = None;
        self.mixture = None;
        self.logits = None;
        self.loss = None;
    }

    /// Updates the position outside a batch.
    pub(crate) fn set_time(&mut self, time: Time) {
        self.time = time;
    }

    /// Chooses the lane of the random stream that [`rng`](Self::rng) draws from.
    pub(crate) fn enter(&mut self, lane: u64) {
        self.stream = Stream::new(self.seed).lane(lane);
    }

    /// Drops the tensors of a part that are no longer needed, and with them the autodiff graph.
    pub(crate) fn end_part(&mut self) {
        self.images = None;
        self.interpolation = None;
        self.loss_targets = None;
        self.logits = None;
        self.loss = None;
    }

    /// Seeds the generator of the device for the forward pass of this part.
    pub(crate) fn seed_forward_pass(&self) {
        self.seed_device(FORWARD_LANE);
    }

    fn seed_device(&self, lane: u64) {
        let mut rng = Stream::new(self.seed).lane(lane).at(self.part);
        self.device.seed(rng.next_u64());
    }

    /// Whether a change of the images failed.
    pub(crate) fn has_lost_images(&self) -> bool {
        self.images.is_none()
    }

    /// Logs a number of this batch under a name such as `cutmix/lambda`.
    pub fn log(&mut self, name: impl Into<Cow<'static, str>>, value: f64) {
        let name = name.into();
        self.logged.push(Logged { name, value });
    }

    /// The numbers that algorithms have logged for this batch so far.
    pub fn logged(&self) -> &[Logged] {
        &self.logged
    }

    /// The position of the run at the start of this batch; outside a batch, now.
    pub fn time(&self) -> &Time {
        &self.time
    }

    /// The position of the run now. At [`BatchEnd`](crate::Event::BatchEnd) it includes this batch.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The number of this part of a batch in the run, from 0: the number of the batch unless batches
    /// are made of several parts.
    pub fn part(&self) -> u64 {
        self.part
    }

    /// The number of classes.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The device of the run, with autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the update of this batch was skipped; known from
    /// [`BatchEnd`](crate::Event::BatchEnd) on.
    pub fn was_skipped(&self) -> bool {
        self.was_skipped
    }

    /// The model, with the weights of this moment.
    pub fn model(&self) -> &M {
        self.model.as_ref().expect(NO_MODEL)
    }

    /// Changes the model. `change` owns it alone, so that tensors can be updated in place.
    pub fn map_model(&mut self, change: impl FnOnce(M) -> M) {
        let model = self.model.take().expect(NO_MODEL);
        self.model = Some(change(model));
    }

    /// The images, shape `[N, C, spatial...]`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] where there are none: at events outside the parts of a batch.
    pub fn images(&self) -> Result<&Tensor<D>, Error> {
        self.images.as_ref().ok_or_else(no_images)
    }

    /// Changes the images. `change` owns them alone, so that it can work in place.
    ///
    /// # Errors
    ///
    /// Those of `change`; the images are then lost, and the run ends.
    pub fn map_images(
        &mut self,
        change: impl FnOnce(Tensor<D>) -> Result<Tensor<D>, Error>,
    ) -> Result<(), Error> {
        let images = self.images.take().ok_or_else(no_images)?;
        self.images = Some(change(images)?);
        Ok(())
    }

    /// The random generator of this algorithm for this part of a batch: a function of the seed, the
    /// place of the algorithm in the run, and [`part`](Self::part) alone. Every call starts
    /// it afresh.
    pub fn rng(&self) -> ChaCha8Rng {
        self.stream.at(self.part)
    }

    /// Lets an algorithm inside this one act on the state, with a generator of its own. `index` is
    /// its number among the inner algorithms.
    pub fn within<T>(&mut self, index: u64, act: impl FnOnce(&mut Self) -> T) -> T {
        let outside = self.stream;
        self.stream = outside.within(index);
        let result = act(self);
        self.stream = outside;
        result
    }
}

impl<M: Module, const D: usize> State<M, D> {
    /// Freezes the parameters for whose names `is_frozen` is true until the optimizer step of this
    /// batch, and lets modules whose flags it names work as in evaluation. To be called at
    /// [`BatchStart`](crate::Event::BatchStart).
    pub fn freeze(&mut self, is_frozen: impl Fn(&str) -> bool) {
        let mut frozen = std::mem::take(&mut self.frozen);
        self.map_model(|model| frozen.add(model, is_frozen));
        self.frozen = frozen;
    }

    /// Ends the freezing of this batch.
    pub(crate) fn unfreeze(&mut self) {
        let mut frozen = std::mem::take(&mut self.frozen);
        self.map_model(|model| frozen.release(model));
        self.frozen = frozen;
    }
}

impl<M: Network<D>, const D: usize> State<M, D> {
    /// The loss of logits `[N, K]` against the targets of this part, shape `[1]`.
    pub(crate) fn compute_loss(&self, logits: &Tensor<2>) -> Result<Tensor<1>, Error> {
        let targets = self.loss_targets.as_ref().unwrap_or(&self.targets).clone();
        let loss = |targets| self.loss_fn.forward(logits.clone(), targets);
        let loss = match &self.interpolation {
            None => loss(targets)?,
            Some(partners) => {
                let own = loss(targets)? * partners.lambda;
                own + loss(partners.targets.clone())? * (1.0 - partners.lambda)
            }
        };
        // The gradient of several losses would silently be that of their sum.
        let (dims, accepted) = (loss.dims(), "one number, shape [1]: a mean or a sum");
        Error::ensure(dims == [1], "loss", format!("of shape {dims:?}"), accepted)?;
        Ok(loss)
    }

    /// The number that the loss of this part is divided by, where it is not its number of samples.
    pub(crate) fn mean_weight(&self) -> Result<Option<Tensor<1>>, Error> {
        let targets = self.loss_targets.as_ref().unwrap_or(&self.targets);
        let own = self.loss_fn.mean_weight(targets)?;
        let (Some(own), Some(partners)) = (&own, &self.interpolation) else {
            return Ok(own);
        };
        let other = self.loss_fn.mean_weight(&partners.targets)?;
        Ok(other.map(|other| own.clone() * partners.lambda + other * (1.0 - partners.lambda)))
    }

    /// The gradients of another forward and backward pass over the images of this part, by a copy
    /// of the model with other weights. The running statistics of the model stay as they are, and
    /// dropout masks are those of the first pass.
    ///
    /// # Errors
    ///
    /// Those of the loss.
    pub fn gradients_of(&self, model: &M) -> Result<GradientsParams, Error> {
        self.seed_forward_pass();
        let logits = model.forward(self.images()?.clone());
        let loss = self.compute_loss(&logits)?;
        Ok(GradientsParams::from_grads(loss.backward(), model))
    }
}

impl<M, const D: usize> std::fmt::Debug for State<M, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("time", &self.time)
            .field("part", &self.part)
            .field("learning_rate", &self.learning_rate)
            .finish_non_exhaustive()
    }
}
