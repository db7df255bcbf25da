//! `--freeze`, `--head-rate` and `--layer-decay`: parts of a network that are trained in their own way.

use std::fmt;
use std::str::FromStr;

use burn::optim::ModuleOptimizer;
use cutmix_train::algorithms::{Freeze, When, WhenConfig};
use cutmix_train::{Duration, is_part_of, parameter_names};
use cutmix_vision::AnyNetwork;
use cutmix_vision::models::{LayerRates, backbone, layers, stages};
use serde::{Deserialize, Serialize};

use super::{Resolved, Settings, Train};
use crate::error::Error;

/// The name of all of a network but its head.
const BACKBONE: &str = "backbone";

/// A part of a network that is not trained, for the whole run or until some time: `layer1:2ep`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FrozenPart {
    name: String,
    until: Option<Duration>,
}

impl FromStr for FrozenPart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, until) = match text.split_once(':') {
            Some((name, until)) => (name, Some(super::library::<Duration>(until)?)),
            None => (text, None),
        };
        let is_never = until.is_some_and(|until| until.is_zero());
        if name.is_empty() || is_never {
            let expected = "expected a part of the network, such as backbone or layer1, or a part with \
                            the time until which it is frozen, such as backbone:2ep";
            return Err(expected.into());
        }
        let name = name.into();
        Ok(Self { name, until })
    }
}

impl fmt::Display for FrozenPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "{}:{until}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl TryFrom<String> for FrozenPart {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FrozenPart> for String {
    fn from(part: FrozenPart) -> Self {
        part.to_string()
    }
}

/// A multiple: `10x`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Multiple(pub f64);

impl FromStr for Multiple {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('x').and_then(|text| text.parse().ok());
        let is_accepted = |number: &f64| number.is_finite() && *number > 0.0;
        (number.filter(is_accepted).map(Self))
            .ok_or_else(|| "expected a multiple of the learning rate, such as 10x".into())
    }
}

impl fmt::Display for Multiple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0)
    }
}

impl TryFrom<String> for Multiple {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Multiple> for String {
    fn from(multiple: Multiple) -> Self {
        multiple.to_string()
    }
}

impl Settings {
    /// The rates of the layers.
    pub fn layer_rates(&self) -> LayerRates {
        LayerRates::new()
            .with_head(self.head_rate.0)
            .with_decay(self.layer_decay)
    }

    /// The optimizer of a network.
    pub fn optimizer(&self, resolved: &Resolved, network: &AnyNetwork) -> ModuleOptimizer {
        let layers = layers(network, resolved.architecture.head);
        let (optimizer, decay) = (resolved.optimizer, resolved.weight_decay);
        optimizer.init_layers(decay, &layers, self.layer_rates())
    }

    /// The parts that are not trained.
    fn frozen_parts(&self) -> Vec<FrozenPart> {
        match self.train {
            Train::All => self.freeze.clone(),
            Train::Head => vec![FrozenPart {
                name: BACKBONE.into(),
                until: None,
            }],
        }
    }

    /// Checks that nothing would change images whose features are computed once, or layers other than the head.
    pub fn check_head(&self) -> Result<(), Error> {
        if self.train == Train::All {
            return Ok(());
        }
        let refused = |option, value: String, accepted: &str| {
            Err(Error::option(
                option,
                value,
                format!("{accepted} with --train head"),
            ))
        };
        if let Some(augment) = self.augment.as_ref().filter(|list| !list.is_empty()) {
            return refused("augment", augment.to_string(), "none");
        }
        if let Some(mixing) = self.algorithm.iter().find(|spec| spec.changes_images()) {
            return refused(
                "algorithm",
                mixing.to_string(),
                "one that does not change images",
            );
        }
        if !self.freeze.is_empty() {
            return refused("freeze", self.freeze_text(), "nothing");
        }
        if self.stochastic_depth != 0.0 {
            return refused("stochastic-depth", self.stochastic_depth.to_string(), "0");
        }
        if self.layer_decay != 1.0 {
            return refused("layer-decay", self.layer_decay.to_string(), "1");
        }
        Ok(())
    }

    fn freeze_text(&self) -> String {
        let parts: Vec<_> = self.freeze.iter().map(FrozenPart::to_string).collect();
        parts.join(",")
    }

    /// The algorithms that freeze the parts of a network.
    pub fn freezing(
        &self,
        resolved: &Resolved,
        network: &AnyNetwork,
    ) -> Result<Vec<When<Freeze>>, Error> {
        let names = parameter_names(network);
        let mut frozen = Vec::new();
        let mut algorithms = Vec::new();
        for part in self.frozen_parts() {
            let parts = match part.name.as_str() {
                BACKBONE => backbone(network, resolved.architecture.head),
                name => vec![name.to_string()],
            };
            let is_in_part = |name: &String| parts.iter().any(|part| is_part_of(name, part));
            if !names.iter().any(is_in_part) {
                let stages = stages(network);
                let known = [BACKBONE]
                    .into_iter()
                    .chain(stages.iter().map(String::as_str));
                return Err(Error::unknown("part of the network", &part.name, known));
            }
            let when = WhenConfig {
                until: part.until,
                ..WhenConfig::default()
            };
            frozen.extend(parts.clone());
            algorithms.push(when.init(Freeze::new(parts)));
        }
        let is_frozen = |name: &String| frozen.iter().any(|part| is_part_of(name, part));
        if names.iter().all(is_frozen) {
            let expected = "parts that leave something to train from the start";
            return Err(Error::option("freeze", self.freeze_text(), expected));
        }
        Ok(algorithms)
    }
}
