//! The devices that share out the parts of a batch.
//!
//! Part `k` is for device `k % n`. The first device works with the model itself, each other one
//! with a replica that is made for the step. Gradients move to the first device and are added up in
//! the order of the parts, so that their sum does not depend on how many devices there are.
//!
//! Burn's own engine for this, `MultiDevicesTrainStep`, lets the workers share one copy of a
//! model's running statistics, and Burn's collectives exist on CUDA alone: `docs/DEVICES.md`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Scope};

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, StreamId};
use burn::train::TrainStep;

use super::metric::StepOutput;
use super::trainee::{Part, Trainee};
use super::{Classifier, host};
use crate::{Batch, Error, Targets};

pub(super) struct Devices {
    /// With autodiff; the first is the main one, which keeps the weights.
    devices: Vec<Device>,
    /// Of the others, one each: a GPU keeps memory for every stream that it sees, and threads come
    /// and go with the steps.
    streams: Vec<StreamId>,
}

/// What a part gives.
type Done = Result<(GradientsParams, StepOutput), String>;

impl Devices {
    /// At least one.
    pub fn new(devices: Vec<Device>) -> Self {
        let autodiff = |device: Device| match device.is_autodiff() {
            true => device,
            false => device.autodiff(),
        };
        Self {
            streams: devices
                .iter()
                .skip(1)
                .map(|_| StreamId::allocate())
                .collect(),
            devices: devices.into_iter().map(autodiff).collect(),
        }
    }

    pub fn main(&self) -> &Device {
        &self.devices[0]
    }

    /// Where batches are made.
    pub fn loading(&self) -> Device {
        match self.devices.len() > 1 || host::is_remote(self.main()) {
            // From there they go to their devices without a detour over the first one. With
            // autodiff, by which batch normalisation knows that it trains.
            true => host::device().autodiff(),
            false => self.main().clone(),
        }
    }

    /// The gradients of a batch and the outputs of its parts, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::Worker`].
    pub fn step<M: Classifier<D>, const D: usize>(
        &self,
        trainee: &Trainee<M, D>,
        parts: Vec<Part<D>>,
    ) -> Result<(GradientsParams, Vec<StepOutput>), Error> {
        let (main, workers) = (self.main(), self.devices.len().min(parts.len()));
        let replicas = self.replicas(trainee, workers)?;
        let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        let count = parts.len();
        for (index, part) in parts.into_iter().enumerate() {
            shares[index % workers].push(part);
        }
        let mut shares = shares.into_iter();
        let mut own = shares.next().into_iter().flatten();

        let mut sum = GradientsAccumulator::new();
        let mut outputs = Vec::with_capacity(count);
        thread::scope(|scope| {
            let places = self.devices[1..].iter().zip(&self.streams);
            let others: Vec<_> = (replicas.into_iter().zip(places).zip(shares))
                .map(|((replica, place), parts)| work(scope, replica, place, parts))
                .collect();
            for index in 0..count {
                let device = index % workers;
                let done = match device.checked_sub(1) {
                    None => own
                        .next()
                        .map(|part| attempt(|| self.on_main(trainee, part))),
                    Some(other) => others[other].recv().ok().map(|done| {
                        done.map(|(gradients, output)| (gradients.to_device(main, trainee), output))
                    }),
                };
                let done = done.unwrap_or_else(|| Err("it gave no result".into()));
                let (gradients, output) = done.map_err(|reason| failed(device, reason))?;
                sum.accumulate(trainee, gradients);
                outputs.push(output);
            }
            Ok(())
        })?;
        Ok((sum.grads(), outputs))
    }

    /// Copies of the model for all devices but the first.
    fn replicas<T: Module>(&self, trainee: &T, workers: usize) -> Result<Vec<T>, Error> {
        if workers <= 1 {
            return Ok(Vec::new());
        }
        // One server would send a tensor to another one by itself, and hang where that is gone.
        let source = self.readable(&trainee.valid())?;
        // `train` gives each its own running statistics, which a clone shares.
        let replica = |device| source.clone().train().fork(device);
        Ok(self.devices[1..workers].iter().map(replica).collect())
    }

    fn on_main<M: Classifier<D>, const D: usize>(
        &self,
        trainee: &Trainee<M, D>,
        part: Part<D>,
    ) -> Done {
        let (gradients, output) = step(trainee, part, self.main());
        let output = match host::is_remote(self.main()) {
            true => host::output(output)?,
            false => output,
        };
        Ok((gradients, output))
    }

    /// An output of the first device that any thread may read.
    pub fn read(&self, output: StepOutput) -> Result<StepOutput, Error> {
        match host::is_remote(self.main()) {
            true => host::output(output).map_err(|reason| failed(0, reason)),
            false => Ok(output),
        }
    }

    /// A model for inference on the first device, as it can be read without a failure: a copy on
    /// the host where the device is remote.
    pub fn readable<M: Module>(&self, model: &M) -> Result<M, Error> {
        match host::is_remote(self.main()) {
            true => host::model(model).map_err(|reason| failed(0, reason)),
            false => Ok(model.clone()),
        }
    }

    /// The result of `read`, which reads from the first device and panics where that has gone.
    pub fn guard<T>(&self, read: impl FnOnce() -> T) -> Result<T, Error> {
        match host::is_remote(self.main()) {
            true => attempt(|| Ok(read())).map_err(|reason| failed(0, reason)),
            false => Ok(read()),
        }
    }
}

/// Starts a device on its parts; the results come in their order, one ahead of what is asked for.
fn work<'scope, M: Classifier<D>, const D: usize>(
    scope: &'scope Scope<'scope, '_>,
    replica: Trainee<M, D>,
    (device, stream): (&'scope Device, &'scope StreamId),
    parts: Vec<Part<D>>,
) -> Receiver<Done> {
    let (sender, receiver) = sync_channel(1);
    let run = move || {
        for part in parts {
            let done = attempt(|| {
                let (gradients, output) = step(&replica, part, device);
                match host::is_remote(device) {
                    true => Ok((host::gradients(gradients, &replica)?, host::output(output)?)),
                    false => Ok((gradients, output)),
                }
            });
            if sender.send(done).is_err() {
                return; // another device has failed
            }
        }
    };
    scope.spawn(|| stream.executes(run));
    receiver
}

fn step<M: Classifier<D>, const D: usize>(
    trainee: &Trainee<M, D>,
    part: Part<D>,
    device: &Device,
) -> (GradientsParams, StepOutput) {
    device.seed(part.seed);
    let output = TrainStep::step(trainee, to_device(part, device));
    (output.grads, output.item)
}

fn to_device<const D: usize>(part: Part<D>, device: &Device) -> Part<D> {
    let Batch { images, targets } = part.batch;
    let batch = Batch {
        images: images.to_device(device),
        targets: match targets {
            Targets::Indices(indices) => indices.to_device(device).into(),
            Targets::Dense(dense) => dense.to_device(device).into(),
        },
    };
    Part { batch, ..part }
}

/// The result, or what it panicked with. Nothing that a panic leaves half done is used again,
/// because the run ends.
fn attempt<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(message(panic.as_ref())))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").into()
}

fn failed(device: usize, reason: String) -> Error {
    // Messages of panics have several lines.
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Worker { device, reason }
}
