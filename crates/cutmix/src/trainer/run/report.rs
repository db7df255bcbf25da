//! Scores on both sets, when they are due.

use std::sync::PoisonError;
use std::time::Instant;

use burn::train::{EventProcessorTraining, InferenceStep, LearnerEvent, TrainingItem};

use super::{Best, Loop, dataset, training};
use crate::Error;
use crate::trainer::hooks::TimeEvent;
use crate::trainer::trainee::Trainee;
use crate::trainer::{Classifier, Event, Report, Scores};

impl<M: Classifier<D>, const D: usize> Loop<'_, M, D> {
    pub(super) fn start_split(&mut self) {
        let event = LearnerEvent::StartSplit {
            epoch_number: self.run.history.reports.len() + 1,
            total_items: self.run.train_loader.num_items(),
        };
        (self.run.hooks.interrupter).fail_on_error(self.processor.process_train(event));
        self.train_start = Instant::now();
    }

    pub(super) fn end_split(&mut self) -> Result<(), Error> {
        let number = self.run.history.reports.len() + 1;
        let event = LearnerEvent::EndSplit(number);
        self.processor.process_train(event).map_err(training)?;
        self.flush()
    }

    /// Evaluates and reports; whether the model is the best so far.
    pub(super) fn report(&mut self) -> Result<bool, Error> {
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
    pub(super) fn inference(&self) -> M {
        let model = match &self.run.average {
            Some(average) => &average.model,
            None => &self.trainee.model,
        };
        // A clone would share the running statistics, and change with them.
        model.valid()
    }

    /// Scores on the evaluation set.
    pub(super) fn evaluate(&mut self) -> Result<Option<Scores>, Error> {
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
        let loader = loader.to_device(&self.run.devices.main().clone().inner());
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
            let output = self.run.devices.read(output)?;
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

    pub(super) fn has_lost_patience(&self) -> bool {
        let reports = &self.run.history.reports;
        self.run.patience.is_some_and(|patience| {
            let best = patience.goal.best(reports);
            best.is_some_and(|best| reports.len() - 1 - best >= patience.reports)
        })
    }
}
