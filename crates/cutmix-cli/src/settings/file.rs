//! Where settings come from: a recipe, a configuration file, the command line.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use config::Config;
use toml::Table;

use super::{RecipeName, Settings};
use crate::error::Error;

impl Settings {
    /// The settings of a configuration file, where there is one, with the options that were given on
    /// the command line in their place. A recipe that either of them names has the settings that
    /// neither has. `self` are the parsed options and `matches` their sources.
    pub fn layer(&self, matches: &ArgMatches, file: Option<&Path>) -> Result<Self, Error> {
        let given = self.given(matches);
        match file {
            Some(path) => layered(path, read(path)?, given),
            None => layered(Path::new("the command line"), Table::new(), given),
        }
    }

    /// The settings that were given on the command line.
    pub fn given(&self, matches: &ArgMatches) -> Table {
        let mut table = self.to_table();
        table.retain(|key, _| {
            let id = key.replace('-', "_");
            // Options that are hidden from a command are none of its arguments.
            let source = matches
                .try_contains_id(&id)
                .ok()
                .and_then(|_| matches.value_source(&id));
            source == Some(ValueSource::CommandLine)
        });
        table
    }

    /// The settings that were given on the command line or in a configuration file.
    pub fn all_given(&self, matches: &ArgMatches, file: Option<&Path>) -> Result<Table, Error> {
        let mut given = file.map_or_else(|| Ok(Table::new()), read)?;
        given.extend(self.given(matches));
        Ok(given)
    }

    /// Reads a configuration file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        layered(path, read(path)?, Table::new())
    }

    /// The text of a configuration file. A recipe is named in a comment, as its settings are in the
    /// file.
    pub fn to_toml(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let mut settings = self.to_table();
        settings.remove(RECIPE);
        let recipe = self.recipe.map_or_else(String::new, |recipe| {
            let source = recipe.source();
            format!("# Settings that were not given are those of the recipe {recipe}: {source}.\n")
        });
        format!(
            "{WRITTEN_BY}{version}. `cutmix train --config FILE` repeats the run.\n\
             {recipe}{settings}"
        )
    }

    /// The version of the program that wrote a configuration file, where one did.
    pub fn written_by(path: &Path) -> Option<String> {
        let text = std::fs::read_to_string(path).ok()?;
        let version = text.strip_prefix(WRITTEN_BY)?.split(". ").next()?;
        Some(version.into())
    }

    /// All settings but those without a value, by their names.
    pub fn to_table(&self) -> Table {
        Table::try_from(self).expect("paths were parsed from texts, and numbers fit TOML")
    }
}

/// The start of a configuration file, in front of the version.
const WRITTEN_BY: &str = "# Written by cutmix ";
const RECIPE: &str = "recipe";
const TRAIN: &str = "train";

/// Reads the table in a configuration file.
fn read(path: &Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::read(path, source))?;
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        wrong(path, format!("line {line}: {}", error.message()))
    })
}

/// Puts the settings of the command line in the place of those of a file, and those of a recipe where
/// neither has any.
fn layered(path: &Path, file: Table, given: Table) -> Result<Settings, Error> {
    let named = given.get(RECIPE).or(file.get(RECIPE));
    let recipe = named.and_then(|name| name.clone().try_into::<RecipeName>().ok());
    let recipe = recipe.map_or_else(Table::new, RecipeName::settings);
    // Nothing changes images whose features are computed once.
    let train = given.get(TRAIN).or(file.get(TRAIN));
    let trains_head = train.and_then(toml::Value::as_str) == Some("head");
    let mut of_head = Table::new();
    if trains_head {
        of_head.insert("augment".into(), "none".into());
        of_head.insert("algorithm".into(), vec!["none"].into());
    }
    let layered = || -> Result<Table, config::ConfigError> {
        let layers = [&recipe, &of_head, &file, &given];
        let all = layers
            .into_iter()
            .try_fold(Config::builder(), |all, layer| {
                Ok::<_, config::ConfigError>(all.add_source(Config::try_from(layer)?))
            })?;
        all.build()?.try_deserialize()
    };
    let layered = layered().map_err(|error| wrong(path, error.to_string()))?;
    layered.try_into().map_err(|error: toml::de::Error| {
        let reason = error.to_string();
        wrong(
            path,
            reason.split_whitespace().collect::<Vec<_>>().join(" "),
        )
    })
}

fn wrong(path: impl Into<PathBuf>, reason: String) -> Error {
    let path = path.into();
    Error::Config { path, reason }
}
