//! The best model of a run that is resumed.

use cutmix_train::Checkpoint;

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
        .every(duration("3ba"))
        .keep(1);
    let best = best_batch(&worsening("8ba", to).fit().unwrap());
    assert_eq!(files(folder.path()), batches(&[best, 8]));
}

#[test]
fn the_best_model_is_returned_by_a_resumed_run() {
    let _alone = alone();
    let whole = tempfile::tempdir().unwrap();
    let expected = worsening("8ba", every_batch(whole.path())).fit().unwrap();
    let best = best_batch(&expected);
    for batch in best..8 {
        let folder = tempfile::tempdir().unwrap();
        let to = || every_batch(folder.path()).keep(1);
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
