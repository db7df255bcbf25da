//! Checkpoints: a run that was stopped anywhere ends like one that was not.
//!
//! A process of their own, and one run at a time: the CPU has one random generator for dropout, which
//! every run sets.

#[allow(dead_code)] // other tests use the rest of it
#[path = "trainer/setting.rs"]
mod setting;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig};
use burn::optim::AdamWConfig;
use burn::tensor::{Device, Tensor};
use cutmix::algorithms::CutMix;
use cutmix::trainer::{Checkpoint, Checkpoints, Event, Fit, Goal, Schedule, Stop, Trainer};
use cutmix::{Classifier, Error};

use setting::*;

/// With everything that has a state of its own: running statistics, and dropout.
#[derive(burn::module::Module, Debug)]
struct Stateful {
    norm: BatchNorm,
    dropout: Dropout,
    tiny: Tiny,
}

impl Stateful {
    fn new(device: &Device) -> Self {
        Self {
            norm: BatchNormConfig::new(1).init(device),
            dropout: DropoutConfig::new(0.3).init(),
            tiny: Tiny::new(device),
        }
    }
}

impl Classifier for Stateful {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let images = self.dropout.forward(self.norm.forward(images));
        self.tiny.forward(images)
    }
}

/// A run of 8 batches in epochs of 3, saved after each, that uses all there is to use.
fn run(folder: &Path) -> Trainer<Stateful> {
    let device = Device::default();
    Trainer::new(
        Stateful::new(&device),
        Batches::new(11, 4, &device).loader(),
    )
    .eval_loader(Batches::new(5, 5, &device).loader())
    .max_duration("8ba".parse().unwrap())
    .eval_interval("3ba".parse().unwrap())
    .optimizer(AdamWConfig::new().init())
    .learning_rate(0.05)
    .schedule(Schedule::Cosine {
        warmup: "2ba".parse().unwrap(),
    })
    .average(0.8)
    .best(Goal::EvalLoss)
    .algorithm(CutMix::new(CLASSES))
    .seed(3)
    .checkpoints(
        Checkpoints::new(folder)
            .every("1ba".parse().unwrap())
            .keep(20),
    )
    .logger(Quiet)
}

/// Everything that comes out of a run, but for the time it took.
fn outcome(fit: &Fit<Stateful>) -> (Vec<f32>, Vec<[f64; 6]>, Vec<f32>) {
    let reports = fit.history.reports.iter().map(|report| {
        let eval = report.eval.unwrap();
        [
            report.epoch,
            report.batches as f64,
            report.learning_rate,
            report.train.loss,
            report.train.accuracy,
            eval.loss,
        ]
    });
    let statistics = [&fit.model.norm.running_mean, &fit.model.norm.running_var];
    let statistics = statistics.map(|statistic| values(statistic.value_sync()));
    (
        fit.model.tiny.weights(),
        reports.collect(),
        statistics.concat(),
    )
}

/// Stops a run before batch `at`, as if the process had been killed there.
fn interrupted(folder: &Path, at: u64) {
    let error = run(folder)
        .callback(move |event: Event<'_>| match event {
            Event::BeforeForward(step) if step.time().batch == at => {
                Err(Error::argument("power", "off", "on"))
            }
            _ => Ok(()),
        })
        .fit()
        .unwrap_err();
    assert_eq!(error.to_string(), "`power` is off; accepted: on");
}

/// Held by each test.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of a run of another model.
fn refused(change: impl FnOnce(Trainer<Tiny>) -> Trainer<Tiny>) -> String {
    let device = Device::default();
    let trainer = Trainer::new(Tiny::new(&device), Batches::new(11, 4, &device).loader());
    change(trainer.logger(Quiet)).fit().unwrap_err().to_string()
}

fn latest(folder: &Path) -> Checkpoint {
    let latest = Checkpoint::latest(folder).unwrap();
    assert!(latest.damaged.is_empty());
    latest.checkpoint
}

#[test]
fn a_run_that_was_stopped_anywhere_ends_like_one_that_was_not() {
    let _alone = alone();
    let whole = tempfile::tempdir().unwrap();
    let expected = outcome(&run(whole.path()).fit().unwrap());
    for at in 1..8 {
        let folder = tempfile::tempdir().unwrap();
        interrupted(folder.path(), at);
        let checkpoint = latest(folder.path());
        assert_eq!(checkpoint.batches(), at);
        let fit = run(folder.path()).resume(checkpoint).fit().unwrap();
        assert_eq!(outcome(&fit), expected, "stopped before batch {at}");
    }
    // Again and again.
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path(), 2);
    for at in [3, 5] {
        let resumed =
            run(folder.path())
                .resume(latest(folder.path()))
                .callback(move |event: Event<'_>| match event {
                    Event::AfterBackward(step) if step.time().batch == at => {
                        Err(Error::argument("power", "off", "on"))
                    }
                    _ => Ok(()),
                });
        resumed.fit().unwrap_err();
    }
    let fit = run(folder.path())
        .resume(latest(folder.path()))
        .fit()
        .unwrap();
    assert_eq!(outcome(&fit), expected);
    // A run that is over has nothing left to do.
    let fit = run(folder.path())
        .resume(latest(folder.path()))
        .fit()
        .unwrap();
    assert_eq!(outcome(&fit), expected);
    assert!(fit.is_complete);
}

#[test]
fn a_run_that_was_asked_to_stop_saves_itself() {
    let _alone = alone();
    let whole = tempfile::tempdir().unwrap();
    let expected = outcome(&run(whole.path()).fit().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let seldom = || {
        let to = Checkpoints::new(folder.path()).every("100ba".parse().unwrap());
        run(folder.path()).checkpoints(to)
    };
    let stop = Stop::new();
    let handle = stop.clone();
    let fit = seldom()
        .stop(stop)
        .callback(move |event: Event<'_>| {
            if matches!(event, Event::AfterLoss(step) if step.time().batch == 4) {
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
    assert!(fit.is_complete);
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = (fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn old_checkpoints_are_removed_but_not_the_best() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let device = Device::default();
    let trainer = |every: &str, keep| {
        Trainer::new(Tiny::new(&device), Batches::new(11, 4, &device).loader())
            .eval_loader(Batches::new(5, 5, &device).loader())
            .max_duration("8ba".parse().unwrap())
            .eval_interval("1ba".parse().unwrap())
            // The first step makes it worse, and so the first report is the best.
            .learning_rate(100.0)
            .schedule(Schedule::constant())
            .checkpoints(
                Checkpoints::new(folder.path())
                    .every(every.parse().unwrap())
                    .keep(keep),
            )
            .logger(Quiet)
    };
    fs::write(folder.path().join("batch-00000001.part"), "half").unwrap();
    trainer("2ba", 2).fit().unwrap();
    assert_eq!(
        files(folder.path()),
        ["batch-00000006.checkpoint", "batch-00000008.checkpoint"]
    );
    fs::remove_dir_all(folder.path()).unwrap();
    let fit = trainer("3ba", 1).best(Goal::EvalLoss).fit().unwrap();
    let best = Goal::EvalLoss.best(&fit.history.reports).unwrap() + 1;
    assert!(best < 8, "the last one is not the best");
    assert_eq!(
        files(folder.path()),
        [
            format!("batch-{best:08}.checkpoint"),
            "batch-00000008.checkpoint".into()
        ]
    );
}

/// A run of 3 saved batches.
fn saved() -> (tempfile::TempDir, [PathBuf; 3]) {
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path(), 3);
    let path = |batch| folder.path().join(format!("batch-{batch:08}.checkpoint"));
    let paths = [1, 2, 3].map(path);
    (folder, paths)
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_used() {
    let _alone = alone();
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.clear(),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        |bytes| bytes.push(0),
    ];
    for damage in damages {
        let (folder, [first, second, third]) = saved();
        let spoil = |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            damage(&mut bytes);
            fs::write(path, bytes).unwrap();
        };
        spoil(&third);
        let latest = Checkpoint::latest(folder.path()).unwrap();
        assert_eq!(latest.checkpoint.path(), second);
        assert_eq!(latest.damaged.len(), 1);
        let named = latest.damaged[0].to_string();
        assert_eq!(
            named,
            format!(
                "checkpoint `{}`: the file is damaged: its digest is not that of its content",
                third.display()
            )
        );
        spoil(&first);
        spoil(&second);
        let error = Checkpoint::latest(folder.path()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "checkpoint `{}`: no checkpoint in this folder is whole; {named}",
                folder.path().display()
            )
        );
    }
    let empty = tempfile::tempdir().unwrap();
    let error = Checkpoint::latest(empty.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("there is no checkpoint in this folder"),
        "{error}"
    );
    Checkpoint::latest(&empty.path().join("nowhere")).unwrap_err();
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let _alone = alone();
    let (folder, _) = saved();
    let checkpoint = latest(folder.path());
    let error = run(folder.path())
        .seed(4)
        .resume(checkpoint.clone())
        .fit()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`seed` is 4; accepted: 3, the seed of the run"
    );
    let data = Batches::new(12, 4, &Device::default());
    let error = Trainer::new(Stateful::new(&Device::default()), data.loader())
        .seed(3)
        .average(0.8)
        .resume(checkpoint.clone())
        .fit()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`train_loader` is of 12 samples; accepted: the 11 samples of the run"
    );
    let other = refused(|t| t.seed(3).average(0.5).resume(checkpoint.clone()));
    assert!(other.contains(": it is not of this run: "), "{other}");
    assert_eq!(other.lines().count(), 1);
    let none = refused(|t| t.seed(3).resume(checkpoint));
    assert!(
        none.ends_with("it is not of this run: it has a moving average of the weights"),
        "{none}"
    );
}

#[test]
fn a_loss_that_is_not_finite_names_the_last_good_checkpoint() {
    let _alone = alone();
    let (folder, [_, second, third]) = saved();
    fs::remove_file(&third).unwrap();
    let error = run(folder.path())
        .resume(latest(folder.path()))
        .callback(|_: Event<'_>| Ok(()))
        .algorithm(Poison)
        .fit()
        .unwrap_err();
    let expected = format!("; the last good checkpoint is {}", second.display());
    assert!(error.to_string().ends_with(&expected), "{error}");
    assert_eq!(latest(folder.path()).path(), second);
}

/// Makes every loss infinite.
struct Poison;

impl cutmix::algorithms::Algorithm for Poison {
    fn name(&self) -> String {
        "poison".into()
    }
    fn before_loss(&self, step: &mut cutmix::algorithms::Step) -> Result<(), Error> {
        step.logits = step.logits.take().map(|logits| logits * f32::INFINITY);
        Ok(())
    }
}

#[test]
fn wrong_checkpoint_settings_are_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        refused(|t| t.checkpoints(Checkpoints::new(folder.path()).keep(0))),
        "`keep` is 0; accepted: at least 1 checkpoint"
    );
    assert_eq!(
        refused(|t| t.checkpoints(Checkpoints::new(folder.path()).every("0ba".parse().unwrap()))),
        "`save_interval` is 0ba; accepted: more than nothing"
    );
}

#[test]
fn a_new_run_does_not_touch_the_checkpoints_of_another_one() {
    let _alone = alone();
    let (folder, saved) = saved();
    let error = run(folder.path()).fit().unwrap_err();
    let expected = format!(
        "`checkpoints` is {}, where a run has saved itself; accepted: another folder, or that run to `resume`",
        folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(saved.iter().all(|checkpoint| checkpoint.exists()));
}

#[test]
fn of_what_was_half_written_only_the_files_of_a_run_are_removed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [killed, foreign] =
        ["batch-00000007.part", "notes.part"].map(|name| folder.path().join(name));
    fs::write(&killed, "half").unwrap();
    fs::write(&foreign, "mine").unwrap();
    run(folder.path())
        .max_duration("1ba".parse().unwrap())
        .fit()
        .unwrap();
    assert!(!killed.exists());
    assert!(foreign.exists());
}

#[test]
fn a_loader_of_other_batches_is_refused_instead_of_waited_for() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path(), 2);
    let device = Device::default();
    let data = Batches::new(11, 11, &device);
    let error = Trainer::new(Stateful::new(&device), data.loader())
        .optimizer(AdamWConfig::new().init())
        .max_duration("8ba".parse().unwrap())
        .seed(3)
        .average(0.8)
        .resume(latest(folder.path()))
        .logger(Quiet)
        .fit()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`train_loader` is through before the batch at which the run goes on; accepted: the loader \
         of the run, with batches of the same size"
    );
}

#[test]
fn a_run_goes_on_without_a_best_model_that_is_damaged_and_drops_later_files() {
    let _alone = alone();
    let (folder, [_, _, third]) = saved();
    let resumed = |batches: &str| {
        run(folder.path())
            .max_duration(batches.parse().unwrap())
            .resume(Checkpoint::latest(folder.path()).unwrap().checkpoint)
            .fit()
            .unwrap()
    };
    resumed("5ba");
    // The report after batch 3 was the first, and so the best; one after batch 5 may be better.
    let before = latest(folder.path());
    assert_eq!(before.batches(), 5);
    fs::write(&third, "spoiled").unwrap();
    let later = folder.path().join("batch-00000099.checkpoint");
    fs::write(&later, "spoiled").unwrap();
    let found = Checkpoint::latest(folder.path()).unwrap();
    assert_eq!(found.checkpoint.batches(), 5);
    assert!(found.damaged[0].to_string().contains("batch-00000099"));
    let fit = resumed("8ba");
    assert!(fit.is_complete);
    // What is not whole and comes later would be taken for the last to keep.
    assert!(!later.exists());
    assert!(files(folder.path()).contains(&"batch-00000008.checkpoint".into()));
}

/// Makes the images of one batch infinite.
struct Blinding;

impl cutmix::algorithms::Algorithm for Blinding {
    fn name(&self) -> String {
        "blinding".into()
    }
    fn before_forward(&self, step: &mut cutmix::algorithms::Step) -> Result<(), Error> {
        match step.time().batch {
            1 => step.map_images(|images| Ok(images * f32::NAN)),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_batch_that_is_passed_over_leaves_running_statistics_as_they_were() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let fit = run(folder.path())
        .on_nan(cutmix::trainer::OnNan::Skip)
        .algorithm(Blinding)
        .fit()
        .unwrap();
    let (weights, reports, statistics) = outcome(&fit);
    assert!(
        weights
            .iter()
            .chain(&statistics)
            .all(|value| value.is_finite())
    );
    assert!(reports.iter().flatten().all(|value| value.is_finite()));
    assert_eq!(fit.history.reports[0].skipped, 1);
}
