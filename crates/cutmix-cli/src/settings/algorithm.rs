//! Algorithms as text: `cutmix:alpha=0.5,until=0.9dur`.

use std::fmt::{self, Write};
use std::str::FromStr;

use cutmix_train::algorithms::{
    ALGORITHMS, Algorithm, AlgorithmConfig, CutMix, NAMES, OneOf, WhenConfig, check,
};
use cutmix_train::{Event, Network};
use cutmix_vision::AnyNetwork;
use cutmix_vision::models::Architecture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::resolve::check_side;
use crate::error::Error;

/// An algorithm with its settings, and the batches on which it acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlgorithmSpec {
    kind: Kind,
    when: WhenConfig,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// `none`: no algorithm.
    None,
    /// An algorithm of the registry.
    One(AlgorithmConfig),
    /// `one-of(A|B)`: one of these for each batch, in proportion to their weights.
    OneOf(Vec<(AlgorithmSpec, f64)>),
}

/// The names that are no algorithms of the registry.
const ONE_OF: &str = "one-of";
const NONE: &str = "none";
const WEIGHT: &str = "weight";

const NO_CHOICE: &str =
    "`none` cannot be a choice; the probability of one-of leaves batches unchanged";
const CHOICES: &str = "expected algorithms to choose from, for example one-of(mixup|cutmix:alpha=0.5,\
                       weight=2):until=0.9dur";

impl AlgorithmSpec {
    /// `none`: no algorithm.
    pub fn none() -> Self {
        Self {
            kind: Kind::None,
            when: WhenConfig::default(),
        }
    }

    /// Whether this is no algorithm.
    pub fn is_none(&self) -> bool {
        self.kind == Kind::None
    }

    /// The algorithm; `None` for `none`.
    pub fn init<M: Network>(&self) -> Option<Box<dyn Algorithm<M>>> {
        let algorithm: Box<dyn Algorithm<M>> = match &self.kind {
            Kind::None => return None,
            Kind::One(config) => config.clone().init(),
            Kind::OneOf(choices) => {
                let choices = choices
                    .iter()
                    .filter_map(|(choice, weight)| Some((choice.init()?, weight)));
                Box::new(choices.fold(OneOf::new(), |one_of, (choice, weight)| {
                    one_of.with(*weight, choice)
                }))
            }
        };
        Some(Box::new(self.when.clone().init(algorithm)))
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
                .try_for_each(|(choice, _)| choice.check_images(spatial)),
        }
    }

    /// Checks that a network takes the images that the algorithm makes of those of this height and
    /// width.
    pub fn check_sizes(
        &self,
        architecture: &Architecture,
        spatial: [usize; 2],
    ) -> Result<(), Error> {
        match &self.kind {
            Kind::One(AlgorithmConfig::ProgressiveResizing(resizing)) => {
                let mut sides = spatial.into_iter().flat_map(|side| resizing.sides(side));
                sides.try_for_each(|side| {
                    check_side(architecture, side).map_err(|expected| {
                        wrong(self, format!("a side becomes {side}, expected {expected}"))
                    })
                })
            }
            Kind::OneOf(choices) => choices
                .iter()
                .try_for_each(|(choice, _)| choice.check_sizes(architecture, spatial)),
            _ => Ok(()),
        }
    }

    /// The event at which the algorithm acts first; `None` for `none`.
    fn event(&self) -> Option<Event> {
        match &self.kind {
            Kind::None => None,
            Kind::One(config) => Some(config.info().event),
            Kind::OneOf(choices) => choices
                .iter()
                .filter_map(|(choice, _)| choice.event())
                .min(),
        }
    }

    /// Whether the algorithm changes images.
    pub fn changes_images(&self) -> bool {
        self.event() == Some(Event::BeforeForward)
    }
}

/// Checks algorithms together, as the trainer does, before the data are read.
pub fn check_together(specs: &[AlgorithmSpec]) -> Result<(), Error> {
    let algorithms = specs.iter().filter_map(AlgorithmSpec::init::<AnyNetwork>);
    let algorithms: Vec<_> = algorithms.collect();
    Ok(check(&algorithms)?)
}

/// The algorithms that act at an event up to `last`, in the order in which they act on a batch,
/// joined by `between`; `none` where there is none.
pub fn in_order(specs: &[AlgorithmSpec], last: Event, between: &str) -> String {
    let acting = specs.iter().filter_map(|spec| Some((spec.event()?, spec)));
    let mut acting: Vec<_> = acting.filter(|(event, _)| *event <= last).collect();
    acting.sort_by_key(|(event, _)| *event);
    let acting: Vec<_> = acting.iter().map(|(_, spec)| spec.to_string()).collect();
    if acting.is_empty() {
        return NONE.into();
    }
    acting.join(between)
}

/// The short help of `--algorithm`.
pub const ABOUT: &str = "Algorithm that changes training images, labels, gradients or weights; may be given several times";

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
    help += "one-of(A|B|...): one of these for each batch\n  \
             weight (of each): a number of at least 0, its share relative to the others [default: 1]\n\
             none: no algorithm\n\n\
             Settings of every algorithm:\n";
    for (name, description) in WhenConfig::SETTINGS {
        let _ = writeln!(help, "  {name}: {description}");
    }
    help + "\nThose that change images act in the order given, and before all others."
}

/// `cutmix` with its defaults.
impl Default for AlgorithmSpec {
    fn default() -> Self {
        Self {
            kind: Kind::One(CutMix::new().into()),
            when: WhenConfig::default(),
        }
    }
}

impl FromStr for AlgorithmSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('(') {
            Some((ONE_OF, rest)) => parse_one_of(text, rest),
            _ => Ok(parse_one(text, false)?.0),
        }
    }
}

/// Parses anything but `one-of(..)`, with its weight if it is a choice of one.
fn parse_one(text: &str, is_choice: bool) -> Result<(AlgorithmSpec, f64), Error> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let Some(info) = ALGORITHMS.iter().find(|info| info.name == name) else {
        let (kind, when) = (Kind::None, WhenConfig::default());
        return match name {
            NONE if settings.is_empty() => Ok((AlgorithmSpec { kind, when }, 1.0)),
            NONE => Err(wrong(text, "`none` has no settings")),
            ONE_OF => Err(wrong(text, CHOICES)),
            _ => {
                let known = NAMES.iter().copied().chain([ONE_OF, NONE]);
                Err(Error::unknown("algorithm", name, known))
            }
        };
    };
    let mut settings = parse_settings(text, settings, info.unnamed)?;
    let own = info.settings();
    let known = own.iter().map(|setting| setting.name).chain(when_names());
    check_names(name, &settings, known.chain(is_choice.then_some(WEIGHT)))?;
    let weight = match settings.remove(WEIGHT) {
        None => 1.0,
        Some(weight) => weight
            .as_f64()
            .ok_or_else(|| wrong(text, format!("{WEIGHT} is {weight}, expected a number")))?,
    };
    let when = when_names().filter_map(|name| settings.remove_entry(name));
    let when = when.collect();
    let config = AlgorithmConfig::from_settings(name, settings);
    let kind = Kind::One(config.map_err(|error| wrong(text, explained(error)))?);
    Ok((checked(text, kind, when)?, weight))
}

/// Parses a choice; `rest` is what follows the first parenthesis of `text`.
fn parse_one_of(text: &str, rest: &str) -> Result<AlgorithmSpec, Error> {
    let (choices, settings) =
        (rest.rsplit_once(')')).ok_or_else(|| wrong(text, "a closing parenthesis is missing"))?;
    if choices.contains('(') {
        return Err(wrong(text, "a one-of cannot be a choice of another one"));
    }
    let parse = |choice: &str| match choice.trim() {
        "" | ONE_OF => Err(wrong(text, CHOICES)),
        NONE => Err(wrong(text, NO_CHOICE)),
        choice => parse_one(choice, true),
    };
    let choices = choices.split('|').map(parse).collect::<Result<_, _>>()?;
    let settings = match settings.strip_prefix(':') {
        None if !settings.is_empty() => return Err(wrong(text, CHOICES)),
        settings => parse_settings(text, settings.unwrap_or_default(), None)?,
    };
    check_names(ONE_OF, &settings, when_names())?;
    checked(text, Kind::OneOf(choices), settings)
}

/// Parses settings, in which the one with the name `unnamed` may stand without it.
fn parse_settings(
    text: &str,
    settings: &str,
    unnamed: Option<&'static str>,
) -> Result<Map<String, Value>, Error> {
    let mut parsed = Map::new();
    for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
        let is_word = setting.starts_with(|first: char| first.is_alphabetic());
        let (name, value) = match (setting.split_once('='), unnamed) {
            (Some((name, value)), _) => (name, parse_value(value)),
            (None, Some(unnamed)) if !is_word => (unnamed, parse_value(setting)),
            (None, _) => (setting, Value::Bool(true)),
        };
        if parsed.insert(name.into(), value).is_some() {
            return Err(wrong(text, format!("{name} is given twice")));
        }
    }
    Ok(parsed)
}

/// The names of the settings of every algorithm.
fn when_names() -> impl Iterator<Item = &'static str> {
    WhenConfig::SETTINGS.iter().map(|(name, _)| *name)
}

/// Checks that all settings of an algorithm are known.
fn check_names(
    algorithm: &str,
    settings: &Map<String, Value>,
    known: impl Iterator<Item = &'static str>,
) -> Result<(), Error> {
    let known: Vec<_> = known.collect();
    let unknown = settings.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        Err(Error::unknown(
            format!("setting of {algorithm}"),
            name,
            known,
        ))
    })
}

/// An algorithm that acts on the batches that `when` describes, if the trainer accepts it.
fn checked(text: &str, kind: Kind, when: Map<String, Value>) -> Result<AlgorithmSpec, Error> {
    let refused = |error| wrong(text, explained(error));
    let when = WhenConfig::from_settings(when).map_err(refused)?;
    let spec = AlgorithmSpec { kind, when };
    if let Some(algorithm) = spec.init::<AnyNetwork>() {
        algorithm.check().map_err(refused)?;
    }
    Ok(spec)
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

pub(super) fn value_text(value: &Value) -> String {
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
                let all = config.values().into_iter();
                settings.extend(all.map(|(name, value)| format!("{name}={}", value_text(&value))));
            }
            Kind::OneOf(choices) => {
                let choices = choices.iter();
                let choices = choices.map(|(choice, weight)| format!("{choice},{WEIGHT}={weight}"));
                write!(f, "{ONE_OF}({})", choices.collect::<Vec<_>>().join("|"))?;
            }
        }
        let WhenConfig {
            probability,
            from,
            until,
        } = self.when;
        if probability != 1.0 {
            settings.push(format!("probability={probability}"));
        }
        for (name, duration) in [("from", from), ("until", until)] {
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
