//! Where settings come from: a recipe, a configuration file, the command line.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use config::Config;
use toml::Table;

use super::Settings;
use super::recipe::{RECIPE, RecipeName, trains_head};
use crate::error::Error;

impl Settings {
    /// The settings of a configuration file, where there is one, with the options that were given on
    /// the command line in their place. A recipe that either of them names has the settings that
    /// neither has. `self` are the parsed options and `matches` their sources.
    pub fn layer(&self, matches: &ArgMatches, file: Option<&Path>) -> Result<Self, Error> {
        let given = self.all_given(matches, file)?;
        if let (Some(path), Some(recipe)) = (file, RecipeName::of(&given))
            && Self::written_by(path).is_some()
        {
            let expected = format!(
                "none with --config {}, which has all settings of a run; leave one of them out, or list \
                 only what differs from the recipe in a file of your own",
                path.display()
            );
            return Err(Error::option(RECIPE, recipe, expected));
        }
        match file {
            Some(path) => layered(path, given),
            None => Self::from_given(given),
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

    /// The settings of a configuration file, where there is one.
    pub fn of_file(file: Option<&Path>) -> Result<Table, Error> {
        file.map_or_else(|| Ok(Table::new()), read)
    }

    /// The settings that were given on the command line or in a configuration file.
    pub fn all_given(&self, matches: &ArgMatches, file: Option<&Path>) -> Result<Table, Error> {
        let mut given = Self::of_file(file)?;
        given.extend(self.given(matches));
        Ok(given)
    }

    /// The settings of which these were given.
    pub fn from_given(given: Table) -> Result<Self, Error> {
        layered(Path::new("the command line"), given)
    }

    /// Reads a configuration file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_with(path, &Table::new())
    }

    /// Reads a configuration file, in which these settings take the place of others.
    pub fn read_with(path: &Path, given: &Table) -> Result<Self, Error> {
        let mut table = read(path)?;
        table.extend(given.clone());
        layered(path, table)
    }

    /// The text of a configuration file. A recipe is named in a comment, as its settings are in the
    /// file.
    pub fn to_toml(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let mut settings = self.to_table();
        settings.remove(RECIPE);
        let recipe = self.recipe.map_or_else(String::new, |recipe| {
            let source = recipe.source();
            format!("# With the recipe {recipe}: {source}.\n")
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

/// Fills in what was not given: for a run of the head, that nothing changes images whose features are
/// computed once; the settings of a recipe; the defaults. `path` is where the settings were given.
fn layered(path: &Path, given: Table) -> Result<Settings, Error> {
    let mut of_head = Table::new();
    if trains_head(&given) {
        of_head.insert("augment".into(), "none".into());
        of_head.insert("algorithm".into(), vec!["none"].into());
    }
    let of_recipe =
        RecipeName::of(&given).map_or_else(Table::new, |recipe| recipe.settings_for(&given));
    let layered = || -> Result<Table, config::ConfigError> {
        let all = [&of_head, &of_recipe, &given]
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
