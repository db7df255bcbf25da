//! The folder of a study.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cutmix_train::{AtomicFile, FolderLock};
use cutmix_vision::Split;

use super::plan::{Plan, PlannedRun};
use super::result::RunResult;
use super::table::Table;
use crate::error::Error;
use crate::run_folder::{TEMPORARY, write_csv, write_whole};

const PLAN: &str = "study.toml";
const LOCK: &str = ".lock";
const IN_USE: &str = ".in-use";
const SHORT: &str = ".short";
const RUNS: &str = "runs";
const RESULTS: &str = "results";

/// The folder of a study: study.toml, runs/, results/, and what they show together.
#[derive(Clone, Debug)]
pub struct StudyFolder(PathBuf);

impl StudyFolder {
    pub fn new(path: &Path) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The plan; `None` where the folder is new.
    pub fn read_plan(&self) -> Result<Option<Plan>, Error> {
        let path = self.0.join(PLAN);
        let Some(bytes) = read_if_there(&path)? else {
            return Ok(None);
        };
        let plan = toml::from_slice(&bytes).map_err(|error| Error::Config {
            path,
            reason: error.message().into(),
        });
        plan.map(Some)
    }

    /// Takes the plan, so that a process which changes it waits for another one that does. A folder that has
    /// files of something else is refused.
    pub fn take_plan(&self) -> Result<File, Error> {
        fs::create_dir_all(&self.0).map_err(|error| Error::write(&self.0, error))?;
        let mut files = fs::read_dir(&self.0).map_err(|error| Error::read(&self.0, error))?;
        let own = [PLAN, LOCK, IN_USE, SHORT];
        let is_other = |name: &str| !name.starts_with(TEMPORARY) && !own.contains(&name);
        let has_other =
            files.any(|file| file.is_ok_and(|file| is_other(&file.file_name().to_string_lossy())));
        if has_other && !self.0.join(PLAN).exists() {
            return Err(Error::OutputTaken(self.0.clone()));
        }
        let (path, file) = self.lock_file(LOCK)?;
        file.lock().map_err(|error| Error::write(&path, error))?;
        Ok(file)
    }

    /// Locks the study for this process alone, until the file is dropped; `None` where another process uses
    /// it. The plan must be [taken](Self::take_plan).
    pub fn use_alone(&self) -> Result<Option<File>, Error> {
        let (path, file) = self.lock_file(IN_USE)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::write(&path, error)),
        }
    }

    /// Locks the study for this process and others that do the same, until the file is dropped.
    pub fn use_together(&self) -> Result<File, Error> {
        let (path, file) = self.lock_file(IN_USE)?;
        file.lock_shared()
            .map_err(|error| Error::write(&path, error))?;
        Ok(file)
    }

    fn lock_file(&self, name: &str) -> Result<(PathBuf, File), Error> {
        let path = self.0.join(name);
        // To be locked together with other processes on NFS, it must be open to read as well.
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options
            .open(&path)
            .map_err(|error| Error::write(&path, error))?;
        Ok((path, file))
    }

    /// Removes what a process that was killed has left half written.
    pub fn remove_temporary(&self) {
        // Nobody reads it; it stays where it cannot be removed.
        for folder in [&self.0, &self.0.join(RESULTS)] {
            let _ = AtomicFile::remove_left_over(folder, TEMPORARY);
        }
        let _ = fs::remove_dir_all(self.short_run());
    }

    /// A folder for the short runs that tell how long the others take.
    pub fn short_run(&self) -> PathBuf {
        self.0.join(SHORT)
    }

    /// Writes the plan, and makes the folders for runs and results.
    pub fn write_plan(&self, plan: &Plan) -> Result<(), Error> {
        let version = env!("CARGO_PKG_VERSION");
        let text = toml::to_string(plan).expect("texts and numbers are TOML");
        let text = format!(
            "# Written by cutmix {version}. `cutmix compare --resume DIR` goes on with the study.\n{text}"
        );
        write_whole(&self.0.join(PLAN), text.as_bytes())?;
        for folder in [self.0.join(RUNS), self.0.join(RESULTS)] {
            fs::create_dir_all(&folder).map_err(|error| Error::write(&folder, error))?;
        }
        Ok(())
    }

    /// Whether a run was begun, or has a result.
    pub fn has_begun(&self) -> Result<bool, Error> {
        for folder in [self.0.join(RUNS), self.0.join(RESULTS)] {
            let files = match fs::read_dir(&folder) {
                Ok(files) => files,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::read(&folder, error)),
            };
            if files.count() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes a run, which no other process takes as long as the lock is there.
    pub fn lock(&self, run: PlannedRun) -> Result<FolderLock, Error> {
        let folder = self.0.join(RUNS).join(".locks").join(run.name());
        fs::create_dir_all(&folder).map_err(|error| Error::write(&folder, error))?;
        Ok(FolderLock::acquire(&folder)?)
    }

    pub fn run(&self, run: PlannedRun) -> PathBuf {
        self.0.join(RUNS).join(run.name())
    }

    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    fn result(&self, run: PlannedRun) -> PathBuf {
        let name = self.0.join(RESULTS).join(run.name());
        // The name may have a dot.
        let mut file = name.into_os_string();
        file.push(".json");
        file.into()
    }

    /// The result of a run, where it is finished. One of other data, settings or versions is refused.
    pub fn read_result(&self, plan: &Plan, run: PlannedRun) -> Result<Option<RunResult>, Error> {
        let path = self.result(run);
        let Some(json) = read_if_there(&path)? else {
            return Ok(None);
        };
        let result: RunResult = serde_json::from_slice(&json).map_err(|error| Error::Config {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let differs = |what: &str| Error::OtherResult {
            path: path.clone(),
            what: what.into(),
        };
        if result.version != plan.version {
            return Err(differs("version"));
        }
        if result.data != plan.data {
            return Err(differs("data"));
        }
        if !Plan::are_same(&result.given, &plan.given(run)) || result.row != run.row.name {
            return Err(differs("settings"));
        }
        Ok(Some(result))
    }

    pub fn write_result(&self, run: PlannedRun, result: &RunResult) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(result).expect("texts, numbers and lists are JSON");
        write_whole(&self.result(run), &json)
    }

    /// All results that there are. They are of the same set, and of the same images where it is the test set;
    /// the validation set depends on the seed.
    pub fn results(&self, plan: &Plan) -> Result<Vec<RunResult>, Error> {
        let mut results: Vec<RunResult> = Vec::new();
        for run in plan.runs() {
            let Some(result) = self.read_result(plan, run)? else {
                continue;
            };
            if let Some(first) = results.first()
                && (first.set != result.set
                    || first.set == Split::Test && first.images != result.images)
            {
                return Err(Error::OtherResult {
                    path: self.result(run),
                    what: "images".into(),
                });
            }
            results.push(result);
        }
        Ok(results)
    }

    /// Writes the table as CSV and JSON, and the main numbers of each run as CSV.
    pub fn write_tables(&self, table: &Table, results: &[RunResult]) -> Result<(), Error> {
        write_csv(&self.0.join("table.csv"), |csv| table.write_csv(csv))?;
        write_csv(&self.0.join("runs.csv"), |csv| write_runs(results, csv))?;
        let json = serde_json::to_vec_pretty(table).expect("texts, numbers and lists are JSON");
        write_whole(&self.0.join("table.json"), &json)
    }
}

/// Writes a row for each number of each run.
fn write_runs(results: &[RunResult], csv: &mut csv::Writer<Vec<u8>>) -> csv::Result<()> {
    csv.write_record(["row", "seed", "measure", "value"])?;
    for result in results {
        for number in result.numbers() {
            let (seed, value) = (result.seed.to_string(), number.value.to_string());
            csv.write_record([&result.row, &seed, &number.name, &value])?;
        }
    }
    Ok(())
}

/// The bytes of a file; `None` where there is none.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::read(path, error)),
    }
}
