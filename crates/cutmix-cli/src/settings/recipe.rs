//! `--recipe`: published settings.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{AlgorithmSpec, Settings};

/// The key under which settings name their recipe.
pub(super) const RECIPE: &str = "recipe";

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

    /// The recipe that these settings name.
    pub fn of(given: &Table) -> Option<Self> {
        given.get(RECIPE)?.clone().try_into().ok()
    }

    /// All settings of the recipe.
    fn published(self) -> Table {
        toml::from_str(self.text()).expect("the tests read every recipe")
    }

    /// The settings of the recipe for a run of which these were given, as its config.toml has them.
    /// Where there are weights, the network is theirs. Where the features of images are computed once,
    /// nothing that changes images is left.
    pub fn settings_for(self, given: &Table) -> Table {
        let mut settings = self.published();
        if given.contains_key("weights") {
            settings.remove("model");
            settings.remove("blur-pool");
        }
        if trains_head(given) {
            settings.remove("augment");
            settings = without_mixing(settings);
        }
        let all: Settings = (settings.clone().try_into()).expect("the tests read every recipe");
        let mut all = all.to_table();
        all.retain(|key, _| settings.contains_key(key));
        all
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

/// The settings without the algorithms that change images.
fn without_mixing(mut settings: Table) -> Table {
    let Some(Value::Array(algorithms)) = settings.get_mut("algorithm") else {
        return settings;
    };
    let changes_images = |algorithm: &Value| {
        let algorithm = algorithm.clone().try_into::<AlgorithmSpec>();
        algorithm.is_ok_and(|algorithm| algorithm.changes_images())
    };
    algorithms.retain(|algorithm| !changes_images(algorithm));
    if algorithms.is_empty() {
        settings.remove("algorithm");
    }
    settings
}

/// Whether these settings are for a run that trains the head alone.
pub(super) fn trains_head(given: &Table) -> bool {
    given.get("train").and_then(Value::as_str) == Some("head")
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
