//! The best model of a run that is resumed.

use burn::tensor::Device;
use cutmix::loss::CrossEntropy;
use cutmix_train::{Checkpoint, Evaluator};

use super::*;

/// A run whose first step is its best, with a report and a checkpoint after each batch.
fn worsening(max_duration: &str, checkpoints: Checkpoints) -> Trainer<Tiny> {
    let config = config(max_duration)
        .with_learning_rate(100.0)
        .with_eval_interval(duration("1ba"))
        .with_best("val/loss");
    trainer(config, eleven())
        .eval("val", Samples::new(11, 11).loader())
        .checkpoints(checkpoints)
}

/// The batch after which the run of 8 batches was best.
fn best_batch(fit: &Fit<Tiny>) -> u64 {
    let best = fit.history.best("val/loss").unwrap().batches;
    assert!(best < 6, "the best one must not be one of the last: {best}");
    best
}

#[test]
fn the_checkpoint_with_the_best_model_is_kept() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let to = Checkpoints::new(folder.path())
        .with_save_interval(duration("3ba"))
        .with_keep(1);
    let best = best_batch(&worsening("8ba", to).fit().unwrap());
    assert_eq!(files(folder.path()), batches(&[best, 8]));
}

#[test]
fn the_checkpoint_of_the_best_model_is_found_beside_the_newest() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let fit = worsening("8ba", every_batch(folder.path())).fit().unwrap();
    let best = best_batch(&fit);
    let latest = Checkpoint::latest(folder.path()).unwrap();
    assert_eq!(latest.checkpoint.best(), Some(("val/loss", best)));
    let found = latest.best.unwrap();
    assert_eq!(found.batches(), best);
    let model = found
        .inference_model(Tiny::new(&Device::default()))
        .unwrap();
    assert_eq!(model.weights(), fit.model.weights());
    let last = latest
        .checkpoint
        .inference_model(Tiny::new(&Device::default()))
        .unwrap();
    assert_ne!(last.weights(), fit.model.weights());

    // There is no other file where the newest is the best one, or where the best one is lost.
    for batch in best + 1..=8 {
        let _ = fs::remove_file(path(folder.path(), batch));
    }
    let latest = Checkpoint::latest(folder.path()).unwrap();
    assert_eq!(
        latest.checkpoint.best().unwrap().1,
        latest.checkpoint.batches()
    );
    assert!(latest.best.is_none());
}

#[test]
fn a_run_without_a_score_has_no_best_checkpoint() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    plain("3ba", folder.path()).fit().unwrap();
    let latest = Checkpoint::latest(folder.path()).unwrap();
    assert!(latest.checkpoint.best().is_none() && latest.best.is_none());
}

#[test]
fn the_best_model_is_returned_by_a_resumed_run() {
    let _alone = alone();
    let whole = tempfile::tempdir().unwrap();
    let expected = worsening("8ba", every_batch(whole.path())).fit().unwrap();
    let best = best_batch(&expected);
    for batch in best..8 {
        let folder = tempfile::tempdir().unwrap();
        let to = || every_batch(folder.path()).with_keep(1);
        worsening("8ba", to())
            .callback(kill_at(Event::BatchStart, batch))
            .fit()
            .unwrap_err();
        let fit = worsening("8ba", to())
            .resume(latest(folder.path()))
            .fit()
            .unwrap();
        assert_eq!(
            fit.model.weights(),
            expected.model.weights(),
            "killed at batch {batch}"
        );
    }
}

#[test]
fn the_best_model_survives_a_fall_back_to_an_older_checkpoint() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let expected = worsening("8ba", every_batch(folder.path())).fit().unwrap();
    let best = best_batch(&expected);
    for batch in [7, 8] {
        fs::write(path(folder.path(), batch), "spoiled").unwrap();
    }
    let found = Checkpoint::latest(folder.path()).unwrap();
    assert_eq!((found.checkpoint.batches(), found.damaged.len()), (6, 2));
    let resumed = worsening("8ba", every_batch(folder.path())).resume(found.checkpoint);
    let fit = resumed.fit().unwrap();
    assert_eq!(best_batch(&fit), best);
    assert_eq!(fit.model.weights(), expected.model.weights());
}

#[test]
fn a_best_model_that_is_damaged_is_named_and_looked_for_anew() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let whole = worsening("8ba", every_batch(folder.path())).fit().unwrap();
    let best = best_batch(&whole);
    fs::remove_file(path(folder.path(), 8)).unwrap();
    fs::write(path(folder.path(), best), "spoiled").unwrap();
    let found = Checkpoint::latest(folder.path()).unwrap();
    assert_eq!(found.checkpoint.batches(), 7);
    let [damaged] = found.damaged.try_into().unwrap();
    let (named, problem) = problem(damaged);
    assert_eq!(named, path(folder.path(), best));
    assert!(matches!(problem, CheckpointProblem::NotACheckpoint));

    let resumed = worsening("8ba", every_batch(folder.path())).resume(found.checkpoint);
    let fit = resumed.fit().unwrap();
    assert_eq!(scores(&fit), scores(&whole));
    // Of the reports whose models there are, the last one is the best.
    let last = trainer(config("8ba").with_learning_rate(100.0), eleven())
        .fit()
        .unwrap();
    assert_eq!(fit.model.weights(), last.model.weights());
}

#[test]
fn a_best_checkpoint_of_another_run_is_not_taken() {
    let _alone = alone();
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let best = best_batch(&worsening("8ba", every_batch(folder.path())).fit().unwrap());
    trainer(config("8ba").with_learning_rate(1e-3), eleven())
        .checkpoints(every_batch(other.path()))
        .fit()
        .unwrap();
    fs::copy(path(other.path(), best), path(folder.path(), best)).unwrap();
    fs::remove_file(path(folder.path(), 8)).unwrap();
    let resumed = worsening("8ba", every_batch(folder.path())).resume(at(folder.path(), 7));
    let fit = resumed.fit().unwrap();
    let last = trainer(config("8ba").with_learning_rate(100.0), eleven())
        .fit()
        .unwrap();
    assert_eq!(fit.model.weights(), last.model.weights());
    // It is not removed either.
    let [before, after] =
        [&other, &folder].map(|folder| fs::read(path(folder.path(), best)).unwrap());
    assert_eq!(before, after);
}

/// The run of [`worsening`] with another score, or none, by which the best model is kept.
fn worsening_by(best: Option<&str>, folder: &Path) -> Trainer<Tiny> {
    let mut config = config("8ba")
        .with_learning_rate(100.0)
        .with_eval_interval(duration("1ba"));
    config.best = best.map(Into::into);
    trainer(config, eleven())
        .eval("val", Samples::new(11, 11).loader())
        .eval("other", Samples::new(5, 5).loader())
        .checkpoints(every_batch(folder))
}

/// The loss of a model on the set `val`.
fn val_loss(model: &Tiny) -> Option<f64> {
    let evaluator = Evaluator::new(CrossEntropy::new());
    let data = Samples::new(11, 11);
    let scores = evaluator.run("val", model, &data, &Device::default());
    Some(scores.unwrap()[0].value)
}

#[test]
fn a_run_resumed_with_another_score_returns_the_best_by_that_score_since_then() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let old = best_batch(&worsening_by(Some("val/loss"), folder.path()).fit().unwrap());
    for score in ["val/accuracy", "other/loss", "train/loss"] {
        for resumed in [5, 6, 7] {
            assert!(old <= resumed);
            let folder = tempfile::tempdir().unwrap();
            worsening_by(Some("val/loss"), folder.path())
                .callback(kill_at(Event::BatchStart, resumed))
                .fit()
                .unwrap_err();
            let fit = worsening_by(Some(score), folder.path())
                .resume(latest(folder.path()))
                .fit()
                .unwrap();
            let mut since = fit.history.clone();
            since.reports.drain(..resumed as usize);
            let best = since.best(score).unwrap();
            assert_eq!(best.value("val/loss"), val_loss(&fit.model), "{score}");
        }
    }
}

#[test]
fn a_run_resumed_without_a_new_report_or_without_a_score_returns_its_last_model() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let whole = worsening_by(Some("val/loss"), folder.path()).fit().unwrap();
    assert_ne!(whole.history.last("val/loss"), val_loss(&whole.model));
    for (score, batch) in [(Some("other/loss"), 8), (None, 8), (None, 6)] {
        let checkpoint = at(folder.path(), batch);
        let fit = worsening_by(score, folder.path())
            .resume(checkpoint)
            .fit()
            .unwrap();
        let last = fit.history.last("val/loss");
        assert_eq!(last, val_loss(&fit.model), "{score:?} {batch}");
    }
}

#[test]
fn another_score_survives_a_kill() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = |score| worsening_by(Some(score), folder.path());
    run("val/loss")
        .callback(kill_at(Event::BatchStart, 3))
        .fit()
        .unwrap_err();
    run("other/loss")
        .resume(latest(folder.path()))
        .callback(kill_at(Event::BatchStart, 6))
        .fit()
        .unwrap_err();
    let fit = run("other/loss")
        .resume(latest(folder.path()))
        .fit()
        .unwrap();
    let mut since = fit.history.clone();
    since.reports.drain(..3);
    let best = since.best("other/loss").unwrap();
    assert_eq!(best.value("val/loss"), val_loss(&fit.model));
}
