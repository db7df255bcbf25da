//! Runs that are resumed with another length.

use cutmix_train::{Duration, State, Stop};

use super::*;

/// Runs and stops after `batches` batches, with a checkpoint there.
fn stopped(trainer: Trainer<Tiny>, batches: u64) {
    let stop = Stop::new();
    let handle = stop.clone();
    let fit = trainer
        .stop(stop)
        .callback(move |event: Event, state: &State<Tiny>| {
            if event == Event::BatchEnd && state.time().batch + 1 == batches {
                handle.request();
            }
            Ok(())
        });
    assert!(!fit.fit().unwrap().is_complete);
}

#[test]
fn a_stopped_run_that_is_extended_equals_one_of_that_length() {
    let _alone = alone();
    for batches in [2, 3, 5] {
        let (folder, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let expected = plain("4ep", whole.path())
            .algorithm(CutMix::new())
            .fit()
            .unwrap();
        stopped(
            plain("2ep", folder.path()).algorithm(CutMix::new()),
            batches,
        );
        let fit = plain("4ep", folder.path())
            .algorithm(CutMix::new())
            .resume(latest(folder.path()))
            .fit()
            .unwrap();
        assert_eq!(fit.model.weights(), expected.model.weights());
        assert_eq!(scores(&fit), scores(&expected));
        assert!(fit.is_complete);
    }
}

#[test]
fn the_rate_of_an_extended_run_continues_as_if_it_had_been_that_long() {
    let _alone = alone();
    let rates = |resumes: bool| {
        let folder = tempfile::tempdir().unwrap();
        let of = |run: &str| {
            let config = config(run).with_schedule(Schedule::Cosine);
            trainer(config, eleven()).checkpoints(every_batch(folder.path()))
        };
        let log = LogRecorder::default();
        if resumes {
            stopped(of("6ba"), 4);
            of("12ba")
                .resume(latest(folder.path()))
                .logger(log.clone())
                .fit()
                .unwrap();
            log.rates()
        } else {
            of("12ba").logger(log.clone()).fit().unwrap();
            log.rates()[4..].to_vec()
        }
    };
    assert_eq!(rates(true), rates(false));
}

/// The learning rates of a finished run of `first` that is extended to `second`.
fn extended(first: &str, second: &str, killed_at: Option<u64>) -> [Vec<f64>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let run = |max_duration: &str| {
        let config = config(max_duration)
            .with_schedule(Schedule::Cosine)
            .with_warmup(Duration::Share(0.5))
            .with_learning_rate(1.0);
        trainer(config, eleven().fixed()).checkpoints(every_batch(folder.path()))
    };
    let logs = [LogRecorder::default(), LogRecorder::default()];
    run(first).logger(logs[0].clone()).fit().unwrap();
    assert!(latest(folder.path()).is_complete());
    if let Some(batch) = killed_at {
        let killed = run(second)
            .resume(latest(folder.path()))
            .logger(logs[1].clone());
        killed
            .callback(kill_at(Event::BatchStart, batch))
            .fit()
            .unwrap_err();
    }
    run(second)
        .resume(latest(folder.path()))
        .logger(logs[1].clone())
        .fit()
        .unwrap();
    logs.map(|log| log.rates())
}

#[test]
fn a_finished_run_that_is_extended_starts_a_new_cycle_of_its_schedule() {
    let _alone = alone();
    // The second half is as long as the first, and so its rates are the same.
    for (first, second) in [("8ba", "16ba"), ("2ep", "4ep"), ("22sp", "44sp")] {
        let [first_rates, second_rates] = extended(first, second, None);
        let peak = first_rates.iter().copied().fold(0.0, f64::max);
        assert!(
            peak > 0.75 && *first_rates.last().unwrap() < 0.1,
            "{first_rates:?}"
        );
        assert_close(&second_rates, &first_rates, 1e-9);
    }
    // A longer second half rises more slowly.
    let [first_rates, second_rates] = extended("4ba", "16ba", None);
    assert!(second_rates[0] < first_rates[0]);
    assert!(second_rates[..6].is_sorted() && second_rates[6..].is_sorted_by(|a, b| a >= b));
}

#[test]
fn the_new_cycle_of_an_extended_run_survives_a_kill() {
    let _alone = alone();
    let [_, expected] = extended("8ba", "16ba", None);
    for batch in [9, 12, 15] {
        let [_, rates] = extended("8ba", "16ba", Some(batch));
        assert_close(&rates, &expected, 1e-12);
    }
}

#[test]
fn a_run_cannot_be_shortened_below_what_has_elapsed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    plain("3ep", folder.path())
        .callback(kill_at(Event::BatchStart, 5))
        .fit()
        .unwrap_err();
    for too_short in ["5ba", "1ba", "1ep", "18sp"] {
        let resumed = plain(too_short, folder.path()).resume(latest(folder.path()));
        let error = resumed.fit().unwrap_err();
        assert_eq!(argument(error), ("max_duration", too_short.into()));
    }
    // To shorten what is left is allowed.
    for (shorter, batches) in [("6ba", 6), ("2ep", 6), ("20sp", 6)] {
        let folder = tempfile::tempdir().unwrap();
        plain("3ep", folder.path())
            .callback(kill_at(Event::BatchStart, 5))
            .fit()
            .unwrap_err();
        let resumed = plain(shorter, folder.path()).resume(latest(folder.path()));
        let fit = resumed.fit().unwrap();
        assert_eq!(
            fit.history.reports.last().unwrap().batches,
            batches,
            "{shorter}"
        );
        assert!(fit.is_complete);
    }
}

#[test]
fn a_finished_run_cannot_be_shortened() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    plain("2ep", folder.path()).fit().unwrap();
    let error = plain("1ep", folder.path())
        .resume(latest(folder.path()))
        .fit()
        .unwrap_err();
    assert_eq!(argument(error), ("max_duration", "1ep".into()));
}
