//! Several processes, here threads, train one network as one process does with as many parts.

use burn::tensor::{Device, Tensor};
use cutmix::loss::CrossEntropy;
use cutmix_train::algorithms::{CutMix, Ema, LabelSmoothing};
use cutmix_train::loggers::BatchLog;
use cutmix_train::{Checkpoint, Checkpoints, Event, Fit, Stop, Trainer};

use crate::common::*;
use crate::threads::in_threads;

/// Eleven samples in parts of two, of which four make a batch: of each epoch 8 samples, and then 3 in two
/// parts.
fn with_four_parts(max_duration: &str) -> Trainer<Tiny> {
    let config = config(max_duration).with_accumulate(4).with_seed(5);
    trainer(config, Samples::new(11, 2))
        .eval("val", Samples::new(7, 2).loader())
        .algorithm(CutMix::new())
        .algorithm(LabelSmoothing::new(0.1))
}

/// What training leaves behind.
#[derive(Debug, PartialEq)]
struct Outcome {
    weights: Vec<f32>,
    scores: Vec<(String, f64)>,
    batches: Vec<(f64, usize)>,
}

fn outcome(fit: &Fit<Tiny>, log: &LogRecorder) -> Outcome {
    let scores = fit.history.reports.iter().flat_map(|report| &report.scores);
    let logged = |batch: &BatchLog| (batch.loss, batch.logged.len());
    Outcome {
        weights: fit.model.weights(),
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
        assert_same_for_any_number(|| with_four_parts(&duration));
    }
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
