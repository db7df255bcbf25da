//! The best model, and the end of a run that no longer improves.

use burn::tensor::Device;
use burn::train::metric::TopKAccuracyMetric;
use cutmix::loss::CrossEntropy;
use cutmix_train::{Evaluator, Fit, TrainerConfig};

use crate::common::*;

/// A run whose first step is the best one.
fn growing(change: impl FnOnce(TrainerConfig) -> TrainerConfig) -> Fit<Tiny> {
    trainer(
        change(
            config("8ba")
                .with_learning_rate(100.0)
                .with_eval_interval(duration("1ba")),
        ),
        eleven(),
    )
    .eval("val", Samples::new(11, 11).loader())
    .eval("other", Samples::new(5, 5).loader())
    .metric("top2", TopKAccuracyMetric::new(2))
    .fit()
    .unwrap()
}

fn loss(model: &Tiny) -> f64 {
    let evaluator = Evaluator::new(CrossEntropy::new());
    let data = Samples::new(11, 11);
    evaluator
        .run("val", model, &data, &Device::default())
        .unwrap()[0]
        .value
}

#[test]
fn the_best_model_is_returned_where_it_is_asked_for() {
    let (last, best) = (
        growing(|config| config),
        growing(|config| config.with_best("val/loss")),
    );
    assert_eq!(scores(&last), scores(&best));
    let reports = best.history.reports.iter();
    let losses: Vec<_> = reports
        .map(|report| report.value("val/loss").unwrap())
        .collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(lowest < losses[7], "{losses:?}");
    assert_eq!(
        best.history.best("val/loss").unwrap().value("val/loss"),
        Some(lowest)
    );
    assert_eq!(loss(&best.model), lowest);
    assert_eq!(loss(&last.model), losses[7]);
}

#[test]
fn the_best_model_is_chosen_by_any_score() {
    for score in ["train/loss", "other/accuracy", "other/top2", "val/top2"] {
        let fit = growing(|config| config.with_best(score));
        let best = fit.history.best(score).unwrap();
        assert_eq!(best.value("val/loss"), Some(loss(&fit.model)), "{score}");
    }
}

#[test]
fn patience_counts_reports_without_a_better_score() {
    for score in ["train/accuracy", "val/loss", "val/top2"] {
        // No step changes anything.
        let config = config("50ep")
            .with_learning_rate(1e-30)
            .with_patience(score, 3);
        let log = Shared::default();
        let fit = trainer(config, eleven())
            .eval("val", Samples::new(3, 3).loader())
            .metric("top2", TopKAccuracyMetric::new(2))
            .algorithm(Recorder::new(&log))
            .fit()
            .unwrap();
        assert_eq!(fit.history.reports.len(), 4, "{score}");
        assert!(fit.is_complete);
        let starts = read(&log)
            .iter()
            .filter(|entry| entry.starts_with("EpochStart"))
            .count();
        assert_eq!(starts, 4);
    }
}

#[test]
fn patience_ends_a_run_in_the_middle_of_an_epoch() {
    let config = config("50ep")
        .with_eval_interval(duration("2ba"))
        .with_learning_rate(1e-30)
        .with_patience("val/loss", 1);
    let log = Shared::default();
    let fit = trainer(config, eleven())
        .eval("val", Samples::new(3, 3).loader())
        .algorithm(Recorder::new(&log))
        .fit()
        .unwrap();
    assert_eq!(fit.history.reports.len(), 2);
    let last = read(&log);
    assert_eq!(last[last.len() - 2..], ["EpochEnd 1/4/15", "FitEnd 1/4/15"]);
}

#[test]
fn an_unknown_score_is_refused_with_the_list_of_the_known_ones() {
    for argument in ["best", "patience"] {
        let config = if argument == "best" {
            config("1ep").with_best("val/top5")
        } else {
            config("1ep").with_patience("val/top5", 1)
        };
        let error = trainer(config, eleven())
            .eval("val", Samples::new(3, 3).loader())
            .metric("top2", TopKAccuracyMetric::new(2))
            .fit()
            .unwrap_err();
        let cutmix_train::Error::Argument {
            argument: found,
            value,
            accepted,
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!((found, value.as_str()), (argument, "val/top5"));
        let known = "train/loss, train/accuracy, val/loss, val/accuracy, val/top2";
        assert_eq!(accepted, known);
    }
}
