//! Tensors of remote devices, brought to this process.
//!
//! A remote device that has gone shows in the next read, and only there. What runs here therefore
//! reads by itself, where a failure is an error, and hands on what it has read; it also keeps
//! clones of one remote tensor on one thread, because Burn 0.22 loses a tensor of which two threads
//! use clones at the same moment.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::metric::StepOutput;
use crate::Targets;
use crate::algorithms::Interpolation;

/// Where batches are made and what remote devices give is kept: the CPU, if it is in the build.
pub(super) fn device() -> Device {
    #[cfg(feature = "flex")]
    return Device::flex();
    #[cfg(not(feature = "flex"))]
    Device::default()
}

pub(super) fn is_remote(device: &Device) -> bool {
    #[cfg(feature = "remote")]
    return matches!(
        device.clone().inner().as_dispatch(),
        burn::backend::DispatchDevice::Remote(_)
    );
    #[cfg(not(feature = "remote"))]
    {
        let _ = device;
        false
    }
}

/// A copy of the values of a tensor.
fn read<const D: usize, K: Basic>(tensor: Tensor<D, K>) -> Result<Tensor<D, K>, String> {
    read_to(tensor, &device())
}

fn read_to<const D: usize, K: Basic>(
    tensor: Tensor<D, K>,
    device: &Device,
) -> Result<Tensor<D, K>, String> {
    let dtype = tensor.dtype();
    let data = (tensor.try_into_data())
        .map_err(|error| format!("it no longer answers ({})", error.reason()))?;
    Ok(Tensor::from_data(data, (device, dtype)))
}

/// A copy of a model, for inference.
pub(super) fn model<M: Module>(model: &M) -> Result<M, String> {
    let mut reader = Reader {
        device: device().autodiff(),
        failed: None,
    };
    // With gradients, or the copy would no longer know which parameters are frozen. By way of
    // `valid`, because a clone shares its running statistics.
    let copy = model.valid().train().map(&mut reader).valid();
    reader.failed.map_or(Ok(copy), Err)
}

struct Reader {
    device: Device,
    failed: Option<String>,
}

impl Reader {
    fn read<const D: usize, K: Basic>(&mut self, tensor: Tensor<D, K>) -> Tensor<D, K> {
        // One failure is enough to wait for.
        if self.failed.is_some() {
            return tensor;
        }
        read_to(tensor.clone(), &self.device).unwrap_or_else(|reason| {
            self.failed = Some(reason);
            tensor
        })
    }
}

impl ModuleMapper for Reader {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let is_trained = tensor.is_require_grad();
        let tensor = self.read(tensor).set_require_grad(is_trained);
        Param::from_mapped_value(id, tensor, mapper)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, self.read(tensor), mapper)
    }

    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<D, Bool>>,
    ) -> Param<Tensor<D, Bool>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, self.read(tensor), mapper)
    }
}

/// The gradients of a model.
pub(super) fn gradients<M: Module>(
    gradients: GradientsParams,
    model: &M,
) -> Result<GradientsParams, String> {
    let mut reader = GradientsReader {
        remote: gradients,
        read: Ok(GradientsParams::new()),
    };
    model.visit(&mut reader);
    reader.read
}

struct GradientsReader {
    remote: GradientsParams,
    read: Result<GradientsParams, String>,
}

impl ModuleVisitor for GradientsReader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Ok(gradients) = &mut self.read else {
            return;
        };
        if let Some(gradient) = self.remote.remove::<D>(param.id) {
            match read(gradient) {
                Ok(gradient) => gradients.register(param.id, gradient),
                Err(reason) => self.read = Err(reason),
            }
        }
    }
}

/// What a step reports.
pub(super) fn output(output: StepOutput) -> Result<StepOutput, String> {
    Ok(StepOutput {
        loss: read(output.loss)?,
        logits: read(output.logits)?,
        targets: targets(output.targets)?,
        interpolation: (output.interpolation)
            .map(|partners| {
                Ok::<_, String>(Interpolation {
                    targets: targets(partners.targets)?,
                    lambda: partners.lambda,
                })
            })
            .transpose()?,
        notes: output.notes,
    })
}

fn targets(targets: Targets) -> Result<Targets, String> {
    Ok(match targets {
        Targets::Indices(indices) => Targets::Indices(read(indices)?),
        Targets::Dense(dense) => Targets::Dense(read(dense)?),
    })
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::{BatchNorm, BatchNormConfig};
    use burn::tensor::{Device, Tensor};

    fn trained(norm: &BatchNorm) -> [bool; 2] {
        [&norm.gamma, &norm.beta].map(|param| param.val().is_require_grad())
    }

    #[test]
    fn a_copy_knows_what_is_frozen_and_has_statistics_of_its_own() {
        let device = Device::default().autodiff();
        let mut norm = BatchNormConfig::new(3).init(&device);
        norm.gamma = norm.gamma.no_grad();
        assert_eq!(trained(&norm), [false, true]);

        let copy = super::model(&norm).unwrap();
        let ids = |norm: &BatchNorm| (norm.gamma.id, norm.beta.id);
        assert_eq!(ids(&copy), ids(&norm));
        assert!(!copy.beta.val().is_autodiff());
        let mean = |norm: &BatchNorm| norm.running_mean.value().into_data();
        let before = mean(&copy);
        let images = || Tensor::<4>::ones([2, 3, 2, 2], &device) * 5;
        norm.forward(images());
        assert_ne!(mean(&norm.valid()), before);
        assert_eq!(mean(&copy), before);

        let copy = copy.train();
        assert_eq!(trained(&copy), [false, true]);
        let replica = copy.fork(&device);
        assert_eq!(trained(&replica), [false, true]);
        replica.forward(images());
        assert_ne!(mean(&replica.valid()), before);
    }
}
