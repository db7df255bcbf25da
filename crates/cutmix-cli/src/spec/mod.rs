//! Algorithms as they are written on the command line: `cutmix:alpha=0.5,until=0.9dur`.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use cutmix::algorithms::{Algorithm, CutMix, CutOut, LabelSmoothing, MixUp, OneOf, When, check};
use cutmix::plan::{Length, Mode, Sampler};
use cutmix::time::Duration;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// An algorithm with its settings, and when it acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Spec {
    pub kind: Kind,
    /// On this share of the batches.
    probability: f64,
    from: Option<Duration>,
    until: Option<Duration>,
}

/// Which algorithm.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// No algorithm: `none`.
    None,
    /// `cutmix`.
    CutMix {
        alpha: f64,
        sampler: Sampler,
        mode: Mode,
        interpolate_loss: bool,
    },
    /// `mixup`.
    MixUp {
        alpha: f64,
        mode: Mode,
        interpolate_loss: bool,
    },
    /// `mixup-or-cutmix`: one of the two for each batch.
    MixUpOrCutMix {
        mixup_alpha: f64,
        cutmix_alpha: f64,
        /// The share of the batches that are CutMix's.
        switch: f64,
    },
    /// `one-of`: one of these for each batch, each in proportion to its weight.
    OneOf(Vec<(f64, Spec)>),
    /// `cutout`.
    CutOut { length: Length, mode: Mode },
    /// `label-smoothing`.
    LabelSmoothing { smoothing: f64 },
}

impl Spec {
    /// Checks that the algorithm can change images of this height and width.
    pub fn check_images(&self, spatial: &[usize]) -> Result<(), Error> {
        match &self.kind {
            Kind::CutOut { length, .. } => Ok(length.pixels(spatial).map(drop)?),
            Kind::OneOf(specs) => {
                (specs.iter()).try_for_each(|(_, spec)| spec.check_images(spatial))
            }
            _ => Ok(()),
        }
    }

    /// The algorithm for so many classes.
    pub fn build(&self, num_classes: usize) -> Option<Box<dyn Algorithm>> {
        let algorithm: Box<dyn Algorithm> = match self.kind {
            Kind::None => return None,
            Kind::CutMix {
                alpha,
                sampler,
                mode,
                interpolate_loss,
            } => Box::new(
                CutMix::new(num_classes)
                    .alpha(alpha)
                    .sampler(sampler)
                    .mode(mode)
                    .interpolate_loss(interpolate_loss),
            ),
            Kind::MixUp {
                alpha,
                mode,
                interpolate_loss,
            } => Box::new(
                MixUp::new(num_classes)
                    .alpha(alpha)
                    .mode(mode)
                    .interpolate_loss(interpolate_loss),
            ),
            Kind::MixUpOrCutMix {
                mixup_alpha,
                cutmix_alpha,
                switch,
            } => Box::new(
                OneOf::new()
                    .add(1.0 - switch, MixUp::new(num_classes).alpha(mixup_alpha))
                    .add(switch, CutMix::new(num_classes).alpha(cutmix_alpha)),
            ),
            Kind::OneOf(ref choices) => Box::new(
                (choices.iter())
                    .filter_map(|(weight, spec)| Some((*weight, spec.build(num_classes)?)))
                    .fold(OneOf::new(), |one_of, (weight, choice)| {
                        one_of.add(weight, choice)
                    }),
            ),
            Kind::CutOut { length, mode } => Box::new(CutOut::new(length).mode(mode)),
            Kind::LabelSmoothing { smoothing } => {
                Box::new(LabelSmoothing::new(num_classes, smoothing))
            }
        };
        let mut when = When::new(algorithm).probability(self.probability);
        if let Some(from) = self.from {
            when = when.from(from);
        }
        if let Some(until) = self.until {
            when = when.until(until);
        }
        Some(Box::new(when))
    }

    /// Whether it acts on the loss, and so after all that act on the images.
    fn is_late(&self) -> bool {
        match &self.kind {
            Kind::LabelSmoothing { .. } => true,
            Kind::OneOf(choices) => choices.iter().all(|(_, choice)| choice.is_late()),
            _ => false,
        }
    }
}

/// Checks specs together, as the trainer does, before the data are read.
pub fn check_together(specs: &[Spec]) -> Result<(), Error> {
    // Any number of classes serves to check the rest.
    let algorithms: Vec<_> = specs.iter().filter_map(|spec| spec.build(2)).collect();
    Ok(check(&algorithms)?)
}

/// The specs in the order in which they act on a batch, with `between` between two.
pub fn in_order(specs: &[Spec], between: &str) -> String {
    let mut specs: Vec<_> = specs.iter().collect();
    specs.sort_by_key(|spec| spec.is_late());
    let specs: Vec<_> = specs.iter().map(ToString::to_string).collect();
    specs.join(between)
}

/// With every setting, so that it reads back as the same algorithm whatever the defaults become.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match self.kind {
            Kind::None => return Ok(()),
            Kind::OneOf(_) => f.write_str(":"),
            _ => f.write_str(","),
        }?;
        write!(f, "probability={}", self.probability)?;
        for (name, duration) in [("from", self.from), ("until", self.until)] {
            if let Some(duration) = duration {
                write!(f, ",{name}={duration}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interpolate = |interpolate_loss: bool| match interpolate_loss {
            true => ",interpolate-loss",
            false => "",
        };
        match *self {
            Self::None => f.write_str("none"),
            Self::CutMix {
                alpha,
                sampler,
                mode,
                interpolate_loss,
            } => {
                match sampler {
                    Sampler::MinMax { min, max } => {
                        write!(f, "cutmix:sampler=min-max:{min}..{max}")
                    }
                    sampler => write!(f, "cutmix:alpha={alpha},sampler={sampler}"),
                }?;
                write!(f, ",mode={mode}{}", interpolate(interpolate_loss))
            }
            Self::MixUp {
                alpha,
                mode,
                interpolate_loss,
            } => {
                let interpolate = interpolate(interpolate_loss);
                write!(f, "mixup:alpha={alpha},mode={mode}{interpolate}")
            }
            Self::MixUpOrCutMix {
                mixup_alpha,
                cutmix_alpha,
                switch,
            } => write!(
                f,
                "mixup-or-cutmix:mixup-alpha={mixup_alpha},cutmix-alpha={cutmix_alpha},\
                 switch={switch}"
            ),
            Self::OneOf(ref choices) => {
                let choices = choices.iter();
                let choices: Vec<_> = choices
                    .map(|(weight, choice)| format!("{choice},weight={weight}"))
                    .collect();
                write!(f, "one-of({})", choices.join("|"))
            }
            Self::CutOut { length, mode } => write!(f, "cutout:length={length},mode={mode}"),
            Self::LabelSmoothing { smoothing } => {
                write!(f, "label-smoothing:smoothing={smoothing}")
            }
        }
    }
}

impl TryFrom<String> for Spec {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Spec> for String {
    fn from(spec: Spec) -> Self {
        spec.to_string()
    }
}
