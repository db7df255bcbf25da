//! The loop: batches, optimizer steps, reports and checkpoints, each when the clock says so.

mod report;
mod save;
mod strategy;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::optim::ModuleOptimizer;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::train::{
    EventProcessorTraining, LearnerEvent, SupervisedTrainingEventProcessor, TrainingError,
    TrainingItem,
};
use rand::Rng;

use super::average::Average;
use super::checkpoint::Checkpoint;
use super::devices::Devices;
use super::hooks::{Hooks, TimeEvent};
use super::metric::StepOutput;
use super::tally::{Pending, Tally};
use super::trainee::{Part, Trainee};
use super::{
    BatchLog, Checkpoints, Classifier, Clock, Goal, History, Logger, OnNan, Patience, Schedule,
    Scores, Stop,
};
use crate::time::{Duration, Time};
use crate::{Batch, Error, Targets};

pub(super) use strategy::{NoData, Strategy};

type Loader<const D: usize> = Arc<dyn DataLoader<Batch<D>>>;
type Processor<M, const D: usize> = SupervisedTrainingEventProcessor<Trainee<M, D>>;

/// The lane of the seeds of the devices' own generators (dropout), far from those of algorithms.
const DEVICE_LANE: u64 = u64::MAX;

/// A run: what it was set to, and where it is.
pub(super) struct Run<M: Classifier<D>, const D: usize> {
    pub train_loader: Loader<D>,
    pub eval_loader: Option<Loader<D>>,
    pub devices: Devices,
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
        let model = self.devices.readable(&model)?;
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

        let stream = run.hooks.stream.lane(DEVICE_LANE);
        // What a step does to running statistics it does before its loss is known.
        let before = (run.on_nan == OnNan::Skip).then(|| self.trainee.model.valid());
        let parts = parts.into_iter().enumerate().map(|(index, batch)| {
            let position = position + index as u64;
            Part {
                share: sizes[index] as f64 / samples as f64,
                batch,
                time: start,
                position,
                seed: stream.at(position).next_u64(),
            }
        });
        let (gradients, outputs) = run.devices.step(&self.trainee, parts.collect())?;
        if let Some(error) = run.hooks.error() {
            return Err(error);
        }

        let is_finite = match run.on_nan {
            OnNan::Stop => true,
            // The only read-back of a training step, and only where it was asked for.
            OnNan::Skip => losses_are_finite(&outputs)?,
        };
        if is_finite {
            let rate = ModuleLearningRate::from(self.learning_rate);
            self.trainee = run.optimizer.step(rate, self.trainee.clone(), gradients);
            if let Some(average) = &mut run.average {
                average.update(&self.trainee.model, start.batch);
            }
            self.show(outputs, start, count)?;
        } else {
            run.skipped += 1;
            if let Some(before) = before {
                self.trainee.model = before.train().fork(run.devices.main());
            }
        }
        self.run.clock.count(samples, count);
        (self.run.hooks).time(TimeEvent::BatchEnd, &start)
    }

    /// Hands the outputs of a batch to Burn's metrics.
    fn show(&mut self, outputs: Vec<StepOutput>, start: Time, count: usize) -> Result<(), Error> {
        for (index, mut output) in outputs.into_iter().enumerate() {
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
}

/// Whether all parts of a batch have a loss that is a number.
fn losses_are_finite(outputs: &[StepOutput]) -> Result<bool, Error> {
    for output in outputs {
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
