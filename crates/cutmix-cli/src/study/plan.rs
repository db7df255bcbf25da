//! What a study compares.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{CommandFactory, FromArgMatches, Parser};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::digest::short;
use crate::error::Error;
use crate::evaluate::MeasureArgs;
use crate::settings::Settings;

/// The setting that names the algorithms of a run.
const ALGORITHM: &str = "algorithm";
/// Settings that are the same in all rows, with what says so.
const NOT_IN_ROWS: [(&str, &str); 4] = [
    ("seed", "seeds for all rows, with --seeds"),
    ("data", "the same data for all rows"),
    ("limit", "the same images for all rows"),
    ("val-fraction", "the same images for all rows"),
];

/// What a study compares: rows of settings, each with the same seeds, on the same data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// The version of the program.
    pub version: String,
    /// The digest of all data, before a seed divides them.
    pub data: String,
    /// Digest of the images that are unlike those of the classes.
    pub unlike: Option<String>,
    pub seeds: Vec<u64>,
    /// What is measured of each network.
    pub measures: MeasureArgs,
    /// Settings that were given for all rows.
    pub settings: Table,
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
}

/// Settings that are compared with others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub name: String,
    /// Settings that were given for this row.
    pub settings: Table,
    /// Digests of the files that its settings and those for all rows name.
    #[serde(default)]
    pub contents: BTreeMap<String, String>,
}

/// A run of a study.
#[derive(Clone, Copy, Debug)]
pub struct PlannedRun<'a> {
    pub row: &'a Row,
    /// The number of the row, from 0.
    pub number: usize,
    pub seed: u64,
}

impl Plan {
    /// All runs: every row with the first seed, then with the next one, so that a study that was stopped
    /// early compares as much as it can.
    pub fn runs(&self) -> impl Iterator<Item = PlannedRun<'_>> {
        self.seeds.iter().flat_map(|&seed| {
            let rows = self.rows.iter().enumerate();
            rows.map(move |(number, row)| PlannedRun { row, number, seed })
        })
    }

    /// Whether given settings are the same, but for where things are on a machine.
    pub fn are_same(one: &Table, other: &Table) -> bool {
        let names = one.keys().chain(other.keys());
        let mut counted = names.filter(|name| !Settings::is_of_machine(name));
        counted.all(|name| one.get(name) == other.get(name))
    }

    /// The settings that are given to a run.
    pub fn given(&self, run: PlannedRun) -> Table {
        let mut given = self.settings.clone();
        given.extend(run.row.settings.clone());
        // The seeds are in 0..=i64::MAX, as those of a run.
        given.insert("seed".into(), toml::Value::Integer(run.seed as i64));
        given
    }

    /// Adds the rows and seeds of a plan that is otherwise the same.
    pub fn extend(&mut self, other: Self, folder: &Path) -> Result<(), Error> {
        let differs = |what: &str, found: String, expected: String| {
            Err(Error::OtherStudy {
                folder: folder.into(),
                what: what.into(),
                found,
                expected,
            })
        };
        if self.version != other.version {
            return differs("the version", other.version, self.version.clone());
        }
        for (name, _) in self.settings.iter().chain(&other.settings) {
            let [own, new] = [&self.settings, &other.settings].map(|table| text_of(table, name));
            if own != new && !Settings::is_of_machine(name) {
                return differs(&format!("--{name}"), new, own);
            }
        }
        if !self.measures.are_same(&other.measures) {
            let [new, own] = [&other.measures, &self.measures].map(|measures| {
                let text = measures.to_string();
                if text.is_empty() {
                    "nothing more".into()
                } else {
                    text
                }
            });
            return differs("what is measured", new, own);
        }
        if self.data != other.data {
            let [new, own] = [&other, self].map(|plan| {
                let place = plan.settings.get("data");
                let place = place.map_or_else(|| "the embedded data".into(), ToString::to_string);
                format!("{place} with the digest {}", short(&plan.data))
            });
            return differs("its data", new, own);
        }
        if self.unlike != other.unlike {
            let [new, own] = [&other, self].map(|plan| {
                let digest = plan.unlike.as_deref().map_or("", short);
                format!("images with the digest {digest}")
            });
            return differs("--unlike", new, own);
        }
        // Where things are now.
        self.measures.find_unlike(&other.measures);
        for (name, value) in &other.settings {
            if Settings::is_of_machine(name) {
                self.settings.insert(name.clone(), value.clone());
            }
        }
        for row in other.rows {
            match self.rows.iter().find(|own| own.name == row.name) {
                None => {
                    if let Some(own) = self.rows.iter().find(|own| own.settings == row.settings) {
                        let expected = format!("each row once; the study has it as {}", own.name);
                        return Err(Error::option("row", &row.name, expected));
                    }
                    self.rows.push(row);
                }
                Some(own) if own.contents != row.contents => {
                    let [new, own] = [&row, own].map(|row| format!("{:?}", row.contents));
                    return differs(&format!("the files of the row {}", row.name), new, own);
                }
                Some(own) if Self::are_same(&own.settings, &row.settings) => {}
                Some(own) => {
                    let [new, own] =
                        [&row, own].map(|row| row.settings.to_string().replace('\n', ", "));
                    return differs(&format!("the row {}", row.name), new, own);
                }
            }
        }
        self.seeds.extend(other.seeds);
        self.seeds.sort_unstable();
        self.seeds.dedup();
        Ok(())
    }
}

fn text_of(table: &Table, name: &str) -> String {
    let value = table.get(name);
    value.map_or_else(|| "not given".into(), ToString::to_string)
}

/// The rows of these options: one for each of the algorithms, which have been typed as these texts, then
/// those that are given as text.
pub fn rows(
    algorithms: impl Iterator<Item = (String, String)>,
    texts: &[String],
) -> Result<Vec<Row>, Error> {
    let of_algorithm = algorithms.map(|(name, algorithm)| Row {
        name,
        settings: Table::from_iter([(ALGORITHM.into(), vec![algorithm].into())]),
        contents: BTreeMap::new(),
    });
    let mut rows: Vec<Row> = of_algorithm.collect();
    for text in texts {
        rows.push(text.parse()?);
    }
    for (at, row) in rows.iter().enumerate() {
        let mut before = rows[..at].iter();
        if before.any(|one| one.name == row.name || one.settings == row.settings) {
            return Err(Error::option("row", &row.name, "each row once"));
        }
    }
    if rows.is_empty() {
        return Err(Error::NoRows);
    }
    Ok(rows)
}

impl FromStr for Row {
    type Err = Error;

    /// Options of `cutmix train`: `--algorithm cutmix --learning-rate 0.1`.
    fn from_str(text: &str) -> Result<Self, Error> {
        #[derive(Parser)]
        #[command(no_binary_name = true)]
        struct Options {
            #[command(flatten)]
            settings: Settings,
        }

        let wrong = |reason: &str| {
            let reason = reason.trim_start_matches("error: ");
            Error::option("row", text, format!("options of `cutmix train`: {reason}"))
        };
        let words = shlex::split(text).ok_or_else(|| wrong("a quotation mark is left open"))?;
        let parsed = Options::command().try_get_matches_from(words);
        let first_line = |error: clap::Error| {
            let error = error.to_string();
            wrong(error.lines().next().unwrap_or_default())
        };
        let matches = parsed.map_err(first_line)?;
        let options = Options::from_arg_matches(&matches).map_err(first_line)?;
        let settings = options.settings.given(&matches);
        for (name, expected) in NOT_IN_ROWS {
            if settings.contains_key(name) {
                return Err(Error::option("row", text, expected));
            }
        }
        if settings.is_empty() {
            return Err(wrong("none is given"));
        }
        let words: Vec<_> = text.split_whitespace().collect();
        Ok(Self {
            name: words.join(" "),
            settings,
            contents: BTreeMap::new(),
        })
    }
}

impl fmt::Display for PlannedRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {}", self.row.name, self.seed)
    }
}

impl PlannedRun<'_> {
    /// The folder of the run below those of all runs, and the name of its result.
    pub fn name(&self) -> PathBuf {
        let letters = self.row.name.chars().map(|letter| match letter {
            letter if letter.is_ascii_alphanumeric() || letter == '.' => letter,
            _ => '-',
        });
        let mut slug: String = letters.collect();
        while slug.contains("--") {
            slug = slug.replace("--", "-");
        }
        slug.truncate(40);
        let slug = slug.trim_matches(['-', '.']);
        format!("{:02}-{slug}-seed-{}", self.number + 1, self.seed).into()
    }
}

/// The seeds of the runs of a row: `0..4` (from 0 to 4), or a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Seeds(pub Vec<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            "expected a range such as 0..4, which is 0, 1, 2, 3 and 4, or a list such as 0,3,7";
        let seed = |text: &str| {
            let seed = text.trim().parse::<u64>().ok();
            seed.filter(|seed| i64::try_from(*seed).is_ok())
                .ok_or(expected)
        };
        let mut seeds: Vec<u64> = match text.split_once("..") {
            Some((first, last)) => {
                let (first, last) = (seed(first)?, seed(last.trim_start_matches('='))?);
                if last < first || last - first >= 1000 {
                    return Err(expected.into());
                }
                (first..=last).collect()
            }
            None => text.split(',').map(seed).collect::<Result<_, _>>()?,
        };
        seeds.sort_unstable();
        seeds.dedup();
        Ok(Self(seeds))
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds: Vec<_> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&seeds.join(", "))
    }
}
