//! The loop: epochs and batches.

mod gradients;
mod numbers;
mod report;
mod statistics;
mod together;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration as Wall, Instant};

use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use self::gradients::PartGradients;
use self::together::Outline;
use crate::algorithms::Algorithm;
use crate::callback::Callback;
use crate::checkpoint::{Checkpoints, RunRecord, Writer};
use crate::clock::{Clock, Counts};
use crate::data::Batches;
use crate::evaluate::Evaluator;
use crate::loggers::{Loggers, RunStart};
use crate::metrics::{MOST_PENDING, Measured, Numbers};
use crate::network::Network;
use crate::parameters;
use crate::state::Logged;
use crate::stop::Stop;
use crate::time::{Duration, Time};
use crate::trainer::{Fit, OnNan, Trainer, TrainerConfig};
use crate::world::World;
use crate::{Batch, Error, Event, Loader, State};

/// A named evaluation set.
pub(crate) struct EvalSet<const D: usize> {
    pub name: String,
    pub loader: Arc<dyn Loader<D>>,
}

/// A training run: its state, and everything around it that does not change.
pub(crate) struct Run<M: Network<D>, const D: usize> {
    state: State<M, D>,
    config: TrainerConfig,
    warmup: Duration,
    train: Arc<dyn Loader<D>>,
    evals: Vec<EvalSet<D>>,
    evaluator: Evaluator,
    algorithms: Vec<Box<dyn Algorithm<M, D>>>,
    callbacks: Vec<Box<dyn Callback<M, D>>>,
    loggers: Loggers,
    /// Where checkpoints are written, and by process 0 the one that writes them.
    checkpoints: Option<Checkpoints>,
    writer: Option<Writer>,
    stop: Stop,
    world: Arc<dyn World>,
    /// Whether any of several processes has been asked to stop.
    is_stopping: bool,
    /// Batches whose numbers have not been read from the device.
    pending: VecDeque<Pending>,
    last_read: Instant,
    /// What has to be saved besides the state: see [`RunRecord`].
    record: RunRecord,
    best: Option<M>,
    /// The time of the last look at what is due.
    last_check: Time,
    /// Elapsed batches at the last report and the last checkpoint.
    batches_at_report: u64,
    batches_at_save: Option<u64>,
}

/// The numbers of a batch, still on the device.
struct Pending {
    time: Time,
    learning_rate: f64,
    logged: Vec<Logged>,
    parts: Vec<Numbers>,
}

/// The longest time before the numbers of a batch are read.
const LONGEST_PENDING: Wall = Wall::from_millis(200);

impl<M: Network<D>, const D: usize> Run<M, D> {
    /// Prepares a run whose settings have been checked: from its start, or from a checkpoint.
    pub fn new(trainer: Trainer<M, D>) -> Result<Self, Error> {
        let config = trainer.config;
        let device = match trainer.device {
            Some(device) => device,
            None => (trainer.model.devices().into_iter().next()).unwrap_or_default(),
        };
        let device = device.autodiff();
        let samples = trainer.train.num_samples();
        let digest = trainer.train.digest();
        let writes = trainer.world.rank() == 0;
        let to_write = trainer.checkpoints.clone().filter(|_| writes);
        let writer = to_write.map(|to| Writer::open(to, trainer.resume.as_ref()));
        let writer = writer.transpose()?;

        // A model made on a plain device does not track gradients before `train`.
        let model = trainer.model.train().fork(&device);
        let mut record = RunRecord {
            run: crate::checkpoint::run_id(),
            num_samples: samples as u64,
            digest,
            ..RunRecord::default()
        };
        let mut clock = Clock::new(config.max_duration, samples, Counts::default());
        let mut best = None;
        let mut restored = None;
        if let Some(checkpoint) = trainer.resume {
            checkpoint.check(&config, &record)?;
            record = checkpoint.record(&config);
            clock = Clock::new(config.max_duration, samples, checkpoint.counts());
            restored = Some(checkpoint);
        }
        let (loss, classes) = (trainer.evaluator.loss.clone(), trainer.train.num_classes());
        let optimizer = trainer.optimizer;
        let mut state = State::new(model, optimizer, loss, clock, device, classes, config.seed);
        if let Some(checkpoint) = restored {
            if record.best.is_some() {
                best = checkpoint.best_model(state.model().valid())?;
            }
            if best.is_none() {
                record.best = None;
                record.best_from = checkpoint.history().reports.len();
            }
            checkpoint.restore(&mut state)?;
        }
        let has_ema = (trainer.algorithms.iter()).any(|one| one.effects().keeps_ema);
        Error::ensure(
            has_ema || state.ema_model.is_none(),
            "algorithms",
            "without a moving average",
            "the moving average of the run that is resumed",
        )?;
        Ok(Self {
            warmup: config.warmup.unwrap_or(config.schedule.default_warmup()),
            train: trainer.train,
            evals: trainer.evals,
            evaluator: trainer.evaluator,
            algorithms: trainer.algorithms,
            callbacks: trainer.callbacks,
            loggers: Loggers::new(trainer.loggers),
            checkpoints: trainer.checkpoints,
            writer,
            stop: trainer.stop,
            world: trainer.world,
            is_stopping: false,
            pending: VecDeque::new(),
            last_read: Instant::now(),
            last_check: *state.time(),
            batches_at_report: state
                .history
                .reports
                .last()
                .map_or(0, |report| report.batches),
            batches_at_save: None,
            record,
            best,
            state,
            config,
        })
    }

    /// Trains until the run is over.
    pub fn fit(mut self) -> Result<Fit<M>, Error> {
        self.check_start()?;
        let start = RunStart {
            history: self.state.history.clone(),
            time: *self.state.time(),
            max_duration: self.config.max_duration,
            epoch_samples: self.train.num_samples(),
            mixes_targets: self.mixes_targets(),
        };
        let result = self.loggers.start(&start).and_then(|()| self.epochs());
        // The loggers end in any case, and a checkpoint that is being written is finished. The first
        // error is the one that counts.
        let ended = self.loggers.end();
        let written = self.writer.as_mut().map_or(Ok(()), Writer::finish);
        let is_complete = result?;
        written?;
        ended?;
        self.average_statistics()?;
        let model = match self.best.take() {
            Some(best) => best,
            None => self.inference_model(),
        };
        Ok(Fit {
            model,
            history: self.state.history,
            is_complete,
        })
    }

    /// All epochs; whether the run is complete.
    fn epochs(&mut self) -> Result<bool, Error> {
        self.emit(Event::FitStart)?;
        self.agree_on_time()?;
        let train = self.train.clone();
        while !self.is_over() && !self.is_stopping() {
            self.epoch(train.as_ref())?;
        }
        let is_complete = self.is_over();
        let batches = self.state.clock.counts.batches;
        if is_complete && self.batches_at_report < batches {
            self.report(false)?;
        }
        if self.batches_at_save != Some(batches) {
            self.save()?;
        }
        self.emit(Event::FitEnd)?;
        Ok(is_complete)
    }

    /// One pass over the data, or what is left of it.
    fn epoch(&mut self, train: &dyn Loader<D>) -> Result<(), Error> {
        let counts = self.state.clock.counts;
        if counts.epoch_parts == 0 {
            self.emit(Event::EpochStart)?;
        }
        let device = self.state.device().clone();
        let skip = counts.epoch_parts as usize;
        let mut started = Instant::now();
        let waited = Cell::new(Wall::ZERO);
        let batches = train.batches_of(&self.share(), counts.epochs, skip, &device);
        let mut parts = timed(Box::new(batches.fuse()), &waited).peekable();
        loop {
            let (batch, outline) = self.next_batch(&mut parts)?;
            if outline.parts == 0 {
                return Err(no_batch(skip));
            }
            self.batch(batch, outline)?;
            let epoch_is_over = match outline.is_last {
                Some(is_last) => is_last,
                None => parts.peek().is_none(),
            };
            self.record.train_seconds += started.elapsed().as_secs_f64();
            self.record.data_seconds += waited.take().as_secs_f64();
            if epoch_is_over {
                self.state.clock.count_epoch();
            }
            self.state.set_time(self.state.clock.now());
            let ends_by_clock = epoch_is_over || self.state.clock.is_over();
            if ends_by_clock {
                self.emit(Event::EpochEnd)?;
            }
            self.report_and_save_if_due()?;
            if ends_by_clock || self.is_stopping() {
                return Ok(());
            }
            if self.has_lost_patience() {
                return self.emit(Event::EpochEnd);
            }
            started = Instant::now();
        }
    }

    /// One batch, from its parts to the optimizer step.
    fn batch(&mut self, parts: Vec<Batch<D>>, outline: Outline) -> Result<(), Error> {
        let start = self.state.clock.now();
        let (samples, count) = (outline.samples, outline.parts);
        // Of the parts in all processes.
        let first = self.state.clock.counts.parts;
        self.state.start_batch(start, first);
        self.state.learning_rate = self.learning_rate(&start, samples);
        // A forward pass changes running statistics before its loss is known.
        let statistics =
            (self.config.on_nan == OnNan::Skip).then(|| parameters::buffers(self.state.model()));

        let reduction = self.evaluator.loss.reduction();
        let mut gradients = PartGradients::new(reduction, samples, count);
        let mut measured = Vec::with_capacity(parts.len());
        if parts.is_empty() {
            self.emit(Event::BatchStart)?;
        }
        for (index, part) in parts.into_iter().enumerate() {
            let size = part.size();
            self.state.start_part(part);
            if index == 0 {
                self.emit(Event::BatchStart)?;
            }
            self.state.set_part(first + (outline.first + index) as u64);
            measured.push(self.forward_and_backward()?);
            let weight = if count > 1 {
                self.state.mean_weight()?
            } else {
                None
            };
            let of_part = std::mem::take(&mut self.state.gradients);
            gradients.add(
                self.state.model(),
                of_part,
                size,
                weight,
                self.state.device(),
            );
            self.state.end_part();
        }
        let measured = self.agree_on_batch(measured)?;
        let (model, device) = (self.state.model(), self.state.device());
        self.state.gradients = gradients.reduce(model, device, self.world.as_ref())?;
        self.state.start_step(first + count as u64 - 1);
        self.emit(Event::BeforeStep)?;

        if self.is_to_step(&measured)? {
            self.step();
        } else if let Some(statistics) = statistics {
            self.state.gradients = GradientsParams::new();
            self.state.skipped += 1;
            self.state.was_skipped = true;
            self.state
                .map_model(|model| parameters::restore_buffers(model, statistics));
        }
        self.state.unfreeze();
        let learning_rate = self.state.learning_rate;
        // Counted first, so that an algorithm can see what has elapsed with this batch.
        self.state.clock.count_batch(samples, count);
        self.emit(Event::BatchEnd)?;
        if !self.state.was_skipped {
            self.pending.push_back(Pending {
                time: start,
                learning_rate,
                logged: self.state.logged().to_vec(),
                parts: measured,
            });
        }
        if self.world.size() > 1 {
            // They have been read, and all processes look at the same ones at the same time.
            self.read_pending(0)?;
        } else if self.pending.len() > MOST_PENDING || self.last_read.elapsed() > LONGEST_PENDING {
            // The numbers of this batch may not have been computed yet.
            self.read_pending(1)?;
        }
        Ok(())
    }

    /// The learning rate of the batch of `samples` samples that starts at `start`.
    fn learning_rate(&self, start: &Time, samples: usize) -> f64 {
        let end = self.state.clock.after(samples);
        let cycle = self.state.clock.at(self.record.cycle);
        let (start, end) = (start.since(&cycle), end.since(&cycle));
        self.config.learning_rate * self.config.schedule.factor(&self.warmup, &start, &end)
    }

    /// A part of a batch, from its images to its gradients, with every event on the way.
    fn forward_and_backward(&mut self) -> Result<Measured, Error> {
        self.emit(Event::BeforeForward)?;
        self.state.seed_forward_pass();
        let logits = self.state.model().forward(self.state.images()?.clone());
        self.state.logits = Some(logits);
        self.emit(Event::AfterForward)?;
        self.emit(Event::BeforeLoss)?;
        let loss = self.state.compute_loss(&self.logits()?)?;
        self.state.loss = Some(loss);
        self.emit(Event::AfterLoss)?;
        self.emit(Event::BeforeBackward)?;
        let loss = left_by_algorithms(&self.state.loss, "loss")?;
        let accepted = "a loss of a model with at least one parameter that is trained";
        Error::ensure(loss.is_tracked(), "loss", "without a gradient", accepted)?;
        let gradients = loss.backward();
        self.state.gradients = GradientsParams::from_grads(gradients, self.state.model());
        self.emit(Event::AfterBackward)?;
        let (logits, targets) = (self.logits()?, &self.state.targets);
        Ok(Measured::new(
            &loss,
            &logits,
            targets,
            self.state.interpolation.as_ref(),
        ))
    }

    fn logits(&self) -> Result<Tensor<2>, Error> {
        left_by_algorithms(&self.state.logits, "logits")
    }

    /// Whether the optimizer is to use the gradients of this batch.
    fn is_to_step(&self, measured: &[Numbers]) -> Result<bool, Error> {
        if self.config.on_nan == OnNan::Stop {
            return Ok(true);
        }
        let norm = parameters::squared_norm(self.state.model(), &self.state.gradients);
        let on_device = measured.iter().filter_map(|part| match part {
            Numbers::OnDevice(measured) => Some(parameters::widen(measured.loss.clone())),
            Numbers::Read(_) => None,
        });
        let sum = on_device.chain(norm).reduce(|sum, next| sum + next);
        let is_finite = sum.map_or(Ok(true), parameters::is_finite)?;
        let mut read = measured.iter().filter_map(|part| match part {
            Numbers::OnDevice(_) => None,
            Numbers::Read(numbers) => Some(numbers.loss),
        });
        Ok(is_finite && read.all(f64::is_finite))
    }

    /// The optimizer step.
    fn step(&mut self) {
        let gradients = std::mem::take(&mut self.state.gradients);
        let rate = self.state.learning_rate;
        let model = self
            .state
            .model
            .take()
            .expect("every change puts the model back");
        self.state.model = Some(self.state.optimizer.step(rate, model, gradients));
    }

    fn mixes_targets(&self) -> bool {
        (self.algorithms.iter()).any(|algorithm| algorithm.effects().mixes_targets)
    }

    fn is_over(&self) -> bool {
        self.state.clock.is_over() || self.has_lost_patience()
    }

    fn has_lost_patience(&self) -> bool {
        let (history, first) = (&self.state.history, self.record.patience_from);
        let patience = self.config.patience.as_ref();
        patience.is_some_and(|patience| history.has_used_up(patience, first))
    }

    /// Lets the algorithms act at an event, then the callbacks look.
    fn emit(&mut self, event: Event) -> Result<(), Error> {
        let had_images = !self.state.has_lost_images();
        for (lane, algorithm) in self.algorithms.iter_mut().enumerate() {
            self.state.enter(lane as u64);
            let applied = algorithm.apply(event, &mut self.state);
            let is_kept = !had_images || !self.state.has_lost_images();
            let accepted =
                "images left in the state; an algorithm has to return the error of `map_images`";
            let kept = || Error::ensure(is_kept, "images", "lost", accepted);
            applied
                .and_then(|()| kept())
                .map_err(|source| Error::Algorithm {
                    algorithm: algorithm.name(),
                    event,
                    batch: self.state.time().batch,
                    source: source.into(),
                })?;
        }
        (self.callbacks.iter_mut()).try_for_each(|callback| callback.on(event, &self.state))
    }
}

/// The same batches; the time that is waited for each is added to `waited`.
fn timed<'a, const D: usize>(
    mut batches: Batches<'a, D>,
    waited: &'a Cell<Wall>,
) -> Batches<'a, D> {
    Box::new(std::iter::from_fn(move || {
        let started = Instant::now();
        let batch = batches.next();
        waited.set(waited.get() + started.elapsed());
        batch
    }))
}

/// A value that the loop has set; `None` only if an algorithm took it.
fn left_by_algorithms<const R: usize>(
    value: &Option<Tensor<R>>,
    name: &'static str,
) -> Result<Tensor<R>, Error> {
    let accepted = "a value left in the state";
    (value.clone()).ok_or_else(|| Error::argument(name, "taken by an algorithm", accepted))
}

fn no_batch(skip: usize) -> Error {
    let (value, accepted) = if skip == 0 {
        let accepted = "a loader that gives at least one batch an epoch";
        ("train, without a batch", accepted)
    } else {
        let accepted = "the loader of the run that is resumed, with batches of the same size";
        ("train, with fewer batches than the run has seen", accepted)
    };
    Error::argument("loader", value, accepted)
}
