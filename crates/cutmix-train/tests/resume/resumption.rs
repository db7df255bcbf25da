//! A run that was stopped ends like one that was not.

use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, ModuleOptimizer, SgdConfig};
use cutmix_train::algorithms::Algorithm;
use cutmix_train::{Duration, Error, OnNan, State, Stop};

use super::*;

#[test]
fn a_run_that_was_killed_at_any_batch_ends_like_one_that_was_not() {
    let _alone = alone();
    let whole = tempfile::tempdir().unwrap();
    let expected = outcome(&run(whole.path()).fit().unwrap());
    for batch in 1..8 {
        let folder = tempfile::tempdir().unwrap();
        interrupted(folder.path(), batch);
        let checkpoint = latest(folder.path());
        assert_eq!(checkpoint.batches(), batch);
        assert_eq!(checkpoint.max_duration(), Duration::Batches(8));
        assert!(!checkpoint.is_complete());
        let fit = run(folder.path()).resume(checkpoint).fit().unwrap();
        assert_eq!(outcome(&fit), expected, "killed at batch {batch}");
    }
}

#[test]
fn a_run_that_was_killed_several_times_ends_like_one_that_was_not() {
    let _alone = alone();
    let whole = tempfile::tempdir().unwrap();
    let expected = outcome(&run(whole.path()).fit().unwrap());
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path(), 2);
    for batch in [3, 5] {
        run(folder.path())
            .resume(latest(folder.path()))
            .callback(kill_at(Event::AfterBackward, batch))
            .fit()
            .unwrap_err();
    }
    // The second time, the run is over and has nothing left to do.
    for _ in 0..2 {
        let fit = run(folder.path())
            .resume(latest(folder.path()))
            .fit()
            .unwrap();
        assert_eq!(outcome(&fit), expected);
        assert!(latest(folder.path()).is_complete());
    }
}

#[test]
fn a_run_of_batches_in_parts_is_resumed() {
    let _alone = alone();
    let with_parts = |folder: &Path| {
        let config = TrainerConfig::new(duration("17sp"))
            .with_accumulate(2)
            .with_on_nan(OnNan::Skip)
            .with_eval_interval(duration("8sp"))
            .with_seed(1);
        config
            .init(
                Stateful::new(&Device::default()),
                Samples::new(11, 2).loader(),
            )
            .logger(Quiet)
            .algorithm(CutMix::new().with_interpolate_loss(true))
            .checkpoints(every_batch(folder))
    };
    let whole = tempfile::tempdir().unwrap();
    let expected = outcome(&with_parts(whole.path()).fit().unwrap());
    for batch in 1..5 {
        let folder = tempfile::tempdir().unwrap();
        let killed = with_parts(folder.path()).callback(kill_at(Event::BeforeForward, batch));
        killed.fit().unwrap_err();
        let fit = with_parts(folder.path())
            .resume(latest(folder.path()))
            .fit()
            .unwrap();
        assert_eq!(outcome(&fit), expected, "killed at batch {batch}");
    }
}

#[test]
fn a_run_that_was_stopped_saves_itself() {
    let _alone = alone();
    let whole = tempfile::tempdir().unwrap();
    let expected = outcome(&run(whole.path()).fit().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let seldom = || {
        let to = Checkpoints::new(folder.path()).with_save_interval(duration("100ba"));
        run(folder.path()).checkpoints(to)
    };
    let stop = Stop::new();
    let handle = stop.clone();
    let fit = seldom()
        .stop(stop)
        .callback(move |event: Event, state: &State<Stateful>| {
            if event == Event::AfterLoss && state.time().batch == 4 {
                handle.request();
            }
            Ok(())
        })
        .fit()
        .unwrap();
    assert!(!fit.is_complete);
    let checkpoint = latest(folder.path());
    assert_eq!(checkpoint.batches(), 5);
    assert_eq!(checkpoint.history().reports.len(), 1);
    let fit = seldom().resume(checkpoint).fit().unwrap();
    assert_eq!(outcome(&fit), expected);
}

#[test]
fn an_epoch_starts_once_where_a_run_is_resumed_in_the_middle_of_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let log = Shared::default();
    let recorded = || plain("5ba", folder.path()).algorithm(Recorder::new(&log));
    recorded()
        .callback(kill_at(Event::BatchStart, 1))
        .fit()
        .unwrap_err();
    recorded().resume(latest(folder.path())).fit().unwrap();
    let starts = read(&log)
        .into_iter()
        .filter(|entry| entry.starts_with("EpochStart"));
    assert_eq!(
        starts.collect::<Vec<_>>(),
        ["EpochStart 0/0/0", "EpochStart 1/3/11"]
    );
}

#[test]
fn a_logger_is_given_the_reports_of_the_run_that_is_resumed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    plain("7ba", folder.path())
        .callback(kill_at(Event::BatchStart, 4))
        .fit()
        .unwrap_err();
    let log = LogRecorder::default();
    let resumed = plain("7ba", folder.path()).resume(latest(folder.path()));
    resumed.logger(log.clone()).fit().unwrap();
    let start = &read(&log.starts)[0];
    assert_eq!((start.time.batch, start.time.samples), (4, 15));
    assert_eq!(start.history.reports.len(), 1);
    assert_eq!(read(&log.batches)[0].time.batch, 4);
}

#[test]
fn the_batches_before_a_checkpoint_have_been_logged_when_it_is_written() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let log = LogRecorder::default();
    let run = plain("9ba", folder.path()).checkpoints(Checkpoints::new(folder.path()));
    let killed = run
        .logger(log.clone())
        .callback(kill_at(Event::BatchEnd, 3))
        .fit();
    killed.unwrap_err();
    assert_eq!(
        read(&log.calls)[..5],
        ["start 0", "batch 0", "batch 1", "batch 2", "report 3"]
    );
    assert_eq!(read(&log.calls)[5], "flush");
    assert_eq!(latest(folder.path()).batches(), 3);
}

/// Every score of the report, made infinite or NaN.
struct Extreme(f64);

impl Algorithm<Tiny> for Extreme {
    fn name(&self) -> String {
        "extreme".into()
    }

    fn apply(&mut self, event: Event, state: &mut State<Tiny>) -> Result<(), Error> {
        if event == Event::EvalEnd {
            for report in &mut state.history.reports {
                report
                    .scores
                    .iter_mut()
                    .for_each(|score| score.value = self.0);
            }
        }
        Ok(())
    }
}

#[test]
fn scores_that_are_not_finite_survive_a_checkpoint() {
    let _alone = alone();
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let folder = tempfile::tempdir().unwrap();
        plain("3ba", folder.path())
            .algorithm(Extreme(value))
            .fit()
            .unwrap();
        let checkpoint = latest(folder.path());
        let read = checkpoint.history().last("train/loss").unwrap();
        assert_eq!(read.to_bits(), value.to_bits());
    }
}

#[test]
fn a_checkpoint_of_another_seed_data_or_model_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path(), 3);
    let checkpoint = || latest(folder.path());
    let with = |seed, train: Samples| {
        let config = config("8ba").with_seed(seed);
        let trainer = config.init(Stateful::new(&Device::default()), train.loader());
        trainer.logger(Quiet).resume(checkpoint())
    };
    let error = with(4, eleven()).fit().unwrap_err();
    assert_eq!(argument(error), ("seed", "4".into()));
    let error = with(3, Samples::new(12, 4)).fit().unwrap_err();
    assert_eq!(argument(error), ("loader", "train, with 12 samples".into()));
    let error = with(3, eleven()).fit().unwrap_err();
    assert_eq!(
        argument(error),
        ("algorithms", "without a moving average".into())
    );

    let other = trainer(config("8ba").with_seed(3), eleven())
        .resume(checkpoint())
        .fit();
    let (path, problem) = problem(other.unwrap_err());
    assert_eq!(path, super::path(folder.path(), 3));
    let CheckpointProblem::OtherRun(reason) = problem else {
        panic!("{problem:?}")
    };
    assert_eq!(reason.lines().count(), 1);
}

fn adam() -> ModuleOptimizer {
    AdamConfig::new().init()
}

fn sgd_with_momentum() -> ModuleOptimizer {
    let momentum = MomentumConfig::new();
    SgdConfig::new().with_momentum(Some(momentum)).init()
}

#[test]
fn a_checkpoint_of_another_optimizer_is_refused() {
    let _alone = alone();
    let optimizers = [adam, sgd_with_momentum];
    for (saved, other) in [(0, 1), (1, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let run = |index: usize| plain("8ba", folder.path()).optimizer(optimizers[index]());
        run(saved)
            .callback(kill_at(Event::BatchStart, 3))
            .fit()
            .unwrap_err();
        let error = run(other).resume(latest(folder.path())).fit().unwrap_err();
        let (named, problem) = problem(error);
        assert_eq!(named, path(folder.path(), 3));
        assert!(
            matches!(problem, CheckpointProblem::OtherRun(_)),
            "{problem:?}"
        );
        // The same optimizer with other settings is accepted.
        let resumed = run(saved).resume(latest(folder.path()));
        assert!(resumed.fit().unwrap().is_complete);
    }
}

#[test]
fn a_run_on_changed_data_is_not_resumed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let on = |digest: Option<&str>| {
        let mut train = eleven();
        if let Some(digest) = digest {
            train = train.with_fingerprint(digest);
        }
        trainer(config("6ba"), train).checkpoints(every_batch(folder.path()))
    };
    on(Some("cat,dog"))
        .callback(kill_at(Event::BatchStart, 2))
        .fit()
        .unwrap_err();
    for changed in [Some("dog,cat"), None] {
        let error = on(changed).resume(latest(folder.path())).fit().unwrap_err();
        assert_eq!(
            argument(error),
            ("loader", "train, with changed data".into())
        );
    }
    assert!(
        on(Some("cat,dog"))
            .resume(latest(folder.path()))
            .fit()
            .unwrap()
            .is_complete
    );
}

#[test]
fn a_loader_with_larger_batches_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    plain("8ba", folder.path())
        .callback(kill_at(Event::BatchStart, 2))
        .fit()
        .unwrap_err();
    let error = trainer(config("8ba"), Samples::new(11, 11))
        .resume(latest(folder.path()))
        .fit()
        .unwrap_err();
    let value = "train, with fewer batches than the run has seen";
    assert_eq!(argument(error), ("loader", value.into()));
}
