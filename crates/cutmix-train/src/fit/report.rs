//! What is due between batches: evaluation, reports and checkpoints.

use std::time::Instant;

use super::{EvalSet, Run};
use crate::history::{Report, Score};
use crate::loggers::BatchLog;
use crate::metrics::{Outputs, ReadNumbers, Sums};
use crate::network::Network;
use crate::parameters;
use crate::{Error, Event};

impl<M: Network<D>, const D: usize> Run<M, D> {
    /// Evaluates, reports and saves, each where its interval has elapsed.
    pub(super) fn report_and_save_if_due(&mut self) -> Result<(), Error> {
        let now = *self.state.time();
        let from = std::mem::replace(&mut self.last_check, now);
        let mut is_best = false;
        let is_due = self.config.eval_interval.is_due(&from, &now);
        if is_due || self.state.clock.is_over() {
            is_best = self.report(is_due)?;
        }
        let interval = self.checkpoints.as_ref().map(|to| to.interval);
        if is_best || interval.is_some_and(|interval| interval.is_due(&from, &now)) {
            self.save()?;
        }
        Ok(())
    }

    /// Evaluates and reports; whether the model is the best so far. `is_whole` tells whether a whole
    /// evaluation interval has elapsed.
    pub(super) fn report(&mut self, is_whole: bool) -> Result<bool, Error> {
        self.finish_batches()?;
        let sums = std::mem::take(&mut self.record.sums);
        if sums.is_empty() && is_whole {
            // Every batch was skipped: nothing will get better.
            return Err(self.not_finite("loss", self.state.clock.counts.batches - 1));
        }
        // A step whose loss was finite may have spoiled the weights.
        if !parameters::are_finite(self.state.model())? {
            return Err(self.not_finite("weights", self.state.clock.counts.batches - 1));
        }
        self.average_statistics()?;
        self.emit(Event::EvalStart)?;
        let mut scores = sums.scores("train");
        scores.extend(self.evaluate()?);
        let scores = self.agree_on_scores(scores)?;
        self.agree_on_time()?;
        let now = self.state.clock.now();
        let report = Report {
            epoch: now.epoch as f64 + now.epoch_progress,
            batches: now.batch,
            samples: now.samples,
            learning_rate: self.state.learning_rate,
            scores,
            mixed: self.mixes_targets(),
            skipped: self.state.skipped,
            train_seconds: std::mem::take(&mut self.record.train_seconds),
            data_seconds: std::mem::take(&mut self.record.data_seconds),
            seconds: now.elapsed.as_secs_f64(),
        };
        self.loggers.each(|logger| logger.report(&report))?;
        self.state.history.reports.push(report);
        self.emit(Event::EvalEnd)?;
        self.batches_at_report = now.batch;
        self.batches_at_save = None;
        Ok(self.keep_if_best(now.batch))
    }

    /// The scores of all evaluation sets.
    fn evaluate(&mut self) -> Result<Vec<Score>, Error> {
        let mut scores = Vec::new();
        if self.evals.is_empty() {
            return Ok(scores);
        }
        let model = self.inference_model();
        let device = self.state.device().clone().without_autodiff();
        for EvalSet { name, loader } in &self.evals {
            let (mut done, total) = (0, loader.num_samples());
            let loggers = &mut self.loggers;
            let progress = |outputs: &Outputs| {
                done += outputs.logits.dims()[0];
                loggers.each(|logger| {
                    logger.evaluating(name, done, total);
                    Ok(())
                })
            };
            let (evaluator, loader) = (&self.evaluator, loader.as_ref());
            scores.extend(evaluator.run_observed(name, &model, loader, &device, progress)?);
        }
        Ok(scores)
    }

    /// Keeps the model where the last report is the best one; whether it is.
    fn keep_if_best(&mut self, batch: u64) -> bool {
        let Some(score) = &self.config.best else {
            return false;
        };
        let last = self.state.history.reports.len() - 1;
        let best = self.state.history.best_since(score, self.record.best_from);
        let is_best = best == Some(last);
        if is_best {
            self.best = Some(self.inference_model());
            self.record.best = Some((score.clone(), batch));
        }
        is_best
    }

    /// The model that evaluation and the result use, at this moment.
    pub(super) fn inference_model(&self) -> M {
        let model = self.state.ema_model.as_ref().unwrap_or(self.state.model());
        // A clone would share the running statistics, and change with them.
        model.valid()
    }

    /// Starts to write a checkpoint.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        if self.checkpoints.is_none() {
            return Ok(());
        }
        // The numbers of the batches before it belong to the checkpoint, and have to be finite.
        self.finish_batches()?;
        self.emit(Event::Save)?;
        self.loggers.each(|logger| logger.flush())?;
        self.average_statistics()?;
        self.agree_on_time()?;
        if let Some(writer) = &mut self.writer {
            writer.write(&self.state, &self.record, &self.config)?;
        }
        self.batches_at_save = Some(self.state.clock.counts.batches);
        Ok(())
    }

    /// Reads the numbers of all pending batches where no training follows. What a GPU still has to do
    /// for them counts as training.
    fn finish_batches(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        self.read_pending(0)?;
        self.record.train_seconds += started.elapsed().as_secs_f64();
        Ok(())
    }

    /// Reads the numbers of all pending batches but the last `keep`, in order.
    pub(super) fn read_pending(&mut self, keep: usize) -> Result<(), Error> {
        let reduction = self.evaluator.loss.reduction();
        let count = self.pending.len().saturating_sub(keep);
        for pending in self.pending.drain(..count).collect::<Vec<_>>() {
            let mut sums = Sums::default();
            for part in pending.parts {
                let ReadNumbers {
                    loss,
                    shares,
                    samples,
                } = part.read()?;
                if !loss.is_finite() {
                    return Err(self.not_finite("loss", pending.time.batch));
                }
                sums.add(loss, reduction, &shares, samples);
            }
            self.record.sums.add_all(&sums);
            let batch = BatchLog {
                time: pending.time,
                learning_rate: pending.learning_rate,
                loss: sums.loss(),
                accuracy: sums.accuracy(),
                logged: pending.logged,
            };
            self.loggers.each(|logger| logger.batch(&batch))?;
        }
        self.last_read = Instant::now();
        Ok(())
    }

    fn not_finite(&mut self, what: &'static str, batch: u64) -> Error {
        // A checkpoint that is being written may be the last good one.
        let checkpoint = self.writer.as_mut().and_then(|writer| {
            // Its own error would say the same of a later batch.
            let _ = writer.finish();
            writer.last()
        });
        Error::NotFinite {
            what,
            batch,
            checkpoint,
        }
    }
}
