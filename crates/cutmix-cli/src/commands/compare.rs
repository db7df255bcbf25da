//! `cutmix compare`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;
use clap::parser::ValueSource;
use cutmix_train::{Stop, gather};
use cutmix_vision::Manifest;
use indicatif::ProgressBar;

use crate::error::Error;
use crate::evaluate::{MeasureArgs, measure_more};
use crate::processes::Processes;
use crate::report::html::study as report;
use crate::settings::Settings;
use crate::signals::{STOPPED, stop_on_signals};
use crate::study::expected::Speed;
use crate::study::plan::{PlannedRun, rows};
use crate::study::{Plan, RunResult, Seeds, StudyFolder, Table};
use crate::terminal::{clock, count, grouped, line, note, quoted, warning};
use crate::training::{Training, View};

/// Compare algorithms, or other settings, by runs with several seeds.
///
/// Each --algorithm and each --row is a row of the result, compared with the first one seed by seed. All
/// other options are those of `cutmix train`, for all rows. The command shows its plan and about how long
/// it takes, and can be stopped at any moment: the same command, or --resume, goes on and leaves out what is
/// finished. More rows and seeds can be added; results of other data, settings or versions are refused.
///
/// The folder holds report.html, table.csv and table.json (mean and standard error of each row, and its
/// difference to the first one with a 95 % interval), runs.csv (the numbers of each run), study.toml (the
/// plan), results (all that is known of each run) and runs (the folders of `cutmix train`). The test set is
/// measured once in each run, at its end.
///
/// `mpirun -n 4 cutmix compare` trains four runs at a time, each in one process; so does the same command
/// in several terminals.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    #[command(flatten)]
    settings: Settings,
    /// A row with several settings of its own, as options of `cutmix train`: '--algorithm cutmix --algorithm
    /// label-smoothing'; may be given several times
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    row: Vec<String>,
    /// Seeds of the runs of each row: a range such as 0..4, which is 0, 1, 2, 3 and 4, or a list
    #[arg(long, value_name = "SEEDS", default_value = "0..2")]
    seeds: Seeds,
    #[command(flatten)]
    measures: MeasureArgs,
    /// Take settings for all rows from this file; options given here win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the study, new, or that of this study
    #[arg(long, short, value_name = "DIR", default_value = "study")]
    output: PathBuf,
    /// Go on with the study in this folder, by its own plan
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "output", "row", "measure", "unlike"])]
    resume: Option<PathBuf>,
}

/// Runs what is missing of a study, and reports.
pub fn run(
    args: CompareArgs,
    matches: &ArgMatches,
    processes: &Processes,
) -> Result<ExitCode, Error> {
    let study = Study::open(args, matches, processes)?;
    study.print();
    study.print_expected()?;
    let stop = Stop::new();
    let message = || note("stopping after this batch; Ctrl-C again stops at once");
    stop_on_signals(stop.clone(), move |again| match again {
        true => std::process::exit(STOPPED.into()),
        false => message(),
    });
    study.train(&stop)?;
    // No process reports before all have trained.
    let stopped = gather(processes.world.as_ref(), &stop.is_requested())?;
    if processes.is_first() {
        let results = study.folder.results(&study.plan)?;
        let table = study.write(&results)?;
        table.print();
        line("");
        let missing = study.plan.runs().count() - results.len();
        if missing > 0 {
            line(format!("{} left", count(missing, "run")));
        }
        line(format!(
            "{}/  report.html  table.csv  table.json  runs.csv  study.toml  results/  runs/",
            study.folder.path().display()
        ));
    }
    if stopped.contains(&true) {
        let folder = quoted(study.folder.path());
        line(format!(
            "stopped; go on with: cutmix compare --resume {folder}"
        ));
        return Ok(ExitCode::from(STOPPED));
    }
    Ok(ExitCode::SUCCESS)
}

/// A study in its folder.
struct Study {
    folder: StudyFolder,
    plan: Plan,
    /// This process alone.
    own: Processes,
    is_first: bool,
}

impl Study {
    /// Opens the folder, and adds what is new in the plan.
    fn open(args: CompareArgs, matches: &ArgMatches, processes: &Processes) -> Result<Self, Error> {
        let given = args.settings.given(matches);
        let folder = StudyFolder::new(args.resume.as_deref().unwrap_or(&args.output));
        let stored = folder.read_plan()?;
        let plan = match (&args.resume, stored) {
            (Some(path), None) => return Err(Error::NotAStudy(path.clone())),
            (Some(_), Some(plan)) => {
                if let Some(name) = given.keys().next() {
                    return Err(Error::ResumeSetting(name.clone()));
                }
                let now = Plan {
                    data: digest_of_data(&plan.settings)?,
                    version: env!("CARGO_PKG_VERSION").into(),
                    ..plan.clone()
                };
                extended(plan, now, &folder)?
            }
            (None, stored) => {
                let given = args.settings.all_given(matches, args.config.as_deref())?;
                let new = new_plan(given, &names_of_algorithms(matches), &args)?;
                match stored {
                    Some(stored) => extended(stored, new, &folder)?,
                    None => new,
                }
            }
        };
        for run in plan.runs().take(plan.rows.len()) {
            Settings::from_given(plan.given(run))?.check()?;
        }
        if processes.is_first() {
            folder.write_plan(&plan)?;
        }
        // The others need the folder.
        gather(processes.world.as_ref(), &())?;
        Ok(Self {
            folder,
            plan,
            own: processes.apart(),
            is_first: processes.is_first(),
        })
    }

    /// The runs that are not finished.
    fn missing(&self) -> Result<Vec<PlannedRun<'_>>, Error> {
        let mut missing = Vec::new();
        for run in self.plan.runs() {
            if self.folder.read_result(&self.plan, run)?.is_none() {
                missing.push(run);
            }
        }
        Ok(missing)
    }

    /// Prints the plan.
    fn print(&self) {
        let plan = &self.plan;
        line(format!("study      {}", self.folder.path().display()));
        for (number, row) in plan.rows.iter().enumerate() {
            let label = if number == 0 { "rows" } else { "" };
            line(format!("{label:<10} {}", row.name));
        }
        line(format!("seeds      {}", Seeds(plan.seeds.clone())));
        let measures = plan.measures.to_string();
        if !measures.is_empty() {
            line(format!("measures   accuracy, calibration, {measures}"));
        }
    }

    /// Prints about how long the missing runs will take, by short runs of their rows.
    fn print_expected(&self) -> Result<(), Error> {
        let missing = self.missing()?;
        let all = self.plan.runs().count();
        if missing.is_empty() {
            line(format!("runs       all {} are finished", grouped(all)));
            return Ok(());
        }
        let mut speeds: Vec<(toml::Table, Speed)> = Vec::new();
        let mut seconds = 0.0;
        for run in &missing {
            let given = self.plan.given(*run);
            let settings = Settings::from_given(given.clone())?;
            let mut alike = given;
            alike.retain(|name, _| name != "algorithm" && name != "seed" && name != "duration");
            let known = speeds.iter().find(|(other, _)| *other == alike);
            let speed = match known {
                Some((_, speed)) => *speed,
                None => {
                    let speed = Speed::measure(&self.plan, *run, &self.own)?;
                    speeds.push((alike, speed));
                    speed
                }
            };
            seconds += speed.seconds(&settings, &self.plan.measures.to_string());
        }
        line(format!(
            "runs       {} of {} left, about {} one after the other",
            grouped(missing.len()),
            grouped(all),
            clock(seconds)
        ));
        line("");
        Ok(())
    }

    /// Trains what is missing and no other process trains.
    fn train(&self, stop: &Stop) -> Result<(), Error> {
        for run in self.missing()? {
            if stop.is_requested() {
                break;
            }
            match self.train_one(run, stop) {
                Ok(Some(result)) => {
                    self.folder.write_result(run, &result)?;
                    line(format!(
                        "{}, seed {}: {}{}",
                        run.row.name,
                        run.seed,
                        headline(&result),
                        clock(result.seconds)
                    ));
                    if self.is_first {
                        self.write(&self.folder.results(&self.plan)?)?;
                    }
                }
                // Stopped.
                Ok(None) => break,
                // Another process of the study trains it.
                Err(Error::InUse(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Trains and measures a run, from its last checkpoint where it was stopped; `None` where it is stopped
    /// now.
    fn train_one(&self, run: PlannedRun, stop: &Stop) -> Result<Option<RunResult>, Error> {
        let path = self.folder.run(run);
        let given = self.plan.given(run);
        let training = if path.join("config.toml").is_file() {
            Training::resume(&path, toml::Table::new(), &self.own)?
        } else {
            let settings = Settings::from_given(given.clone())?;
            Training::start(settings, &given, Some(&path), &self.own)?
        };
        let view = crate::progress::bar().map_or(View::Nothing, |bar| bar_of(bar, run));
        let trained = training.train(view, stop.clone())?;
        if !trained.is_complete {
            return Ok(None);
        }
        let Some((_, measured)) = &trained.measured else {
            return Err(Error::Unmeasured);
        };
        let subject = &trained.subject;
        let more = self.plan.measures.open(subject, measured.data())?;
        let measures = measure_more(subject, measured, &trained.splits, &more)?;
        let study = (self.plan.version.clone(), self.plan.data.clone());
        let of_run = (run.row.name.clone(), run.seed, given);
        Ok(RunResult::new(study, of_run, &trained, measures))
    }

    /// Writes the tables and the report. A report that cannot be written is a warning.
    fn write(&self, results: &[RunResult]) -> Result<Table, Error> {
        let table = Table::new(&self.plan, results);
        self.folder.write_tables(&table, results)?;
        if let Err(error) = report::write(&self.folder, &self.plan, &table, results) {
            warning(format!("there is no new report.html: {error}"));
        }
        Ok(table)
    }
}

fn bar_of(bar: ProgressBar, run: PlannedRun) -> View {
    View::BarOf(bar, format!("{}, seed {}", run.row.name, run.seed))
}

fn extended(mut stored: Plan, new: Plan, folder: &StudyFolder) -> Result<Plan, Error> {
    stored.extend(new, folder.path())?;
    Ok(stored)
}

/// The algorithms as they were given on the command line.
fn names_of_algorithms(matches: &ArgMatches) -> Vec<String> {
    if matches.value_source("algorithm") != Some(ValueSource::CommandLine) {
        return Vec::new();
    }
    let texts = matches.get_raw("algorithm").into_iter().flatten();
    texts
        .map(|text| text.to_string_lossy().into_owned())
        .collect()
}

fn new_plan(mut given: toml::Table, names: &[String], args: &CompareArgs) -> Result<Plan, Error> {
    if given.remove("seed").is_some() {
        return Err(Error::option(
            "seed",
            args.settings.seed,
            "none; give --seeds",
        ));
    }
    let rows = rows(&mut given, names, &args.row)?;
    Ok(Plan {
        version: env!("CARGO_PKG_VERSION").into(),
        data: digest_of_data(&given)?,
        seeds: args.seeds.0.clone(),
        measures: args.measures.clone(),
        settings: given,
        rows,
    })
}

/// The digest of all data, before a seed divides them.
fn digest_of_data(given: &toml::Table) -> Result<String, Error> {
    let splits = Settings::from_given(given.clone())?.open_whole_data()?;
    Ok(Manifest::of(&splits).digest())
}

/// The score by which a run is known at a glance.
fn headline(result: &RunResult) -> String {
    let number = result.numbers().into_iter().next();
    number.map_or_else(String::new, |number| {
        format!("{} {:.2}, ", number.name, number.value)
    })
}
