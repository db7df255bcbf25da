//! `cutmix compare`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgMatches;
use clap::parser::ValueSource;
use cutmix_train::{Stop, gather};

use crate::embedded::Origin;
use crate::error::Error;
use crate::evaluate::{MeasureArgs, measure_more};
use crate::processes::Processes;
use crate::progress;
use crate::report::html::study as report;
use crate::run_folder::RunFolder;
use crate::settings::Settings;
use crate::signals::{STOPPED, stop_on_signals};
use crate::study::expected::Speed;
use crate::study::plan::{PlannedRun, rows};
use crate::study::{Plan, RunResult, Seeds, StudyFolder, Table, contents};
use crate::terminal::{clock, count, grouped, line, quoted, warning};
use crate::training::{Training, View};

const JSON_KEYS: &str = "\
Keys of table.json, a list of measures (percentages are in 0 to 100):
  name, unit         what was measured: % or nothing
  higher-is-better   whether a higher value is better
  rows               a row for each row of the study:
    row, values      its name; seeds and values
    mean             runs, mean, standard-error (null of one run)
    difference       to the first row, over the seeds that both have: runs, mean, interval (the
                     ends of the 95 % interval, null of one run), seeds-needed (with which such
                     an interval leaves out zero in 80 of 100 studies, were the difference and
                     its spread what they seem to be; null where not known or above 1000)

Keys of a file in results/ (shares are in 0 to 1, scores in percent but for the loss):
  version, data      of the program; digest of the data
  row, seed          which run it is
  given, settings    the settings that were given, and all settings; neither has paths or the device
  device             what it was trained on
  seconds            of training, with the evaluations on the way
  set, images        what the network was measured on at the end
  scores             on it, as in metrics.csv
  validation-accuracy, calibration-error
  occlusion, fgsm, detection, localisation     as in evaluation.json, see `cutmix eval --help`
  history            epoch and scores of each report";

/// Compare algorithms, or other settings, by runs with several seeds.
///
/// Each --algorithm and each --row is a row of the result, compared with the first one seed by seed. All
/// other options are those of `cutmix train`, for all rows. The command shows its plan and about how long
/// it takes, and can be stopped at any moment: the same command, or --resume, goes on and leaves out what is
/// finished. More rows and seeds can be added; results of other data, settings or versions are refused. Data
/// are the same where the names, sizes and labels of all images agree, and the content of up to 1,000 images
/// of each set. A run that fails is told, and the others go on.
///
/// The folder holds report.html, table.csv and table.json (mean and standard error of each row, and its
/// difference to the first one with a 95 % interval; occlusion and fgsm are means over all shares and
/// levels, which are there one by one as well), runs.csv (the numbers of each run), study.toml (the
/// plan), results (all that is known of each run) and runs (the folders of `cutmix train`). The test set is
/// measured once in each run, at its end.
///
/// `mpirun -n 4 cutmix compare` trains four runs at a time, each in one process; so does the same command
/// in several terminals.
#[derive(Debug, clap::Args)]
#[command(after_long_help = JSON_KEYS)]
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
    /// Go on with the study in this folder, by its own plan; --seeds can be given to add some, and --data,
    /// --unlike and --device where these are others now
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "output", "row", "measure"])]
    resume: Option<PathBuf>,
}

/// Runs what is missing of a study, and reports.
pub fn run(
    args: CompareArgs,
    matches: &ArgMatches,
    processes: &Processes,
) -> Result<ExitCode, Error> {
    let stop = Stop::new();
    stop_on_signals(stop.clone(), View::Nothing.on_signal());
    let mut study = Study::open(args, matches, processes)?;
    study.print();
    if study.is_first {
        study.print_expected()?;
    }
    let failed = study.train(&stop);
    // No process reports before all have trained.
    let failed = gather(processes.world.as_ref(), &failed)?.concat();
    let results = study.results()?;
    let all = study.plan.runs().count();
    let missing = all - results.len();
    let folder = study.folder.path();
    if study.is_first {
        study.write(&results)?.print();
        line("");
        line(format!(
            "{}/  report.html  table.csv  table.json  runs.csv  study.toml  results/  runs/",
            folder.display()
        ));
        for reason in &failed {
            line(format!("failed     {reason}"));
        }
    }
    if !failed.is_empty() {
        let failed = failed.len();
        return Err(Error::FailedRuns { failed, total: all });
    }
    if missing > 0 {
        let (missing, folder) = (count(missing, "run"), quoted(folder));
        line(format!(
            "{missing} left; go on with: cutmix compare --resume {folder}"
        ));
    }
    let is_stopped = stop.is_requested() && missing > 0;
    Ok(if is_stopped {
        ExitCode::from(STOPPED)
    } else {
        ExitCode::SUCCESS
    })
}

/// A study in its folder.
struct Study {
    folder: StudyFolder,
    plan: Plan,
    /// Settings of this machine, which may have changed since a run was stopped.
    machine: toml::Table,
    /// This process alone.
    own: Processes,
    is_first: bool,
    /// Says that the study is in use; the first process has it.
    _in_use: Option<File>,
}

impl Study {
    /// Opens the folder, and adds what is new in the plan.
    fn open(args: CompareArgs, matches: &ArgMatches, processes: &Processes) -> Result<Self, Error> {
        let folder = StudyFolder::new(args.resume.as_deref().unwrap_or(&args.output));
        let given = args.settings.given(matches);
        // The first process decides for all.
        let (own, in_use) = if processes.is_first() {
            let (plan, in_use) = planned(&folder, &args, matches)?;
            (Some(plan), Some(in_use))
        } else {
            (None, None)
        };
        let plan = gather(processes.world.as_ref(), &own)?
            .into_iter()
            .flatten()
            .next();
        let plan = plan.ok_or_else(|| Error::NotAStudy(folder.path().into()))?;
        let mut machine = given;
        machine.retain(|name, _| MACHINE.contains(&name));
        Ok(Self {
            folder,
            plan,
            machine,
            own: processes.apart(),
            is_first: processes.is_first(),
            _in_use: in_use,
        })
    }

    /// The results so far, by the plan as it is now: another process may have added rows.
    fn results(&mut self) -> Result<Vec<RunResult>, Error> {
        if let Some(plan) = self.folder.read_plan()? {
            self.plan = plan;
        }
        self.folder.results(&self.plan)
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
        let time = match self.expected(&missing) {
            Ok(seconds) => format!("about {} one after the other", clock(seconds)),
            // The run itself will tell more.
            Err(_) => "for a time that is not known".into(),
        };
        line(format!(
            "runs       {} of {} left, {time}",
            grouped(missing.len()),
            grouped(all)
        ));
        line("");
        Ok(())
    }

    fn expected(&self, missing: &[PlannedRun]) -> Result<f64, Error> {
        let mut speeds: Vec<(toml::Table, Speed)> = Vec::new();
        let mut seconds = 0.0;
        for run in missing {
            let mut alike = self.plan.given(*run);
            let settings = Settings::from_given(alike.clone())?;
            alike.retain(|name, value| Speed::depends_on(name, value));
            let known = speeds.iter().find(|(other, _)| *other == alike);
            let speed = match known {
                Some((_, speed)) => *speed,
                None => {
                    let folder = self.folder.short_run();
                    let speed = Speed::measure(&self.plan, *run, &self.own, &folder)?;
                    speeds.push((alike, speed));
                    speed
                }
            };
            seconds += speed.seconds(&settings, self.plan.measures.passes());
        }
        Ok(seconds)
    }

    /// Trains what is missing and no other process trains. Returns what failed.
    fn train(&self, stop: &Stop) -> Vec<String> {
        let mut failed = Vec::new();
        for run in self.plan.runs() {
            if stop.is_requested() {
                break;
            }
            match self.train_one(run, stop) {
                Ok(Some(result)) => line(format!(
                    "{run}: {}{}",
                    headline(&result),
                    clock(result.seconds)
                )),
                // Finished before, or stopped, or another process of the study trains it.
                Ok(None) | Err(Error::InUse(_)) => {}
                Err(error) => {
                    let reason = format!("{run}: {error}");
                    warning(&reason);
                    failed.push(reason);
                }
            }
        }
        failed
    }

    /// Trains and measures a run, from its last checkpoint where it was stopped; `None` where it is finished
    /// already, or is stopped now.
    fn train_one(&self, run: PlannedRun, stop: &Stop) -> Result<Option<RunResult>, Error> {
        let _lock = self.folder.lock(run)?;
        if self.folder.read_result(&self.plan, run)?.is_some() {
            return Ok(None);
        }
        let path = self.folder.run(run);
        let given = self.plan.given(run);
        let training = if path.join("config.toml").is_file() {
            let before = RunFolder::open(&path)?.read_given().unwrap_or_default();
            if !Plan::are_same(&before, &given) {
                return Err(Error::OtherRun(path));
            }
            Training::resume(&path, self.machine.clone(), &self.own)?
        } else {
            let settings = Settings::from_given(given.clone())?;
            Training::start(settings, &given, Some(&path), &self.own)?
        };
        let view = progress::bar().map_or(View::Nothing, |bar| View::BarOf(bar, run.to_string()));
        let trained = training.train(view, stop.clone())?;
        if !trained.is_complete {
            return Ok(None);
        }
        let Some((set, measured)) = &trained.measured else {
            return Err(Error::Unmeasured);
        };
        let subject = &trained.subject;
        let more = self.plan.measures.open(subject, measured.data())?;
        let measures = measure_more(subject, measured, &trained.splits, &more)?;
        let measured = (*set, &measured.evaluation);
        let result = RunResult::new(&self.plan, run, &trained, measured, measures);
        self.folder.write_result(run, &result)?;
        if self.is_first {
            self.write(&self.folder.results(&self.plan)?)?;
        }
        Ok(Some(result))
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

/// Settings of a machine that can be given for the rest of a study.
const MACHINE: [&str; 4] = ["data", "device", "cache", "decode-memory"];

/// Adds what is new to the plan of the folder, once all of it has been opened. Returns the plan, and the lock
/// that says that the study is in use.
fn planned(
    folder: &StudyFolder,
    args: &CompareArgs,
    matches: &ArgMatches,
) -> Result<(Plan, File), Error> {
    let mut given = args.settings.given(matches);
    if let Some(seed) = given.get("seed") {
        return Err(Error::option("seed", seed, "none; give --seeds"));
    }
    let new = match &args.resume {
        Some(path) => {
            let plan = folder.read_plan()?;
            let mut plan = plan.ok_or_else(|| Error::NotAStudy(path.clone()))?;
            if let Some(name) = given.keys().find(|name| !MACHINE.contains(&name.as_str())) {
                let expected =
                    "none with --resume; give the command of the study again to add rows";
                return Err(Error::option(name, &given[name], expected));
            }
            plan.settings.extend(given);
            plan.measures.find_unlike(&args.measures);
            if matches.value_source("seeds") == Some(ValueSource::CommandLine) {
                plan.seeds = args.seeds.0.clone();
            }
            plan
        }
        None => {
            let algorithms: Vec<_> = match given.remove("algorithm") {
                Some(_) => {
                    let texts = matches.get_raw("algorithm").into_iter().flatten();
                    let texts = texts.map(|text| text.to_string_lossy().into_owned());
                    let specs = args.settings.algorithm.iter().map(ToString::to_string);
                    texts.zip(specs).collect()
                }
                None => Vec::new(),
            };
            let rows = rows(algorithms.into_iter(), &args.row)?;
            let mut settings = Settings::of_file(args.config.as_deref())?;
            settings.remove("seed");
            settings.extend(given);
            Plan {
                version: String::new(),
                data: String::new(),
                unlike: None,
                seeds: args.seeds.0.clone(),
                measures: args.measures.clone(),
                settings,
                rows,
            }
        }
    };
    let new = opened(new)?;
    let _taken = folder.take_plan()?;
    let alone = folder.use_alone()?;
    if alone.is_some() {
        folder.remove_temporary();
    }
    let plan = match folder.read_plan()? {
        None => new,
        Some(mut stored) => match stored.extend(new.clone(), folder.path()) {
            Ok(()) => stored,
            // Nothing is lost with the plan.
            Err(_) if alone.is_some() && !folder.has_begun()? => new,
            Err(error) => return Err(error),
        },
    };
    folder.write_plan(&plan)?;
    drop(alone);
    Ok((plan, folder.use_together()?))
}

/// Checks all rows of a plan, and fills in what they are of.
fn opened(mut plan: Plan) -> Result<Plan, Error> {
    plan.version = env!("CARGO_PKG_VERSION").into();
    plan.measures.make_path_absolute();
    make_paths_absolute(&mut plan.settings);
    for row in &mut plan.rows {
        make_paths_absolute(&mut row.settings);
        let mut given = plan.settings.clone();
        given.extend(row.settings.clone());
        let mut settings = Settings::from_given(given.clone())?;
        settings.check()?;
        row.contents = contents::of_files(&given)?;
        let weights = settings.pretrained()?;
        let splits = settings.open_data(weights.map(|weights| weights.size))?;
        let measured = [&splits.test, &splits.val].into_iter().flatten();
        let measured = measured.into_iter().find(|set| !set.is_empty());
        plan.measures.check(measured.ok_or(Error::Unmeasured)?)?;
        settings.resolve(&splits.train)?;
    }
    plan.data = contents::of_data(&plan.settings, plan.measures.localises())?;
    let settings = Settings::from_given(plan.settings.clone())?;
    let unlike = plan.measures.other_images(&settings)?;
    plan.unlike = unlike.map(contents::of_unlike);
    Ok(plan)
}

fn make_paths_absolute(given: &mut toml::Table) {
    for name in ["data", "weights", "class-weights"] {
        let Some(path) = given.get(name).and_then(toml::Value::as_str).map(Path::new) else {
            continue;
        };
        let is_embedded = matches!(Origin::of(Some(path)), Origin::Embedded(_));
        let exists = path.exists() && !is_embedded;
        if let Some(absolute) = std::path::absolute(path).ok().filter(|_| exists) {
            let absolute = absolute.to_string_lossy().into_owned();
            given.insert(name.into(), absolute.into());
        }
    }
}

/// The score by which a run is known at a glance.
fn headline(result: &RunResult) -> String {
    let number = result.numbers().into_iter().next();
    number.map_or_else(String::new, |number| {
        format!("{} {:.2}, ", number.name, number.value)
    })
}
