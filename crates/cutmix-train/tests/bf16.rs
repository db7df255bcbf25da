//! Scores of a model in bf16. A process of its own: the numbers of a device are chosen once.

mod common;

use burn::tensor::{DType, Device, FloatDType};
use cutmix::loss::CrossEntropy;
use cutmix_train::algorithms::MixUp;
use cutmix_train::{Evaluator, Network};

use common::*;

#[test]
fn accuracy_in_bf16_equals_an_exact_count() {
    let mut device = Device::default();
    device.configure(FloatDType::BF16).unwrap();

    let data = Samples::new(1_007, 100);
    let model = Tiny::new(&device);
    let logits = model.forward(data.whole().images);
    assert_eq!(logits.dtype(), DType::BF16);
    let predicted: Vec<i64> = logits
        .cast(FloatDType::F32)
        .argmax(1)
        .into_data()
        .try_into_vec_as()
        .unwrap();
    let classes: Vec<i64> = data.classes().into_data().try_into_vec_as().unwrap();
    let hits = predicted
        .iter()
        .zip(&classes)
        .filter(|(predicted, class)| predicted == class)
        .count();
    // In bf16, which has 8 binary digits, it would be a multiple of a quarter of a percent.
    let expected = 100.0 * hits as f64 / classes.len() as f64;

    let evaluator = Evaluator::new(CrossEntropy::new());
    let scores = evaluator.run("val", &model, &data, &device).unwrap();
    assert_eq!(scores[1].value, expected);
    let fit = trainer(config("1ep").with_learning_rate(1e-30), data.clone())
        .eval("val", data.loader())
        .fit()
        .unwrap();
    assert_eq!(fit.history.last("train/accuracy"), Some(expected));
    assert_eq!(fit.history.last("val/accuracy"), Some(expected));

    accuracy_of_interpolated_targets();
}

/// Under an interpolated loss, the share of a sample is lambda or what is left of it, in f32 at least.
fn accuracy_of_interpolated_targets() {
    let log = LogRecorder::default();
    // The lambdas of MixUp have more digits than bf16.
    trainer(config("8ba").with_learning_rate(1e-30), Samples::new(64, 8))
        .algorithm(MixUp::new().with_alpha(1.0).with_interpolate_loss(true))
        .logger(log.clone())
        .fit()
        .unwrap();
    for batch in read(&log.batches) {
        // Each share is lambda, 1 - lambda, 1 or 0, so that the sum is a whole number of both.
        let (lambda, sum) = (batch.logged[0].value, 8.0 * batch.accuracy / 100.0);
        let is_a_sum = (0..=8).any(|own| {
            (0..=8).any(|other| {
                let expected = f64::from(own) * lambda + f64::from(other) * (1.0 - lambda);
                (expected - sum).abs() < 1e-5
            })
        });
        assert!(is_a_sum, "lambda {lambda}, sum {sum}");
    }
}
