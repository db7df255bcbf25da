//! A trainer that runs algorithms at the right moments, and can be left alone.
//!
//! [`Trainer`] is built on Burn's learner, metrics (on a thread of their own) and renderers. The loop
//! itself is a strategy of that learner's, because Burn's own count in
//! whole epochs: here a run, its evaluations and its checkpoints begin and end at any
//! [`Duration`], to the batch.
//!
//! # What is where
//!
//! - [`Checkpoints`], [`Checkpoint`] and [`Trainer::resume`]: a run that was killed goes on to the
//!   same weights, bit for bit on the CPU.
//! - [`Stop`] ends a run from outside, [`Patience`] when it no longer improves; [`Goal`] says what
//!   better is.
//! - [`Logger`] takes its numbers, [`Callback`] watches it from inside.

mod average;
mod callback;
mod checkpoint;
mod clock;
mod devices;
mod evaluate;
mod goal;
mod history;
mod hooks;
mod host;
mod loggers;
mod metric;
mod model;
mod run;
mod schedule;
mod stop;
mod tally;
mod trainee;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::DataLoader;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use burn::train::metric::{LearningRateMetric, LossMetric};
use burn::train::renderer::MetricsRenderer;
use burn::train::{Learner, SupervisedTraining, TrainingStrategy};
use serde::{Deserialize, Serialize};

pub use callback::{Callback, Event};
pub use checkpoint::{Checkpoint, Checkpoints, Latest};
pub use clock::Clock;
pub use evaluate::evaluate;
pub use goal::Goal;
pub use history::{History, Report, Scores};
pub use loggers::{BatchLog, Csv, JsonLines, Lines, Logger, TensorBoard};
pub use metric::{AccuracyInput, AccuracyMetric};
pub use model::Classifier;
pub use schedule::Schedule;
pub use stop::Stop;

use crate::algorithms::{self, Algorithm};
use crate::plan::Stream;
use crate::time::Duration;
use crate::{Batch, Error};
use average::Average;
use devices::Devices;
use hooks::{Hooks, TimeEvent};
use run::{NoData, Run, Strategy};
use tally::{Counting, NoFiles, Sums, Tally};
use trainee::Trainee;

/// What to do when a loss is not a finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNan {
    /// Stops the run with [`Error::NotFinite`]. The metrics find it, some batches later, so that
    /// no step waits for its loss; no checkpoint is written in between.
    #[default]
    Stop,
    /// Leaves the weights as they are at such a batch and goes on, unless all batches of an
    /// evaluation interval were such. Each step then reads its loss
    /// back from the device, which makes a GPU wait.
    Skip,
}

/// Ends a run that no longer improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// What to improve.
    pub goal: Goal,
    /// How many reports in a row may pass without a better one, at least 1.
    pub reports: usize,
}

/// Trains a [`Classifier`]. `D` is the rank of the image batch.
///
/// The defaults: one epoch, no algorithm, AdamW with a weight decay of 0.01, a base learning rate
/// of 0.001 with 5 % warm-up and a cosine, seed 0, the device of the model, an evaluation after each
/// epoch, a line printed for it, nothing written.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use burn::data::dataloader::DataLoader;
/// # use cutmix::{Batch, Classifier, Error};
/// use cutmix::algorithms::CutMix;
/// use cutmix::trainer::{Checkpoints, Trainer};
///
/// # fn run(model: impl Classifier, train: Arc<dyn DataLoader<Batch>>, eval: Arc<dyn DataLoader<Batch>>) -> Result<(), Error> {
/// let fit = Trainer::new(model, train)
///     .eval_loader(eval)
///     .max_duration("10ep".parse()?)
///     .algorithm(CutMix::new(10).alpha(1.0))
///     .checkpoints(Checkpoints::new("run/checkpoints").every("500ba".parse()?))
///     .fit()?;
/// println!("{:?}", fit.history.last_eval());
/// # Ok(())
/// # }
/// ```
pub struct Trainer<M: Classifier<D>, const D: usize = 4> {
    model: M,
    train_loader: Arc<dyn DataLoader<Batch<D>>>,
    eval_loader: Option<Arc<dyn DataLoader<Batch<D>>>>,
    max_duration: Duration,
    eval_interval: Duration,
    algorithms: Vec<Box<dyn Algorithm<D>>>,
    callbacks: Vec<Box<dyn Callback<D>>>,
    loggers: Vec<Box<dyn Logger>>,
    optimizer: ModuleOptimizer,
    learning_rate: f64,
    schedule: Schedule,
    accumulate: usize,
    average: Option<f64>,
    seed: u64,
    devices: Vec<Device>,
    checkpoints: Option<Checkpoints>,
    resume: Option<Checkpoint>,
    on_nan: OnNan,
    patience: Option<Patience>,
    best: Option<Goal>,
    stop: Stop,
    renderer: Option<Renderer>,
}

/// Makes the renderer once the run's clock exists.
type Renderer = Box<dyn FnOnce(Clock) -> Box<dyn MetricsRenderer>>;

/// A run that has ended.
#[derive(Debug)]
pub struct Fit<M> {
    /// The trained model, ready for inference: the one of the last batch, its moving average, or
    /// the best one, as the trainer was told.
    pub model: M,
    /// What happened.
    pub history: History,
    /// Whether the run went on for as long as it was to; not where [`Stop`] ended it.
    pub is_complete: bool,
}

impl<M: Classifier<D>, const D: usize> Trainer<M, D> {
    /// Trains `model` on the batches of `train_loader`; each pass over it is an epoch.
    pub fn new(model: M, train_loader: Arc<dyn DataLoader<Batch<D>>>) -> Self {
        Self {
            model,
            train_loader,
            eval_loader: None,
            max_duration: Duration::Epochs(1),
            eval_interval: Duration::Epochs(1),
            algorithms: Vec::new(),
            callbacks: Vec::new(),
            loggers: Vec::new(),
            optimizer: AdamWConfig::new().with_weight_decay(0.01).init(),
            learning_rate: 1e-3,
            schedule: Schedule::default(),
            accumulate: 1,
            average: None,
            seed: 0,
            devices: Vec::new(),
            checkpoints: None,
            resume: None,
            on_nan: OnNan::default(),
            patience: None,
            best: None,
            stop: Stop::new(),
            renderer: None,
        }
    }

    /// Evaluates on these data at each evaluation interval. Evaluation never mixes.
    pub fn eval_loader(mut self, loader: Arc<dyn DataLoader<Batch<D>>>) -> Self {
        self.eval_loader = Some(loader);
        self
    }

    /// Ends the run exactly there; `"10ep".parse()?`. A duration in samples cuts the last batch to
    /// the sample. No share: of what would it be one?
    pub fn max_duration(mut self, duration: Duration) -> Self {
        self.max_duration = duration;
        self
    }

    /// How often to evaluate and report, and once more at the end; each epoch unless set.
    pub fn eval_interval(mut self, interval: Duration) -> Self {
        self.eval_interval = interval;
        self
    }

    /// Adds an algorithm; at each event they run in the order in which they were added. Those that
    /// cannot work together are refused by [`fit`](Self::fit), see [`algorithms::check`].
    pub fn algorithm(mut self, algorithm: impl Algorithm<D> + 'static) -> Self {
        self.algorithms.push(Box::new(algorithm));
        self
    }

    /// Adds something that watches the run from inside.
    pub fn callback(mut self, callback: impl Callback<D> + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Adds a place for the numbers of the run, instead of lines on standard output.
    pub fn logger(mut self, logger: impl Logger + 'static) -> Self {
        self.loggers.push(Box::new(logger));
        self
    }

    /// Takes another optimizer: `SgdConfig::new().init()` and its like. Their configurations clip
    /// gradients, too: `with_gradient_clipping`.
    pub fn optimizer(mut self, optimizer: ModuleOptimizer) -> Self {
        self.optimizer = optimizer;
        self
    }

    /// The base learning rate, finite and above 0.
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = learning_rate;
        self
    }

    /// How the learning rate changes over the run.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Makes each batch of the run of so many of the loader's batches, whose gradients are added
    /// up as if they were one. Several devices share them out, so there is at least one for each.
    ///
    /// Each part is mixed by itself, with a plan of its own, which does not depend on the number
    /// of devices; batch normalisation sees the parts, not the whole.
    pub fn accumulate(mut self, parts: usize) -> Self {
        self.accumulate = parts;
        self
    }

    /// Evaluates and gives a moving average of the weights instead of the last ones: after each
    /// batch `decay` of the average remains, above 0 and below 1 (0.999 is usual; less for short
    /// runs). It is kept in the type of the weights; bf16 and f16 are too coarse for it. At batch `b` it is at most `(1 + b) / (10 + b)`, so that the first weights are soon
    /// forgotten.
    pub fn average(mut self, decay: f64) -> Self {
        self.average = Some(decay);
        self
    }

    /// The seed of everything random in the loop: the algorithms' plans and the device's generator
    /// (dropout). The model's weights and the loader's order are drawn elsewhere.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Trains on this device instead of the model's.
    pub fn device(self, device: Device) -> Self {
        self.devices(vec![device])
    }

    /// Trains on several devices at once, which share out the parts of each batch (see
    /// [`accumulate`](Self::accumulate)): part `k` is for device `k` modulo their number. The first
    /// keeps the weights and the statistics of batch normalisation, and evaluates. On the CPU the
    /// weights are those of one device, bit for bit, unless the model has dropout: the devices of one
    /// backend share its random generator.
    ///
    /// With the feature `remote` a device may be one of another machine, on a network to be trusted;
    /// where it is the first, the model that the run gives is on the CPU. Algorithms and callbacks
    /// are called by several threads, for one part each.
    pub fn devices(mut self, devices: Vec<Device>) -> Self {
        self.devices = devices;
        self
    }

    /// Saves the run as it goes.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Goes on from a checkpoint, to where the run would have come without the stop. Model, data
    /// and settings have to be those of the run; algorithms, callbacks and loggers begin anew,
    /// which makes no difference to those of this library.
    pub fn resume(mut self, checkpoint: Checkpoint) -> Self {
        self.resume = Some(checkpoint);
        self
    }

    /// What to do when a loss is not a finite number.
    pub fn on_nan(mut self, on_nan: OnNan) -> Self {
        self.on_nan = on_nan;
        self
    }

    /// Ends the run early when it no longer improves.
    pub fn early_stopping(mut self, patience: Patience) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Gives the best model by this score instead of the last one.
    pub fn best(mut self, goal: Goal) -> Self {
        self.best = Some(goal);
        self
    }

    /// Ends the run when this handle says so.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Shows progress by one of Burn's renderers; it may keep the run's clock.
    pub fn renderer(
        mut self,
        renderer: impl FnOnce(Clock) -> Box<dyn MetricsRenderer> + 'static,
    ) -> Self {
        self.renderer = Some(Box::new(renderer));
        self
    }

    /// Trains.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a setting out of range, a loader without samples, or a new run in the
    /// folder of another one's checkpoints, before anything is trained; [`Error::Write`] if a folder
    /// cannot be written; [`Error::Checkpoint`] if the checkpoint is not of this run;
    /// [`Error::NotFinite`] by [`OnNan`]; [`Error::Algorithm`] or an error of the model's loss, a
    /// callback or a logger; [`Error::Worker`] if a step panics or a remote device is gone;
    /// [`Error::Device`] if the device fails where its work is waited for; [`Error::Training`] for
    /// everything that Burn reports: a sample that cannot be read, a metric.
    pub fn fit(self) -> Result<Fit<M>, Error> {
        self.check()?;
        let devices = match self.devices.is_empty() {
            false => self.devices,
            true => vec![(self.model.devices().into_iter().next()).unwrap_or_default()],
        };
        let devices = Devices::new(devices);

        let hooks = Hooks::new(self.algorithms, self.callbacks, Stream::new(self.seed));
        let mut clock = Clock::new(self.max_duration, self.train_loader.num_items() as u64);
        // A model made on a plain device does not track gradients yet.
        let mut model = self.model.train().fork(devices.main());
        let mut optimizer = self.optimizer;
        let mut average = self.average.map(|decay| Average::new(decay, &model));
        let (mut history, mut sums) = (History::default(), Sums::default());
        let (mut train_seconds, mut skipped, mut best, mut best_since) = (0.0, 0, None, 0);
        if let Some(checkpoint) = self.resume {
            let samples = self.train_loader.num_items() as u64;
            checkpoint.check(self.seed, self.average.is_some(), samples)?;
            if self.best.is_some() {
                best = checkpoint.best_model(model.valid())?;
                if best.is_none() {
                    best_since = checkpoint.state.history.reports.len();
                }
            }
            model = checkpoint.load_model(model)?;
            optimizer = checkpoint.load_optimizer(optimizer)?;
            if let Some(average) = &mut average {
                average.model = checkpoint.inference_model(average.model.clone())?;
            }
            let state = checkpoint.state;
            clock.restore(state.counts);
            (history, sums) = (state.history, state.train);
            (train_seconds, skipped) = (state.train_seconds, state.skipped);
        }

        let loggers = match self.loggers.is_empty() {
            true => vec![Box::new(Lines) as Box<dyn Logger>],
            false => self.loggers,
        };
        let loggers = Arc::new(Mutex::new(loggers));
        let each = |call: &mut dyn FnMut(&mut dyn Logger) -> Result<(), Error>| {
            let mut loggers = loggers.lock().unwrap_or_else(PoisonError::into_inner);
            (loggers.iter_mut()).try_for_each(|logger| call(logger.as_mut()))
        };
        let now = clock.now();
        each(&mut |logger| logger.start(&history, &now))?;
        let tally = Tally::new(sums, {
            let (loggers, hooks) = (loggers.clone(), hooks.clone());
            Box::new(move |batch| {
                let mut loggers = loggers.lock().unwrap_or_else(PoisonError::into_inner);
                let logged = (loggers.iter_mut()).try_for_each(|logger| logger.batch(&batch));
                if let Err(error) = logged {
                    hooks.fail(error);
                }
            })
        });

        if let Err(error) = hooks.time(TimeEvent::FitStart, &now) {
            // The loggers have started; the first error is the one that counts.
            let _ = each(&mut |logger| logger.end());
            return Err(error);
        }
        let renderer = Counting {
            tally: tally.clone(),
            names: HashMap::new(),
            shown: self.renderer.map(|renderer| renderer(clock.clone())),
        };
        let trainee = Trainee {
            model,
            hooks: hooks.clone(),
        };
        // Only the strategy counts; Burn is told a number to show.
        let epochs = match self.max_duration {
            Duration::Epochs(epochs) => usize::try_from(epochs).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let learner = Learner::new(trainee, optimizer.clone(), self.learning_rate);
        let (strategy, finished) = Strategy::new(Run {
            train_loader: self.train_loader,
            eval_loader: self.eval_loader,
            devices,
            accumulate: self.accumulate,
            optimizer,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            eval_interval: self.eval_interval,
            checkpoints: self.checkpoints,
            seed: self.seed,
            on_nan: self.on_nan,
            patience: self.patience,
            stop: self.stop,
            clock: clock.clone(),
            hooks: hooks.clone(),
            tally,
            loggers: loggers.clone(),
            average,
            goal: self.best,
            best,
            best_since,
            history,
            train_seconds,
            skipped,
        });
        let result = SupervisedTraining::<Trainee<M, D>>::new("", NoData::new(), NoData::new())
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)))
            .metrics((LossMetric::new(), AccuracyMetric::new()))
            .metric_train_numeric(LearningRateMetric::new())
            .with_metric_logger(NoFiles)
            .with_application_logger(None)
            .with_interrupter(hooks.interrupter.clone())
            .num_epochs(epochs)
            .renderer(Box::new(renderer))
            .launch(learner);
        let ended = each(&mut |logger| logger.end());
        if let Some(error) = hooks.error() {
            return Err(error);
        }
        if let Some(error) = result.error {
            return Err(Error::Training(error));
        }
        ended?;
        let time = clock.now();
        hooks.time(TimeEvent::FitEnd, &time)?;
        let mut slot = finished.lock().unwrap_or_else(PoisonError::into_inner);
        let finished = slot.take().expect("a run that has no error leaves a model");
        Ok(Fit {
            model: finished.model,
            history: finished.history,
            is_complete: finished.is_complete,
        })
    }

    /// What can be known to be wrong before training.
    fn check(&self) -> Result<(), Error> {
        let loaders = [
            ("train_loader", Some(&self.train_loader)),
            ("eval_loader", self.eval_loader.as_ref()),
        ];
        for (argument, loader) in loaders {
            if loader.is_some_and(|loader| loader.num_items() == 0) {
                let accepted = "a loader of at least one sample";
                return Err(Error::argument(argument, "without samples", accepted));
            }
        }
        if matches!(self.max_duration, Duration::Share(_)) {
            let accepted = "epochs, batches, samples or time on the clock: a run is no share of \
                            itself";
            return Err(Error::argument("max_duration", self.max_duration, accepted));
        }
        self.max_duration.check_interval("max_duration")?;
        self.eval_interval.check_interval("eval_interval")?;
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::argument(
                "learning_rate",
                self.learning_rate,
                "a finite number above 0",
            ));
        }
        self.schedule.check()?;
        let devices = self.devices.len().max(1);
        if self.accumulate < devices {
            let accepted = format!("at least {devices}, one part for each device");
            return Err(Error::argument("accumulate", self.accumulate, accepted));
        }
        if let Some(decay) = self.average
            && !(decay > 0.0 && decay < 1.0)
        {
            let accepted = "a number above 0 and below 1";
            return Err(Error::argument("average", decay, accepted));
        }
        let patience = self.patience.map(|patience| patience.goal);
        for (argument, goal) in [("early_stopping", patience), ("best", self.best)] {
            if let Some(goal) = goal
                && goal.is_of_eval()
                && self.eval_loader.is_none()
            {
                let accepted = "train-loss or train-accuracy where there is no evaluation set";
                return Err(Error::argument(argument, goal, accepted));
            }
        }
        if self.patience.is_some_and(|patience| patience.reports == 0) {
            return Err(Error::argument("early_stopping", 0, "at least 1 report"));
        }
        algorithms::check(&self.algorithms)?;
        match &self.checkpoints {
            Some(checkpoints) => checkpoints.check(self.resume.is_some()),
            None => Ok(()),
        }
    }
}
