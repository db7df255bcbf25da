//! Loggers of a run.

use std::process::Command;

use cutmix_train::algorithms::CutMix;
use cutmix_train::{Duration, Event, State};

use crate::common::*;

#[test]
fn a_logger_is_given_batches_and_reports_in_order() {
    let log = LogRecorder::default();
    let fit = trainer(config("4ba"), eleven().fixed())
        .eval("val", Samples::new(5, 3).loader())
        .algorithm(CutMix::new())
        .logger(log.clone())
        .fit()
        .unwrap();
    let evaluation = ["evaluating val 3 of 5", "evaluating val 5 of 5"];
    let expected = [
        &["start 0", "batch 0", "batch 1", "batch 2"],
        evaluation.as_slice(),
        &["report 3", "batch 3"],
        &evaluation,
        &["report 4", "end"],
    ];
    assert_eq!(read(&log.calls), expected.concat());
    assert_eq!(log.history(), fit.history);

    for batch in read(&log.batches) {
        assert_eq!(batch.logged[0].name, "cutmix/lambda");
        assert!((0.0..=1.0).contains(&batch.logged[0].value));
        assert!(batch.loss > 0.0);
        assert!((0.0..=100.0).contains(&batch.accuracy));
        assert_eq!(batch.learning_rate, 0.1);
    }
}

#[test]
fn a_logger_is_given_the_run_when_it_starts() {
    let log = LogRecorder::default();
    trainer(config("4ba"), eleven())
        .algorithm(CutMix::new())
        .logger(log.clone())
        .fit()
        .unwrap();
    let start = &read(&log.starts)[0];
    assert_eq!(start.max_duration, Duration::Batches(4));
    assert_eq!((start.time.batch, start.epoch_samples), (0, 11));
    assert!(start.mixes_targets && start.history.reports.is_empty());
}

#[test]
fn what_algorithms_log_is_averaged_over_the_parts_of_a_batch() {
    let log = LogRecorder::default();
    let mut value = 0.0;
    trainer(config("1ba").with_accumulate(3), eleven())
        .algorithm(At(Event::BeforeForward, move |state: &mut State<Tiny>| {
            value += 1.0;
            state.log("at/number", value);
            Ok(())
        }))
        .logger(log.clone())
        .fit()
        .unwrap();
    let batch = &read(&log.batches)[0];
    assert_eq!(batch.logged.len(), 3);
    assert_eq!(batch.logged_means(), [("at/number", 2.0)]);
}

#[test]
fn what_an_algorithm_logs_at_the_end_of_a_batch_belongs_to_that_batch() {
    for parts in [1, 2] {
        let log = LogRecorder::default();
        trainer(config("2ep").with_accumulate(parts), eleven())
            .algorithm(At(Event::BatchEnd, |state: &mut State<Tiny>| {
                state.log("at/batch", state.time().batch as f64);
                Ok(())
            }))
            .logger(log.clone())
            .fit()
            .unwrap();
        let batches = read(&log.batches);
        assert_eq!(batches.len(), if parts == 1 { 6 } else { 4 });
        for (number, batch) in batches.iter().enumerate() {
            assert_eq!(batch.logged_means(), [("at/batch", number as f64)]);
        }
    }
}

#[test]
fn the_error_of_a_logger_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    for place in ["start", "batch", "report", "flush", "end"] {
        let error = trainer(config("1ep"), eleven())
            .checkpoints(cutmix_train::Checkpoints::new(folder.path().join(place)))
            .logger(FullDisk(place))
            .fit()
            .unwrap_err();
        assert_eq!(argument(error), ("disk", "full".into()));
    }
}

#[test]
fn loggers_that_have_started_end_where_a_later_one_fails_to_start() {
    let (first, last) = (LogRecorder::default(), LogRecorder::default());
    let error = trainer(config("1ep"), eleven())
        .logger(first.clone())
        .logger(FullDisk("start"))
        .logger(last.clone())
        .fit()
        .unwrap_err();
    assert_eq!(argument(error), ("disk", "full".into()));
    assert_eq!(read(&first.calls), ["start 0", "end"]);
    assert!(read(&last.calls).is_empty());
}

#[test]
fn every_logger_ends_where_one_fails_to_end() {
    let last = LogRecorder::default();
    trainer(config("1ba"), eleven())
        .logger(FullDisk("end"))
        .logger(last.clone())
        .fit()
        .unwrap_err();
    assert_eq!(read(&last.calls).last().unwrap(), "end");
}

#[test]
fn loggers_end_where_a_callback_stops_the_run_at_once() {
    let log = LogRecorder::default();
    trainer(config("1ep"), eleven())
        .logger(log.clone())
        .callback(kill_at(Event::FitStart, 0))
        .fit()
        .unwrap_err();
    assert_eq!(read(&log.calls), ["start 0", "end"]);
}

#[test]
fn a_report_is_one_line_with_every_score() {
    let fit = trainer(config("4ba"), eleven())
        .eval("val", Samples::new(3, 3).loader())
        .algorithm(CutMix::new())
        .fit()
        .unwrap();
    let [epoch, batch] = [0, 1].map(|index| fit.history.reports[index].to_string());
    assert!(epoch.starts_with("epoch 1  train loss ") && batch.starts_with("batch 4  train loss "));
    for part in [
        "  mixed accuracy ",
        " %  val loss ",
        "  val accuracy ",
        " s",
    ] {
        assert!(epoch.contains(part), "{epoch}");
    }
    assert_eq!(epoch.lines().count(), 1);
}

/// Run by the test below, in a process of its own whose output it can read.
#[test]
#[ignore = "prints reports"]
fn prints_its_reports() {
    let trainer = config("2ep").init(Tiny::new(&Default::default()), eleven().loader());
    trainer.fit().unwrap();
}

#[test]
fn a_trainer_without_loggers_prints_a_line_for_each_report() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "logging::prints_its_reports",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("train loss"))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("epoch 1  train loss ") && lines[1].contains("epoch 2  train loss "));
}
