//! Algorithms as text: `cutmix:alpha=0.5,until=0.9dur`.

use std::fmt::{self, Write};
use std::str::FromStr;

use cutmix_train::Duration;
use cutmix_train::algorithms::{ALGORITHMS, Algorithm, AlgorithmConfig, NAMES, OneOf, When, check};
use cutmix_vision::AnyNetwork;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;

/// An algorithm of this program's networks.
pub type Boxed = Box<dyn Algorithm<AnyNetwork>>;

/// An algorithm with its settings, and the batches on which it acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlgorithmSpec {
    kind: Kind,
    probability: f64,
    from: Option<Duration>,
    until: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// `none`: no algorithm.
    None,
    /// An algorithm of the registry.
    One(AlgorithmConfig),
    /// `one-of(A|B)`: one of these for each batch, in proportion to their weights.
    OneOf(Vec<(f64, AlgorithmSpec)>),
}

/// The names that are no algorithms of the registry.
const ONE_OF: &str = "one-of";
const NONE: &str = "none";
/// The settings of every algorithm.
const WHEN: [&str; 3] = ["probability", "from", "until"];
const WEIGHT: &str = "weight";

const TIME: &str = "a number with a unit: 0.9dur (a share of the run), 3ep (passes over the data), \
                    500ba (batches), 12800sp (images) or 1h30m";
const CHOICES: &str = "expected algorithms to choose from, for example one-of(mixup|cutmix:alpha=0.5,\
                       weight=2):until=0.9dur";

impl AlgorithmSpec {
    /// The algorithm; `None` for `none`.
    pub fn init(&self) -> Option<Boxed> {
        let algorithm: Boxed = match &self.kind {
            Kind::None => return None,
            Kind::One(config) => config.clone().init(),
            Kind::OneOf(choices) => {
                let choices = choices
                    .iter()
                    .filter_map(|(weight, spec)| Some((weight, spec.init()?)));
                Box::new(choices.fold(OneOf::new(), |one_of, (weight, choice)| {
                    one_of.with(*weight, choice)
                }))
            }
        };
        let mut when = When::new(algorithm).with_probability(self.probability);
        if let Some(from) = self.from {
            when = when.with_from(from);
        }
        if let Some(until) = self.until {
            when = when.with_until(until);
        }
        Some(Box::new(when))
    }

    /// Checks that the algorithm can change images of this height and width.
    pub fn check_images(&self, spatial: &[usize]) -> Result<(), Error> {
        match &self.kind {
            Kind::None => Ok(()),
            Kind::One(config) => config
                .check_images(spatial)
                .map_err(|error| wrong(self, error)),
            Kind::OneOf(choices) => choices
                .iter()
                .try_for_each(|(_, choice)| choice.check_images(spatial)),
        }
    }

    /// Whether the algorithm changes images.
    pub fn changes_images(&self) -> bool {
        match &self.kind {
            Kind::None => false,
            Kind::One(config) => config.info().changes_images(),
            Kind::OneOf(choices) => choices.iter().any(|(_, choice)| choice.changes_images()),
        }
    }
}

/// Checks algorithms together, as the trainer does, before the data are read.
pub fn check_together(specs: &[AlgorithmSpec]) -> Result<(), Error> {
    let algorithms: Vec<_> = specs.iter().filter_map(AlgorithmSpec::init).collect();
    Ok(check(&algorithms)?)
}

/// The algorithms in the order in which they act on a batch, with `between` between two.
pub fn in_order(specs: &[AlgorithmSpec], between: &str) -> String {
    let mut specs: Vec<_> = specs.iter().collect();
    specs.sort_by_key(|spec| !spec.changes_images());
    let specs: Vec<_> = specs.iter().map(ToString::to_string).collect();
    specs.join(between)
}

/// The short help of `--algorithm`.
pub const ABOUT: &str =
    "What to do to training images, labels, gradients or weights; may be given several times";

/// The long help of `--algorithm`, from the registry.
pub fn help() -> String {
    let mut help = format!(
        "{ABOUT}\n\n\
         Settings follow a colon: `--algorithm cutmix:alpha=0.5,until=0.9dur --algorithm cutout`.\n\n"
    );
    for info in ALGORITHMS {
        let _ = writeln!(help, "{}: {}", info.name, info.summary);
        for setting in info.settings() {
            let name = if info.unnamed == Some(setting.name) {
                format!("[{}=]", setting.name)
            } else {
                setting.name.into()
            };
            let default = setting.default.as_ref().map_or("off".into(), value_text);
            let _ = writeln!(
                help,
                "  {name}: {} [default: {default}]",
                setting.description
            );
        }
    }
    help + "one-of(A|B|...): one of these for each batch\n  \
            weight (of each): a number of at least 0, its share relative to the others [default: 1]\n\
            none: no algorithm\n\n\
            Settings of every algorithm:\n  \
            probability: a number in 0..=1: acts on this share of the batches [default: 1]\n  \
            from, until: acts in this part of the run, 0.5dur (a share of it), 3ep, 500ba, 12800sp or\n    \
            1h30m; the end is excluded [default: all of it]\n\n\
            Those that change images act in the order given, and before all others."
}

impl FromStr for AlgorithmSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, mut settings) = match text.split_once('(') {
            Some((ONE_OF, rest)) => parse_one_of(text, rest)?,
            _ => parse_one(text)?,
        };
        settings.finish(kind)
    }
}

/// Parses anything but `one-of(..)`, up to the settings that every algorithm has.
fn parse_one(text: &str) -> Result<(Kind, SettingsText<'_>), Error> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let info = ALGORITHMS.iter().find(|info| info.name == name);
    let mut settings =
        SettingsText::parse(text, name, settings, info.and_then(|info| info.unnamed))?;
    let kind = match info {
        Some(info) => {
            let known: Vec<_> = info.settings().iter().map(|setting| setting.name).collect();
            settings.known.extend(&known);
            let own = settings.take_all(&known);
            let config = AlgorithmConfig::from_settings(name, own);
            Kind::One(config.map_err(|error| wrong(text, explained(error)))?)
        }
        None if name == NONE && settings.left.is_empty() => Kind::None,
        None if name == NONE => return Err(wrong(text, "`none` has no settings")),
        None if name == ONE_OF => return Err(wrong(text, CHOICES)),
        None => {
            let known = NAMES.iter().copied().chain([ONE_OF, NONE]);
            return Err(Error::unknown("algorithm", name, known));
        }
    };
    Ok((kind, settings))
}

/// Parses a choice; `rest` is what follows the first parenthesis of `text`.
fn parse_one_of<'a>(text: &'a str, rest: &'a str) -> Result<(Kind, SettingsText<'a>), Error> {
    let (choices, settings) =
        (rest.rsplit_once(')')).ok_or_else(|| wrong(text, "a closing parenthesis is missing"))?;
    let settings = match settings.strip_prefix(':') {
        Some(settings) => settings,
        None if settings.is_empty() => "",
        None => return Err(wrong(text, CHOICES)),
    };
    if choices.contains('(') {
        return Err(wrong(text, "a one-of cannot be a choice of another one"));
    }
    let choices = choices
        .split('|')
        .map(|choice| parse_choice(text, choice.trim()));
    let choices = choices.collect::<Result<_, _>>()?;
    Ok((
        Kind::OneOf(choices),
        SettingsText::parse(text, ONE_OF, settings, None)?,
    ))
}

/// Parses a choice of the one-of `whole`, with its weight.
fn parse_choice<'a>(whole: &'a str, text: &'a str) -> Result<(f64, AlgorithmSpec), Error> {
    if text.is_empty() || text == ONE_OF {
        return Err(wrong(whole, CHOICES));
    }
    let (kind, mut settings) = parse_one(text)?;
    if kind == Kind::None {
        let reason =
            "`none` cannot be a choice; the probability of one-of leaves batches unchanged";
        return Err(wrong(whole, reason));
    }
    let weight = settings.number(WEIGHT, 1.0)?;
    Ok((weight, settings.finish(kind)?))
}

/// The text after the colon, and the settings that have not been used.
struct SettingsText<'a> {
    text: &'a str,
    name: &'a str,
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> SettingsText<'a> {
    /// Parses `settings`, in which the setting `unnamed` may stand without its name.
    fn parse(
        text: &'a str,
        name: &'a str,
        settings: &'a str,
        unnamed: Option<&'static str>,
    ) -> Result<Self, Error> {
        let mut left = Map::new();
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let is_word = setting.starts_with(|first: char| first.is_alphabetic());
            let (name, value) = match (setting.split_once('='), unnamed) {
                (Some((name, value)), _) => (name, parse_value(value)),
                (None, Some(unnamed)) if !is_word => (unnamed, parse_value(setting)),
                (None, _) => (setting, Value::Bool(true)),
            };
            if left.insert(name.into(), value).is_some() {
                return Err(wrong(text, format!("{name} is given twice")));
            }
        }
        Ok(Self {
            text,
            name,
            left,
            known: Vec::new(),
        })
    }

    fn take_all(&mut self, names: &[&str]) -> Map<String, Value> {
        let taken = names
            .iter()
            .filter_map(|name| self.left.remove_entry(*name));
        taken.collect()
    }

    fn number(&mut self, name: &'static str, default: f64) -> Result<f64, Error> {
        self.known.push(name);
        match self.left.remove(name) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .ok_or_else(|| self.refused(name, &value, "a number")),
        }
    }

    fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, Error> {
        self.known.push(name);
        let Some(value) = self.left.remove(name) else {
            return Ok(None);
        };
        let parsed = value.as_str().and_then(|text| text.parse().ok());
        parsed
            .map(Some)
            .ok_or_else(|| self.refused(name, &value, TIME))
    }

    fn refused(&self, name: &str, value: &Value, expected: &str) -> Error {
        let value = value_text(value);
        wrong(
            self.text,
            format!("{name} is `{value}`, expected {expected}"),
        )
    }

    /// Parses the settings that every algorithm has, and checks that none is left.
    fn finish(&mut self, kind: Kind) -> Result<AlgorithmSpec, Error> {
        let [probability, from, until] = WHEN;
        let spec = AlgorithmSpec {
            kind,
            probability: self.number(probability, 1.0)?,
            from: self.duration(from)?,
            until: self.duration(until)?,
        };
        if let Some(name) = self.left.keys().next() {
            let what = format!("setting of {}", self.name);
            return Err(Error::unknown(what, name, self.known.iter().copied()));
        }
        if let Some(algorithm) = spec.init() {
            algorithm
                .check()
                .map_err(|error| wrong(self.text, explained(error)))?;
        }
        Ok(spec)
    }
}

/// A number, `true`, `false`, or else a text.
fn parse_value(text: &str) -> Value {
    let number = || {
        text.parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
    };
    if let Ok(whole) = text.parse::<u64>() {
        whole.into()
    } else if let Some(number) = number() {
        number.into()
    } else if let Ok(flag) = text.parse::<bool>() {
        flag.into()
    } else {
        text.into()
    }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// The message of a refused setting, with the name that it has here.
fn explained(error: cutmix_train::Error) -> String {
    use cutmix_train::Error::{Argument, Mix};
    match error {
        Argument {
            argument,
            value,
            accepted,
        }
        | Mix(cutmix::Error::Argument {
            argument,
            value,
            accepted,
        }) => format!(
            "{} is {value}, expected {accepted}",
            argument.replace('_', "-")
        ),
        error => error.to_string(),
    }
}

fn wrong(text: impl ToString, reason: impl ToString) -> Error {
    Error::Algorithm {
        text: text.to_string(),
        reason: reason.to_string(),
    }
}

/// With every setting, so that the text means the same algorithm when defaults have changed.
impl fmt::Display for AlgorithmSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut settings = Vec::new();
        match &self.kind {
            Kind::None => return f.write_str(NONE),
            Kind::One(config) => {
                f.write_str(config.name())?;
                let all = config.settings().into_iter();
                settings.extend(all.map(|(name, value)| format!("{name}={}", value_text(&value))));
            }
            Kind::OneOf(choices) => {
                let choices = choices.iter();
                let choices = choices.map(|(weight, choice)| format!("{choice},{WEIGHT}={weight}"));
                write!(f, "{ONE_OF}({})", choices.collect::<Vec<_>>().join("|"))?;
            }
        }
        if self.probability != 1.0 {
            settings.push(format!("probability={}", self.probability));
        }
        for (name, duration) in [("from", self.from), ("until", self.until)] {
            settings.extend(duration.map(|duration| format!("{name}={duration}")));
        }
        if settings.is_empty() {
            return Ok(());
        }
        write!(f, ":{}", settings.join(","))
    }
}

impl TryFrom<String> for AlgorithmSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<AlgorithmSpec> for String {
    fn from(spec: AlgorithmSpec) -> Self {
        spec.to_string()
    }
}

#[cfg(test)]
#[path = "../../tests/unit/algorithm.rs"]
mod tests;
