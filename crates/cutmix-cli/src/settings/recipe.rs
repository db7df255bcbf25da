//! `--recipe`: published settings.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use toml::Table;

/// Settings that were published together. Each is a file in `recipes/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RecipeName {
    /// For trained weights and up to 20 thousand images: the hyper-rule of Big Transfer
    /// (arXiv:1912.11370) in its small regime, with Nesterov momentum
    Finetune,
    /// ResNet-50 on ImageNet in 32 epochs: MosaicML's mild recipe without binary cross-entropy, and
    /// with Nesterov momentum
    Mild,
    /// ResNet-50 on ImageNet in 90 epochs: MosaicML's medium recipe, which adds MixUp and SAM,
    /// without binary cross-entropy, and with Nesterov momentum
    Medium,
    /// WRN-28-10 on CIFAR in 200 epochs: the settings of Wide Residual Networks (arXiv:1605.07146),
    /// the last step of the rate at epoch 180 instead of 160, with CutMix on half of the batches as
    /// its authors have it (arXiv:1905.04899)
    Cifar,
}

impl RecipeName {
    fn text(self) -> &'static str {
        match self {
            Self::Finetune => include_str!("recipes/finetune.toml"),
            Self::Mild => include_str!("recipes/mild.toml"),
            Self::Medium => include_str!("recipes/medium.toml"),
            Self::Cifar => include_str!("recipes/cifar.toml"),
        }
    }

    /// The settings.
    pub fn settings(self) -> Table {
        toml::from_str(self.text()).expect("the tests read every recipe")
    }

    /// What the settings are from.
    pub fn source(self) -> &'static str {
        match self {
            Self::Finetune => "BiT-HyperRule, Kolesnikov et al., arXiv:1912.11370",
            Self::Mild => "ResNet-50 mild, MosaicML, github.com/mosaicml/examples",
            Self::Medium => "ResNet-50 medium, MosaicML, github.com/mosaicml/examples",
            Self::Cifar => {
                "Wide Residual Networks, Zagoruyko and Komodakis, arXiv:1605.07146, with CutMix, \
                 Yun et al., arXiv:1905.04899"
            }
        }
    }
}

impl fmt::Display for RecipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
#[path = "../../tests/unit/recipe.rs"]
mod tests;
