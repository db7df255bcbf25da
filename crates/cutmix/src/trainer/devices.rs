//! The devices that share out the parts of a batch.

use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use burn::train::train::{MultiDeviceStepError, MultiDevicesTrainStep};
use burn::train::{TrainStep, TrainingError};

use super::Classifier;
use super::metric::StepOutput;
use super::trainee::{Part, Trainee};
use crate::{Batch, Error, Targets};

/// One device, or several with Burn's engine for them: each step copies the model to all of them,
/// each computes the gradients of its part, and the first one adds them up.
pub(super) struct Devices<M: Classifier<D>, const D: usize> {
    /// With autodiff; the first is the main one.
    devices: Vec<Device>,
    engine: Option<MultiDevicesTrainStep<Trainee<M, D>>>,
}

impl<M: Classifier<D>, const D: usize> Devices<M, D> {
    /// At least one.
    pub fn new(devices: Vec<Device>) -> Self {
        let autodiff = |device: Device| match device.is_autodiff() {
            true => device,
            false => device.autodiff(),
        };
        let devices: Vec<_> = devices.into_iter().map(autodiff).collect();
        Self {
            engine: (devices.len() > 1).then(|| MultiDevicesTrainStep::new(&devices)),
            devices,
        }
    }

    pub fn main(&self) -> Device {
        self.devices[0].clone()
    }

    /// Where batches are made.
    pub fn loading(&self) -> Device {
        #[cfg(feature = "flex")]
        if self.engine.is_some() {
            // From there they go to their devices without a detour over the first one.
            // With autodiff: a move to an equal device would leave them without.
            return Device::flex().autodiff();
        }
        self.main()
    }

    /// The gradients and outputs of the parts, in their order. `seed` gives that of a device's own
    /// generator for a part.
    pub fn step(
        &self,
        trainee: &Trainee<M, D>,
        parts: Vec<Part<D>>,
        seed: impl Fn(u64) -> u64,
    ) -> Result<Vec<(GradientsParams, StepOutput)>, Error> {
        let Some(engine) = &self.engine else {
            let steps = parts.into_iter().map(|part| {
                self.devices[0].seed(seed(part.position));
                let output = TrainStep::step(trainee, part);
                (output.grads, output.item)
            });
            return Ok(steps.collect());
        };
        let main = self.main();
        let mut outputs = Vec::with_capacity(parts.len());
        let mut parts = parts.into_iter();
        while parts.len() > 0 {
            let mut shards: Vec<Box<dyn DataLoaderIterator<Part<D>>>> = Vec::new();
            for device in &self.devices {
                let part = parts.next().map(|part| {
                    device.seed(seed(part.position));
                    to_device(part, device)
                });
                shards.push(Box::new(Shard(part)));
            }
            let (items, _) = (engine.step(&mut shards, trainee)).map_err(failed)?;
            outputs.extend(items.into_iter().map(|item| {
                let grads = item.output.grads.to_device(&main, trainee);
                (grads, item.output.item)
            }));
        }
        // They come in the order in which the devices were done, and sums depend on theirs.
        outputs.sort_by_key(|(_, output)| output.position);
        Ok(outputs)
    }
}

fn failed(error: MultiDeviceStepError) -> Error {
    Error::Training(std::sync::Arc::new(TrainingError::from(error)))
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

/// The data of one device in one step, as Burn's engine takes them.
struct Shard<const D: usize>(Option<Part<D>>);

impl<const D: usize> Iterator for Shard<D> {
    type Item = Result<Part<D>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl<const D: usize> DataLoaderIterator<Part<D>> for Shard<D> {
    fn progress(&self) -> Progress {
        Progress::new(0, 0, None)
    }
}
