//! `--precision`: the type of weights and activations.

use std::fmt;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{FloatDType, Tensor};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::device::Chosen;
use crate::error::Error;

/// The type of everything on the device but losses and metrics, which are f32 at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    #[default]
    F32,
    Bf16,
    F16,
}

impl Precision {
    /// Makes it the type of new tensors on a device; possible only before there is any.
    pub fn set(self, chosen: &Chosen) -> Result<(), Error> {
        if self == Self::F32 {
            return Ok(());
        }
        let mut device = chosen.device.clone();
        let cannot = |reason: &str| {
            let name = &chosen.name;
            Error::Device(format!(
                "device \"{name}\" cannot compute in {self}: {reason}"
            ))
        };
        if !self.is_supported(chosen) {
            return Err(cannot("it does not have the type; leave out --precision"));
        }
        device
            .configure(self.dtype())
            .map_err(|error| cannot(&error.to_string()))
    }

    /// Whether a device has this type.
    pub fn is_supported(self, chosen: &Chosen) -> bool {
        self == Self::F32 || chosen.device.supports_dtype(self.dtype())
    }

    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

/// A module with weights of this type.
pub fn cast<M: Module>(module: M, dtype: FloatDType) -> M {
    struct Cast(FloatDType);

    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            Param::from_mapped_value(id, tensor.cast(self.0), mapper)
        }
    }

    module.map(&mut Cast(dtype))
}
