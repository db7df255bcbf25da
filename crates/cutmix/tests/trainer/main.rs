//! The trainer: events, durations, what is mixed and what is not, errors.

mod devices;
mod setting;
mod time;
mod watch;

use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::tensor::{Device, IntDType, Tensor};
use cutmix::algorithms::{Algorithm, CutMix, Interpolation, Step, When};
use cutmix::functional::cutmix_batch;
use cutmix::loss::{CrossEntropy, Reduction};
use cutmix::plan::Stream;
use cutmix::time::Duration;
use cutmix::trainer::{
    Checkpoints, Event, Goal, History, Logger, Patience, Report, Schedule, Trainer, evaluate,
};
use cutmix::{Classifier, Error, Targets};
use setting::*;

/// A trainer of plain SGD at a constant rate.
fn trainer(model: Tiny, train: Batches) -> Trainer<Tiny> {
    Trainer::new(model, train.loader())
        .optimizer(SgdConfig::new().init())
        .learning_rate(0.1)
        .schedule(Schedule::constant())
        .logger(Quiet)
}

fn setting() -> (Device, Tiny, Batches) {
    let device = Device::default();
    let model = Tiny::new(&device);
    let train = Batches::new(11, 4, &device);
    (device, model, train)
}

fn recorded(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

fn count(log: &Log, event: &str) -> usize {
    recorded(log)
        .iter()
        .filter(|e| e.starts_with(event))
        .count()
}

#[test]
fn events_come_in_order_and_in_number() {
    let (device, model, train) = setting();
    let log = Log::default();
    trainer(model, train)
        .eval_loader(Batches::new(5, 5, &device).loader())
        .max_duration("2ep".parse().unwrap())
        .algorithm(Recorder {
            log: log.clone(),
            label: "",
        })
        .fit()
        .unwrap();

    let batch = |number: u64, size: u64, epoch: u64| {
        let step = [
            "batch_start",
            "before_forward",
            "after_forward",
            "before_loss",
            "after_loss",
            "before_backward",
            "after_backward",
        ];
        let samples = number / 3 * 11 + number % 3 * 4;
        (step
            .iter()
            .map(|event| format!("{event} {number} of {size}")))
        .chain([format!("batch_end {epoch}/{number}/{samples}")])
        .collect::<Vec<_>>()
    };
    let line = |text: &str| vec![text.to_string()];
    let expected = [
        line("fit_start 0/0/0"),
        line("epoch_start 0/0/0"),
        batch(0, 4, 0),
        batch(1, 4, 0),
        batch(2, 3, 0),
        line("epoch_end 1/3/11"),
        line("eval_start 1/3/11"),
        line("eval_end 1/3/11"),
        line("epoch_start 1/3/11"),
        batch(3, 4, 1),
        batch(4, 4, 1),
        batch(5, 3, 1),
        line("epoch_end 2/6/22"),
        line("eval_start 2/6/22"),
        line("eval_end 2/6/22"),
        line("fit_end 2/6/22"),
    ];
    assert_eq!(recorded(&log), expected.concat());
}

#[test]
fn algorithms_take_turns_in_the_order_of_adding() {
    let (_, model, train) = setting();
    let log = Log::default();
    trainer(model, train)
        .max_duration("1ba".parse().unwrap())
        .algorithm(Recorder {
            log: log.clone(),
            label: "first ",
        })
        .algorithm(Recorder {
            log: log.clone(),
            label: "second ",
        })
        .fit()
        .unwrap();
    let log = recorded(&log);
    // Two algorithms at each of the events around one batch.
    assert!(log.len() > 2 * 9 && log.len().is_multiple_of(2), "{log:?}");
    for pair in log.chunks(2) {
        assert_eq!(pair[0].replace("first", "second"), pair[1]);
        assert!(pair[0].starts_with("first"));
    }
}

#[test]
fn a_run_ends_exactly_where_it_says() {
    // (duration, sizes of the batches): 11 samples in batches of 4 make epochs of 4, 4, 3.
    let cases: [(&str, &[usize]); 7] = [
        ("1ep", &[4, 4, 3]),
        ("1ba", &[4]),
        ("3ba", &[4, 4, 3]),
        ("7ba", &[4, 4, 3, 4, 4, 3, 4]),
        ("4sp", &[4]),
        ("11sp", &[4, 4, 3]),
        ("18sp", &[4, 4, 3, 4, 3]),
    ];
    for (duration, sizes) in cases {
        let (device, model, train) = setting();
        let log = Log::default();
        let fit = trainer(model, train)
            .eval_loader(Batches::new(3, 3, &device).loader())
            .max_duration(duration.parse().unwrap())
            .algorithm(Recorder {
                log: log.clone(),
                label: "",
            })
            .fit()
            .unwrap();
        let expected: Vec<_> = (sizes.iter().enumerate())
            .map(|(i, size)| format!("before_forward {i} of {size}"))
            .collect();
        let mut seen = recorded(&log);
        seen.retain(|entry| entry.starts_with("before_forward"));
        assert_eq!(seen, expected, "{duration}");
        assert_eq!(count(&log, "batch_end"), sizes.len(), "{duration}");

        let epochs = sizes.len().div_ceil(3);
        assert_eq!(count(&log, "epoch_start"), epochs, "{duration}");
        assert_eq!(count(&log, "epoch_end"), epochs, "{duration}");
        assert_eq!(count(&log, "eval_end"), epochs, "{duration}");
        assert_eq!(fit.history.reports.len(), epochs, "{duration}");
        let last = fit.history.reports.last().unwrap();
        assert_eq!(last.batches, sizes.len() as u64, "{duration}");
        assert_eq!(
            last.samples,
            sizes.iter().sum::<usize>() as u64,
            "{duration}"
        );
        assert!(last.eval.is_some(), "{duration}");
    }
}

#[test]
fn training_sees_mixed_batches_and_evaluation_does_not() {
    let (device, model, train) = setting();
    let eval = Batches::new(6, 3, &device);
    let (images, targets) = (model.seen.clone(), Seen::default());
    trainer(model, train.clone())
        .eval_loader(eval.clone().loader())
        .max_duration("2ba".parse().unwrap())
        .seed(7)
        .algorithm(CutMix::new(CLASSES))
        .algorithm(TargetsSeen(targets.clone()))
        .fit()
        .unwrap();

    let images = images.lock().unwrap();
    let targets = targets.lock().unwrap();
    assert_eq!((images.len(), targets.len()), (4, 2));
    for step in 0..2 {
        // What the functional interface gives for the same seed and step.
        let batch = train.batch(step);
        let (mixed, dense) = cutmix_batch(
            batch.images.clone(),
            batch.targets,
            CLASSES,
            1.0,
            &mut Stream::new(7).at(step as u64),
        )
        .unwrap();
        assert_eq!(images[step], values(mixed));
        assert_eq!(targets[step], values(dense));
        assert_ne!(
            images[step],
            values(batch.images),
            "the seed must mix this step"
        );
    }
    for batch in 0..2 {
        assert_eq!(images[2 + batch], values(eval.batch(batch).images));
    }
}

#[test]
fn cutmix_off_changes_nothing() {
    let fit = |probability: Option<f64>| {
        let (_, model, train) = setting();
        let mut trainer = trainer(model, train);
        if let Some(probability) = probability {
            let cutmix = When::new(CutMix::new(CLASSES)).probability(probability);
            trainer = trainer.algorithm(cutmix);
        }
        trainer.fit().unwrap().model.weights()
    };
    assert_eq!(fit(Some(0.0)), fit(None));
    assert_ne!(fit(Some(1.0)), fit(None));
}

#[test]
fn a_seed_repeats_a_run() {
    let fit = |seed| {
        let (_, model, train) = setting();
        let fit = trainer(model, train)
            .max_duration("2ep".parse().unwrap())
            .seed(seed)
            .algorithm(CutMix::new(CLASSES))
            .fit()
            .unwrap();
        (fit.model.weights(), fit.history.reports[1].train)
    };
    assert_eq!(fit(3), fit(3));
    assert_ne!(fit(3), fit(4));
}

#[test]
fn interpolating_the_loss_trains_like_mixing_the_targets() {
    let fit = |interpolate| {
        let (_, model, train) = setting();
        let fit = trainer(model, train)
            .max_duration("2ep".parse().unwrap())
            .algorithm(CutMix::new(CLASSES).interpolate_loss(interpolate))
            .fit()
            .unwrap();
        (fit.model.weights(), fit.history.reports[1].train)
    };
    let ((mixed, scores), (interpolated, scores_i)) = (fit(false), fit(true));
    for (a, b) in mixed.iter().zip(&interpolated) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    assert!((scores.loss - scores_i.loss).abs() < 1e-5);
    assert!((scores.accuracy - scores_i.accuracy).abs() < 1e-3);
}

#[test]
fn training_learns() {
    let device = Device::default();
    let train = Batches::new(90, 10, &device);
    let fit = trainer(Tiny::new(&device), train.clone())
        .eval_loader(train.loader())
        .learning_rate(0.5)
        .max_duration("20ep".parse().unwrap())
        .fit()
        .unwrap();
    let (first, last) = (&fit.history.reports[0], &fit.history.reports[19]);
    assert!(last.train.loss < first.train.loss);
    assert!(last.eval.unwrap().accuracy > first.eval.unwrap().accuracy);
}

#[test]
fn the_history_holds_the_scores_of_the_samples() {
    let (device, model, _) = setting();
    // Batches of 4, 4 and 3: each sample has to count the same.
    let eval = Batches::new(11, 4, &device);
    let fit = trainer(model, Batches::new(4, 4, &device))
        .eval_loader(eval.clone().loader())
        .fit()
        .unwrap();

    let whole = Batches::new(11, 11, &device).batch(0);
    let logits = fit.model.forward(whole.images.clone());
    let loss = values(
        CrossEntropy::new()
            .forward(logits.clone(), whole.targets.clone())
            .unwrap(),
    );
    let Targets::Indices(classes) = whole.targets else {
        unreachable!("indices were given")
    };
    let hits: i64 = (logits
        .argmax(1)
        .flatten::<1>(0, 1)
        .equal(classes)
        .int()
        .sum())
    .into_scalar();

    let scores = fit.history.last_eval().unwrap();
    assert!((scores.loss - f64::from(loss[0])).abs() < 1e-5);
    assert!((scores.accuracy - 100.0 * hits as f64 / 11.0).abs() < 1e-3);
    let again = evaluate(&fit.model, &eval.loader(), &device).unwrap();
    assert_eq!(scores, again);
}

#[test]
fn accuracy_under_mixed_targets_is_the_share_on_the_predicted_class() {
    let (_, model, train) = setting();
    let targets = Seen::default();
    let seen = model.seen.clone();
    let untrained = model.clone();
    let fit = trainer(model, train)
        .max_duration("1ba".parse().unwrap())
        .seed(7)
        .algorithm(CutMix::new(CLASSES))
        .algorithm(TargetsSeen(targets.clone()))
        .fit()
        .unwrap();
    let mixed = Tensor::<1>::from_floats(seen.lock().unwrap()[0].as_slice(), &Device::default());
    let predicted = untrained.forward(mixed.reshape([4, 1, 4, 4])).argmax(1);
    let predicted: Vec<i32> = predicted.into_data().try_to_vec().unwrap();
    let share = |(row, &class): (&[f32], &i32)| f64::from(row[class as usize]);
    let targets = &targets.lock().unwrap()[0];
    let expected = targets
        .chunks(CLASSES)
        .zip(&predicted)
        .map(share)
        .sum::<f64>()
        / 4.0;
    assert!((fit.history.reports[0].train.accuracy - 100.0 * expected).abs() < 1e-3);
}

#[test]
fn the_learning_rate_follows_the_schedule() {
    let (_, model, train) = setting();
    let fit = trainer(model, train)
        .learning_rate(2.0)
        .schedule(Schedule::Cosine {
            warmup: "0dur".parse().unwrap(),
        })
        .max_duration("2ep".parse().unwrap())
        .fit()
        .unwrap();
    // In the middle of the third and sixth batch, by samples.
    for (epoch, samples) in [(0, 9.5), (1, 20.5)] {
        let expected = 1.0 + (std::f64::consts::PI * samples / 22.0).cos();
        let rate = fit.history.reports[epoch].learning_rate;
        assert!((rate - expected).abs() < 1e-9, "{rate} {expected}");
    }
}

#[test]
fn early_stopping_ends_a_run_that_no_longer_improves() {
    let (device, model, train) = setting();
    let fit = trainer(model, train)
        .eval_loader(Batches::new(3, 3, &device).loader())
        .learning_rate(1e-30) // no step changes anything
        .max_duration("50ep".parse().unwrap())
        .early_stopping(Patience {
            goal: Goal::EvalLoss,
            reports: 2,
        })
        .fit()
        .unwrap();
    assert_eq!(fit.history.reports.len(), 3);
}

/// The error of a run, which must not have trained a batch.
fn refused(change: impl FnOnce(Trainer<Tiny>) -> Trainer<Tiny>) -> String {
    let (_, model, train) = setting();
    let log = Log::default();
    let recorder = Recorder {
        log: log.clone(),
        label: "",
    };
    let error = change(trainer(model, train).algorithm(recorder))
        .fit()
        .unwrap_err();
    assert_eq!(count(&log, "batch_end"), 0);
    error.to_string()
}

#[test]
fn wrong_settings_are_refused_before_training() {
    assert_eq!(
        refused(|t| t.algorithm(CutMix::new(CLASSES).alpha(0.0))),
        "`alpha` is 0; accepted: a finite number above 0 (1 is the usual choice)"
    );
    assert_eq!(
        refused(|t| t.algorithm(CutMix::new(0))),
        "`num_classes` is 0; accepted: at least one class"
    );
    assert_eq!(
        refused(|t| t.learning_rate(f64::NAN)),
        "`learning_rate` is NaN; accepted: a finite number above 0"
    );
    assert_eq!(
        refused(|t| t.schedule(Schedule::Cosine {
            warmup: Duration::Share(1.5)
        })),
        "`warmup` is 1.5dur; accepted: a share of the run from 0dur to 1dur"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let message = refused(|t| t.checkpoints(Checkpoints::new(file.path().join("run"))));
    assert!(message.starts_with("cannot write `"), "{message}");
}

#[test]
fn a_duration_of_nothing_is_refused() {
    for (duration, text) in [
        (Duration::Epochs(0), "0ep"),
        (Duration::Batches(0), "0ba"),
        (Duration::Samples(0), "0sp"),
    ] {
        let message = refused(|t| t.max_duration(duration));
        let expected = format!("`max_duration` is {text}; accepted: more than nothing");
        assert_eq!(message, expected);
    }
}

/// Loses the images and says nothing.
struct Careless;

impl Algorithm for Careless {
    fn name(&self) -> String {
        "careless".into()
    }
    fn before_forward(&self, step: &mut Step) -> Result<(), Error> {
        let _ = step.map_images(|_| Err(Error::argument("mood", "bad", "a good one")));
        Ok(())
    }
}

/// Interpolates the loss and does not say so in its effects.
struct Secretive;

impl Algorithm for Secretive {
    fn name(&self) -> String {
        "secretive".into()
    }
    fn batch_start(&self, step: &mut Step) -> Result<(), Error> {
        step.interpolation = Some(Interpolation {
            targets: step.targets.clone(),
            lambda: 0.5,
        });
        Ok(())
    }
}

#[test]
fn algorithms_that_lose_the_images_or_interpolate_twice_are_stopped() {
    let message = refused(|t| t.algorithm(Careless));
    assert!(
        message.starts_with("algorithm `careless` at before_forward of batch 0: `images` is lost")
    );
    // One that does not say so beforehand.
    let twice = |t: Trainer<Tiny>| t.algorithm(Secretive).algorithm(CutMix::new(CLASSES));
    let message = refused(twice);
    assert!(
        message.contains("`interpolation` is set by an algorithm before this one"),
        "{message}"
    );
}

#[test]
fn evaluation_uses_the_running_statistics_whatever_device_it_is_given() {
    let (device, _, data) = setting();
    let model = Normed::new(&device).train();
    let loader = data.loader();
    let plain = evaluate(&model.valid(), &loader, &device).unwrap();
    let autodiff = evaluate(&model, &loader, &device.clone().autodiff()).unwrap();
    assert_eq!(plain, autodiff);
}

#[test]
fn labels_of_any_integer_type_train_and_evaluate() {
    let mut scores = Vec::new();
    for dtype in [IntDType::I64, IntDType::I32, IntDType::U8] {
        let (device, model, train) = setting();
        let train = train.cast(dtype);
        let fit = trainer(model, train.clone())
            .eval_loader(train.clone().loader())
            .fit()
            .unwrap();
        let again = evaluate(&fit.model, &train.loader(), &device).unwrap();
        assert_eq!(fit.history.last_eval(), Some(again));
        scores.push(again);
    }
    assert!(scores.iter().all(|score| *score == scores[0]), "{scores:?}");
}

#[test]
fn samples_are_counted_exactly_where_a_loader_drops_some() {
    let (_, model, mut train) = setting();
    // Two batches of 4 in each epoch, of a loader that says it has 11 samples.
    train.drops_last = true;
    let fit = trainer(model, train)
        .max_duration("20sp".parse().unwrap())
        .fit()
        .unwrap();
    let last = fit.history.reports.last().unwrap();
    assert_eq!((last.samples, last.batches), (20, 5));
}

/// A model whose loss is one number for each sample.
#[derive(Module, Debug)]
struct PerSample {
    model: Tiny,
}

impl Classifier for PerSample {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.model.forward(images)
    }

    fn loss(&self, logits: Tensor<2>, targets: Targets) -> Result<Tensor<1>, Error> {
        let loss = CrossEntropy::new().reduction(Reduction::None);
        loss.forward(logits, targets)
    }
}

#[test]
fn a_loss_of_several_numbers_is_refused() {
    let (_, model, train) = setting();
    let error = Trainer::new(PerSample { model }, train.loader())
        .logger(Quiet)
        .fit()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`loss` is of shape [4]; accepted: one number, shape [1]: a mean or a sum"
    );
}

#[test]
fn a_loader_without_samples_is_refused() {
    let device = Device::default();
    let empty = Batches::new(3, 3, &device);
    let empty = cutmix::Batch {
        images: Tensor::zeros([0, 1, 4, 4], &device),
        ..empty.batch(0)
    };
    let loader = Batches::of(empty, 3);
    let error = trainer(Tiny::new(&device), loader.clone())
        .fit()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`train_loader` is without samples; accepted: a loader of at least one sample"
    );
    let message = refused(|t| t.eval_loader(loader.loader()));
    assert!(
        message.starts_with("`eval_loader` is without samples"),
        "{message}"
    );
}

#[test]
fn errors_inside_the_run_end_it_and_name_the_place() {
    assert_eq!(
        refused(|t| t.algorithm(Failing { at: 0 })),
        "algorithm `failing` at after_forward of batch 0: `mood` is bad; accepted: a good one"
    );
    // More classes in the data than CutMix was told of.
    assert_eq!(
        refused(|t| t.algorithm(CutMix::new(2))),
        "algorithm `cutmix` at before_forward of batch 0: `targets` is class 2 for sample 2; \
         accepted: classes in 0..2"
    );

    let (device, model, train) = setting();
    let log = Log::default();
    let error = trainer(model, train)
        .max_duration("9ep".parse().unwrap())
        .algorithm(Failing { at: 4 })
        .algorithm(Recorder {
            log: log.clone(),
            label: "",
        })
        .fit()
        .unwrap_err();
    assert!(error.to_string().contains("of batch 4"), "{error}");
    assert_eq!(count(&log, "batch_end"), 4);
    assert_eq!(count(&log, "fit_end"), 0);

    let mut broken = Batches::new(11, 4, &device);
    broken.broken = Some(1);
    let error = trainer(Tiny::new(&device), broken).fit().unwrap_err();
    assert!(error.to_string().contains("image 7 is corrupt"), "{error}");

    let wrong = Batches::new(3, 3, &device).with_targets(vec![0, 1, 3]);
    let error = trainer(Tiny::new(&device), wrong).fit().unwrap_err();
    assert!(
        error.to_string().contains("class 3 for sample 2"),
        "{error}"
    );
}

/// A model whose loss only takes class indices.
#[derive(burn::module::Module, Debug)]
struct IndicesOnly {
    tiny: Tiny,
}

impl Classifier for IndicesOnly {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.tiny.forward(images)
    }

    fn loss(&self, logits: Tensor<2>, targets: Targets) -> Result<Tensor<1>, Error> {
        let classes = targets.into_indices("this model's loss")?;
        CrossEntropy::new().forward(logits, classes)
    }
}

#[test]
fn a_loss_of_indices_works_interpolated_and_otherwise_says_what_to_use() {
    let fit = |cutmix| {
        let (_, tiny, train) = setting();
        Trainer::new(IndicesOnly { tiny }, train.loader())
            .logger(Quiet)
            .algorithm(cutmix)
            .fit()
    };
    assert!(fit(CutMix::new(CLASSES).interpolate_loss(true)).is_ok());
    let message = fit(CutMix::new(CLASSES)).unwrap_err().to_string();
    assert!(
        message.contains("this model's loss takes class indices"),
        "{message}"
    );
    assert!(message.contains("CutMix::interpolate_loss"), "{message}");
}

/// Keeps the reports.
struct Told(Arc<Mutex<History>>);

impl Logger for Told {
    fn report(&mut self, report: &Report) -> Result<(), Error> {
        self.0.lock().unwrap().reports.push(report.clone());
        Ok(())
    }
}

#[test]
fn each_report_is_told_when_it_is_there_and_can_stop_the_run() {
    let (device, model, train) = setting();
    let told = Arc::new(Mutex::new(History::default()));
    let fit = trainer(model, train.clone())
        .eval_loader(Batches::new(3, 3, &device).loader())
        .max_duration("2ep".parse().unwrap())
        .algorithm(CutMix::new(CLASSES))
        .logger(Told(told.clone()))
        .fit()
        .unwrap();
    assert_eq!(*told.lock().unwrap(), fit.history);
    let line = fit.history.reports[1].to_string();
    for part in [
        "epoch 2  loss ",
        "  mixed accuracy ",
        "  eval accuracy ",
        " s",
    ] {
        assert!(line.contains(part), "{line}");
    }

    let error = trainer(Tiny::new(&device), train)
        .max_duration("9ep".parse().unwrap())
        .callback(|event: Event<'_>| match event {
            Event::Report(report) => Err(Error::argument("disk", "full", report.epoch.to_string())),
            _ => Ok(()),
        })
        .fit()
        .unwrap_err();
    assert_eq!(error.to_string(), "`disk` is full; accepted: 1");
}
