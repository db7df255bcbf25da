//! Precision and recall of samples of several classes.

use burn::data::dataloader::Progress;
use burn::tensor::{Device, Tensor};
use burn::train::metric::{Metric, MetricMetadata, Numeric};
use cutmix_train::{LabelScores, MeanAveragePrecision, Outputs};
use proptest::prelude::*;

fn of(samples: &[(f32, bool)]) -> LabelScores {
    let mut scores = LabelScores::new(1);
    (samples.iter()).for_each(|&(logit, has_class)| scores.push(0, logit, has_class));
    scores
}

/// `sklearn.metrics.average_precision_score` of scikit-learn 1.9.
#[test]
fn average_precision_is_that_of_scikit_learn() {
    let labels = [true, false, true, true, false, false, true, false];
    for (logits, expected) in [
        (
            [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
            0.747_023_809_523_809_5,
        ),
        // Of equal logits none comes first.
        (
            [0.5, 0.5, 0.5, 0.2, 0.2, 0.1, 0.1, 0.1],
            0.608_333_333_333_333_3,
        ),
        ([0.0; 8], 0.5),
    ] {
        let samples: Vec<_> = logits.into_iter().zip(labels).collect();
        let found = of(&samples).average_precision(0).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
}

#[test]
fn a_class_that_no_sample_has_is_left_out() {
    let mut scores = LabelScores::new(3);
    scores.push(0, 1.0, true);
    scores.push(1, 1.0, false);
    assert_eq!(scores.average_precision(1), None);
    assert_eq!(scores.average_precision(7), None);
    assert_eq!(scores.best_threshold(1), None);
    assert_eq!(scores.mean_average_precision(), Some(1.0));
    assert_eq!(LabelScores::new(2).mean_average_precision(), None);
}

#[test]
fn precision_and_recall_are_counted_from_a_threshold_on() {
    let scores = of(&[
        (3.0, true),
        (2.0, false),
        (1.0, true),
        (0.0, false),
        (-1.0, true),
    ]);
    let at = scores.at(0, 1.0);
    assert_eq!((at.precision, at.recall), (2.0 / 3.0, 2.0 / 3.0));
    assert_eq!(scores.at(0, 9.0).f1, 0.0);
    assert_eq!(scores.at(0, -9.0).recall, 1.0);
    assert_eq!(scores.best_threshold(0), Some(-1.0));
}

#[test]
fn the_metric_is_the_mean_over_the_classes_of_all_batches() {
    let device = Device::default();
    let mut metric = MeanAveragePrecision::new();
    let metadata = MetricMetadata {
        progress: Progress::new(0, 0, None),
        iteration: None,
        lr: None,
    };
    for (logits, targets) in [
        ([[2.0, 0.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]),
        ([[0.0, 2.0], [-1.0, 3.0]], [[1.0, 0.0], [0.0, 0.0]]),
    ] {
        let outputs = Outputs {
            logits: Tensor::from_data(logits, &device),
            targets: Tensor::<2>::from_data(targets, &device).into(),
            loss: Tensor::zeros([1], &device),
        };
        metric.update(&outputs, &metadata).unwrap();
    }
    metric.compute().unwrap();
    // 1/2 + 1/2 * 2/3 and 1/3.
    let expected = 100.0 * (5.0 / 6.0 + 1.0 / 3.0) / 2.0;
    assert!((metric.final_value().current() - expected).abs() < 1e-4);
    metric.clear();
    assert!(metric.final_value().current().is_nan());
}

proptest! {
    #[test]
    fn no_threshold_is_better_than_the_best_one(
        samples in prop::collection::vec(((-4i8..4).prop_map(f32::from), any::<bool>()), 1..40)
    ) {
        let scores = of(&samples);
        match scores.best_threshold(0) {
            None => prop_assert_eq!(scores.positives(0), 0),
            Some(best) => {
                let best = scores.at(0, best).f1;
                for threshold in -5i8..5 {
                    prop_assert!(scores.at(0, threshold.into()).f1 <= best + 1e-12);
                }
            }
        }
    }
}
