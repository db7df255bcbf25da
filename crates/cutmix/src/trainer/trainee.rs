//! The model with the run's algorithms around it, as Burn's learner steps it.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use super::Classifier;
use super::hooks::{Hooks, StepEvent};
use super::metric::StepOutput;
use crate::algorithms::Step;
use crate::time::Time;
use crate::{Batch, Error, Targets, loss};

/// A part of a batch: all of it, unless batches are made of several.
pub(super) struct Part<const D: usize> {
    pub batch: Batch<D>,
    /// Where the run is at the start of the batch.
    pub time: Time,
    /// The part's number in the run.
    pub position: u64,
    /// What the generator of its device begins with (dropout).
    pub seed: u64,
    /// Its share of the batch's samples.
    pub share: f64,
}

/// A module of the model's own parameters.
#[derive(Module, Debug)]
pub(super) struct Trainee<M: Module, const D: usize> {
    pub model: M,
    #[module(skip)]
    pub hooks: Hooks<D>,
}

impl<M: Classifier<D>, const D: usize> Trainee<M, D> {
    /// From images to gradients, with every event on the way.
    fn run(&self, part: Part<D>) -> Result<TrainOutput<StepOutput>, Error> {
        let hooks = &self.hooks;
        let mut step = Step::new(part.batch, part.time, part.position, hooks.stream);
        let step = &mut step;
        hooks.step(StepEvent::BatchStart, step)?;
        hooks.step(StepEvent::BeforeForward, step)?;
        step.logits = Some(self.model.forward(step.images().clone()));
        hooks.step(StepEvent::AfterForward, step)?;
        hooks.step(StepEvent::BeforeLoss, step)?;
        step.loss = Some(self.loss(step)?);
        hooks.step(StepEvent::AfterLoss, step)?;
        hooks.step(StepEvent::BeforeBackward, step)?;
        let loss = present(&step.loss, "loss")?;
        // The gradients of the parts add up to that of the batch.
        let gradients = match part.share == 1.0 {
            true => loss.backward(),
            false => (loss.clone() * part.share).backward(),
        };
        hooks.step(StepEvent::AfterBackward, step)?;

        let output = StepOutput {
            loss,
            logits: present(&step.logits, "logits")?,
            targets: step.targets.clone(),
            interpolation: step.interpolation.clone(),
            notes: step.notes().to_vec(),
        };
        Ok(TrainOutput::new(self, gradients, output))
    }

    fn loss(&self, step: &Step<D>) -> Result<Tensor<1>, Error> {
        let logits = present(&step.logits, "logits")?;
        let targets = step.loss_targets.as_ref().unwrap_or(&step.targets).clone();
        let loss = match &step.interpolation {
            None => self.model.loss(logits, targets),
            Some(partners) => loss::interpolate(
                logits,
                targets,
                partners.targets.clone(),
                partners.lambda,
                |logits, targets| self.model.loss(logits, targets),
            ),
        }?;
        // A gradient of several losses would be that of their sum, without a word.
        match loss.dims() {
            [1] => Ok(loss),
            [count] => Err(Error::argument(
                "loss",
                format!("of shape [{count}]"),
                "one number, shape [1]: a mean or a sum",
            )),
        }
    }
}

/// What the step has computed; gone only if an algorithm took it.
fn present<T: Clone>(slot: &Option<T>, name: &'static str) -> Result<T, Error> {
    let gone = || Error::argument(name, "taken by an algorithm", "a value left in the step");
    slot.clone().ok_or_else(gone)
}

impl<M: Classifier<D>, const D: usize> TrainStep for Trainee<M, D> {
    type Input = Part<D>;
    type Output = StepOutput;

    fn step(&self, part: Part<D>) -> TrainOutput<StepOutput> {
        let device = part.batch.images.device();
        self.run(part).unwrap_or_else(|error| {
            // Burn's step cannot fail: note the error, and give it a step that changes nothing.
            self.hooks.fail(error);
            TrainOutput {
                grads: GradientsParams::new(),
                item: StepOutput::failed(&device),
            }
        })
    }
}

impl<M: Classifier<D>, const D: usize> InferenceStep for Trainee<M, D> {
    type Input = Batch<D>;
    type Output = StepOutput;

    fn step(&self, batch: Batch<D>) -> StepOutput {
        let device = batch.images.device();
        evaluate(&self.model, batch).unwrap_or_else(|error| {
            self.hooks.fail(error);
            StepOutput::failed(&device)
        })
    }
}

/// Logits and loss of an unmixed batch.
pub(super) fn evaluate<M: Classifier<D>, const D: usize>(
    model: &M,
    batch: Batch<D>,
) -> Result<StepOutput, Error> {
    let logits = model.forward(batch.images);
    let loss = model.loss(logits.clone(), batch.targets.clone())?;
    Ok(StepOutput {
        loss,
        logits,
        targets: batch.targets,
        interpolation: None,
        notes: Vec::new(),
    })
}

impl StepOutput {
    fn failed(device: &Device) -> Self {
        Self {
            loss: Tensor::from_floats([f32::NAN], device),
            logits: Tensor::zeros([1, 1], device),
            targets: Targets::Dense(Tensor::zeros([1, 1], device)),
            interpolation: None,
            notes: Vec::new(),
        }
    }
}
