//! Scores of samples of one class each, against scikit-learn and cleanlab.

use burn::tensor::{DType, Device, Int, Tensor};
use cutmix_train::{
    Calibration, ClassScores, ConfusionMatrix, Error, Outputs, Prediction, label_errors,
};

const SAMPLES: usize = 300;
const CLASSES: usize = 7;

/// Logits that are exact in f32 and differ within a sample.
fn logits(sample: usize) -> Vec<f32> {
    let logit = |class: usize| {
        let hash = (sample * 37 + class * 101 + sample * class * 13) % 97;
        (hash as f32 + class as f32 / 8.0) / 16.0
    };
    (0..CLASSES).map(logit).collect()
}

/// Two of three predictions are right, and no label is 5.
fn predictions() -> Vec<Prediction> {
    let prediction = |sample: usize| {
        let logits = logits(sample);
        let predicted = Prediction::new(0, &logits).unwrap().predicted();
        let label = if sample.is_multiple_of(3) {
            (sample * 5 + sample / 7) % CLASSES
        } else {
            predicted
        };
        let label = if label == 5 { 1 } else { label };
        Prediction::new(label, &logits).unwrap()
    };
    (0..SAMPLES).map(prediction).collect()
}

fn matrix() -> ConfusionMatrix {
    let mut matrix = ConfusionMatrix::new(CLASSES);
    for prediction in predictions() {
        matrix.count(prediction.label(), prediction.predicted());
    }
    matrix
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

#[track_caller]
fn assert_scores(found: ClassScores, [precision, recall, f1]: [f64; 3]) {
    assert_close(found.precision, precision);
    assert_close(found.recall, recall);
    assert_close(found.f1, f1);
}

// The numbers of the next tests are printed by scripts/make_classification_golden.py.

#[test]
fn accuracies_are_those_of_scikit_learn() {
    assert_close(matrix().accuracy(), 0.646_666_666_666_666_6);
    let in_top = predictions().iter().filter(|one| one.is_in_top()).count();
    assert_close(in_top as f64 / SAMPLES as f64, 0.88);
}

#[test]
fn scores_of_classes_are_those_of_scikit_learn() {
    let matrix = matrix();
    let expected = [
        (
            0,
            [
                0.701_754_385_964_912_2,
                0.740_740_740_740_740_7,
                0.720_720_720_720_720_7,
            ],
        ),
        (1, [0.785_714_285_714_285_7, 0.44, 0.564_102_564_102_564_1]),
        (
            4,
            [
                0.674_418_604_651_162_8,
                0.690_476_190_476_190_5,
                0.682_352_941_176_470_6,
            ],
        ),
        (5, [0.0; 3]),
        (6, [0.7, 0.777_777_777_777_777_8, 0.736_842_105_263_157_9]),
    ];
    for (class, expected) in expected {
        assert_scores(matrix.scores(class), expected);
    }
    assert_eq!(matrix.row(1), [3, 33, 4, 4, 3, 20, 8]);
    assert_eq!(matrix.samples(5), 0);
}

#[test]
fn averages_over_the_classes_with_samples_are_those_of_scikit_learn() {
    let matrix = matrix();
    assert_scores(
        matrix.macro_average(),
        [
            0.711_347_932_382_564,
            0.663_523_774_400_967_3,
            0.678_650_942_534_429_3,
        ],
    );
    assert_scores(
        matrix.weighted_average(),
        [
            0.719_026_770_534_870_4,
            0.646_666_666_666_666_6,
            0.670_022_464_753_83,
        ],
    );
}

#[test]
fn the_expected_calibration_error_is_that_of_its_definition() {
    let mut calibration = Calibration::new();
    for prediction in predictions() {
        calibration.add(prediction.confidence(), prediction.is_right());
    }
    assert_close(calibration.expected_error(), 0.166_769_642_924_366_13);
    let with_samples = calibration
        .bins()
        .enumerate()
        .filter(|(_, bin)| bin.samples > 0);
    let with_samples: Vec<_> = with_samples.map(|(at, _)| at + 1).collect();
    assert_eq!(with_samples, [3, 4, 5, 6, 7, 8, 9, 10, 11, 15]);
}

#[test]
fn label_errors_are_those_of_cleanlab() {
    let found: Vec<_> = label_errors(&predictions())
        .iter()
        .map(|error| error.index)
        .collect();
    let expected = [
        63, 33, 51, 165, 204, 213, 297, 171, 279, 159, 285, 147, 294, 99, 198, 264, 24, 102, 42,
        12, 90, 225, 192, 84, 87, 105, 258, 18, 36, 9, 270, 93, 45, 282, 249, 288, 183, 69, 153,
        75, 237, 243, 129, 210, 81, 195, 3, 141, 96, 21, 126, 135, 177, 228, 273, 138, 255, 234,
        222, 180, 66, 174, 132, 219, 60, 162,
    ];
    assert_eq!(found, expected);
}

#[test]
fn bins_are_closed_on_the_right_and_hold_any_confidence() {
    let mut calibration = Calibration::new();
    assert_eq!(
        (calibration.expected_error(), calibration.mean_confidence()),
        (0.0, 0.0)
    );
    for confidence in [0.0, 1.0 / 15.0, 0.07, 1.0, 1.5, -0.5] {
        calibration.add(confidence, true);
    }
    let samples: Vec<_> = calibration.bins().map(|bin| bin.samples).collect();
    assert_eq!((samples[0], samples[1], samples[14]), (3, 1, 2));
    let ends = calibration.bins().map(|bin| (bin.from, bin.to)).last();
    assert_eq!(ends, Some((14.0 / 15.0, 1.0)));
    calibration.add(f64::NAN, false);
    assert!(calibration.expected_error().is_nan());
}

#[test]
fn of_equal_logits_the_first_class_is_predicted() {
    let prediction = Prediction::new(6, &[1.0, 2.0, 2.0, 0.0, 2.0, 0.0, 0.0, 0.0]).unwrap();
    let top: Vec<_> = prediction.top().iter().map(|(class, _)| *class).collect();
    assert_eq!(top, [1, 2, 4, 0, 3]);
    assert!(!prediction.is_right() && !prediction.is_in_top());
    let margin = prediction.label_probability() - prediction.confidence();
    assert_eq!(prediction.margin(), margin);
}

#[test]
fn large_logits_give_finite_probabilities() {
    let prediction = Prediction::new(0, &[3e38, -3e38]).unwrap();
    assert_eq!((prediction.confidence(), prediction.margin()), (1.0, 1.0));
    // A class alone has no other.
    assert_eq!(Prediction::new(0, &[-7.0]).unwrap().margin(), 1.0);
    let not_finite = Prediction::new(0, &[f32::NAN, 1.0]).unwrap();
    assert!(not_finite.confidence().is_nan());
    assert!(label_errors(&[not_finite]).is_empty());
}

#[test]
fn a_label_that_is_no_class_is_refused() {
    let error = Prediction::new(3, &[0.0; 3]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`label` is 3; accepted: a class, below 3"
    );
    assert!(matches!(
        Prediction::new(0, &[]),
        Err(Error::Argument { .. })
    ));
}

#[test]
fn a_batch_is_read_in_any_precision() {
    let device = Device::default();
    let rows = [[0.5f32, 2.0, -1.0], [4.0, 0.0, 0.25]];
    let outputs = |dtype| Outputs {
        logits: Tensor::<2>::from_data(rows, &device).cast(dtype),
        targets: Tensor::<1, Int>::from_data([2, 0], &device).into(),
        loss: Tensor::zeros([1], &device),
    };
    let expected = [
        Prediction::new(2, &rows[0]).unwrap(),
        Prediction::new(0, &rows[1]).unwrap(),
    ];
    for dtype in [DType::F32, DType::BF16] {
        assert_eq!(Prediction::of_batch(&outputs(dtype)).unwrap(), expected);
    }
    let dense = Outputs {
        targets: Tensor::<2>::zeros([2, 3], &device).into(),
        ..outputs(DType::F32)
    };
    assert!(matches!(Prediction::of_batch(&dense), Err(Error::Mix(_))));
}

#[test]
fn a_matrix_without_samples_scores_nothing() {
    let matrix = ConfusionMatrix::new(2);
    assert_eq!(matrix.accuracy(), 0.0);
    assert_eq!(matrix.macro_average(), ClassScores::default());
    assert!(matrix.confused().is_empty());
}

#[test]
fn confused_pairs_come_most_often_first() {
    let mut matrix = ConfusionMatrix::new(3);
    for (class, predicted) in [(0, 0), (2, 1), (0, 2), (1, 0), (2, 1)] {
        matrix.count(class, predicted);
    }
    assert_eq!(matrix.confused(), [(2, 1, 2), (0, 2, 1), (1, 0, 1)]);
}

#[test]
fn counts_that_are_no_square_are_refused() {
    let matrix: ConfusionMatrix = serde_json::from_str("[[1,2],[3,4]]").unwrap();
    assert_eq!(matrix.row(1), [3, 4]);
    assert_eq!(serde_json::to_string(&matrix).unwrap(), "[[1,2],[3,4]]");
    let error = serde_json::from_str::<ConfusionMatrix>("[[1,2],[3]]").unwrap_err();
    assert!(
        error.to_string().starts_with("`counts` is 1 in row 1;"),
        "{error}"
    );
}

#[test]
fn a_confidence_out_of_range_counts_as_the_nearest_one_in_it() {
    let mut calibration = Calibration::new();
    for (confidence, is_right) in [(2.5, true), (-1.0, false)] {
        calibration.add(confidence, is_right);
    }
    assert_eq!(calibration.expected_error(), 0.0);
    assert_eq!(calibration.mean_confidence(), 0.5);
}

/// The mean of three equal probabilities of 0.1 is rounded up.
#[test]
fn a_class_that_all_samples_find_equally_probable_can_be_likely() {
    let logits = [0.1f32, 0.7, 0.2].map(f32::ln);
    let of_first = || Prediction::new(0, &logits).unwrap();
    // Of class 1 there is one sample, which finds class 0 as probable as those do.
    let swapped = [0.1f32, 0.05, 0.85].map(f32::ln);
    let predictions = [
        of_first(),
        of_first(),
        of_first(),
        Prediction::new(1, &swapped).unwrap(),
    ];
    let found = label_errors(&predictions);
    let likely: Vec<_> = found
        .iter()
        .map(|error| (error.index, error.likely))
        .collect();
    assert!(likely.contains(&(3, 0)), "{likely:?}");
}

#[test]
fn a_target_that_is_no_class_is_named() {
    let device = Device::default();
    let outputs = |target: i64, classes| Outputs {
        logits: Tensor::zeros([1, classes], &device),
        targets: Tensor::<1, Int>::from_data([target], &device).into(),
        loss: Tensor::zeros([1], &device),
    };
    for (target, classes, expected) in [
        (-1, 3, "`label` is -1; accepted: a class, below 3"),
        (3, 3, "`label` is 3; accepted: a class, below 3"),
        (0, 0, "`label` is 0; accepted: a class, below 0"),
    ] {
        let error = Prediction::of_batch(&outputs(target, classes)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
