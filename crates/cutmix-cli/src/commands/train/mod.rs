//! `cutmix train`.

mod features;
mod prepared;
mod start;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use burn::module::Module;
use clap::ArgMatches;
use cutmix_train::loggers::{Csv, JsonLines, Lines, TensorBoard};
use cutmix_train::{Checkpoint, Checkpoints, Event, Fit, Loader, Network, State, Stop, Trainer};
use cutmix_vision::models::HeadOnly;
use cutmix_vision::{AnyNetwork, ImageLoader, Split, Splits};

use self::prepared::Prepared;
use self::view::View;
#[cfg(feature = "dashboard")]
use crate::dashboard::Dashboard;
use crate::error::Error;
use crate::evaluate::{Measured, Subject, evaluator};
use crate::picture::FirstBatch;
use crate::processes::Processes;
use crate::progress::Progress;
use crate::report::batches::BatchNumbers;
use crate::report::{curves, html, summary};
use crate::run_folder::{ModelCard, RunFolder, write_whole};
use crate::settings::{Log, Settings, Train, in_order};
use crate::signals::{STOPPED, stop_on_signals};
use crate::terminal::{Warnings, line, quoted, warning};

/// Train a network on images and write it to a run folder.
///
/// The folder holds report.html (the run on one page, for a browser), config.toml (repeats the run:
/// `cutmix train --config runs/001/config.toml`), given.toml (which of its settings were given),
/// metrics.csv, batches.csv (what algorithms logged), model.safetensors, curves.png (loss and accuracy
/// over the epochs), batch.png (what the network saw in its first batch), manifest.json (the images of
/// each set), card.json (the classes, and how images are prepared), eval (see `cutmix eval`) and
/// checkpoints, from which `cutmix train --resume` continues. Ctrl-C ends the run after its batch and
/// saves it; a second one ends it at once.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    #[command(flatten)]
    settings: Settings,
    /// Take settings from this file, such as the config.toml of a run; options given here win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for the results, new or empty [default: runs/001, runs/002, ...]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Resume the run in this folder, which was stopped or killed, from its last checkpoint; or extend
    /// it with --duration
    ///
    /// On the CPU it ends with the weights of a run that was never stopped. It uses the settings of
    /// the run; of the other options only --duration, --data (where the data are now),
    /// --on-bad-image, --cache, --decode-memory, --device, --on-nan and --dashboard can be given. A run that is extended before its end continues as if it had been that long from the
    /// start; a finished one gets a new cycle of its learning rate.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "output"])]
    resume: Option<PathBuf>,
    /// Show Burn's dashboard, with curves of loss and accuracy, instead of a line and a bar
    ///
    /// Arrows choose a metric and a plot. q asks how to end: s as Ctrl-C does, k at once. Build with
    /// --features dashboard to have it.
    #[arg(long)]
    dashboard: bool,
}

/// Trains and reports; a run that was stopped has an exit code of its own.
pub fn run(
    mut args: TrainArgs,
    matches: &ArgMatches,
    processes: &Processes,
) -> Result<ExitCode, Error> {
    processes.warn_of_tasks();
    let view = View::choose(args.dashboard && processes.is_first())?;
    match args.resume.take() {
        Some(run) => start::resume(&args.settings, matches, &run, view, processes),
        None => start::start(args, matches, view, processes),
    }
}

/// What a trainer trains and validates on.
struct Loaders {
    train: Arc<dyn Loader>,
    val: Option<Arc<dyn Loader>>,
}

impl Loaders {
    fn new<L: Loader + 'static>(train: L, val: Option<L>) -> Self {
        Self {
            train: Arc::new(train),
            val: val.map(|val| Arc::new(val) as Arc<dyn Loader>),
        }
    }
}

impl Prepared {
    fn train(
        self,
        folder: RunFolder,
        from: Option<Checkpoint>,
        view: View,
    ) -> Result<ExitCode, Error> {
        let processes = self.processes.clone();
        if processes.is_first() {
            folder.write_card(&self.card)?;
        }
        summary::print_header(&summary::Header {
            settings: &self.settings,
            resolved: &self.resolved,
            splits: &self.splits,
            device: &self.device.describe(),
            parameters: self.model.num_params(),
            loaded: self.loaded.as_deref().unwrap_or_default(),
            folder: folder.path(),
            checkpoint: from.as_ref(),
        });
        let (settings, card) = (self.settings.clone(), self.card.clone());
        let (splits, device) = (self.splits.clone(), self.device.device.clone());
        let loaders = [Some(self.train.clone()), self.val.clone()];
        let warnings = Warnings::default();
        let fit = self.fit(&folder, from, view, &warnings);
        warnings.print();
        let fit = fit.map_err(|error| in_folder(error, &folder))?;
        let is_first = processes.is_first();
        if is_first {
            finish(&fit, &folder, &settings, &card)?;
        }
        let parameters = fit.model.num_params();
        let write_report = || {
            if is_first {
                html::write(&folder, parameters);
            }
        };
        if !fit.is_complete {
            write_report();
            line("");
            let run = quoted(folder.path());
            line(format!(
                "stopped and saved; resume with: cutmix train --resume {run}"
            ));
            return Ok(ExitCode::from(STOPPED));
        }
        let subject = Subject {
            settings,
            card,
            model: fit.model,
            device: device.without_autodiff(),
            world: processes.world,
        };
        // Where the evaluation fails, there is a report as well.
        write_report();
        let measured = evaluate(&subject, &splits).map_err(|error| {
            let run = quoted(folder.path());
            error.with_advice(format!(
                "; the model is saved, evaluate it with: cutmix eval {run} --on-bad-image skip"
            ))
        })?;
        let skipped = loaders.iter().flatten().flat_map(ImageLoader::skipped);
        let mut skipped = subject.skipped_by_all(skipped.collect())?;
        if !is_first {
            return Ok(ExitCode::SUCCESS);
        }
        let mut scores = &[][..];
        if let Some((set, measured)) = &measured {
            subject.write(measured, &folder.evaluation(&set.to_string()));
            if *set == Split::Test {
                skipped.extend(measured.evaluation.skipped.iter().cloned());
                scores = &measured.scores;
            }
        }
        write_report();
        summary::print_result(
            &subject.settings,
            &fit.history,
            scores,
            &skipped,
            folder.path(),
        );
        Ok(ExitCode::SUCCESS)
    }

    /// Trains the whole network on images, or its head on their features.
    fn fit(
        mut self,
        folder: &RunFolder,
        from: Option<Checkpoint>,
        view: View,
        warnings: &Warnings,
    ) -> Result<Fit<AnyNetwork>, cutmix_train::Error> {
        if self.settings.train == Train::Head {
            if let Some(checkpoint) = &from {
                self.model = checkpoint.trained_model(self.model)?;
            }
            let train = self.train_features()?;
            let val = self.val.as_ref().map(|val| self.features("val", val));
            let loaders = Loaders::new(train, val.transpose()?);
            let trainer = self.trainer(HeadOnly, loaders, folder, from, view, warnings);
            let fit = trainer.fit()?;
            return Ok(Fit {
                model: fit.model.0,
                history: fit.history,
                is_complete: fit.is_complete,
            });
        }
        let order = in_order(&self.settings.algorithm, Event::BeforeForward, "\nthen ");
        let first_batch = FirstBatch {
            path: folder.first_batch(),
            title: format!("First training batch, after {order}"),
            classes: self.card.classes.clone(),
            normalize: self.card.normalize.clone(),
            warnings: warnings.clone(),
        };
        let loaders = Loaders::new(self.train.clone(), self.val.clone());
        let (whole, is_first) = (|network| network, self.processes.is_first());
        let mut trainer = self.trainer(whole, loaders, folder, from, view, warnings);
        if is_first {
            trainer = trainer.callback(first_batch);
        }
        trainer.fit()
    }

    /// A trainer of what `part` makes of the network.
    fn trainer<M: Network>(
        self,
        part: impl FnOnce(AnyNetwork) -> M,
        loaders: Loaders,
        folder: &RunFolder,
        from: Option<Checkpoint>,
        view: View,
        warnings: &Warnings,
    ) -> Trainer<M> {
        let (settings, processes) = (self.settings, self.processes);
        let stop = Stop::new();
        stop_on_signals(stop.clone(), view.on_signal());
        let checkpoints = Checkpoints::new(folder.checkpoints())
            .with_save_interval(settings.save_interval)
            .with_keep(settings.keep);
        let resolved = &self.resolved;
        let optimizer = settings.optimizer(resolved, &self.model);
        let mut trainer = (settings.trainer(resolved.learning_rate))
            .init(part(self.model), loaders.train)
            .optimizer(optimizer)
            .evaluator(evaluator(&settings, &self.card, &self.device.device))
            .device(self.device.device)
            .checkpoints(checkpoints)
            .world(processes.world.clone())
            .stop(stop.clone())
            .logger(Csv::new(folder.metrics()))
            .logger(BatchNumbers::new(folder.batches(), warnings.clone()));
        for log in &settings.log {
            trainer = match log {
                Log::Jsonl => trainer.logger(JsonLines::new(folder.json_lines())),
                Log::Tensorboard => trainer.logger(TensorBoard::new(folder.tensorboard())),
            };
        }
        trainer = match view {
            View::Lines => trainer.logger(Lines),
            View::Bar(bar) => trainer.logger(Progress::new(bar, settings.duration)),
            #[cfg(feature = "dashboard")]
            View::Dashboard => trainer.logger(Dashboard::new(stop)),
        };
        if let Some(val) = loaders.val {
            trainer = trainer.eval("val", val);
        }
        trainer = (self.freezing.into_iter()).fold(trainer, Trainer::algorithm);
        for algorithm in settings.algorithm.iter().filter_map(|spec| spec.init()) {
            trainer = trainer.algorithm(algorithm);
        }
        if let Some(checkpoint) = from {
            trainer = trainer.resume(checkpoint);
            if processes.is_first() {
                trainer = trainer.callback(remove_results(folder));
            }
        }
        if let Some((settings, given)) = self.to_store.filter(|_| processes.is_first()) {
            let given = given.map(|given| folder.given_file(&given));
            let files = given.into_iter().chain([folder.config_file(&settings)]);
            trainer = trainer.callback(store(files.collect()));
        }
        trainer
    }
}

/// Measures the network of a finished run on its test set. Where it has none, this is done on its
/// validation set, if it has one, for the report alone, so that an error is a warning where no other
/// process waits for this one.
fn evaluate(subject: &Subject, splits: &Splits) -> Result<Option<(Split, Measured)>, Error> {
    let measure = |split| {
        let set = splits.set(split).filter(|set| !set.is_empty())?;
        let name = subject.settings.data_name();
        let measured = subject.measure(Some(split), set, splits, name);
        Some(measured.map(|measured| (split, measured)))
    };
    if let Some(test) = measure(Split::Test) {
        return test.map(Some);
    }
    let val = measure(Split::Val);
    if subject.world.size() > 1 {
        return val.transpose();
    }
    Ok(val.and_then(|val| val.map_err(warning).ok()))
}

/// Removes the model and the evaluations of a run that continues, once the trainer has accepted it: the
/// run has those of its checkpoints until its new end.
fn remove_results<M>(
    folder: &RunFolder,
) -> impl FnMut(Event, &State<M>) -> Result<(), cutmix_train::Error> + Send + use<M> {
    let results = folder.results();
    move |event, _: &State<M>| {
        if event == Event::FitStart {
            results.remove().map_err(cutmix_train::Error::other)?;
        }
        Ok(())
    }
}

/// Writes files with settings once the trainer has accepted them.
fn store<M>(
    files: Vec<(PathBuf, String)>,
) -> impl FnMut(Event, &State<M>) -> Result<(), cutmix_train::Error> + Send {
    move |event, _: &State<M>| {
        if event == Event::FitStart {
            let mut files = files.iter();
            let written = files.try_for_each(|(path, text)| write_whole(path, text.as_bytes()));
            return written.map_err(cutmix_train::Error::other);
        }
        Ok(())
    }
}

/// Writes the results of a run. A picture that cannot be written is a warning.
fn finish(
    fit: &Fit<AnyNetwork>,
    folder: &RunFolder,
    settings: &Settings,
    card: &ModelCard,
) -> Result<(), Error> {
    if fit.is_complete {
        folder.save_model(&fit.model, card)?;
    }
    let path = folder.curves();
    if let Err(reason) = curves::write(&path, &fit.history, settings.effects().mixes_targets) {
        warning(format!("cannot write {}: {reason}", path.display()));
    }
    Ok(())
}

/// The error of a run, with the command that resumes it.
fn in_folder(error: cutmix_train::Error, folder: &RunFolder) -> Error {
    match error {
        cutmix_train::Error::NotFinite { ref checkpoint, .. } => Error::NotFinite {
            run: checkpoint.as_ref().map(|_| folder.path().into()),
            source: error,
        },
        error => {
            let run = quoted(folder.path());
            Error::from(error).with_advice(format!(
                "; leave such images out with: cutmix train --resume {run} --on-bad-image skip"
            ))
        }
    }
}
