//! Learning-rate schedules.

use cutmix_train::{Duration, Schedule, Time, TrainerConfig};

use crate::common::*;

fn fall(share: f64) -> f64 {
    0.5 + 0.5 * (std::f64::consts::PI * share).cos()
}

/// The learning rate of each batch, of a base rate of 1.
fn rates(run: &str, schedule: Schedule, warmup: Option<&str>) -> Vec<f64> {
    let mut config = TrainerConfig::new(duration(run))
        .with_learning_rate(1.0)
        .with_schedule(schedule);
    config.warmup = warmup.map(duration);
    let log = LogRecorder::default();
    trainer(config, eleven().fixed())
        .logger(log.clone())
        .fit()
        .unwrap();
    log.rates()
}

#[test]
fn a_constant_rate_warms_up_over_a_duration_of_any_kind() {
    let constant = |run, warmup| rates(run, Schedule::Constant, Some(warmup));
    assert_close(&constant("3ba", "0ba"), &[1.0, 1.0, 1.0], 1e-9);
    for warmup in ["2ba", "0.5dur"] {
        assert_close(&constant("4ba", warmup), &[0.25, 0.75, 1.0, 1.0], 1e-9);
    }
    let expected = [2.0 / 15.0, 6.0 / 15.0, 9.5 / 15.0, 13.0 / 15.0];
    assert_close(&constant("15sp", "15sp"), &expected, 1e-9);
    let expected = [2.0 / 11.0, 6.0 / 11.0, 9.5 / 11.0, 1.0];
    assert_close(&constant("4ba", "1ep"), &expected, 1e-9);
}

#[test]
fn a_cosine_falls_over_what_follows_the_warm_up() {
    let mut expected = vec![0.25, 0.75];
    expected.extend((0..8).map(|batch| fall((f64::from(batch) + 0.5) / 8.0)));
    for warmup in ["2ba", "0.2dur"] {
        assert_close(
            &rates("10ba", Schedule::Cosine, Some(warmup)),
            &expected,
            1e-9,
        );
    }
    // A warm-up that is longer than the run.
    let expected = [0.5 / 8.0, 1.5 / 8.0];
    assert_close(
        &rates("2ba", Schedule::Cosine, Some("8ba")),
        &expected,
        1e-9,
    );
}

#[test]
fn the_rate_of_a_batch_is_that_of_its_middle() {
    let config = TrainerConfig::new(duration("2ep"))
        .with_learning_rate(2.0)
        .with_warmup(duration("0dur"));
    let fit = trainer(config, eleven().fixed()).fit().unwrap();
    // The third and the sixth batch, by samples.
    let expected = [9.5, 20.5].map(|samples| 2.0 * fall(samples / 22.0));
    let rates: Vec<_> = fit
        .history
        .reports
        .iter()
        .map(|report| report.learning_rate)
        .collect();
    assert_close(&rates, &expected, 1e-9);
}

#[test]
fn a_step_schedule_multiplies_the_rate_at_each_interval() {
    let step = Schedule::Step {
        every: duration("1ep"),
        factor: 0.1,
    };
    let expected = [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01];
    assert_close(&rates("7ba", step, Some("0ep")), &expected, 1e-9);
}

#[test]
fn a_one_cycle_schedule_rises_and_falls() {
    let rates = rates("10ba", Schedule::OneCycle, None);
    let first = 1.0 / 25.0;
    // Three of ten batches rise where nothing else is set.
    assert!((rates[0] - (first + (1.0 - first) * (1.0 - fall(0.5 / 3.0)))).abs() < 1e-9);
    assert!(rates[..4].is_sorted());
    assert!(rates[3..].is_sorted_by(|a, b| a >= b));
    assert!(rates[9] < 0.02);
}

#[test]
fn the_rate_is_finite_where_the_warm_up_lasts_the_whole_run() {
    for schedule in [Schedule::Cosine, Schedule::Constant, Schedule::OneCycle] {
        let warmup = Duration::Share(1.0);
        for progress in [0.0, 1e-12, 0.5, 1.0] {
            let time = Time {
                progress,
                ..Time::default()
            };
            // By the clock, a batch may start and end at the same moment.
            let factor = schedule.factor(&warmup, &time, &time);
            assert!(
                factor.is_finite() && (0.0..=1.0).contains(&factor),
                "{schedule} {progress}"
            );
        }
    }
}

#[test]
fn a_run_by_the_clock_with_a_warm_up_of_its_whole_length_trains() {
    // The first batch of a long run starts and ends at a progress of almost 0.
    let config = TrainerConfig::new(duration("1h")).with_warmup(Duration::Share(1.0));
    let stop = cutmix_train::Stop::new();
    let handle = stop.clone();
    let log = LogRecorder::default();
    let fit = trainer(config, eleven())
        .stop(stop)
        .logger(log.clone())
        .callback(move |event, state: &cutmix_train::State<Tiny>| {
            if event == cutmix_train::Event::BatchEnd && state.time().batch == 4 {
                handle.request();
            }
            Ok(())
        })
        .fit()
        .unwrap();
    assert!(fit.model.weights().iter().all(|weight| weight.is_finite()));
    assert_eq!(log.losses().len(), 3); // those of the last epoch are read with its report
    assert!(log.rates().iter().all(|rate| rate.is_finite()));
}

#[test]
fn schedules_are_read_and_written() {
    let step = Schedule::Step {
        every: duration("30ep"),
        factor: 0.2,
    };
    for (text, schedule) in [
        ("cosine", Schedule::Cosine),
        ("constant", Schedule::Constant),
        ("one-cycle", Schedule::OneCycle),
        ("step:every=30ep,factor=0.2", step),
    ] {
        assert_eq!(text.parse::<Schedule>().unwrap(), schedule);
        assert_eq!(schedule.to_string(), text);
    }
    let usual = Schedule::Step {
        every: duration("2ba"),
        factor: 0.1,
    };
    assert_eq!("step:every=2ba".parse::<Schedule>().unwrap(), usual);
    for text in [
        "",
        "cos",
        "step",
        "step:",
        "step:factor=0.1",
        "step:every=0ep",
        "step:every=x",
    ] {
        let error = text.parse::<Schedule>().unwrap_err();
        assert_eq!(argument(error), ("schedule", format!("\"{text}\"")));
    }
}

#[test]
fn wrong_schedules_are_refused_before_training() {
    let step = |every, factor| {
        let schedule = Schedule::Step { every, factor };
        refused(config("1ep").with_schedule(schedule), |trainer| trainer)
    };
    assert_eq!(step(Duration::Batches(0), 0.1), ("every", "0ba".into()));
    assert_eq!(step(Duration::Batches(1), 0.0), ("factor", "0".into()));
    assert_eq!(step(Duration::Batches(1), 1.5), ("factor", "1.5".into()));
}
