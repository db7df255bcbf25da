//! Several processes, here threads, train one network as one process does with as many parts.

use burn::tensor::{Device, Tensor};
use cutmix::loss::CrossEntropy;
use cutmix_train::algorithms::{CutMix, Ema, GradientClipping, LabelSmoothing, OneOf, WhenConfig};
use cutmix_train::loggers::BatchLog;
use cutmix_train::{Checkpoint, Checkpoints, Event, Fit, Stop, Trainer};

use crate::common::*;
use crate::threads::in_threads;

/// Eleven samples in parts of two, of which four make a batch: of each epoch 8 samples, and then 3 in two
/// parts.
fn with_four_parts(max_duration: &str) -> Trainer<Tiny> {
    with_samples(11, max_duration)
}

fn with_samples(samples: usize, max_duration: &str) -> Trainer<Tiny> {
    let config = config(max_duration).with_accumulate(4).with_seed(5);
    trainer(config, Samples::new(samples, 2))
        .eval("val", Samples::new(7, 2).loader())
        .algorithm(CutMix::new())
        .algorithm(LabelSmoothing::new(0.1))
}

/// What training leaves behind.
#[derive(Debug, PartialEq)]
struct Outcome {
    weights: Vec<f32>,
    epochs: Vec<f64>,
    scores: Vec<(String, f64)>,
    batches: Vec<(f64, usize)>,
}

fn outcome(fit: &Fit<Tiny>, log: &LogRecorder) -> Outcome {
    let scores = fit.history.reports.iter().flat_map(|report| &report.scores);
    let logged = |batch: &BatchLog| (batch.loss, batch.logged.len());
    Outcome {
        weights: fit.model.weights(),
        epochs: (fit.history.reports.iter())
            .map(|report| report.epoch)
            .collect(),
        scores: scores
            .map(|score| (score.name.clone(), score.value))
            .collect(),
        batches: read(&log.batches).iter().map(logged).collect(),
    }
}

/// What the processes have each; the first one has the log.
fn in_processes(size: usize, trainer: impl Fn() -> Trainer<Tiny> + Sync) -> Vec<Outcome> {
    in_threads(size, |world| {
        let log = LogRecorder::default();
        let fit = trainer().logger(log.clone()).world(world).fit().unwrap();
        outcome(&fit, &log)
    })
}

fn alone(trainer: impl Fn() -> Trainer<Tiny>) -> Outcome {
    let log = LogRecorder::default();
    let fit = trainer().logger(log.clone()).fit().unwrap();
    outcome(&fit, &log)
}

#[track_caller]
fn assert_same_for_any_number(trainer: impl Fn() -> Trainer<Tiny> + Sync) {
    let expected = alone(&trainer);
    for size in [2, 4] {
        let found = in_processes(size, &trainer);
        assert_eq!(found[0], expected, "of {size} processes");
        for other in &found[1..] {
            assert_eq!(other.weights, expected.weights);
            assert_eq!(other.epochs, expected.epochs);
            assert_eq!(other.scores, expected.scores);
            assert!(other.batches.is_empty(), "process 0 logs");
        }
    }
}

#[test]
fn weights_scores_and_logs_are_those_of_one_process() {
    assert_same_for_any_number(|| with_four_parts("3ep"));
}

#[test]
fn a_run_that_ends_within_a_batch_is_cut_to_the_sample() {
    for samples in 8..16 {
        let duration = format!("{samples}sp");
        for all in [11, 12] {
            assert_same_for_any_number(|| with_samples(all, &duration));
        }
    }
}

/// It goes on within a batch of the run that was cut.
#[test]
fn a_run_that_was_cut_is_extended_as_by_one_process() {
    let extended = |size, samples: usize| {
        let folder = tempfile::tempdir().unwrap();
        let train = |duration: &str| {
            in_threads(size, |world| {
                let checkpoints = Checkpoints::new(folder.path());
                let trainer = with_samples(12, duration).logger(Quiet).world(world);
                let trainer = trainer.checkpoints(checkpoints);
                let trainer = match Checkpoint::exists(folder.path()) {
                    true => trainer.resume(Checkpoint::latest(folder.path()).unwrap().checkpoint),
                    false => trainer,
                };
                trainer.fit().unwrap().model.weights()
            })
        };
        train(&format!("{samples}sp"));
        train("3ep")
    };
    for samples in [3, 5, 9, 10, 11, 12] {
        let expected = &extended(1, samples)[0];
        for size in [2, 4] {
            for weights in extended(size, samples) {
                assert_eq!(&weights, expected, "{samples} samples, {size} processes");
            }
        }
    }
}

/// At events of whole batches as well.
#[test]
fn algorithms_that_act_with_a_probability_act_in_all_processes_alike() {
    for seed in 0..4 {
        assert_same_for_any_number(|| {
            let config = config("3ep").with_accumulate(4).with_seed(seed);
            let some = |probability| WhenConfig {
                probability,
                ..WhenConfig::default()
            };
            trainer(config, Samples::new(11, 2))
                .algorithm(some(0.5).init(CutMix::new()))
                .algorithm(some(0.4).init(GradientClipping::new(0.01)))
                .algorithm(some(0.6).init(Ema::new(0.8)))
                .algorithm(
                    OneOf::new()
                        .with(1.0, GradientClipping::new(0.005))
                        .with(1.0, LabelSmoothing::new(0.2)),
                )
        });
    }
}

#[test]
fn processes_with_other_weights_are_refused() {
    let errors = in_threads(2, |world| {
        let rank = world.rank();
        let config = config("1ep").with_accumulate(2);
        let weights = trainer(config.clone(), eleven()).fit().unwrap().model;
        let trainer = if rank == 0 {
            trainer(config, eleven())
        } else {
            config.init(weights, eleven().loader())
        };
        let fit = trainer.logger(Quiet).world(world).fit();
        fit.unwrap_err().to_string()
    });
    let expected =
        "`weights` is different from those of process 0; accepted: the same in all processes";
    assert_eq!(errors[1], expected);
    assert!(
        errors[0].contains("another process has ended"),
        "{}",
        errors[0]
    );
}

#[test]
fn weighted_losses_and_moving_averages_are_those_of_one_process() {
    assert_same_for_any_number(|| {
        let weights = Tensor::from_floats([0.2, 1.0, 3.5], &Device::default());
        with_four_parts("2ep")
            .loss(CrossEntropy::new().with_weights(weights))
            .algorithm(Ema::new(0.8))
    });
}

#[test]
fn batches_that_are_not_finite_are_skipped_by_all() {
    use cutmix_train::OnNan;
    let trainer = || {
        let config = config("2ep").with_accumulate(4).with_on_nan(OnNan::Skip);
        let spoil = |state: &mut cutmix_train::State<Tiny>| match state.part() {
            3 => state.map_images(|images| Ok(images * f32::NAN)),
            _ => Ok(()),
        };
        trainer(config, Samples::new(11, 2)).algorithm(At(Event::BeforeForward, spoil))
    };
    assert_same_for_any_number(trainer);
}

#[test]
fn one_that_is_asked_to_stop_stops_all_after_the_same_batch() {
    let batches = in_threads(2, |world| {
        let stop = Stop::new();
        if world.rank() == 1 {
            stop.request();
        }
        let trainer = with_four_parts("9ep").stop(stop).world(world).logger(Quiet);
        let fit = trainer.fit().unwrap();
        (fit.is_complete, fit.model.weights())
    });
    assert_eq!(batches[0], batches[1]);
    assert!(!batches[0].0);
}

#[test]
fn a_run_resumes_in_another_number_of_processes() {
    let expected = alone(|| with_four_parts("6ba"));
    for [first, second] in [[4, 2], [1, 4], [2, 1]] {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = || Checkpoints::new(folder.path()).with_save_interval(duration("1ba"));
        in_threads(first, |world| {
            let trainer = with_four_parts("6ba").logger(Quiet).world(world);
            let trainer = trainer.checkpoints(checkpoints());
            let stop = kill_at(Event::BeforeStep, 3);
            trainer.callback(stop).fit().unwrap_err();
        });
        let latest = Checkpoint::latest(folder.path()).unwrap().checkpoint;
        assert_eq!(latest.batches(), 3);
        let resumed = in_threads(second, |world| {
            let trainer = with_four_parts("6ba").logger(Quiet).world(world);
            let trainer = trainer.checkpoints(checkpoints()).resume(latest.clone());
            trainer.fit().unwrap().model.weights()
        });
        for weights in resumed {
            assert_eq!(
                weights, expected.weights,
                "{first}, then {second} processes"
            );
        }
    }
}

/// Each process counts the statistics of its own parts.
#[test]
fn running_statistics_are_the_mean_of_those_of_the_processes() {
    let run = |world| {
        let model = Stateful::with_dropout(0.0, &Device::default());
        let config = config("1ba").with_accumulate(2);
        let trainer = config.init(model, Samples::new(8, 4).fixed().loader());
        let fit = trainer.logger(Quiet).world(world).fit().unwrap();
        fit.model.statistics()
    };
    let found = in_threads(2, run);
    assert_eq!(found[0], found[1]);
    let of_part = |part: usize| {
        let samples = Samples::new(8, 4).fixed().batch(part);
        let model = Stateful::with_dropout(0.0, &Device::default());
        let trainer = config("1ba").init(
            model,
            Samples::of(samples.images, samples.targets, 4).loader(),
        );
        trainer.logger(Quiet).fit().unwrap().model.statistics()
    };
    let mean = of_part(0).into_iter().zip(of_part(1));
    let mean: Vec<f32> = mean.map(|(a, b)| (a + b) / 2.0).collect();
    assert_close(&wide(&found[0]), &wide(&mean), 1e-6);
}

#[test]
fn parts_that_cannot_be_divided_among_the_processes_are_refused() {
    let errors = in_threads(2, |world| {
        let config = config("1ep").with_accumulate(3);
        let trainer = trainer(config, eleven()).world(world);
        argument(trainer.fit().unwrap_err())
    });
    assert_eq!(
        errors,
        [("accumulate", "3".into()), ("accumulate", "3".into())]
    );
}
