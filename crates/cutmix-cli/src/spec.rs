//! Algorithms as they are written on the command line: `cutmix:alpha=0.5,sampler=uniform`.

use std::fmt;
use std::str::FromStr;

use cutmix::algorithms::{Algorithm, CutMix, When};
use cutmix::plan::{Drawer, Mode, Sampler};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// An algorithm with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Spec {
    /// No algorithm: `none`.
    None,
    /// `cutmix`.
    CutMix {
        alpha: f64,
        probability: f64,
        sampler: Sampler,
        mode: Mode,
        interpolate_loss: bool,
    },
}

impl Spec {
    /// The algorithm for so many classes.
    pub fn build(&self, num_classes: usize) -> Option<When<CutMix>> {
        match *self {
            Self::None => None,
            Self::CutMix {
                alpha,
                probability,
                sampler,
                mode,
                interpolate_loss,
            } => {
                let cutmix = CutMix::new(num_classes)
                    .alpha(alpha)
                    .sampler(sampler)
                    .mode(mode)
                    .interpolate_loss(interpolate_loss);
                Some(When::new(cutmix).probability(probability))
            }
        }
    }

    /// What the title of a picture says of it.
    pub fn in_words(&self) -> String {
        match self {
            Self::None => "none".into(),
            Self::CutMix {
                sampler: sampler @ Sampler::MinMax { .. },
                ..
            } => format!("sampler {sampler}"),
            Self::CutMix { alpha, sampler, .. } => format!("alpha {alpha}, sampler {sampler}"),
        }
    }

    /// Whether it mixes losses instead of labels.
    pub fn interpolates_loss(&self) -> bool {
        matches!(
            self,
            Self::CutMix {
                interpolate_loss: true,
                ..
            }
        )
    }

    /// How many regions a batch has.
    pub fn mode(&self) -> Mode {
        match *self {
            Self::None => Mode::Batch,
            Self::CutMix { mode, .. } => mode,
        }
    }

    /// What draws the plans of the algorithm.
    pub fn drawer(&self) -> Option<Drawer> {
        match *self {
            Self::None => None,
            Self::CutMix {
                alpha,
                sampler,
                mode,
                ..
            } => Some(Drawer::new(alpha).sampler(sampler).mode(mode)),
        }
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self::CutMix {
            alpha: 1.0,
            probability: 1.0,
            sampler: Sampler::Paper,
            mode: Mode::Batch,
            interpolate_loss: false,
        }
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let settings = settings.split(',').filter(|setting| !setting.is_empty());
        match name {
            "none" => match settings.into_iter().next() {
                None => Ok(Self::None),
                Some(_) => Err(wrong(text, "`none` has no settings")),
            },
            "cutmix" => cutmix(text, settings),
            _ => Err(Error::unknown("algorithm", name, ["cutmix", "none"])),
        }
    }
}

fn cutmix<'a>(text: &str, settings: impl Iterator<Item = &'a str>) -> Result<Spec, Error> {
    let (mut alpha, mut probability, mut sampler) = (None, 1.0, Sampler::Paper);
    let (mut mode, mut interpolate_loss) = (Mode::Batch, false);
    for setting in settings {
        match setting.split_once('=') {
            Some(("alpha", value)) => alpha = Some(number(text, "alpha", value)?),
            Some(("probability", value)) => probability = number(text, "probability", value)?,
            Some(("sampler", value)) => sampler = parse_sampler(text, value)?,
            Some(("mode", value)) => mode = parse_mode(value)?,
            None if setting == "interpolate-loss" => interpolate_loss = true,
            _ => {
                let name = setting.split('=').next().unwrap_or(setting);
                let known = [
                    "alpha=A",
                    "probability=P",
                    "sampler=S",
                    "mode=M",
                    "interpolate-loss",
                ];
                return Err(Error::unknown("setting of cutmix", name, known));
            }
        }
    }
    if let (Some(_), Sampler::MinMax { .. }) = (alpha, sampler) {
        let reason = "alpha has no effect with the sampler min-max, whose regions do not come from \
                      a lambda; leave one of them out";
        return Err(wrong(text, reason));
    }
    let spec = Spec::CutMix {
        alpha: alpha.unwrap_or(1.0),
        probability,
        sampler,
        mode,
        interpolate_loss,
    };
    // Any number of classes serves to check the rest.
    if let Some(cutmix) = spec.build(2) {
        Algorithm::<4>::check(&cutmix).map_err(|error| wrong(text, error))?;
    }
    Ok(spec)
}

fn number(text: &str, name: &str, value: &str) -> Result<f64, Error> {
    let number = value.parse();
    number.map_err(|_| wrong(text, format!("{name} is `{value}`, expected a number")))
}

fn parse_sampler(text: &str, value: &str) -> Result<Sampler, Error> {
    let (name, range) = value.split_once(':').unwrap_or((value, ""));
    match (name, range) {
        ("paper", "") => Ok(Sampler::Paper),
        ("uniform", "") => Ok(Sampler::Uniform),
        ("min-max", range) => {
            let ends = range.split_once("..");
            let ends = ends.and_then(|(min, max)| Some((min.parse().ok()?, max.parse().ok()?)));
            let (min, max) = ends.ok_or_else(|| {
                let expected = "sampler=min-max:0.2..0.8, two shares of the image's side";
                wrong(text, format!("sampler is `{value}`, expected {expected}"))
            })?;
            Ok(Sampler::MinMax { min, max })
        }
        _ => {
            let known = ["paper", "uniform", "min-max:MIN..MAX"];
            Err(Error::unknown("sampler", name, known))
        }
    }
}

fn parse_mode(value: &str) -> Result<Mode, Error> {
    let modes = [Mode::Batch, Mode::Pair, Mode::Sample];
    let mode = modes.into_iter().find(|mode| mode.to_string() == value);
    mode.ok_or_else(|| Error::unknown("mode", value, ["batch", "pair", "sample"]))
}

fn wrong(spec: &str, reason: impl ToString) -> Error {
    Error::Algorithm {
        spec: spec.into(),
        reason: reason.to_string(),
    }
}

/// With every setting, so that it reads back as the same algorithm whatever the defaults become.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::CutMix {
            alpha,
            probability,
            sampler,
            mode,
            interpolate_loss,
        } = self
        else {
            return f.write_str("none");
        };
        f.write_str("cutmix:")?;
        match sampler {
            Sampler::MinMax { min, max } => write!(f, "sampler=min-max:{min}..{max}")?,
            sampler => write!(f, "alpha={alpha},sampler={sampler}")?,
        }
        write!(f, ",mode={mode},probability={probability}")?;
        f.write_str(if *interpolate_loss {
            ",interpolate-loss"
        } else {
            ""
        })
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

#[cfg(test)]
mod tests {
    use super::Spec;

    #[test]
    fn a_spec_reads_back_as_it_prints() {
        for text in [
            "none",
            "cutmix:alpha=0.5,sampler=uniform,mode=batch,probability=0.5,interpolate-loss",
            "cutmix:sampler=min-max:0.2..0.8,mode=pair,probability=1",
        ] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        assert_eq!("cutmix".parse::<Spec>().unwrap(), Spec::default());
    }

    #[test]
    fn wrong_specs_say_what_is_accepted() {
        let messages: Vec<_> = [
            "cutmx",
            "cutmix:alpha=0",
            "cutmix:alpha=NaN",
            "cutmix:alpha=-1",
            "cutmix:alpha=one",
            "cutmix:aplha=1",
            "cutmix:probability=2",
            "cutmix:sampler=unifrom",
            "cutmix:sampler=min-max",
            "cutmix:sampler=min-max:0.8..0.2",
            "cutmix:alpha=1,sampler=min-max:0.2..0.8",
            "cutmix:mode=pairs",
            "cutmix:mode=pair,interpolate-loss",
            "none:alpha=1",
        ]
        .map(|text| text.parse::<Spec>().unwrap_err().to_string())
        .into();
        insta::assert_snapshot!(messages.join("\n"));
    }
}
