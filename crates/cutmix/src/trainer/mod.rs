//! A trainer that runs algorithms at the right moments.
//!
//! [`Trainer`] is built on Burn's learner: it hands it the model with the run's algorithms around
//! its forward, loss and backward, data loaders that keep the clock, and two metrics. Burn runs
//! the loop, the metrics (on a thread of their own), the renderer, early stopping and checkpoints.

mod clock;
mod evaluate;
mod feed;
mod history;
mod hooks;
mod metric;
mod model;
mod schedule;
mod silent;
mod trainee;

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::DataLoader;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use burn::train::metric::store::EventStoreClient;
use burn::train::metric::{LearningRateMetric, LossMetric};
use burn::train::renderer::MetricsRenderer;
use burn::train::{
    EarlyStoppingStrategy, ExecutionStrategy, Interrupter, Learner, SupervisedTraining,
};

pub use clock::Clock;
pub use evaluate::evaluate;
pub use history::{Epoch, History, Scores};
pub use metric::{AccuracyInput, AccuracyMetric};
pub use model::Classifier;
pub use schedule::Schedule;

use crate::algorithms::{self, Algorithm};
use crate::plan::Stream;
use crate::time::Duration;
use crate::{Batch, Error};
use feed::{EvalFeed, TrainFeed};
use history::{HistoryLogger, OnEpoch};
use hooks::Hooks;
use schedule::Scheduler;
use silent::Silent;
use trainee::Trainee;

/// Trains a [`Classifier`]. `D` is the rank of the image batch.
///
/// The defaults: one epoch, no algorithm, AdamW with a weight decay of 0.01, a base learning rate
/// of 0.001 with 5 % warm-up and a cosine, seed 0, the device of the model, a line printed
/// for each epoch, nothing written.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use burn::data::dataloader::DataLoader;
/// # use cutmix::{Batch, Classifier, Error};
/// use cutmix::algorithms::CutMix;
/// use cutmix::trainer::Trainer;
///
/// # fn run(model: impl Classifier, train: Arc<dyn DataLoader<Batch>>, eval: Arc<dyn DataLoader<Batch>>) -> Result<(), Error> {
/// let fit = Trainer::new(model, train)
///     .eval_loader(eval)
///     .max_duration("10ep".parse()?)
///     .algorithm(CutMix::new(10).alpha(1.0))
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
    algorithms: Vec<Box<dyn Algorithm<D>>>,
    optimizer: ModuleOptimizer,
    learning_rate: f64,
    schedule: Schedule,
    seed: u64,
    device: Option<Device>,
    output: Option<PathBuf>,
    early_stopping: Option<Arc<Mutex<dyn EarlyStoppingStrategy>>>,
    on_epoch: OnEpoch,
    renderer: Renderer,
}

/// Makes the renderer once the run's clock exists.
type Renderer = Box<dyn FnOnce(Clock) -> Box<dyn MetricsRenderer>>;

/// A finished run.
#[derive(Debug)]
pub struct Fit<M> {
    /// The trained model, ready for inference.
    pub model: M,
    /// What happened.
    pub history: History,
}

impl<M: Classifier<D>, const D: usize> Trainer<M, D> {
    /// Trains `model` on the batches of `train_loader`; each pass over it is an epoch.
    pub fn new(model: M, train_loader: Arc<dyn DataLoader<Batch<D>>>) -> Self {
        Self {
            model,
            train_loader,
            eval_loader: None,
            max_duration: Duration::Epochs(1),
            algorithms: Vec::new(),
            optimizer: AdamWConfig::new().with_weight_decay(0.01).init(),
            learning_rate: 1e-3,
            schedule: Schedule::default(),
            seed: 0,
            device: None,
            output: None,
            early_stopping: None,
            on_epoch: Box::new(|epoch| {
                // A closed pipe must not end the training.
                let _ = writeln!(std::io::stdout(), "{epoch}");
                Ok(())
            }),
            renderer: Box::new(|_| Box::new(Silent)),
        }
    }

    /// Evaluates after each epoch. Evaluation never mixes.
    pub fn eval_loader(mut self, loader: Arc<dyn DataLoader<Batch<D>>>) -> Self {
        self.eval_loader = Some(loader);
        self
    }

    /// Ends the run exactly there; `"10ep".parse()?`.
    pub fn max_duration(mut self, duration: Duration) -> Self {
        self.max_duration = duration;
        self
    }

    /// Adds an algorithm; at each event they run in the order in which they were added. Those that
    /// cannot work together are refused by [`fit`](Self::fit), see [`algorithms::check`].
    pub fn algorithm(mut self, algorithm: impl Algorithm<D> + 'static) -> Self {
        self.algorithms.push(Box::new(algorithm));
        self
    }

    /// Takes another optimizer: `SgdConfig::new().init()` and its like.
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

    /// The seed of everything random in the loop: the algorithms' plans and the device's generator
    /// (dropout). The model's weights and the loader's order are drawn elsewhere.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Trains on this device instead of the model's.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Writes a checkpoint of model, optimizer and scheduler after each epoch into the folder
    /// `checkpoint` of this one, in Burn's format; the last two and the one of the lowest
    /// evaluation loss are kept. The records are those of Burn's learner: the model's parameters
    /// are found under the path `model`. The trainer does not resume from them yet.
    pub fn output(mut self, folder: impl Into<PathBuf>) -> Self {
        self.output = Some(folder.into());
        self
    }

    /// Stops early, by one of Burn's strategies on the metrics `LossMetric` or [`AccuracyMetric`].
    pub fn early_stopping(mut self, strategy: impl EarlyStoppingStrategy + 'static) -> Self {
        self.early_stopping = Some(Arc::new(Mutex::new(strategy)));
        self
    }

    /// Called with each epoch when it and its evaluation are over, instead of printing the epoch
    /// as a line. It runs on the thread of the metrics, while training goes on; an error stops the
    /// run at its next batch.
    pub fn on_epoch(
        mut self,
        on_epoch: impl FnMut(&Epoch) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        self.on_epoch = Box::new(on_epoch);
        self
    }

    /// Shows progress within epochs by one of Burn's renderers; it may keep the run's clock.
    pub fn renderer(
        mut self,
        renderer: impl FnOnce(Clock) -> Box<dyn MetricsRenderer> + 'static,
    ) -> Self {
        self.renderer = Box::new(renderer);
        self
    }

    /// Trains.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a setting out of range or a loader without samples, before anything
    /// is trained; [`Error::Write`] if the folder cannot be written; [`Error::Algorithm`] or an
    /// error of the model's loss; [`Error::Training`] for everything that Burn reports: a sample
    /// that cannot be read, a checkpoint that cannot be written, a metric, a device.
    pub fn fit(self) -> Result<Fit<M>, Error> {
        self.check()?;
        let device = match &self.device {
            Some(device) => device.clone(),
            None => (self.model.devices().into_iter().next()).unwrap_or_default(),
        };
        device.seed(self.seed);

        let clock = Clock::new(self.max_duration, self.train_loader.num_items() as u64);
        let hooks = Hooks::new(
            self.algorithms,
            Stream::new(self.seed),
            clock.clone(),
            Interrupter::new(),
        );
        let (logger, history) =
            HistoryLogger::new(hooks.clone(), self.eval_loader.is_some(), self.on_epoch);

        let mut training = SupervisedTraining::<Trainee<M, D>>::new(
            self.output.clone().unwrap_or_default(),
            Arc::new(TrainFeed {
                loader: self.train_loader,
                hooks: hooks.clone(),
            }),
            Arc::new(EvalFeed {
                loader: self.eval_loader,
                hooks: hooks.clone(),
            }),
        )
        .with_training_strategy(ExecutionStrategy::single(device).into())
        .metrics((LossMetric::new(), AccuracyMetric::new()))
        .metric_train_numeric(LearningRateMetric::new())
        .with_metric_logger(logger)
        .with_application_logger(None)
        .with_interrupter(hooks.interrupter.clone())
        .early_stopping(Stop {
            clock: clock.clone(),
            early: self.early_stopping,
        })
        .num_epochs(clock.max_epochs())
        .renderer((self.renderer)(clock.clone()));
        if self.output.is_some() {
            training = training.with_default_checkpointers();
        }

        (hooks).time("fit_start", clock.now(), Algorithm::fit_start);
        if let Some(error) = hooks.error() {
            return Err(error);
        }
        let result = training.launch(Learner::new(
            Trainee {
                // A model made on a plain device does not track gradients yet.
                model: self.model.train(),
                hooks: hooks.clone(),
            },
            self.optimizer,
            Scheduler {
                base: self.learning_rate,
                schedule: self.schedule,
                clock: clock.clone(),
            },
        ));
        if let Some(error) = hooks.error() {
            return Err(error);
        }
        if let Some(error) = result.error {
            return Err(Error::Training(error));
        }
        (hooks).time("fit_end", clock.now(), Algorithm::fit_end);
        if let Some(error) = hooks.error() {
            return Err(error);
        }
        let history = history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(Fit {
            model: result.model.model,
            history,
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
        if self.max_duration.is_zero() {
            let accepted = "a duration of at least 1";
            return Err(Error::argument("max_duration", self.max_duration, accepted));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::argument(
                "learning_rate",
                self.learning_rate,
                "a finite number above 0",
            ));
        }
        self.schedule.check()?;
        algorithms::check(&self.algorithms)?;
        if let Some(folder) = &self.output {
            let checkpoint = folder.join("checkpoint");
            let probe = checkpoint.join(".probe");
            std::fs::create_dir_all(&checkpoint)
                .and_then(|()| std::fs::write(&probe, "x"))
                .and_then(|()| std::fs::remove_file(&probe))
                .map_err(|error| Error::write(folder, error))?;
        }
        Ok(())
    }
}

/// Ends the run when its duration is over, or where the user's strategy says so.
#[derive(Clone)]
struct Stop {
    clock: Clock,
    early: Option<Arc<Mutex<dyn EarlyStoppingStrategy>>>,
}

impl EarlyStoppingStrategy for Stop {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        let early = (self.early.as_ref()).is_some_and(|early| {
            let mut early = early.lock().unwrap_or_else(PoisonError::into_inner);
            early.should_stop(epoch, store)
        });
        early || self.clock.is_over()
    }
}
