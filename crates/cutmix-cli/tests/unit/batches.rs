use std::borrow::Cow;

use cutmix_train::loggers::{BatchLog, Logger, RunStart};
use cutmix_train::{Duration, History, Logged, Time};

use super::{BatchNumbers, MOST, read};

fn at(batch: u64) -> Time {
    Time {
        batch,
        ..Time::default()
    }
}

fn start(batch: u64) -> RunStart {
    RunStart {
        history: History::default(),
        time: at(batch),
        max_duration: Duration::Batches(5000),
        epoch_samples: 100,
        mixes_targets: true,
    }
}

fn log(batches: &mut BatchNumbers, range: std::ops::Range<u64>) {
    for batch in range {
        let logged = vec![Logged {
            name: Cow::from("cutmix/lambda"),
            value: batch as f64,
        }];
        let log = BatchLog {
            time: at(batch),
            learning_rate: 0.1,
            loss: 1.0,
            accuracy: 50.0,
            logged,
        };
        batches.batch(&log).unwrap();
    }
}

#[test]
fn a_long_run_keeps_numbers_of_batches_at_equal_distances() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("batches.csv");
    let mut batches = BatchNumbers::new(path.clone(), Default::default());
    for (end, step) in [(MOST, 1), (MOST + 1, 2), (5 * MOST, 8)] {
        batches.start(&start(0)).unwrap();
        log(&mut batches, 0..end);
        batches.end().unwrap();
        let found = read(&path);
        let lambdas = found.iter().filter(|number| number.name == "cutmix/lambda");
        let lambdas: Vec<_> = lambdas.map(|number| number.batch).collect();
        let expected: Vec<_> = (0..end).step_by(step).collect();
        assert_eq!(lambdas, expected);
        assert_eq!(found.len(), 2 * expected.len());
    }
}

#[test]
fn a_resumed_run_writes_what_a_run_without_a_stop_writes() {
    let folder = tempfile::tempdir().unwrap();
    let [once, twice] = ["once.csv", "twice.csv"].map(|name| folder.path().join(name));
    let mut batches = BatchNumbers::new(once.clone(), Default::default());
    batches.start(&start(0)).unwrap();
    log(&mut batches, 0..1500);
    batches.end().unwrap();

    let mut batches = BatchNumbers::new(twice.clone(), Default::default());
    batches.start(&start(0)).unwrap();
    log(&mut batches, 0..900);
    batches.flush().unwrap();
    // The process ends here; the checkpoint that is used is an earlier one.
    let mut batches = BatchNumbers::new(twice.clone(), Default::default());
    batches.start(&start(700)).unwrap();
    log(&mut batches, 700..1500);
    batches.end().unwrap();
    assert_eq!(read(&twice), read(&once));
}

#[test]
fn a_file_that_cannot_be_written_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no folder/batches.csv");
    let warnings = super::Warnings::default();
    let mut batches = BatchNumbers::new(path, warnings.clone());
    batches.start(&start(0)).unwrap();
    log(&mut batches, 0..1);
    batches.flush().unwrap();
    batches.end().unwrap();
    let warnings = warnings.kept();
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("cannot write "),
        "{warnings:?}"
    );
}
