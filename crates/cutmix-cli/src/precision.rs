//! `--precision`: the numbers that weights and activations are made of.

use std::fmt;
use std::str::FromStr;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::device::Chosen;
use crate::error::Error;

/// Of everything on the device but losses and metrics, which are f32 at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    #[default]
    F32,
    Bf16,
    F16,
}

impl Precision {
    /// Makes it that of the device; only possible before there is any tensor.
    pub fn set(self, chosen: &Chosen) -> Result<(), Error> {
        let dtype = match self {
            Self::F32 => return Ok(()),
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        };
        let mut device = chosen.device.clone();
        let cannot = |reason: String| {
            let name = &chosen.name;
            Error::Device(format!(
                "device \"{name}\" cannot compute in {self}: {reason}"
            ))
        };
        if !device.supports_dtype(dtype) {
            return Err(cannot(
                "it has no such numbers; leave out --precision".into(),
            ));
        }
        device
            .configure(dtype)
            .map_err(|error| cannot(error.to_string()))
    }
}

/// A model with weights in f32, as the model file has them.
pub fn widened<M: Module>(model: &M) -> M {
    struct Widen;

    impl ModuleMapper for Widen {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            Param::from_mapped_value(id, tensor.cast(FloatDType::F32), mapper)
        }
    }

    // A clone would share the running statistics.
    model.valid().map(&mut Widen)
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => Err(Error::unknown("precision", text, ["f32", "bf16", "f16"])),
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
