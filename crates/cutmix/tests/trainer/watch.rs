//! Loggers, callbacks, stopping, moving averages, batches of several parts.

use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use cutmix::Error;
use cutmix::algorithms::{Algorithm, CutMix, Step};
use cutmix::time::Time;
use cutmix::trainer::{BatchLog, Event, Goal, History, Logger, OnNan, Patience, Report, Stop};

use crate::setting::*;
use crate::{refused, setting, trainer};

/// Keeps everything it is told.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<BatchLog>>>);

impl Logger for Everything {
    fn start(&mut self, history: &History, _: &Time) -> Result<(), Error> {
        (self.0.lock().unwrap()).push(format!("start {}", history.reports.len()));
        Ok(())
    }
    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        (self.0.lock().unwrap()).push(format!("batch {}", batch.time.batch));
        self.1.lock().unwrap().push(batch.clone());
        Ok(())
    }
    fn report(&mut self, report: &Report) -> Result<(), Error> {
        (self.0.lock().unwrap()).push(format!("report {}", report.batches));
        Ok(())
    }
    fn end(&mut self) -> Result<(), Error> {
        self.0.lock().unwrap().push("end".into());
        Ok(())
    }
}

#[test]
fn a_logger_is_told_of_batches_and_reports_in_order() {
    let (_, model, train) = setting();
    let everything = Everything::default();
    let fit = trainer(model, train)
        .max_duration("4ba".parse().unwrap())
        .algorithm(CutMix::new(CLASSES))
        .logger(everything.clone())
        .fit()
        .unwrap();
    let expected = [
        "start 0", "batch 0", "batch 1", "batch 2", "report 3", "batch 3", "report 4", "end",
    ];
    assert_eq!(*everything.0.lock().unwrap(), expected);

    let batches = everything.1.lock().unwrap();
    for batch in batches.iter() {
        assert_eq!(batch.notes[0].name, "cutmix/lambda");
        assert!((0.0..=1.0).contains(&batch.notes[0].value));
        assert!(batch.scores.loss > 0.0);
        assert!((0.0..=100.0).contains(&batch.scores.accuracy));
        assert_eq!(batch.learning_rate, 0.1);
    }
    let mean = (4.0 * batches[0].scores.loss
        + 4.0 * batches[1].scores.loss
        + 3.0 * batches[2].scores.loss)
        / 11.0;
    assert!((fit.history.reports[0].train.loss - mean).abs() < 1e-9);
}

/// Fails where it is told to.
struct FullDisk(&'static str);

impl FullDisk {
    fn at(&self, place: &str) -> Result<(), Error> {
        match place == self.0 {
            true => Err(Error::argument("disk", "full", place)),
            false => Ok(()),
        }
    }
}

impl Logger for FullDisk {
    fn start(&mut self, _: &History, _: &Time) -> Result<(), Error> {
        self.at("start")
    }
    fn batch(&mut self, _: &BatchLog) -> Result<(), Error> {
        self.at("batch")
    }
    fn report(&mut self, _: &Report) -> Result<(), Error> {
        self.at("report")
    }
    fn end(&mut self) -> Result<(), Error> {
        self.at("end")
    }
}

#[test]
fn the_error_of_a_logger_ends_the_run() {
    for place in ["start", "batch", "report", "end"] {
        let (_, model, train) = setting();
        let run = trainer(model, train).logger(FullDisk(place));
        let error = run.fit().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`disk` is full; accepted: {place}")
        );
    }
}

#[test]
fn a_logger_that_has_started_ends_where_a_callback_stops_the_run_at_once() {
    let (_, model, train) = setting();
    let everything = Everything::default();
    trainer(model, train)
        .logger(everything.clone())
        .callback(|_: Event<'_>| Err(Error::argument("callback", "there", "nothing")))
        .fit()
        .unwrap_err();
    assert_eq!(*everything.0.lock().unwrap(), ["start 0", "end"]);
}

#[test]
fn callbacks_see_every_event_after_the_algorithms() {
    let (device, model, train) = setting();
    let log = Log::default();
    let seen = log.clone();
    trainer(model, train)
        .max_duration("1ba".parse().unwrap())
        .eval_loader(Batches::new(3, 3, &device).loader())
        .algorithm(Recorder {
            log: log.clone(),
            label: "",
        })
        .callback(move |event: Event<'_>| {
            let text = format!("{event:?}");
            let name = text.split(['(', ' ']).next().unwrap().to_string();
            seen.lock().unwrap().push(name);
            Ok(())
        })
        .fit()
        .unwrap();
    let log = log.lock().unwrap();
    let names: Vec<_> = (log.iter())
        .map(|entry| entry.split(' ').next().unwrap())
        .collect();
    let expected = [
        ("fit_start", "FitStart"),
        ("epoch_start", "EpochStart"),
        ("batch_start", "BatchStart"),
        ("before_forward", "BeforeForward"),
        ("after_forward", "AfterForward"),
        ("before_loss", "BeforeLoss"),
        ("after_loss", "AfterLoss"),
        ("before_backward", "BeforeBackward"),
        ("after_backward", "AfterBackward"),
        ("batch_end", "BatchEnd"),
        ("epoch_end", "EpochEnd"),
        ("eval_start", "EvalStart"),
        ("eval_end", "EvalEnd"),
    ];
    let mut expected: Vec<_> = expected.iter().flat_map(|&(a, b)| [a, b]).collect();
    expected.extend(["Report", "fit_end", "FitEnd"]);
    assert_eq!(names, expected);
}

#[test]
fn a_run_ends_when_it_is_asked_to() {
    let (_, model, train) = setting();
    let stop = Stop::new();
    let handle = stop.clone();
    let fit = trainer(model, train)
        .max_duration("9ep".parse().unwrap())
        .stop(stop)
        .callback(move |event: Event<'_>| {
            if matches!(event, Event::BatchEnd(time) if time.batch == 3) {
                handle.request();
            }
            Ok(())
        })
        .fit()
        .unwrap();
    assert!(!fit.is_complete);
    // The epoch that was cut short has no report.
    assert_eq!(fit.history.reports.len(), 1);
}

/// Makes the loss of one batch infinite.
struct Explodes {
    at: u64,
}

impl Algorithm for Explodes {
    fn name(&self) -> String {
        "explodes".into()
    }
    fn before_loss(&self, step: &mut Step) -> Result<(), Error> {
        if step.time().batch == self.at {
            step.logits = step.logits.take().map(|logits| logits * f32::NAN);
        }
        Ok(())
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_or_is_passed_over() {
    let (_, model, train) = setting();
    let error = trainer(model, train)
        .max_duration("50ep".parse().unwrap())
        .algorithm(Explodes { at: 4 })
        .fit()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the loss of batch 4 is NaN; try a lower learning rate, or `on_nan` with skip"
    );

    let (_, model, train) = setting();
    let fit = trainer(model, train)
        .max_duration("2ep".parse().unwrap())
        .on_nan(OnNan::Skip)
        .algorithm(Explodes { at: 4 })
        .fit()
        .unwrap();
    assert!(fit.model.weights().iter().all(|weight| weight.is_finite()));
    let [first, second] = fit.history.reports.as_slice() else {
        panic!("two epochs")
    };
    assert_eq!((first.skipped, second.skipped), (0, 1));
    assert!(second.train.loss.is_finite());
    assert_eq!(second.batches, 6);
    assert!(second.to_string().contains("  1 skipped  "), "{second}");
}

#[test]
fn the_best_model_is_given_where_it_is_asked_for() {
    let fit = |best: bool| {
        let (device, model, train) = setting();
        let mut run = trainer(model, train)
            // Grows without end after a while.
            .learning_rate(40.0)
            .eval_loader(Batches::new(11, 11, &device).loader())
            .max_duration("5ep".parse().unwrap());
        if best {
            run = run.best(Goal::EvalLoss);
        }
        run.fit().unwrap()
    };
    let (last, best) = (fit(false), fit(true));
    assert_eq!(last.history.last_eval(), best.history.last_eval());
    let losses: Vec<_> = (best.history.reports.iter())
        .map(|report| report.eval.unwrap().loss)
        .collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(lowest < losses[4], "{losses:?}");
    let device = Device::default();
    let loader = Batches::new(11, 11, &device).loader();
    let score = |model| cutmix::trainer::evaluate(model, &loader, &device).unwrap();
    assert_eq!(score(&best.model).loss, lowest);
    assert_eq!(score(&last.model).loss, losses[4]);
}

#[test]
fn patience_counts_reports_without_a_better_one() {
    let (_, model, train) = setting();
    let fit = trainer(model, train)
        .learning_rate(1e-30) // no step changes anything
        .max_duration("50ep".parse().unwrap())
        .early_stopping(Patience {
            goal: Goal::TrainAccuracy,
            reports: 3,
        })
        .fit()
        .unwrap();
    assert_eq!(fit.history.reports.len(), 4);
    assert!(fit.is_complete);
}

#[test]
fn a_moving_average_is_what_is_evaluated_and_given() {
    let (device, model, train) = setting();
    let start = model.weights();
    let weights = Arc::new(Mutex::new(Vec::new()));
    let fit = |average: bool, duration: &str| {
        let (_, model, train) = setting();
        let mut run = trainer(model, train).max_duration(duration.parse().unwrap());
        if average {
            run = run.average(0.9);
        }
        run.fit().unwrap().model.weights()
    };
    for batches in 1..=5 {
        (weights.lock().unwrap()).push(fit(false, &format!("{batches}ba")));
    }
    let mut expected: Vec<f64> = start.iter().map(|&weight| f64::from(weight)).collect();
    for (batch, weights) in weights.lock().unwrap().iter().enumerate() {
        let decay = 0.9f64.min((1.0 + batch as f64) / (10.0 + batch as f64));
        for (average, &weight) in expected.iter_mut().zip(weights) {
            *average = *average * decay + f64::from(weight) * (1.0 - decay);
        }
    }
    let average = fit(true, "5ba");
    for (average, expected) in average.iter().zip(&expected) {
        assert!((f64::from(*average) - expected).abs() < 1e-6);
    }

    let loader = Batches::new(5, 5, &device).loader();
    let fit = trainer(model, train)
        .average(0.9)
        .eval_loader(loader.clone())
        .fit()
        .unwrap();
    let again = cutmix::trainer::evaluate(&fit.model, &loader, &device).unwrap();
    assert_eq!(fit.history.last_eval(), Some(again));
}

#[test]
fn parts_of_a_batch_train_like_the_whole() {
    let device = Device::default();
    let fit = |size: usize, parts: usize, run: &str| {
        let log = Log::default();
        let fit = trainer(Tiny::new(&device), Batches::new(11, size, &device))
            .accumulate(parts)
            .max_duration(run.parse().unwrap())
            .algorithm(Recorder {
                log: log.clone(),
                label: "",
            })
            .fit()
            .unwrap();
        (fit, log)
    };
    for run in ["2ep", "3ba", "9sp", "17sp"] {
        let (whole, whole_log) = fit(6, 1, run);
        let (parts, parts_log) = fit(2, 3, run);
        let ends = |log: &Log| {
            let mut log = log.lock().unwrap().clone();
            log.retain(|entry| entry.starts_with("batch_end") || entry.starts_with("epoch_end"));
            log
        };
        assert_eq!(ends(&whole_log), ends(&parts_log), "{run}");
        for (a, b) in whole.model.weights().iter().zip(parts.model.weights()) {
            assert!((a - b).abs() < 1e-5, "{run}: {a} {b}");
        }
        let [a, b] = [&whole, &parts].map(|fit| fit.history.reports.last().unwrap());
        assert_eq!((a.batches, a.samples), (b.batches, b.samples), "{run}");
        assert!((a.train.loss - b.train.loss).abs() < 1e-5, "{run}");
    }
}

#[test]
fn each_part_has_a_plan_of_its_own() {
    let device = Device::default();
    let lambdas = |size: usize, parts: usize, run: &str| {
        let everything = Everything::default();
        trainer(Tiny::new(&device), Batches::new(8, size, &device))
            .accumulate(parts)
            .max_duration(run.parse().unwrap())
            .algorithm(CutMix::new(CLASSES))
            .logger(everything.clone())
            .fit()
            .unwrap();
        let batches = everything.1.lock().unwrap();
        let notes = batches.iter().flat_map(|batch| batch.notes.clone());
        notes.map(|note| note.value).collect::<Vec<_>>()
    };
    // The loader's batches are the same, and so are their plans.
    assert_eq!(lambdas(2, 1, "4ba"), lambdas(2, 2, "2ba"));
}

#[test]
fn wrong_settings_of_a_long_run_are_refused() {
    assert_eq!(
        refused(|t| t.accumulate(0)),
        "`accumulate` is 0; accepted: at least 1, one part for each device"
    );
    assert_eq!(
        refused(|t| t.devices(vec![Device::default(), Device::default()])),
        "`accumulate` is 1; accepted: at least 2, one part for each device"
    );
    assert_eq!(
        refused(|t| t.average(1.0)),
        "`average` is 1; accepted: a number above 0 and below 1"
    );
    assert_eq!(
        refused(|t| t.best(Goal::EvalAccuracy)),
        "`best` is eval-accuracy; accepted: train-loss or train-accuracy where there is no \
         evaluation set"
    );
    let patience = Patience {
        goal: Goal::TrainLoss,
        reports: 0,
    };
    assert_eq!(
        refused(|t| t.early_stopping(patience)),
        "`early_stopping` is 0; accepted: at least 1 report"
    );
    let wrong = "eval-los".parse::<Goal>().unwrap_err().to_string();
    assert!(wrong.contains("eval-loss, eval-accuracy"), "{wrong}");
    for goal in Goal::ALL {
        assert_eq!(goal.to_string().parse::<Goal>().unwrap(), goal);
    }
}
