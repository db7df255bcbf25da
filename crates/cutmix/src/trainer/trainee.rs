//! The model with the run's algorithms around it, as Burn's learner steps it.

use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use super::Classifier;
use super::feed::Timed;
use super::hooks::Hooks;
use super::metric::StepOutput;
use crate::algorithms::{Algorithm, Step};
use crate::{Batch, Error, Targets, loss};

/// A module of the model's own parameters.
#[derive(Module, Debug)]
pub(super) struct Trainee<M: Module, const D: usize> {
    pub model: M,
    #[module(skip)]
    pub hooks: Hooks<D>,
}

impl<M: Classifier<D>, const D: usize> Trainee<M, D> {
    /// From batch to gradients, with every event on the way.
    fn run(&self, timed: Timed<D>) -> Result<TrainOutput<StepOutput>, Error> {
        let hooks = &self.hooks;
        let mut step = Step::new(timed.batch, timed.time, timed.time.batch, hooks.stream);
        hooks.step("batch_start", &mut step, Algorithm::batch_start)?;
        hooks.step("before_forward", &mut step, Algorithm::before_forward)?;
        step.logits = Some(self.model.forward(step.images().clone()));
        hooks.step("after_forward", &mut step, Algorithm::after_forward)?;
        hooks.step("before_loss", &mut step, Algorithm::before_loss)?;
        step.loss = Some(self.loss(&step)?);
        hooks.step("after_loss", &mut step, Algorithm::after_loss)?;
        hooks.step("before_backward", &mut step, Algorithm::before_backward)?;
        let loss = present(&step.loss, "loss")?;
        let gradients = loss.backward();
        hooks.step("after_backward", &mut step, Algorithm::after_backward)?;

        let output = StepOutput {
            loss,
            logits: present(&step.logits, "logits")?,
            targets: step.targets,
            interpolation: step.interpolation,
        };
        Ok(TrainOutput::new(self, gradients, output))
    }

    fn loss(&self, step: &Step<D>) -> Result<Tensor<1>, Error> {
        let logits = present(&step.logits, "logits")?;
        let targets = (step.loss_targets.as_ref())
            .unwrap_or(&step.targets)
            .clone();
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
    type Input = Timed<D>;
    type Output = StepOutput;

    fn step(&self, timed: Timed<D>) -> TrainOutput<StepOutput> {
        let device = timed.batch.images.device();
        self.run(timed).unwrap_or_else(|error| {
            // Burn's step cannot fail: stop the run, and give it a step that changes nothing.
            self.hooks.fail(error);
            TrainOutput {
                grads: GradientsParams::new(),
                item: StepOutput::failed(&device),
            }
        })
    }

    fn optimize(
        self,
        optimizer: &mut ModuleOptimizer,
        learning_rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        if self.hooks.error().is_some() {
            return self;
        }
        let trained = optimizer.step(learning_rate, self, gradients);
        let time = trained.hooks.clock.last_batch();
        (trained.hooks).time("batch_end", time, Algorithm::batch_end);
        trained
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
    })
}

impl StepOutput {
    fn failed(device: &burn::tensor::Device) -> Self {
        Self {
            loss: Tensor::from_floats([f32::NAN], device),
            logits: Tensor::zeros([1, 1], device),
            targets: Targets::Dense(Tensor::zeros([1, 1], device)),
            interpolation: None,
        }
    }
}
