//! The trainer: its settings, and what the user adds to them.

use std::sync::Arc;

use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use burn::train::metric::{Adaptor, Metric, Numeric};
use cutmix::loss::{CrossEntropy, Reduction};
use serde::{Deserialize, Serialize};

use crate::algorithms::{self, Algorithm};
use crate::callback::Callback;
use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::evaluate::{Evaluator, ensure_not_empty};
use crate::fit::{EvalSet, Run};
use crate::history::History;
use crate::loggers::{Lines, Logger};
use crate::loss::Loss;
use crate::metrics::Outputs;
use crate::network::Network;
use crate::schedule::Schedule;
use crate::stop::Stop;
use crate::time::Duration;
use crate::world::{Alone, World};
use crate::{Error, Loader};

/// What to do when the loss or the gradients of a batch are not finite numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNan {
    /// Stop the run with [`Error::NotFinite`]. The loss is read some batches later, so that no step
    /// waits for it; no checkpoint is written in between.
    #[default]
    Stop,
    /// Skip the update of such a batch, and stop the run if all batches of an evaluation interval
    /// are skipped. Loss and gradients are read back at each step, which makes a GPU wait.
    Skip,
}

/// The condition that ends a run when a score no longer improves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Patience {
    /// The score that has to improve: `val/loss`.
    pub score: String,
    /// The number of reports in a row that may pass without a better score, at least 1.
    pub reports: usize,
}

/// The settings of a [`Trainer`].
///
/// ```
/// use cutmix_train::{Schedule, TrainerConfig};
///
/// let config = TrainerConfig::new("10ep".parse()?)
///     .with_learning_rate(0.1)
///     .with_schedule(Schedule::OneCycle);
/// # Ok::<(), cutmix_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrainerConfig {
    /// The length of the run, exact to the batch, and in samples exact to the sample; a share is
    /// refused.
    pub max_duration: Duration,
    /// The time between two evaluations; one more follows at the end of the run.
    pub eval_interval: Duration,
    /// The base learning rate, finite and above 0.
    pub learning_rate: f64,
    /// The change of the learning rate over the run.
    pub schedule: Schedule,
    /// The time over which the learning rate rises; `None` is the schedule's usual one.
    pub warmup: Option<Duration>,
    /// The number of the loader's batches that make one batch of the run, as its parts. Their
    /// gradients are added up as if they were one batch; each part is mixed by itself, with a plan
    /// of its own, and batch normalisation sees the parts. Where several processes train together, it is
    /// the number in all of them.
    pub accumulate: usize,
    /// The seed of everything random in the loop: the plans of the algorithms and the generator of
    /// the device (dropout). Weights and the order of the data are drawn elsewhere.
    pub seed: u64,
    /// What to do when the loss or the gradients are not finite numbers.
    pub on_nan: OnNan,
    /// The score by which the best model is kept and returned: `val/accuracy`; `None` returns the
    /// last model.
    pub best: Option<String>,
    /// The condition that ends a run early; `None` never does.
    pub patience: Option<Patience>,
}

impl Default for TrainerConfig {
    /// One epoch at a learning rate of 0.001.
    fn default() -> Self {
        Self {
            max_duration: Duration::Epochs(1),
            eval_interval: Duration::Epochs(1),
            learning_rate: 1e-3,
            schedule: Schedule::default(),
            warmup: None,
            accumulate: 1,
            seed: 0,
            on_nan: OnNan::default(),
            best: None,
            patience: None,
        }
    }
}

impl TrainerConfig {
    /// The settings of a run of this length: a learning rate of 0.001 with 5 % warm-up and a cosine,
    /// an evaluation after each epoch, seed 0.
    pub fn new(max_duration: Duration) -> Self {
        Self {
            max_duration,
            ..Self::default()
        }
    }

    setters! {
        /// Sets the time between two evaluations.
        with_eval_interval eval_interval: Duration;
        /// Sets the base learning rate.
        with_learning_rate learning_rate: f64;
        /// Sets the change of the learning rate over the run.
        with_schedule schedule: Schedule;
        /// Sets the time over which the learning rate rises.
        with_warmup warmup: Duration;
        /// Sets the number of parts of a batch.
        with_accumulate accumulate: usize;
        /// Sets the seed.
        with_seed seed: u64;
        /// Sets what to do when the loss or the gradients are not finite numbers.
        with_on_nan on_nan: OnNan;
    }

    /// Keeps and returns the best model by this score: `val/accuracy`.
    pub fn with_best(mut self, score: impl Into<String>) -> Self {
        self.best = Some(score.into());
        self
    }

    /// Ends the run after `reports` reports in a row without a better `score`.
    pub fn with_patience(mut self, score: impl Into<String>, reports: usize) -> Self {
        let score = score.into();
        self.patience = Some(Patience { score, reports });
        self
    }

    /// A trainer of `model` on the batches of `train`.
    pub fn init<M: Network<D>, const D: usize>(
        self,
        model: M,
        train: Arc<dyn Loader<D>>,
    ) -> Trainer<M, D> {
        Trainer::new(self, model, train)
    }

    /// Checks the settings that do not depend on the rest of a trainer.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a setting out of range.
    pub fn check(&self) -> Result<(), Error> {
        let is_share = matches!(self.max_duration, Duration::Share(_));
        let accepted = "epochs, batches, samples or time: a run is no share of itself";
        Error::ensure(!is_share, "max_duration", self.max_duration, accepted)?;
        self.max_duration.check_interval("max_duration")?;
        self.eval_interval.check_interval("eval_interval")?;
        Error::ensure_positive("learning_rate", self.learning_rate)?;
        self.schedule.check()?;
        self.warmup
            .map_or(Ok(()), |warmup| warmup.check("warmup"))?;
        Error::ensure(self.accumulate > 0, "accumulate", 0, "at least 1 part")?;
        let reports = self
            .patience
            .as_ref()
            .map_or(1, |patience| patience.reports);
        Error::ensure(reports > 0, "patience", 0, "at least 1 report")
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Fit<M> {
    /// The trained model, ready for inference: the best one by the score of
    /// [`TrainerConfig::best`], the moving average of the weights, or the model of the last batch.
    pub model: M,
    /// The reports of the run.
    pub history: History,
    /// Whether the run lasted as long as it was meant to; not where [`Stop`] ended it.
    pub is_complete: bool,
}

/// Trains a [`Network`]. `D` is the rank of the images.
///
/// Without further calls the loss is cross-entropy, the optimizer AdamW with a weight decay of 0.01,
/// the device that of the model; nothing is evaluated or written, and a line is printed for each
/// report.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use cutmix_train::{Error, Loader, Network};
/// use cutmix_train::algorithms::CutMix;
/// use cutmix_train::{Checkpoints, TrainerConfig};
///
/// # fn run(model: impl Network, train: Arc<dyn Loader>, val: Arc<dyn Loader>) -> Result<(), Error> {
/// let fit = TrainerConfig::new("10ep".parse()?)
///     .init(model, train)
///     .eval("val", val)
///     .algorithm(CutMix::new())
///     .checkpoints(Checkpoints::new("run/checkpoints").with_save_interval("500ba".parse()?))
///     .fit()?;
/// println!("{:?}", fit.history.last("val/accuracy"));
/// # Ok(())
/// # }
/// ```
pub struct Trainer<M: Network<D>, const D: usize = 4> {
    pub(crate) config: TrainerConfig,
    pub(crate) model: M,
    pub(crate) train: Arc<dyn Loader<D>>,
    pub(crate) evals: Vec<EvalSet<D>>,
    pub(crate) evaluator: Evaluator,
    pub(crate) algorithms: Vec<Box<dyn Algorithm<M, D>>>,
    pub(crate) callbacks: Vec<Box<dyn Callback<M, D>>>,
    pub(crate) loggers: Vec<Box<dyn Logger>>,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) device: Option<Device>,
    pub(crate) checkpoints: Option<Checkpoints>,
    pub(crate) resume: Option<Checkpoint>,
    pub(crate) stop: Stop,
    pub(crate) world: Arc<dyn World>,
}

impl<M: Network<D>, const D: usize> Trainer<M, D> {
    /// A trainer of `model` on the batches of `train` with these settings.
    pub fn new(config: TrainerConfig, model: M, train: Arc<dyn Loader<D>>) -> Self {
        Self {
            config,
            model,
            train,
            evals: Vec::new(),
            evaluator: Evaluator::new(CrossEntropy::new()),
            algorithms: Vec::new(),
            callbacks: Vec::new(),
            loggers: Vec::new(),
            optimizer: AdamWConfig::new().with_weight_decay(0.01).init(),
            device: None,
            checkpoints: None,
            resume: None,
            stop: Stop::new(),
            world: Arc::new(Alone),
        }
    }

    /// Adds an evaluation set. Its scores are named after it: `val/accuracy`. Evaluation never sees
    /// an algorithm.
    pub fn eval(mut self, name: impl Into<String>, loader: Arc<dyn Loader<D>>) -> Self {
        let name = name.into();
        self.evals.push(EvalSet { name, loader });
        self
    }

    /// Sets the loss.
    pub fn loss(mut self, loss: impl Loss + 'static) -> Self {
        self.evaluator.loss = Arc::new(loss);
        self
    }

    /// Adds a metric of the evaluation sets, one of Burn's or your own. On the set `val`, its score
    /// is named `val/NAME`.
    pub fn metric<Me>(mut self, name: impl Into<String>, metric: Me) -> Self
    where
        Me: Metric + Numeric + 'static,
        Outputs: Adaptor<Me::Input>,
    {
        self.evaluator = self.evaluator.metric(name, metric);
        self
    }

    /// Sets the loss and the metrics of the evaluation sets by those of an evaluator.
    pub fn evaluator(mut self, evaluator: Evaluator) -> Self {
        self.evaluator = evaluator.world(self.world.clone());
        self
    }

    /// Adds an algorithm. At each event the algorithms act in the order in which they were added.
    /// Those that cannot work together are refused by [`fit`](Self::fit), see
    /// [`algorithms::check`].
    pub fn algorithm(mut self, algorithm: impl Algorithm<M, D> + 'static) -> Self {
        self.algorithms.push(Box::new(algorithm));
        self
    }

    /// Adds a callback, which looks at the state at every event, after the algorithms.
    pub fn callback(mut self, callback: impl Callback<M, D> + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Adds a logger. Without any, the run prints a line for each report.
    pub fn logger(mut self, logger: impl Logger + 'static) -> Self {
        self.loggers.push(Box::new(logger));
        self
    }

    /// Trains together with the other processes of a [`World`], each of which has the same model, data
    /// and settings. Each makes its parts of every batch and its share of the evaluation sets; process 0
    /// logs and writes checkpoints. All return the same model and history.
    ///
    /// The parts of a batch, of which there are [`TrainerConfig::accumulate`] in all processes, are those
    /// of one process: everything random is a function of the number of the part. On the CPU the weights
    /// are the same bit for bit where each process makes 1, 2, 4, ... parts. Running statistics are not,
    /// since each process counts those of its own parts; they are averaged before each evaluation and
    /// checkpoint.
    pub fn world(mut self, world: Arc<dyn World>) -> Self {
        self.evaluator = self.evaluator.world(world.clone());
        self.world = world;
        self
    }

    setters! {
        /// Sets the optimizer: `SgdConfig::new().init()`, for example.
        optimizer optimizer: ModuleOptimizer;
        /// Trains on this device instead of the model's.
        device device: Device;
        /// Writes checkpoints to the folder, and at the interval, of [`Checkpoints`].
        checkpoints checkpoints: Checkpoints;
        /// Resumes a run from a checkpoint, to the result that it would have had without the stop, bit
        /// for bit on the CPU. Model, data and settings have to be those of the run. Algorithms and
        /// callbacks of your own start afresh; those of this library keep nothing outside the checkpoint.
        ///
        /// With a longer `max_duration` the run is extended. Where it was stopped, the learning rate
        /// continues as if the run had always had the new length. Where it had finished, a new cycle of
        /// the schedule starts, with the warm-up and the base rate as its peak.
        resume resume: Checkpoint;
        /// Lets this handle end the run.
        stop stop: Stop;
    }

    /// Trains until the run is over or is stopped, and returns the model and the reports.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a setting out of range, a loader without samples, or a new run in the
    /// folder of another run's checkpoints, before anything is trained; [`Error::Write`] and
    /// [`Error::Locked`] for a folder; [`Error::Checkpoint`] if the checkpoint is not of this run;
    /// [`Error::NotFinite`] by [`OnNan`]; [`Error::Algorithm`]; [`Error::Data`] for a sample that
    /// cannot be read; [`Error::Device`]; and the errors of losses, callbacks and loggers.
    pub fn fit(mut self) -> Result<Fit<M>, Error> {
        self.check()?;
        if self.world.rank() > 0 {
            self.loggers.clear();
        } else if self.loggers.is_empty() {
            self.loggers.push(Box::new(Lines));
        }
        Run::new(self)?.fit()
    }

    /// Checks everything that can be known to be wrong before training.
    fn check(&self) -> Result<(), Error> {
        self.config.check()?;
        let (parts, processes) = (self.config.accumulate, self.world.size());
        let accepted = format!("a multiple of the number of processes, {processes}");
        let divides = parts.is_multiple_of(processes);
        Error::ensure(divides, "accumulate", parts, accepted)?;
        self.evaluator.check()?;
        let sets = (self.evals.iter()).map(|set| (set.name.as_str(), &set.loader));
        for (name, loader) in sets.chain([("train", &self.train)]) {
            ensure_not_empty(name, loader.num_samples() == 0)?;
        }
        for (index, EvalSet { name, .. }) in self.evals.iter().enumerate() {
            let is_taken = self.evals[..index].iter().any(|other| other.name == *name);
            let is_free = !is_taken && name != "train" && !name.contains('/');
            let accepted = "a name of its own without a slash, and not `train`";
            Error::ensure(is_free, "eval", name, accepted)?;
        }
        let is_reduced = self.evaluator.loss.reduction() != Reduction::None;
        Error::ensure(is_reduced, "reduction", "none", "the mean or the sum")?;
        self.check_score("best", self.config.best.as_deref())?;
        let patience = self.config.patience.as_ref();
        self.check_score("patience", patience.map(|patience| patience.score.as_str()))?;
        algorithms::check(&self.algorithms)
    }

    /// Checks that the run has a score of this name.
    fn check_score(&self, argument: &'static str, score: Option<&str>) -> Result<(), Error> {
        let Some(score) = score else {
            return Ok(());
        };
        let mut known = vec!["train/loss".to_string(), "train/accuracy".to_string()];
        for set in &self.evals {
            let names = self.evaluator.metric_names();
            known.extend(names.map(|metric| format!("{}/{metric}", set.name)));
        }
        let is_known = known.iter().any(|name| name == score);
        Error::ensure(is_known, argument, score, known.join(", "))
    }
}
