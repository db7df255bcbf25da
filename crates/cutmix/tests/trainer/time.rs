//! Durations: how they are written, and that everything ends and happens exactly where they say.

use std::time;

use cutmix::time::{Duration, Time};
use cutmix::trainer::{Schedule, Trainer};

use crate::setting::*;
use crate::{setting, trainer};

fn duration(text: &str) -> Duration {
    text.parse().unwrap()
}

#[test]
fn durations_are_read_and_written() {
    for text in [
        "1ep", "500ba", "12800sp", "0.9dur", "1dur", "0dur", "90s", "1h30m", "2d", "1d1h1m1s",
    ] {
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
    for text in [
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
    ] {
        let message = text.parse::<Duration>().unwrap_err().to_string();
        assert!(message.contains(&format!("is \"{text}\"")), "{message}");
        assert!(message.contains("\"10ep\""), "{message}");
        assert!(message.contains("\"1h30m\""), "{message}");
    }
}

#[test]
fn every_kind_of_duration_counts_its_own() {
    let time = Time {
        epoch: 2,
        epoch_progress: 0.5,
        batch: 30,
        samples: 1000,
        progress: 0.3,
        elapsed: time::Duration::from_secs(90),
    };
    for (text, times) in [
        ("2ep", 1.25),
        ("60ba", 0.5),
        ("500sp", 2.0),
        ("0.1dur", 3.0),
        ("1m", 1.5),
    ] {
        let duration = duration(text);
        assert!((duration.times(&time) - times).abs() < 1e-12, "{text}");
        assert_eq!(duration.is_over(&time), times >= 1.0, "{text}");
    }
    // 0.3 / 0.1 is a little less than 3.
    let before = Time {
        progress: 0.29,
        ..time
    };
    assert!(duration("0.1dur").is_due(&before, &time));
    assert!(!duration("0.1dur").is_due(&time, &time));
}

/// After which batches a run of 7 batches was evaluated, in epochs of 3 (of 4, 4 and 3 samples).
fn reports(change: impl FnOnce(Trainer<Tiny>) -> Trainer<Tiny>) -> Vec<(u64, f64)> {
    let (device, model, train) = setting();
    let run = trainer(model, train)
        .eval_loader(Batches::new(3, 3, &device).loader())
        .max_duration(duration("7ba"));
    let fit = change(run).fit().unwrap();
    assert!(fit.is_complete);
    let reports = fit.history.reports.iter();
    assert!(reports.clone().all(|report| report.eval.is_some()));
    reports
        .map(|report| (report.batches, report.epoch))
        .collect()
}

#[test]
fn evaluation_comes_at_its_interval_and_at_the_end() {
    let part = 4.0 / 11.0;
    let every = |interval: &str| reports(|t| t.eval_interval(duration(interval)));
    assert_eq!(every("1ep"), [(3, 1.0), (6, 2.0), (7, 2.0 + part)]);
    assert_eq!(every("2ep"), [(6, 2.0), (7, 2.0 + part)]);
    assert_eq!(
        every("2ba"),
        [(2, 2.0 * part), (4, 1.0 + part), (6, 2.0), (7, 2.0 + part)]
    );
    // Samples after each batch: 4, 8, 11, 15, 19, 22, 26.
    let at = |interval: &str| every(interval).iter().map(|r| r.0).collect::<Vec<_>>();
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
    let (device, model, _) = setting();
    let fit = trainer(model, Batches::new(4, 4, &device))
        .max_duration(duration("3ep"))
        .fit()
        .unwrap();
    let reports = fit.history.reports.iter();
    let reports: Vec<_> = reports.map(|r| (r.epoch, r.batches, r.samples)).collect();
    assert_eq!(reports, [(1.0, 1, 4), (2.0, 2, 8), (3.0, 3, 12)]);
}

#[test]
fn scores_of_an_interval_are_those_of_its_batches() {
    let (_, model, train) = setting();
    let losses = Losses::default();
    let fit = trainer(model, train)
        .max_duration(duration("6ba"))
        .eval_interval(duration("2ba"))
        .logger(losses.clone())
        .fit()
        .unwrap();
    let losses = losses.0.lock().unwrap();
    let sizes = [4.0, 4.0, 3.0, 4.0, 4.0, 3.0];
    for (index, report) in fit.history.reports.iter().enumerate() {
        let pair = 2 * index..2 * index + 2;
        let weighted = (losses[pair.clone()].iter().zip(&sizes[pair.clone()]))
            .map(|(loss, size)| loss * size)
            .sum::<f64>();
        let mean = weighted / sizes[pair].iter().sum::<f64>();
        assert!((report.train.loss - mean).abs() < 1e-9);
    }
}

#[test]
fn a_run_by_the_clock_ends() {
    let begin = time::Instant::now();
    let (_, model, train) = setting();
    let fit = trainer(model, train)
        .max_duration(Duration::Wall(time::Duration::from_millis(50)))
        .fit()
        .unwrap();
    assert!(begin.elapsed() >= time::Duration::from_millis(50));
    assert!(fit.is_complete && fit.history.reports.last().unwrap().batches > 0);
}

/// The learning rate of each batch, of a base rate of 1.
fn rates(run: &str, schedule: Schedule) -> Vec<f64> {
    let (_, model, train) = setting();
    let rates = Rates::default();
    trainer(model, train)
        .max_duration(duration(run))
        .learning_rate(1.0)
        .schedule(schedule)
        .logger(rates.clone())
        .fit()
        .unwrap();
    let rates = rates.0.lock().unwrap();
    rates.clone()
}

fn assert_close(rates: &[f64], expected: &[f64]) {
    assert_eq!(rates.len(), expected.len());
    for (rate, expected) in rates.iter().zip(expected) {
        assert!((rate - expected).abs() < 1e-9, "{rates:?}");
    }
}

#[test]
fn schedules_follow_durations_of_any_kind() {
    let fall = |share: f64| 0.5 + 0.5 * (std::f64::consts::PI * share).cos();
    let constant = |warmup: &str| Schedule::Constant {
        warmup: duration(warmup),
    };
    assert_close(&rates("3ba", constant("0ba")), &[1.0, 1.0, 1.0]);
    let rising = [0.25, 0.75, 1.0, 1.0];
    for warmup in ["2ba", "0.5dur"] {
        assert_close(&rates("4ba", constant(warmup)), &rising);
    }
    let samples = rates("15sp", constant("15sp"));
    assert_close(&samples, &[2.0 / 15.0, 6.0 / 15.0, 9.5 / 15.0, 13.0 / 15.0]);
    let epochs = rates("4ba", constant("1ep"));
    assert_close(&epochs, &[2.0 / 11.0, 6.0 / 11.0, 9.5 / 11.0, 1.0]);

    // Two of ten batches to warm up, then half a cosine over eight.
    let mut expected = vec![0.25, 0.75];
    expected.extend((0..8).map(|batch| fall((batch as f64 + 0.5) / 8.0)));
    for warmup in ["2ba", "0.2dur"] {
        let warmup = duration(warmup);
        assert_close(&rates("10ba", Schedule::Cosine { warmup }), &expected);
    }
    // Longer than the run.
    let warmup = duration("8ba");
    let rates_of = rates("2ba", Schedule::Cosine { warmup });
    assert_close(&rates_of, &[0.5 / 8.0, 1.5 / 8.0]);

    let step = Schedule::Step {
        warmup: duration("0ep"),
        every: duration("1ep"),
        factor: 0.1,
    };
    let expected = [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01];
    assert_close(&rates("7ba", step), &expected);

    let one_cycle = rates(
        "10ba",
        Schedule::OneCycle {
            rise: duration("0.3dur"),
        },
    );
    let first = 1.0 / 25.0;
    assert!((one_cycle[0] - (first + (1.0 - first) * (1.0 - fall(0.5 / 3.0)))).abs() < 1e-9);
    assert!(one_cycle[..4].is_sorted());
    assert!(one_cycle[3..].is_sorted_by(|a, b| a >= b));
    assert!(one_cycle[9] < 0.02);
}

#[test]
fn wrong_durations_are_refused_before_training() {
    use crate::refused;
    assert_eq!(
        refused(|t| t.max_duration(Duration::Share(0.5))),
        "`max_duration` is 0.5dur; accepted: epochs, batches, samples or time on the clock: a run \
         is no share of itself"
    );
    assert_eq!(
        refused(|t| t.eval_interval(Duration::Share(0.0))),
        "`eval_interval` is 0dur; accepted: more than nothing"
    );
    let step = |every, factor| Schedule::Step {
        warmup: Duration::Share(0.0),
        every,
        factor,
    };
    assert_eq!(
        refused(|t| t.schedule(step(Duration::Batches(0), 0.1))),
        "`every` is 0ba; accepted: more than nothing"
    );
    assert_eq!(
        refused(|t| t.schedule(step(Duration::Batches(1), 0.0))),
        "`factor` is 0; accepted: above 0 and up to 1"
    );
}
