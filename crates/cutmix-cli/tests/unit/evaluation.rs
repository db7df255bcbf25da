//! Tests of what an evaluation holds.

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
