//! Tests of what an evaluation holds.

use cutmix_vision::measures::{Fgsm, Localisation};

use super::*;

/// An image that is said to have `class`.
fn image(index: usize, class: &str, predicted: &str, probability: f64) -> ImagePrediction {
    ImagePrediction {
        name: format!("{class}/{index}.png"),
        class: class.into(),
        predicted: predicted.into(),
        probability,
        class_probability: 1.0 - probability,
        margin: 1.0 - 2.0 * probability,
        likely_class: None,
        index,
    }
}

fn result() -> SingleLabel {
    let predictions = [(0, 2.0), (0, -1.0), (1, 3.0), (1, -2.0)];
    let predictions =
        predictions.map(|(label, logit)| Prediction::new(label, &[logit, 0.0]).unwrap());
    let images = [
        image(0, "cat", "cat", 0.88),
        image(1, "cat", "dog", 0.73),
        image(2, "dog", "cat", 0.95),
        image(3, "dog", "dog", 0.88),
    ];
    SingleLabel::new(&["cat".into(), "dog".into()], &predictions, &images)
}

#[test]
fn mistakes_are_listed_by_their_confidence() {
    let result = result();
    let names = result.mistakes.iter().map(|image| image.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["dog/2.png", "cat/1.png"]);
    assert_eq!((result.accuracy, result.top5_accuracy), (0.5, None));
    assert_eq!(result.confusion.row(0), [1, 1]);
}

#[test]
fn the_json_of_an_evaluation_can_be_read() {
    let evaluation = Evaluation {
        data: "pets".into(),
        set: Some(Split::Val),
        images: 4,
        skipped: vec![SkippedImage {
            name: "cat/bad.png".into(),
            reason: "not an image".into(),
        }],
        is_trained_on: false,
        trained_on_images: 0,
        changes: None,
        scores: by_metric(&[Score {
            name: "val/loss".into(),
            value: f64::NAN,
            higher_is_better: false,
        }]),
        result: Outcome::SingleLabel(result()),
    };
    let json = serde_json::to_string(&evaluation).unwrap();
    let read: Evaluation = serde_json::from_str(&json).unwrap();
    assert_eq!(read.heading(), "pets, validation set: 4 images");
    assert_eq!(read.skipped, evaluation.skipped);
    // A number that is not finite is none.
    assert_eq!(read.scores["loss"], None);
    let Outcome::SingleLabel(read) = read.result else {
        panic!("{json}");
    };
    assert_eq!(read.confusion, result().confusion);
    assert_eq!(read.mistakes[0].name, "dog/2.png");
    assert_eq!(read.calibration.bins.len(), 15);
}

#[test]
fn measures_are_read_and_may_be_missing() {
    let mut result = result();
    result.measures.fgsm = Some(Fgsm {
        levels: vec![1.0],
        accuracy: vec![0.25],
    });
    let mut json = serde_json::to_value(Outcome::SingleLabel(result.clone())).unwrap();
    assert_eq!(json["fgsm"]["accuracy"][0], 0.25);
    let read = |json: &serde_json::Value| match serde_json::from_value(json.clone()).unwrap() {
        Outcome::SingleLabel(read) => read.measures,
        Outcome::MultiLabel(_) => panic!("{json}"),
    };
    assert_eq!(read(&json), result.measures);
    // As in the files of earlier versions.
    let keys = json.as_object_mut().unwrap();
    for key in ["occlusion", "fgsm", "detection", "localisation"] {
        assert!(keys.remove(key).is_some(), "{key}");
    }
    assert!(read(&json).are_none());
}

#[test]
fn the_origin_of_a_threshold_is_said() {
    let found = |threshold_of| LocalisationAt {
        localisation: Localisation {
            images: 4,
            threshold: 0.2,
            known_class: 0.5,
            top1: 0.25,
            mean_overlap: 0.4,
        },
        threshold_of,
    };
    let [test, val] = [Some(Split::Test), Some(Split::Val)];
    for (threshold_of, measured, expected) in [
        (None, test, "the usual one, as no validation set has boxes"),
        (None, None, "the usual one, as no validation set has boxes"),
        (val, test, "the best one on the validation set"),
        (val, val, "the best one for these images themselves"),
    ] {
        assert_eq!(found(threshold_of).threshold_from(measured), expected);
    }
}
