//! What the report of a run is made of: the files in its folder.

use std::fs;
use std::path::{Path, PathBuf};

use cutmix_vision::{Manifest, Split};

use crate::error::Error;
use crate::report::batches::{self, BatchNumber};
use crate::report::evaluation::StoredEvaluation;
use crate::run_folder::RunFolder;
use crate::settings::Settings;

/// What is known of a run.
pub struct Run {
    pub path: PathBuf,
    pub settings: Settings,
    /// Version of the program that started the run, where it is known.
    pub version: Option<String>,
    /// The settings that were given, unless that is not known.
    pub given: Option<toml::Table>,
    pub manifest: Manifest,
    /// Number of parameters that are trained.
    pub parameters: usize,
    pub status: Status,
    pub metrics: Metrics,
    pub batches: Vec<BatchNumber>,
    /// The picture of the first training batch, a PNG file.
    pub first_batch: Option<Vec<u8>>,
    /// The evaluations, first those of the run's own sets.
    pub evaluations: Vec<StoredEvaluation>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Finished,
    /// It has ended before its end.
    Stopped,
    /// Another process continues it, or that cannot be known.
    InProgress,
}

impl Status {
    fn of(folder: &RunFolder) -> Self {
        if folder.model().is_file() {
            Self::Finished
        } else if folder.is_free() {
            Self::Stopped
        } else {
            Self::InProgress
        }
    }
}

impl Run {
    /// Reads the folder of a run whose network has so many parameters. Pictures and evaluations that
    /// cannot be read are left out.
    pub fn read(folder: &RunFolder, parameters: usize) -> Result<Self, Error> {
        Ok(Self {
            path: folder.path().into(),
            settings: Settings::read(&folder.config())?,
            version: Settings::written_by(&folder.config()),
            given: folder.read_given(),
            manifest: folder.read_manifest()?,
            parameters,
            status: Status::of(folder),
            metrics: Metrics::read(&folder.metrics()),
            batches: batches::read(&folder.batches()),
            first_batch: fs::read(folder.first_batch()).ok(),
            evaluations: evaluations(&folder.evaluations()),
        })
    }

    /// The evaluation by which the run is judged: of its test set, or else of its validation set.
    pub fn main_evaluation(&self) -> Option<&StoredEvaluation> {
        let of_set = |set: Split| {
            let mut all = self.evaluations.iter();
            all.find(move |one| one.own_set() == Some(set))
        };
        of_set(Split::Test).or_else(|| of_set(Split::Val))
    }
}

fn evaluations(folder: &Path) -> Vec<StoredEvaluation> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| StoredEvaluation::read(&entry.path()))
        .collect();
    let order = [Split::Test, Split::Val, Split::Train].map(Some);
    let place = |one: &StoredEvaluation| {
        let own = order.iter().position(|set| *set == one.own_set());
        (own.unwrap_or(order.len()), one.name.clone())
    };
    found.sort_by_key(place);
    found
}

/// The table metrics.csv.
#[derive(Default)]
pub struct Metrics {
    pub columns: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Metrics {
    /// Reads the table; it is empty where there is none.
    fn read(path: &Path) -> Self {
        let Ok(mut csv) = csv::Reader::from_path(path) else {
            return Self::default();
        };
        let columns = csv
            .headers()
            .map_or(Vec::new(), |row| row.iter().map(String::from).collect());
        let number = |cell: &str| cell.parse().unwrap_or(f64::NAN);
        let rows = csv.records().map_while(Result::ok);
        let rows = rows.map(|row| row.iter().map(number).collect());
        Self {
            columns,
            rows: rows.collect(),
        }
    }

    /// The numbers of a column over the epochs.
    pub fn over_epochs(&self, column: &str) -> Vec<[f64; 2]> {
        let [epoch, column] = ["epoch", column].map(|name| self.place(name));
        let points = self.rows.iter().filter_map(|row| {
            let [epoch, value] = [epoch, column].map(|place| place.and_then(|at| row.get(at)));
            Some([*epoch?, *value?])
        });
        points.collect()
    }

    /// The last number of a column.
    pub fn last(&self, column: &str) -> Option<f64> {
        self.rows.last()?.get(self.place(column)?).copied()
    }

    fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}
