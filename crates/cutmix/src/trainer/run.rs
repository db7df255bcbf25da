//! The loop: batches, optimizer steps, reports and checkpoints, each when the clock says so.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use burn::train::{
    EventProcessorTraining, InferenceStep, Learner, LearnerEvent, SupervisedLearningStrategy,
    SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents, TrainingError, TrainingItem,
    ValidLoader,
};
use rand::Rng;

use super::average::Average;
use super::checkpoint::{self, Checkpoint, State};
use super::devices::Devices;
use super::hooks::{Hooks, TimeEvent};
use super::metric::StepOutput;
use super::tally::{Pending, Tally};
use super::trainee::{Part, Trainee};
use super::{
    BatchLog, Checkpoints, Classifier, Clock, Event, Goal, History, Logger, OnNan, Patience,
    Report, Schedule, Scores, Stop,
};
use crate::time::{Duration, Time};
use crate::{Batch, Error, Targets};

type Loader<const D: usize> = Arc<dyn DataLoader<Batch<D>>>;
type Processor<M, const D: usize> = SupervisedTrainingEventProcessor<Trainee<M, D>>;

/// The lane of the seeds of the devices' own generators (dropout), far from those of algorithms.
const DEVICE_LANE: u64 = u64::MAX;

/// A run: what it was set to, and where it is.
pub(super) struct Run<M: Classifier<D>, const D: usize> {
    pub train_loader: Loader<D>,
    pub eval_loader: Option<Loader<D>>,
    pub devices: Devices<M, D>,
    /// How many of the loader's batches make one of the run.
    pub accumulate: usize,
    pub optimizer: ModuleOptimizer,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub eval_interval: Duration,
    pub checkpoints: Option<Checkpoints>,
    pub seed: u64,
    pub on_nan: OnNan,
    pub patience: Option<Patience>,
    pub stop: Stop,
    pub clock: Clock,
    pub hooks: Hooks<D>,
    pub tally: Tally,
    pub loggers: Arc<Mutex<Vec<Box<dyn Logger>>>>,
    pub average: Option<Average<M>>,
    pub goal: Option<Goal>,
    pub best: Option<Best<M>>,
    /// The first report whose model can be the best: those before are lost where `best` is.
    pub best_since: usize,
    pub history: History,
    /// Seconds of training since the last report, before this process took over.
    pub train_seconds: f64,
    /// Batches that changed nothing because their loss was not finite.
    pub skipped: u64,
}

/// The best model so far.
pub(super) struct Best<M> {
    /// Batches of the run before it.
    pub batches: u64,
    pub model: M,
}

/// What is left of a run.
pub(super) struct Finished<M> {
    pub model: M,
    pub history: History,
    /// Whether it went on for as long as it was to.
    pub is_complete: bool,
}

/// What ends the loop.
enum End {
    /// The run is over, by its duration or its patience.
    Over,
    /// Somebody asked for it.
    Asked,
}

/// The parts of the loop that change from batch to batch.
struct Loop<'a, M: Classifier<D>, const D: usize> {
    run: &'a mut Run<M, D>,
    trainee: Trainee<M, D>,
    processor: &'a mut Processor<M, D>,
    learning_rate: f64,
    /// When it was last looked at whether something is due.
    checked: Time,
    /// Batches before the last report and the last checkpoint.
    reported: u64,
    saved: Option<u64>,
    train_start: Instant,
}

impl<M: Classifier<D>, const D: usize> Run<M, D> {
    fn go(
        &mut self,
        trainee: Trainee<M, D>,
        processor: &mut Processor<M, D>,
    ) -> Result<(M, bool), Error> {
        let checked = self.clock.now();
        let mut state = Loop {
            checked,
            reported: self
                .history
                .reports
                .last()
                .map_or(0, |report| report.batches),
            saved: None,
            learning_rate: 0.0,
            trainee,
            processor,
            train_start: Instant::now(),
            run: self,
        };
        let end = state.epochs()?;
        let model = match &state.run.best {
            Some(best) => best.model.clone(),
            None => state.inference(),
        };
        Ok((model, matches!(end, End::Over)))
    }
}

impl<M: Classifier<D>, const D: usize> Loop<'_, M, D> {
    fn epochs(&mut self) -> Result<End, Error> {
        let loader = (self.run.train_loader).to_device(&self.run.devices.loading());
        // A loader may draw the order of an epoch when it is asked for its batches.
        for _ in 0..self.run.clock.now().epoch {
            drop(loader.iter());
        }
        self.start_split();
        let end = loop {
            if self.run.clock.is_over() || self.has_lost_patience() {
                break End::Over;
            }
            if let Some(end) = self.epoch(loader.iter())? {
                break end;
            }
        };
        // What has not been reported and saved yet.
        if matches!(end, End::Over) && self.reported < self.run.clock.now().batch {
            self.report()?;
        }
        if self.saved != Some(self.run.clock.now().batch) {
            self.save()?;
        }
        self.end_split()?;
        Ok(end)
    }

    /// One pass over the data, or what is left of it.
    fn epoch(
        &mut self,
        mut batches: Box<dyn DataLoaderIterator<Batch<D>> + '_>,
    ) -> Result<Option<End>, Error> {
        let done = self.run.clock.counts().epoch_parts;
        if done == 0 {
            let time = self.run.clock.now();
            (self.run.hooks).time(TimeEvent::EpochStart, &time)?;
        } else {
            // Not more than what was handed out before the checkpoint.
            batches
                .nth(done as usize - 1)
                .transpose()
                .map_err(dataset)?;
        }
        let mut next = batches.next();
        if next.is_none() {
            let (value, accepted) = match done {
                0 => (
                    "without a batch",
                    "a loader that gives at least one batch an epoch",
                ),
                _ => (
                    "through before the batch at which the run goes on",
                    "the loader of the run, with batches of the same size",
                ),
            };
            return Err(Error::argument("train_loader", value, accepted));
        }
        while next.is_some() {
            if self.run.stop.is_requested() {
                return Ok(Some(End::Asked));
            }
            let parts = self.gather(&mut next, &mut batches)?;
            if parts.is_empty() {
                // By the clock it has been over since the last look at it.
                self.end_epoch()?;
                break;
            }
            self.batch(parts)?;
            let is_whole = next.is_none();
            if is_whole {
                self.run.clock.count_epoch();
            }
            let is_over = self.run.clock.is_over();
            let ends = is_whole || is_over;
            if ends {
                self.end_epoch()?;
            }
            if let Some(end) = self.look_around(is_over)? {
                if !ends {
                    self.end_epoch()?;
                }
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn end_epoch(&self) -> Result<(), Error> {
        let time = self.run.clock.now();
        (self.run.hooks).time(TimeEvent::EpochEnd, &time)
    }

    /// The parts of the next batch, cut to the sample where the run ends; leaves in `next` what
    /// comes after them.
    fn gather(
        &self,
        next: &mut Option<Result<Batch<D>, DatasetError>>,
        batches: &mut Box<dyn DataLoaderIterator<Batch<D>> + '_>,
    ) -> Result<Vec<Batch<D>>, Error> {
        let mut parts = Vec::with_capacity(self.run.accumulate);
        let mut samples = 0;
        while parts.len() < self.run.accumulate {
            let Some(part) = next.take() else { break };
            let part = part.map_err(dataset)?;
            let size = part.images.dims()[0];
            // By the clock the run may be over between two parts.
            let room = self.run.clock.room(samples + size).saturating_sub(samples);
            *next = batches.next();
            if room == 0 {
                break;
            }
            parts.push(first(part, room));
            samples += room;
        }
        Ok(parts)
    }

    /// One optimizer step.
    fn batch(&mut self, parts: Vec<Batch<D>>) -> Result<(), Error> {
        let run = &mut *self.run;
        let (start, position) = (run.clock.now(), run.clock.position());
        let sizes: Vec<_> = parts.iter().map(|part| part.images.dims()[0]).collect();
        let (count, samples) = (parts.len(), sizes.iter().sum::<usize>());
        let end = run.clock.after(samples);
        self.learning_rate = run.learning_rate * run.schedule.factor(&start, &end);

        let parts = parts.into_iter().enumerate().map(|(index, batch)| Part {
            share: sizes[index] as f64 / samples as f64,
            batch,
            time: start,
            position: position + index as u64,
        });
        let stream = run.hooks.stream.lane(DEVICE_LANE);
        let seed = |position| stream.at(position).next_u64();
        // What a step does to running statistics it does before its loss is known.
        let before = (run.on_nan == OnNan::Skip).then(|| self.trainee.model.valid());
        let outputs = (run.devices).step(&self.trainee, parts.collect(), seed)?;
        if let Some(error) = run.hooks.error() {
            return Err(error);
        }

        let is_finite = match run.on_nan {
            OnNan::Stop => true,
            // The only read-back of a training step, and only where it was asked for.
            OnNan::Skip => losses_are_finite(&outputs)?,
        };
        if is_finite {
            let mut outputs = outputs;
            let gradients = match outputs.len() {
                1 => std::mem::take(&mut outputs[0].0),
                _ => add_up(&self.trainee, &mut outputs),
            };
            let rate = ModuleLearningRate::from(self.learning_rate);
            self.trainee = run.optimizer.step(rate, self.trainee.clone(), gradients);
            if let Some(average) = &mut run.average {
                average.update(&self.trainee.model, start.batch);
            }
            self.show(outputs.into_iter().map(|(_, output)| output), start, count)?;
        } else {
            run.skipped += 1;
            if let Some(before) = before {
                self.trainee.model = before.train().fork(&run.devices.main());
            }
        }
        self.run.clock.count(samples, count);
        (self.run.hooks).time(TimeEvent::BatchEnd, &start)
    }

    /// Hands the outputs of a batch to Burn's metrics.
    fn show(
        &mut self,
        outputs: impl Iterator<Item = StepOutput>,
        start: Time,
        count: usize,
    ) -> Result<(), Error> {
        for (index, mut output) in outputs.enumerate() {
            self.run.tally.announce(Pending {
                batch: BatchLog {
                    time: start,
                    learning_rate: self.learning_rate,
                    scores: Scores::NONE,
                    notes: std::mem::take(&mut output.notes),
                },
                is_last: index + 1 == count,
            });
            let total = self.run.train_loader.num_items();
            let done = (start.epoch_progress * total as f64) as usize;
            let progress = Progress::new(done, total, Some("items".into()));
            let rate = Some(ModuleLearningRate::from(self.learning_rate));
            let item = TrainingItem::new(output, progress, Some(start.batch as usize + 1), rate);
            let result = self
                .processor
                .process_train(LearnerEvent::ProcessedItem(item));
            result.map_err(training)?;
        }
        Ok(())
    }

    /// After each batch: what the metrics have found, and what is due.
    fn look_around(&mut self, mut is_over: bool) -> Result<Option<End>, Error> {
        self.check_errors()?;
        let now = self.run.clock.now();
        let from = std::mem::replace(&mut self.checked, now);
        let mut is_best = false;
        if self.run.eval_interval.is_due(&from, &now) || is_over {
            is_best = self.report()?;
            is_over |= self.has_lost_patience();
        }
        let interval = self.run.checkpoints.as_ref().map(|to| to.interval);
        if interval.is_some_and(|interval| interval.is_due(&from, &now)) || is_best {
            self.save()?;
        }
        Ok(is_over.then_some(End::Over))
    }

    fn check_errors(&mut self) -> Result<(), Error> {
        if let Some(error) = self.run.hooks.error() {
            return Err(error);
        }
        if let Some(error) = self.run.hooks.interrupter.error() {
            return Err(Error::Training(error));
        }
        if let Some((batch, loss)) = self.run.tally.not_finite() {
            return Err(self.not_finite(batch, loss));
        }
        Ok(())
    }

    fn not_finite(&self, batch: u64, loss: f64) -> Error {
        let folder = self.run.checkpoints.as_ref().map(|to| &to.folder);
        let good = folder.and_then(|folder| Checkpoint::latest(folder).ok());
        Error::NotFinite {
            batch,
            loss,
            checkpoint: good.map(|good| good.checkpoint.path().display().to_string()),
        }
    }

    /// Waits for the metrics of all that was shown.
    fn flush(&mut self) -> Result<(), Error> {
        self.processor.flush().map_err(training)?;
        self.check_errors()
    }

    fn start_split(&mut self) {
        let event = LearnerEvent::StartSplit {
            epoch_number: self.run.history.reports.len() + 1,
            total_items: self.run.train_loader.num_items(),
        };
        (self.run.hooks.interrupter).fail_on_error(self.processor.process_train(event));
        self.train_start = Instant::now();
    }

    fn end_split(&mut self) -> Result<(), Error> {
        let number = self.run.history.reports.len() + 1;
        let event = LearnerEvent::EndSplit(number);
        self.processor.process_train(event).map_err(training)?;
        self.flush()
    }

    /// Evaluates and reports; whether the model is the best so far.
    fn report(&mut self) -> Result<bool, Error> {
        self.end_split()?;
        let train_seconds = self.run.train_seconds + self.train_start.elapsed().as_secs_f64();
        let train = self.run.tally.take_train();
        if train.is_empty() {
            // Every batch was passed over: there is nothing to wait for.
            return Err(self.not_finite(self.run.clock.now().batch - 1, f64::NAN));
        }
        let train = train.scores();
        let eval = self.evaluate()?;
        let now = self.run.clock.now();
        let report = Report {
            epoch: now.epoch as f64 + now.epoch_progress,
            batches: now.batch,
            samples: now.samples,
            learning_rate: self.learning_rate,
            train,
            mixed: self.run.hooks.mixes_targets(),
            eval,
            skipped: self.run.skipped,
            train_seconds,
            seconds: now.elapsed.as_secs_f64(),
        };
        let number = self.run.history.reports.len() + 1;
        let event = LearnerEvent::EndEpoch(number);
        self.processor.process_train(event).map_err(training)?;
        self.run.history.reports.push(report);
        let report = &self.run.history.reports[number - 1];
        {
            let mut loggers = self
                .run
                .loggers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            loggers
                .iter_mut()
                .try_for_each(|logger| logger.report(report))?;
        }
        self.run.hooks.tell(Event::Report(report))?;
        self.reported = now.batch;
        self.run.train_seconds = 0.0;
        self.start_split();

        let since = self.run.best_since;
        let best = (self.run.goal).and_then(|goal| goal.best(&self.run.history.reports[since..]));
        let is_best = best == Some(number - 1 - since);
        self.saved = None;
        if is_best {
            self.run.best = Some(Best {
                batches: now.batch,
                model: self.inference(),
            });
        }
        Ok(is_best)
    }

    /// The model as it would be handed over now.
    fn inference(&self) -> M {
        let model = match &self.run.average {
            Some(average) => &average.model,
            None => &self.trainee.model,
        };
        // A clone would share the running statistics, and change with them.
        model.valid()
    }

    /// Scores on the evaluation set.
    fn evaluate(&mut self) -> Result<Option<Scores>, Error> {
        let number = self.run.history.reports.len() + 1;
        let start = |total_items| LearnerEvent::StartSplit {
            epoch_number: number,
            total_items,
        };
        let Some(loader) = self.run.eval_loader.clone() else {
            // Burn's renderers expect the split, and algorithms no evaluation.
            self.processor.process_valid(start(0)).map_err(training)?;
            let end = LearnerEvent::EndSplit(number);
            self.processor.process_valid(end).map_err(training)?;
            return Ok(None);
        };
        let time = self.run.clock.now();
        (self.run.hooks).time(TimeEvent::EvalStart, &time)?;
        let loader = loader.to_device(&self.run.devices.main().inner());
        let trainee = Trainee {
            model: self.inference(),
            hooks: self.run.hooks.clone(),
        };
        let event = start(loader.num_items());
        self.processor.process_valid(event).map_err(training)?;
        let mut batches = loader.iter();
        let mut iteration = 0;
        while let Some(batch) = batches.next() {
            let output = InferenceStep::step(&trainee, batch.map_err(dataset)?);
            self.check_errors()?;
            iteration += 1;
            let item = TrainingItem::new(output, batches.progress(), Some(iteration), None);
            let result = self
                .processor
                .process_valid(LearnerEvent::ProcessedItem(item));
            result.map_err(training)?;
        }
        let end = LearnerEvent::EndSplit(number);
        self.processor.process_valid(end).map_err(training)?;
        self.flush()?;
        let scores = self.run.tally.take_eval().scores();
        let time = self.run.clock.now();
        (self.run.hooks).time(TimeEvent::EvalEnd, &time)?;
        Ok(Some(scores))
    }

    fn save(&mut self) -> Result<(), Error> {
        let Some(to) = self.run.checkpoints.clone() else {
            return Ok(());
        };
        // The numbers of the batches before have to be in the sums, and have to be good.
        self.flush()?;
        let model = &self.trainee.model;
        // Brings running statistics up to date: their last update waits for the next one.
        if !is_finite(&model.valid())? {
            return Err(self.not_finite(self.run.clock.now().batch, f64::NAN));
        }
        let encode = |error: burn::store::RecordError| Error::write(&to.folder, error);
        let records = [
            model.clone().into_record().into_bytes().map_err(encode)?,
            self.run
                .optimizer
                .to_record()
                .into_bytes()
                .map_err(encode)?,
        ];
        let average = (self.run.average.as_ref())
            .map(|average| average.model.clone().into_record().into_bytes())
            .transpose()
            .map_err(encode)?;
        let counts = self.run.clock.counts();
        let batch = self.run.clock.now().batch;
        let best = self.run.best.as_ref().map(|best| best.batches);
        let state = State {
            seed: self.run.seed,
            epoch_samples: self.run.train_loader.num_items() as u64,
            counts,
            history: self.run.history.clone(),
            train: self.run.tally.train(),
            train_seconds: self.run.train_seconds + self.train_start.elapsed().as_secs_f64(),
            best,
            skipped: self.run.skipped,
        };
        Checkpoint::write(&to.folder, batch, state, records, average)?;
        checkpoint::prune(&to.folder, batch, to.keep, best)
            .map_err(|error| Error::write(&to.folder, error))?;
        self.saved = Some(batch);
        Ok(())
    }

    fn has_lost_patience(&self) -> bool {
        let reports = &self.run.history.reports;
        self.run.patience.is_some_and(|patience| {
            let best = patience.goal.best(reports);
            best.is_some_and(|best| reports.len() - 1 - best >= patience.reports)
        })
    }
}

/// The gradients of a batch.
fn add_up<T: Module>(
    trainee: &T,
    outputs: &mut [(GradientsParams, StepOutput)],
) -> GradientsParams {
    let mut sum = GradientsAccumulator::new();
    for (gradients, _) in outputs {
        sum.accumulate(trainee, std::mem::take(gradients));
    }
    sum.grads()
}

/// Whether a model's weights are numbers: a step may have spoiled them that was none itself.
fn is_finite<M: Module>(model: &M) -> Result<bool, Error> {
    struct Sums(Result<bool, Error>);

    impl ModuleVisitor for Sums {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !matches!(self.0, Ok(true)) {
                return;
            }
            let sum = param.val().sum().try_into_scalar::<f32>();
            self.0 = match sum {
                Ok(sum) => Ok(sum.is_finite()),
                Err(error) => Err(Error::Device(error.to_string())),
            };
        }
    }

    let mut sums = Sums(Ok(true));
    model.visit(&mut sums);
    sums.0
}

/// Whether all parts of a batch have a loss that is a number.
fn losses_are_finite(outputs: &[(GradientsParams, StepOutput)]) -> Result<bool, Error> {
    for (_, output) in outputs {
        let loss = output.loss.clone().try_into_scalar::<f32>();
        let loss = loss.map_err(|error| Error::Device(error.to_string()))?;
        if !loss.is_finite() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn training(error: impl Into<TrainingError>) -> Error {
    Error::Training(Arc::new(error.into()))
}

fn dataset(error: DatasetError) -> Error {
    training(error)
}

/// The first `samples` samples of a batch.
fn first<const D: usize>(batch: Batch<D>, samples: usize) -> Batch<D> {
    if samples == batch.images.dims()[0] {
        return batch;
    }
    Batch {
        images: batch.images.slice_dim(0, 0..samples),
        targets: match batch.targets {
            Targets::Indices(indices) => indices.slice_dim(0, 0..samples).into(),
            Targets::Dense(dense) => dense.slice_dim(0, 0..samples).into(),
        },
    }
}

/// What Burn's learner runs: its strategies count in epochs, this one in any duration.
pub(super) struct Strategy<M: Classifier<D>, const D: usize> {
    /// Taken when it begins.
    run: Mutex<Option<Run<M, D>>>,
    finished: Arc<Mutex<Option<Finished<M>>>>,
}

impl<M: Classifier<D>, const D: usize> Strategy<M, D> {
    /// A strategy, and where it leaves what comes out of it.
    #[allow(clippy::type_complexity)] // the slot is named by its use
    pub fn new(run: Run<M, D>) -> (Self, Arc<Mutex<Option<Finished<M>>>>) {
        let finished = Arc::default();
        let strategy = Self {
            run: Mutex::new(Some(run)),
            finished: Arc::clone(&finished),
        };
        (strategy, finished)
    }
}

impl<M: Classifier<D>, const D: usize> SupervisedLearningStrategy<Trainee<M, D>>
    for Strategy<M, D>
{
    fn fit(
        &self,
        components: TrainingComponents<Trainee<M, D>>,
        learner: Learner<Trainee<M, D>>,
        _train: TrainLoader<Trainee<M, D>>,
        _valid: ValidLoader<Trainee<M, D>>,
        _starting_epoch: usize,
    ) -> (Trainee<M, D>, Processor<M, D>) {
        let mut processor = components.event_processor;
        let trainee = learner.model();
        let taken = self
            .run
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut run = taken.expect("a run is launched once");
        match run.go(trainee.clone(), &mut processor) {
            Ok((model, is_complete)) => {
                let finished = Finished {
                    model,
                    is_complete,
                    history: std::mem::take(&mut run.history),
                };
                let mut slot = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(finished);
            }
            Err(error) => run.hooks.fail(error),
        }
        (trainee, processor)
    }
}

/// The loaders that Burn's learner is given, and does not use: the run has its own.
pub(super) struct NoData<I>(PhantomData<fn() -> I>);

impl<I> NoData<I> {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(PhantomData))
    }
}

impl<I: 'static> DataLoader<I> for NoData<I> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<I> + 'a> {
        Box::new(Self(PhantomData))
    }

    fn num_items(&self) -> usize {
        0
    }

    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<I>> {
        Self::new()
    }

    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<I>> {
        Self::new()
    }
}

impl<I> Iterator for NoData<I> {
    type Item = Result<I, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl<I> DataLoaderIterator<I> for NoData<I> {
    fn progress(&self) -> Progress {
        Progress::new(0, 0, None)
    }
}
