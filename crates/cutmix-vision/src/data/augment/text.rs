//! Augmentations as text: `random-resized-crop:scale=0.35..1|flip`.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Number, Value};

use super::super::DataError;
use super::list::Step;
use super::{AUGMENTATIONS, Augment, AugmentationConfig};

const NONE: &str = "none";

/// The names of lists of augmentations, each with its text form.
pub const LISTS: &[(&str, &str)] = &[
    (NONE, ""),
    ("light", "flip|shift"),
    ("standard", "random-resized-crop|flip"),
    (
        "strong",
        "random-resized-crop|flip|trivial-augment|random-erasing:probability=0.1",
    ),
];

impl FromStr for Augment {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let mut augment = Self::new();
        for part in text.split('|').map(str::trim) {
            match LISTS.iter().find(|(name, _)| *name == part) {
                Some((NONE, _)) => (),
                Some((_, list)) => augment.steps.append(&mut list.parse::<Self>()?.steps),
                None => augment = augment.with(parse_one(part)?),
            }
        }
        Ok(augment)
    }
}

/// Parses an augmentation with its settings.
fn parse_one(text: &str) -> Result<AugmentationConfig, DataError> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    if !AUGMENTATIONS.iter().any(|info| info.name == name) {
        let lists = LISTS.iter().map(|(name, _)| *name);
        let names = lists.chain(AUGMENTATIONS.iter().map(|info| info.name));
        return Err(unknown("augmentation", name, &names.collect::<Vec<_>>()));
    }
    let mut parsed = Map::new();
    for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
        let Some((key, value)) = setting.split_once('=') else {
            let found = format!("`{setting}` in {name}");
            return Err(DataError::argument("setting", found, "NAME=VALUE"));
        };
        if parsed.insert(key.into(), parse_value(value)).is_some() {
            let found = format!("`{key}` twice in {name}");
            return Err(DataError::argument("setting", found, "each setting once"));
        }
    }
    AugmentationConfig::from_settings(name, parsed).map_err(|error| match error {
        DataError::Argument {
            argument,
            value,
            expected,
        } => DataError::argument(argument, format!("{value} in {name}"), expected),
        error => error,
    })
}

/// A number, or else a text.
fn parse_value(text: &str) -> Value {
    if let Ok(whole) = text.parse::<u64>() {
        whole.into()
    } else if let Some(number) = text.parse().ok().and_then(Number::from_f64) {
        number.into()
    } else {
        text.into()
    }
}

/// The error for a name that does not exist, with the nearest of the known ones.
pub(super) fn unknown(argument: &'static str, name: &str, known: &[&str]) -> DataError {
    let likeness = |known: &str| strsim::jaro_winkler(&name.to_lowercase(), known);
    let near = (known.iter().copied())
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|near| likeness(near) > 0.7);
    let found = match near {
        Some(near) => format!("`{name}` (did you mean `{near}`?)"),
        None => format!("`{name}`"),
    };
    let expected = if known.is_empty() {
        "no settings".into()
    } else {
        known.join(", ")
    };
    DataError::argument(argument, found, expected)
}

/// The settings that differ from the defaults; with `{:#}` all settings.
impl fmt::Display for AugmentationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defaults = self.info().defaults();
        let mut separator = ":";
        f.write_str(self.name())?;
        for (name, value) in self.values() {
            if f.alternate() || defaults.get(&name) != Some(&value) {
                write!(f, "{separator}{name}={}", value_text(&value))?;
                separator = ",";
            }
        }
        Ok(())
    }
}

/// The value as it is written in a text: `1` for the number 1.0.
fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => match value.as_f64() {
            Some(number) if value.is_f64() => number.to_string(),
            _ => value.to_string(),
        },
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str(NONE);
        }
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str("|")?;
            }
            match step {
                Step::Named(config) => fmt::Display::fmt(config, f)?,
                Step::Own(own) => write!(f, "{own:?}")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Augment {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<Augment> for String {
    fn from(augment: Augment) -> Self {
        format!("{augment:#}")
    }
}
