//! A training run, from its settings to its results.

mod features;
mod prepared;
mod start;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use burn::module::Module;
use cutmix_train::loggers::{Csv, JsonLines, Lines, TensorBoard};
use cutmix_train::{
    Checkpoint, Checkpoints, Event, Fit, History, Loader, Network, Score, State, Stop, Trainer,
};
use cutmix_vision::models::HeadOnly;
use cutmix_vision::{AnyNetwork, ImageLoader, SkippedImage, Split, Splits};

use self::prepared::Prepared;
#[cfg(feature = "dashboard")]
use crate::dashboard::Dashboard;
use crate::error::Error;
use crate::evaluate::{Measured, Subject, evaluator};
use crate::picture::FirstBatch;
use crate::progress::Progress;
use crate::report::batches::BatchNumbers;
use crate::report::{curves, html, summary};
use crate::run_folder::{ModelCard, RunFolder, write_whole};
use crate::settings::{Log, Settings, Train, in_order};
use crate::terminal::{Warnings, quoted, warning};

pub use self::view::View;

/// A run that is ready to train, from its start or from a checkpoint.
pub struct Training {
    pub folder: RunFolder,
    prepared: Prepared,
    checkpoint: Option<Checkpoint>,
}

/// A run that is complete, or was stopped.
pub struct Trained {
    /// Its folder, which is in use as long as this is there.
    pub folder: RunFolder,
    pub is_complete: bool,
    pub history: History,
    pub subject: Subject,
    pub splits: Splits,
    /// What was found out about the network on the test set, or else on the validation set, in a run that
    /// is complete.
    pub measured: Option<(Split, Measured)>,
    /// The bad images that were left out.
    pub skipped: Vec<SkippedImage>,
}

impl Trained {
    /// The scores on the test set.
    pub fn test_scores(&self) -> &[Score] {
        match &self.measured {
            Some((Split::Test, measured)) => &measured.scores,
            _ => &[],
        }
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

impl Training {
    /// Prints what is trained on what.
    pub fn print_header(&self) {
        let prepared = &self.prepared;
        summary::print_header(&summary::Header {
            settings: &prepared.settings,
            resolved: &prepared.resolved,
            splits: &prepared.splits,
            device: &prepared.device.describe(),
            parameters: prepared.model.num_params(),
            loaded: prepared.loaded.as_deref().unwrap_or_default(),
            folder: self.folder.path(),
            checkpoint: self.checkpoint.as_ref(),
        });
    }

    /// Trains until the run is complete or `stop` is requested, and writes the results. The network of a
    /// run that is complete is measured.
    pub fn train(self, view: View, stop: Stop) -> Result<Trained, Error> {
        let Self {
            folder,
            prepared,
            checkpoint,
        } = self;
        let processes = prepared.processes.clone();
        let is_first = processes.is_first();
        if is_first {
            folder.write_card(&prepared.card)?;
        }
        let (settings, card) = (prepared.settings.clone(), prepared.card.clone());
        let (splits, device) = (prepared.splits.clone(), prepared.device.device.clone());
        let loaders = [Some(prepared.train.clone()), prepared.val.clone()];
        let warnings = Warnings::default();
        let fit = prepared.fit(&folder, checkpoint, view, stop, &warnings);
        warnings.print();
        let fit = fit.map_err(|error| in_folder(error, &folder))?;
        if is_first {
            finish(&fit, &folder, &settings, &card)?;
        }
        let parameters = fit.model.num_params();
        let write_report = |folder: &RunFolder| {
            if is_first {
                html::write(folder, parameters);
            }
        };
        // Where the evaluation fails, there is a report as well.
        write_report(&folder);
        let subject = Subject {
            settings,
            card,
            model: fit.model,
            device: device.without_autodiff(),
            world: processes.world,
        };
        let mut trained = Trained {
            folder,
            is_complete: fit.is_complete,
            history: fit.history,
            subject,
            splits,
            measured: None,
            skipped: Vec::new(),
        };
        if !trained.is_complete {
            return Ok(trained);
        }
        let subject = &trained.subject;
        trained.measured = evaluate(subject, &trained.splits).map_err(|error| {
            let run = quoted(trained.folder.path());
            error.with_advice(format!(
                "; the model is saved, evaluate it with: cutmix eval {run} --on-bad-image skip"
            ))
        })?;
        let skipped = loaders.iter().flatten().flat_map(ImageLoader::skipped);
        trained.skipped = subject.skipped_by_all(skipped.collect())?;
        if let Some((set, measured)) = &trained.measured {
            if is_first {
                subject.write(measured, &trained.folder.evaluation(&set.to_string()));
            }
            if *set == Split::Test {
                trained.skipped.extend(measured.evaluation.skipped.clone());
            }
        }
        write_report(&trained.folder);
        Ok(trained)
    }
}

impl Prepared {
    /// Trains the whole network on images, or its head on their features.
    fn fit(
        mut self,
        folder: &RunFolder,
        from: Option<Checkpoint>,
        view: View,
        stop: Stop,
        warnings: &Warnings,
    ) -> Result<Fit<AnyNetwork>, cutmix_train::Error> {
        if self.settings.train == Train::Head {
            if let Some(checkpoint) = &from {
                self.model = checkpoint.trained_model(self.model)?;
            }
            let train = self.train_features(&stop)?;
            let val = self
                .val
                .as_ref()
                .map(|val| self.features("val", val, &stop));
            let loaders = Loaders::new(train, val.transpose()?);
            let trainer = self.trainer(HeadOnly, loaders, folder, from, (view, stop), warnings);
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
        let mut trainer = self.trainer(whole, loaders, folder, from, (view, stop), warnings);
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
        (view, stop): (View, Stop),
        warnings: &Warnings,
    ) -> Trainer<M> {
        let (settings, processes) = (self.settings, self.processes);
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
            View::BarOf(bar, name) => {
                trainer.logger(Progress::new(bar, settings.duration).with_name(name))
            }
            View::Nothing => trainer,
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
