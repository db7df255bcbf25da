//! Durations: their text form, and the batches at which runs, evaluations and checkpoints are due.

use std::time;

use cutmix_train::algorithms::Ema;
use cutmix_train::{Checkpoints, Duration, Schedule, Time, TrainerConfig};

use crate::common::*;

#[test]
fn durations_are_read_and_written() {
    let texts = [
        "1ep", "500ba", "12800sp", "0.9dur", "1dur", "0dur", "90s", "1h30m", "2d", "1d1h1m1s",
    ];
    for text in texts {
        let parsed: Duration = text.parse().unwrap();
        let written = parsed.to_string();
        assert_eq!(written.parse::<Duration>().unwrap(), parsed, "{text}");
        if text != "90s" {
            assert_eq!(written, text);
        }
    }
    assert_eq!(
        duration("1h30m"),
        Duration::Wall(time::Duration::from_secs(5400))
    );
}

#[test]
fn a_text_that_is_no_duration_is_refused() {
    let texts = [
        "",
        "ep",
        "1",
        "1.5ep",
        "-1ba",
        "+1ba",
        "1 ep",
        "1min",
        "1.1dur",
        "-0.1dur",
        "NaNdur",
        "30m1h",
        "1h1h",
        "1.5h",
        "h",
        "99999999999999999999ep",
        "999999999999999999d",
    ];
    for text in texts {
        let error = text.parse::<Duration>().unwrap_err();
        assert_eq!(argument(error), ("duration", format!("\"{text}\"")));
    }
}

#[test]
fn every_kind_of_duration_counts_in_its_own_unit() {
    let time = Time {
        epoch: 2,
        epoch_progress: 0.5,
        batch: 30,
        samples: 1000,
        progress: 0.3,
        elapsed: time::Duration::from_secs(90),
    };
    let cases = [
        ("2ep", 1.25),
        ("60ba", 0.5),
        ("500sp", 2.0),
        ("0.1dur", 3.0),
        ("1m", 1.5),
    ];
    for (text, times) in cases {
        let duration = duration(text);
        assert!((duration.times(&time) - times).abs() < 1e-12, "{text}");
        assert_eq!(duration.has_elapsed(&time), times >= 1.0, "{text}");
    }
    // 0.3 / 0.1 is a little less than 3.
    let before = Time {
        progress: 0.29,
        ..time
    };
    assert!(duration("0.1dur").is_due(&before, &time));
    assert!(!duration("0.1dur").is_due(&time, &time));
}

#[test]
fn a_run_ends_exactly_at_its_duration() {
    // The duration and the sizes of the batches; an epoch has batches of 4, 4 and 3.
    let cases: [(&str, &[usize]); 7] = [
        ("1ep", &[4, 4, 3]),
        ("1ba", &[4]),
        ("3ba", &[4, 4, 3]),
        ("7ba", &[4, 4, 3, 4, 4, 3, 4]),
        ("4sp", &[4]),
        ("11sp", &[4, 4, 3]),
        ("18sp", &[4, 4, 3, 4, 3]),
    ];
    for (duration, sizes) in cases {
        let log = Shared::default();
        let fit = trainer(config(duration), eleven().fixed())
            .eval("val", Samples::new(3, 3).loader())
            .algorithm(Recorder::new(&log))
            .fit()
            .unwrap();
        let expected: Vec<_> = (sizes.iter().enumerate())
            .map(|(number, size)| format!("BeforeForward {number} of {size}"))
            .collect();
        let mut seen = read(&log);
        seen.retain(|entry| entry.starts_with("BeforeForward"));
        assert_eq!(seen, expected, "{duration}");

        let count = |event| {
            read(&log)
                .iter()
                .filter(|entry| entry.starts_with(event))
                .count()
        };
        assert_eq!(count("BatchEnd"), sizes.len(), "{duration}");
        let epochs = sizes.len().div_ceil(3);
        for event in ["EpochStart", "EpochEnd", "EvalStart", "EvalEnd"] {
            assert_eq!(count(event), epochs, "{duration} {event}");
        }
        assert_eq!(fit.history.reports.len(), epochs, "{duration}");
        let last = fit.history.reports.last().unwrap();
        let ends = (sizes.len() as u64, sizes.iter().sum::<usize>() as u64);
        assert_eq!((last.batches, last.samples), ends, "{duration}");
        assert!(last.value("val/loss").is_some(), "{duration}");
        assert!(fit.is_complete);
    }
}

/// The epochs and batches of the reports of a run of 7 batches.
fn reports(interval: &str) -> Vec<(u64, f64)> {
    let config = config("7ba").with_eval_interval(duration(interval));
    let fit = trainer(config, eleven().fixed())
        .eval("val", Samples::new(3, 3).loader())
        .fit()
        .unwrap();
    let reports = fit.history.reports.iter();
    assert!(
        reports
            .clone()
            .all(|report| report.value("val/loss").is_some())
    );
    reports
        .map(|report| (report.batches, report.epoch))
        .collect()
}

#[test]
fn evaluation_comes_at_its_interval_and_at_the_end() {
    let part = 4.0 / 11.0;
    assert_eq!(reports("1ep"), [(3, 1.0), (6, 2.0), (7, 2.0 + part)]);
    assert_eq!(reports("2ep"), [(6, 2.0), (7, 2.0 + part)]);
    assert_eq!(
        reports("2ba"),
        [(2, 2.0 * part), (4, 1.0 + part), (6, 2.0), (7, 2.0 + part)]
    );
    // Samples after each batch: 4, 8, 11, 15, 19, 22, 26.
    let at = |interval: &str| {
        reports(interval)
            .iter()
            .map(|report| report.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(at("8sp"), [2, 5, 7]);
    assert_eq!(at("1sp"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(at("0.5dur"), [4, 7]);
    assert_eq!(at("1dur"), [7]);
    // An interval longer than the run, and one by the clock.
    assert_eq!(at("100ep"), [7]);
    assert_eq!(at("100d"), [7]);
}

#[test]
fn an_epoch_may_be_one_batch() {
    let fit = trainer(config("3ep"), Samples::new(4, 4)).fit().unwrap();
    let reports = fit.history.reports.iter();
    let reports: Vec<_> = reports.map(|r| (r.epoch, r.batches, r.samples)).collect();
    assert_eq!(reports, [(1.0, 1, 4), (2.0, 2, 8), (3.0, 3, 12)]);
}

#[test]
fn a_run_by_the_clock_ends() {
    let begin = time::Instant::now();
    let max_duration = duration("1s");
    let fit = trainer(TrainerConfig::new(max_duration), eleven())
        .fit()
        .unwrap();
    assert!(begin.elapsed() >= time::Duration::from_secs(1));
    assert!(fit.is_complete && fit.history.reports.last().unwrap().batches > 0);
}

#[test]
fn samples_are_counted_exactly_where_a_loader_drops_some() {
    // Two batches of 4 in each epoch, of a loader that says it has 11 samples.
    let train = eleven().without_last();
    let fit = trainer(config("20sp"), train).fit().unwrap();
    let last = fit.history.reports.last().unwrap();
    assert_eq!((last.samples, last.batches), (20, 5));
}

#[test]
fn an_epoch_does_not_count_before_its_last_part() {
    // The run ends between the second and the third part of the only batch.
    let fit = trainer(config("8sp").with_accumulate(3), eleven().fixed())
        .fit()
        .unwrap();
    let last = fit.history.reports.last().unwrap();
    assert_eq!((last.samples, last.batches), (8, 1));
    assert_eq!(last.epoch, 8.0 / 11.0);
}

#[test]
fn wrong_durations_are_refused_before_training() {
    let share = Duration::Share;
    let refused = |config| refused(config, |trainer| trainer);
    let cases = [
        (TrainerConfig::new(share(0.5)), "max_duration", "0.5dur"),
        (
            TrainerConfig::new(Duration::Epochs(0)),
            "max_duration",
            "0ep",
        ),
        (
            TrainerConfig::new(Duration::Batches(0)),
            "max_duration",
            "0ba",
        ),
        (
            TrainerConfig::new(Duration::Samples(0)),
            "max_duration",
            "0sp",
        ),
        (
            config("1ep").with_eval_interval(share(0.0)),
            "eval_interval",
            "0dur",
        ),
        (
            config("1ep").with_eval_interval(share(1.5)),
            "eval_interval",
            "1.5dur",
        ),
        (config("1ep").with_warmup(share(1.5)), "warmup", "1.5dur"),
    ];
    for (config, argument, value) in cases {
        assert_eq!(refused(config), (argument, value.to_string()));
    }
}

#[test]
fn wall_clock_time_with_fractions_of_a_second_is_refused() {
    let fraction = Duration::Wall(time::Duration::from_millis(1500));
    let of_config = |config| refused(config, |trainer| trainer);
    let expected = |argument| (argument, "1.5s".to_string());
    let max_duration = TrainerConfig::new(fraction);
    assert_eq!(of_config(max_duration), expected("max_duration"));
    let eval_interval = config("1ep").with_eval_interval(fraction);
    assert_eq!(of_config(eval_interval), expected("eval_interval"));
    let warmup = config("1ep").with_warmup(fraction);
    assert_eq!(of_config(warmup), expected("warmup"));
    let schedule = Schedule::Step {
        every: fraction,
        factor: 0.5,
    };
    let schedule = config("1ep").with_schedule(schedule);
    assert_eq!(of_config(schedule), expected("every"));

    let of_algorithm = |algorithm| refused(config("1ep"), |trainer| trainer.algorithm(algorithm));
    let ema = Ema::new(0.9).with_update_interval(fraction);
    assert_eq!(of_algorithm(ema), expected("update_interval"));
    let folder = tempfile::tempdir().unwrap();
    let to = Checkpoints::new(folder.path()).with_save_interval(fraction);
    let of_checkpoints = refused(config("1ep"), |trainer| trainer.checkpoints(to));
    assert_eq!(of_checkpoints, expected("save_interval"));
}
