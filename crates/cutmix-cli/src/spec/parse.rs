//! Reads a spec: a name and, after a colon, its settings.

use std::str::FromStr;

use cutmix::plan::{Length, Mode, Sampler};
use cutmix::time::Duration;

use super::{Kind, Spec};
use crate::error::Error;

const NAMES: [&str; 7] = [
    "cutmix",
    "mixup",
    "mixup-or-cutmix",
    "one-of",
    "cutout",
    "label-smoothing",
    "none",
];

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, settings) = match text.split_once('(') {
            Some(("one-of", rest)) => one_of(text, rest)?,
            _ => simple(text)?,
        };
        settings.spec(kind)
    }
}

/// All but `one-of`, up to when it acts.
fn simple(text: &str) -> Result<(Kind, Settings<'_>), Error> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let mut settings = Settings::of(text, name, settings);
    let kind = match name {
        "none" if settings.left.is_empty() => Kind::None,
        "none" => return Err(wrong(text, "`none` has no settings")),
        "cutmix" => settings.cutmix()?,
        "mixup" => Kind::MixUp {
            alpha: settings.number("alpha=A", 0.2)?,
            mode: settings.mode(Mode::Batch)?,
            interpolate_loss: settings.flag("interpolate-loss"),
        },
        "mixup-or-cutmix" => settings.mixup_or_cutmix()?,
        "one-of" => return Err(wrong(text, CHOICES)),
        "cutout" => Kind::CutOut {
            length: settings.length()?,
            mode: settings.mode(Mode::Sample)?,
        },
        "label-smoothing" => Kind::LabelSmoothing {
            smoothing: settings.smoothing()?,
        },
        _ => return Err(Error::unknown("algorithm", name, NAMES)),
    };
    Ok((kind, settings))
}

const CHOICES: &str = "expected algorithms to choose from, for example one-of(mixup|cutmix:alpha=0.5,\
                       weight=2):until=0.9dur";

/// `rest` is what follows the first parenthesis of `text`.
fn one_of<'a>(text: &'a str, rest: &'a str) -> Result<(Kind, Settings<'a>), Error> {
    let (choices, settings) = rest
        .rsplit_once(')')
        .ok_or_else(|| wrong(text, "a closing parenthesis is missing"))?;
    let settings = match settings {
        "" => "",
        settings => (settings.strip_prefix(':')).ok_or_else(|| wrong(text, CHOICES))?,
    };
    if choices.contains('(') {
        return Err(wrong(text, "no one-of within another one"));
    }
    let choices = choices.split('|').map(|choice| one(text, choice.trim()));
    let choices = choices.collect::<Result<_, _>>()?;
    let settings = Settings::of(text, "one-of", settings);
    Ok((Kind::OneOf(choices), settings))
}

/// A choice of the one-of `whole`, with its weight.
fn one<'a>(whole: &'a str, text: &'a str) -> Result<(f64, Spec), Error> {
    if text.is_empty() || text == "one-of" {
        return Err(wrong(whole, CHOICES));
    }
    let (kind, mut settings) = simple(text)?;
    match kind {
        Kind::None => {
            let reason = "`none` is no choice; probability is the share of the batches that one-of \
                          is for";
            return Err(wrong(whole, reason));
        }
        Kind::MixUpOrCutMix { .. } => {
            let reason = "`mixup-or-cutmix` is a one-of itself; name mixup and cutmix";
            return Err(wrong(whole, reason));
        }
        _ => {}
    }
    let weight = settings.number("weight=W", 1.0)?;
    Ok((weight, settings.spec(kind)?))
}

impl Default for Spec {
    fn default() -> Self {
        "cutmix".parse().expect("the defaults are in range")
    }
}

/// What follows the colon, and what of it has not been read yet.
struct Settings<'a> {
    text: &'a str,
    name: &'a str,
    left: Vec<(&'a str, Option<&'a str>)>,
    /// The settings that this algorithm has, as messages show them.
    known: Vec<&'static str>,
}

impl<'a> Settings<'a> {
    fn of(text: &'a str, name: &'a str, settings: &'a str) -> Self {
        let settings = settings.split(',').filter(|setting| !setting.is_empty());
        let left = settings.map(|setting| match setting.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (setting, None),
        });
        Self {
            text,
            name,
            left: left.collect(),
            known: Vec::new(),
        }
    }

    /// Reads when it acts, and checks that nothing is left.
    fn spec(mut self, kind: Kind) -> Result<Spec, Error> {
        let spec = Spec {
            kind,
            probability: self.number("probability=P", 1.0)?,
            from: self.duration("from=TIME")?,
            until: self.duration("until=TIME")?,
        };
        let text = self.text;
        self.end()?;
        // Any number of classes serves to check the rest.
        if let Some(algorithm) = spec.build(2) {
            algorithm.check().map_err(|error| wrong(text, error))?;
        }
        Ok(spec)
    }

    fn cutmix(&mut self) -> Result<Kind, Error> {
        let alpha = self.value("alpha=A");
        let sampler = match self.value("sampler=S") {
            Some(value) => self.sampler(value)?,
            None => Sampler::Paper,
        };
        if let (Some(_), Sampler::MinMax { .. }) = (alpha, sampler) {
            let reason = "alpha has no effect with the sampler min-max, whose regions do not come \
                          from a lambda; leave one of them out";
            return Err(wrong(self.text, reason));
        }
        Ok(Kind::CutMix {
            alpha: alpha.map_or(Ok(1.0), |value| self.parse("alpha", value))?,
            sampler,
            mode: self.mode(Mode::Batch)?,
            interpolate_loss: self.flag("interpolate-loss"),
        })
    }

    fn mixup_or_cutmix(&mut self) -> Result<Kind, Error> {
        let (mixup_alpha, cutmix_alpha) = (
            self.number("mixup-alpha=A", 0.8)?,
            self.number("cutmix-alpha=A", 1.0)?,
        );
        let switch = self.number("switch=P", 0.5)?;
        if !(0.0..=1.0).contains(&switch) {
            let reason = format!("switch is {switch}, expected 0 (always MixUp) to 1 (CutMix)");
            return Err(wrong(self.text, reason));
        }
        Ok(Kind::MixUpOrCutMix {
            mixup_alpha,
            cutmix_alpha,
            switch,
        })
    }

    /// Takes the value of a setting, which is told as `name=VALUE`.
    fn value(&mut self, known: &'static str) -> Option<&'a str> {
        self.known.push(known);
        let name = name_of(known);
        let is_it = |(given, value): &(&str, Option<_>)| *given == name && value.is_some();
        let at = self.left.iter().position(is_it)?;
        self.left.remove(at).1
    }

    fn flag(&mut self, known: &'static str) -> bool {
        self.known.push(known);
        let at = self
            .left
            .iter()
            .position(|setting| *setting == (known, None));
        at.map(|at| self.left.remove(at)).is_some()
    }

    /// The share, which may stand without a name.
    fn smoothing(&mut self) -> Result<f64, Error> {
        const SMOOTHING: &str = "smoothing=S";
        let bare = |(given, value): &(&str, Option<_>)| {
            value.is_none() && given.starts_with(|first: char| !first.is_alphabetic())
        };
        let Some(at) = self.left.iter().position(bare) else {
            return self.number(SMOOTHING, 0.1);
        };
        self.known.push(SMOOTHING);
        let (value, _) = self.left.remove(at);
        self.parse(name_of(SMOOTHING), value)
    }

    fn parse(&self, name: &str, value: &str) -> Result<f64, Error> {
        let number = value.parse();
        number.map_err(|_| wrong(self.text, format!("{name} is `{value}`, expected a number")))
    }

    fn number(&mut self, known: &'static str, default: f64) -> Result<f64, Error> {
        match self.value(known) {
            Some(value) => self.parse(name_of(known), value),
            None => Ok(default),
        }
    }

    fn duration(&mut self, known: &'static str) -> Result<Option<Duration>, Error> {
        let Some(value) = self.value(known) else {
            return Ok(None);
        };
        let parsed = value.parse().map_err(|_| {
            let reason = "expected a number with a unit: 0.9dur (a share of the run), 3ep (passes \
                          over the data), 500ba (batches), 12800sp (images) or 1h30m";
            wrong(
                self.text,
                format!("{} is `{value}`, {reason}", name_of(known)),
            )
        });
        parsed.map(Some)
    }

    fn length(&mut self) -> Result<Length, Error> {
        let Some(value) = self.value("length=L") else {
            return Ok(Length::Share(0.5));
        };
        let length = match value.contains('.') {
            true => value.parse().ok().map(Length::Share),
            false => value.parse().ok().map(Length::Pixels),
        };
        length.ok_or_else(|| {
            let expected = "whole pixels like 16, or a share of the image's smallest side like 0.5";
            wrong(
                self.text,
                format!("length is `{value}`, expected {expected}"),
            )
        })
    }

    fn mode(&mut self, default: Mode) -> Result<Mode, Error> {
        let Some(value) = self.value("mode=M") else {
            return Ok(default);
        };
        let modes = [Mode::Batch, Mode::Pair, Mode::Sample];
        let mode = modes.into_iter().find(|mode| mode.to_string() == value);
        mode.ok_or_else(|| Error::unknown("mode", value, ["batch", "pair", "sample"]))
    }

    fn sampler(&self, value: &str) -> Result<Sampler, Error> {
        let (name, range) = value.split_once(':').unwrap_or((value, ""));
        match (name, range) {
            ("paper", "") => Ok(Sampler::Paper),
            ("uniform", "") => Ok(Sampler::Uniform),
            ("min-max", range) => {
                let ends = range.split_once("..");
                let ends = ends.and_then(|(min, max)| Some((min.parse().ok()?, max.parse().ok()?)));
                let (min, max) = ends.ok_or_else(|| {
                    let expected = "sampler=min-max:0.2..0.8, two shares of the image's side";
                    wrong(
                        self.text,
                        format!("sampler is `{value}`, expected {expected}"),
                    )
                })?;
                Ok(Sampler::MinMax { min, max })
            }
            _ => {
                let known = ["paper", "uniform", "min-max:MIN..MAX"];
                Err(Error::unknown("sampler", name, known))
            }
        }
    }

    /// Everything has to have been read.
    fn end(self) -> Result<(), Error> {
        let Some((given, value)) = self.left.first() else {
            return Ok(());
        };
        let known = self.known.iter().find(|known| name_of(known) == *given);
        let reason = match (known, value) {
            (None, _) => {
                let what = format!("setting of {}", self.name);
                return Err(Error::unknown(what, given, self.known));
            }
            (Some(known), None) if known.contains('=') => format!("{given} needs a value: {known}"),
            (Some(known), Some(_)) if !known.contains('=') => format!("{given} takes no value"),
            (Some(_), _) => format!("{given} is given twice"),
        };
        Err(wrong(self.text, reason))
    }
}

/// Without the place for a value.
fn name_of(known: &str) -> &str {
    known.split('=').next().unwrap_or(known)
}

fn wrong(spec: &str, reason: impl ToString) -> Error {
    Error::Algorithm {
        spec: spec.into(),
        reason: reason.to_string(),
    }
}
