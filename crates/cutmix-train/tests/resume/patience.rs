//! Runs with patience that are resumed and extended.

use super::*;

/// A run whose scores never change, which ends after `reports` reports without a better one.
fn standing(max_duration: &str, reports: usize, folder: &Path) -> Trainer<Tiny> {
    let config = config(max_duration)
        .with_learning_rate(1e-30)
        .with_patience("val/loss", reports);
    trainer(config, eleven())
        .eval("val", Samples::new(3, 3).loader())
        .checkpoints(Checkpoints::new(folder))
}

/// Reports of a run that is complete.
#[track_caller]
fn reports(trainer: Trainer<Tiny>) -> usize {
    let fit = trainer.fit().unwrap();
    assert!(fit.is_complete);
    fit.history.reports.len()
}

#[test]
fn a_run_that_ended_by_patience_continues_when_it_is_extended() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = |max_duration| standing(max_duration, 3, folder.path());
    assert_eq!(reports(run("50ep")), 4);
    // Without another length it has nothing to do.
    assert_eq!(reports(run("50ep").resume(latest(folder.path()))), 4);
    // The first report of the extension is the best so far, and three more follow.
    for (longer, expected) in [("60ep", 8), ("70ep", 12)] {
        assert_eq!(reports(run(longer).resume(latest(folder.path()))), expected);
        assert_eq!(latest(folder.path()).batches(), 3 * expected as u64);
    }
}

#[test]
fn a_finished_run_that_is_extended_is_not_ended_by_the_reports_before() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = |max_duration| standing(max_duration, 4, folder.path());
    assert_eq!(reports(run("4ep")), 4);
    assert_eq!(reports(run("50ep").resume(latest(folder.path()))), 9);
}

#[test]
fn the_patience_of_an_extended_run_survives_a_kill() {
    let _alone = alone();
    for epoch in 4..9 {
        let folder = tempfile::tempdir().unwrap();
        let run = |max_duration| standing(max_duration, 4, folder.path());
        assert_eq!(reports(run("4ep")), 4);
        run("50ep")
            .resume(latest(folder.path()))
            .callback(kill_at(Event::BeforeForward, 3 * epoch + 1))
            .fit()
            .unwrap_err();
        assert_eq!(reports(run("50ep").resume(latest(folder.path()))), 9);
    }
}

#[test]
fn patience_of_a_run_that_was_killed_counts_the_reports_before() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = || standing("50ep", 3, folder.path());
    run()
        .callback(kill_at(Event::BeforeForward, 7))
        .fit()
        .unwrap_err();
    assert_eq!(latest(folder.path()).history().reports.len(), 2);
    assert_eq!(reports(run().resume(latest(folder.path()))), 4);
}
