//! Batches of several parts have the gradients, weights and scores of one batch.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor};
use cutmix::Targets;
use cutmix::loss::{BinaryCrossEntropy, CrossEntropy};
use cutmix_train::loggers::BatchLog;
use cutmix_train::{Error, Event, Interpolation, Loss, LossFn, Network, Reduction, State, Trainer};

use crate::common::*;

/// What training leaves behind.
#[derive(Debug)]
struct Outcome {
    gradients: Vec<f64>,
    weights: Vec<f64>,
    losses: Vec<f64>,
    reported: f64,
}

/// Two epochs of eleven samples in batches of `size`, of which `parts` make one batch.
fn outcome(
    size: usize,
    parts: usize,
    change: impl FnOnce(Trainer<Tiny>) -> Trainer<Tiny>,
) -> Outcome {
    let (gradients, log) = (Shared::default(), LogRecorder::default());
    let config = config("2ep")
        .with_accumulate(parts)
        .with_learning_rate(0.02);
    let trainer = trainer(config, Samples::new(11, size).fixed());
    let fit = change(trainer)
        .callback(gradients_seen(&gradients))
        .logger(log.clone())
        .fit()
        .unwrap();
    Outcome {
        gradients: wide(&read(&gradients).concat()),
        weights: wide(&fit.model.weights()),
        losses: read(&log.batches)
            .iter()
            .map(|batch: &BatchLog| batch.loss)
            .collect(),
        reported: fit.history.last("train/loss").unwrap(),
    }
}

/// Checks that batches of unequal parts are like batches without parts.
#[track_caller]
fn assert_parts_train_like_the_whole(change: impl Fn(Trainer<Tiny>) -> Trainer<Tiny>) {
    // Parts of 4, 4 and 3 samples make the batch of 11, and parts of 3, 3 and 3, 2 those of 9 and 2.
    let whole = outcome(11, 1, &change);
    for (size, parts) in [(4, 3), (2, 6)] {
        let parts = outcome(size, parts, &change);
        assert_eq!(parts.gradients.len(), whole.gradients.len());
        assert_close(&parts.gradients, &whole.gradients, 1e-5);
        assert_close(&parts.weights, &whole.weights, 1e-5);
        assert_close(&parts.losses, &whole.losses, 1e-5);
        assert!((parts.reported - whole.reported).abs() < 1e-5);
    }
}

fn class_weights() -> Tensor<1> {
    Tensor::from_floats([0.2, 1.0, 3.5], &Default::default())
}

/// Targets of which the parts have different sums of class weights.
fn uneven() -> Tensor<1, Int> {
    let classes: [i64; 11] = [0, 0, 0, 0, 2, 2, 1, 2, 0, 1, 0];
    Tensor::from_data(classes.as_slice(), &Default::default())
}

/// Interpolates the loss with partners from the same four samples, in reverse order, so that the
/// partners do not depend on how the batch is cut.
fn with_partners(trainer: Trainer<Tiny>) -> Trainer<Tiny> {
    trainer.algorithm(At(Event::BeforeForward, |state: &mut State<Tiny>| {
        let order: Vec<i64> = (0..state.targets.batch() as i64).collect();
        let order: Vec<i64> = order
            .chunks(2)
            .flat_map(|pair| pair.iter().rev().copied())
            .collect();
        let order = Tensor::<1, Int>::from_data(order.as_slice(), state.device());
        state.interpolation = Some(Interpolation {
            targets: match state.targets.clone() {
                Targets::Indices(indices) => indices.select(0, order).into(),
                Targets::Dense(dense) => dense.select(0, order).into(),
            },
            lambda: 0.3,
        });
        Ok(())
    }))
}

#[test]
fn parts_train_like_the_whole_with_a_mean() {
    assert_parts_train_like_the_whole(|trainer| trainer.loss(CrossEntropy::new()));
    assert_parts_train_like_the_whole(|trainer| trainer.loss(BinaryCrossEntropy::new()));
}

#[test]
fn parts_train_like_the_whole_with_a_sum() {
    let sum = || CrossEntropy::new().with_reduction(Reduction::Sum);
    assert_parts_train_like_the_whole(|trainer| trainer.loss(sum()));
    assert_parts_train_like_the_whole(|trainer| trainer.loss(sum().with_weights(class_weights())));
    assert_parts_train_like_the_whole(|trainer| {
        trainer.loss(BinaryCrossEntropy::new().with_reduction(Reduction::Sum))
    });
}

#[test]
fn parts_train_like_the_whole_with_a_loss_of_the_users() {
    assert_parts_train_like_the_whole(|trainer| {
        trainer.loss(LossFn::sum(|logits: Tensor<2>, targets: Targets| {
            let error = logits - targets.into_dense(CLASSES)?;
            Ok::<_, Error>(error.powi_scalar(2).sum())
        }))
    });
    assert_parts_train_like_the_whole(|trainer| {
        trainer.loss(LossFn::mean(|logits: Tensor<2>, targets: Targets| {
            let error = logits - targets.into_dense(CLASSES)?;
            Ok::<_, Error>(error.powi_scalar(2).mean())
        }))
    });
}

#[test]
fn parts_train_like_the_whole_with_interpolated_losses() {
    assert_parts_train_like_the_whole(with_partners);
    assert_parts_train_like_the_whole(|trainer| {
        with_partners(trainer).loss(CrossEntropy::new().with_reduction(Reduction::Sum))
    });
}

/// The gradients of the first batch and the weights after one epoch of samples whose parts have
/// different sums of class weights.
fn weighted(size: usize, parts: usize, interpolates: bool, reduction: Reduction) -> [Vec<f64>; 2] {
    let gradients = Shared::default();
    let train = Samples::new(11, size).fixed().with_targets(uneven());
    let loss = CrossEntropy::new()
        .with_weights(class_weights())
        .with_reduction(reduction);
    let mut trainer = trainer(config("2ep").with_accumulate(parts), train)
        .loss(loss)
        .callback(gradients_seen(&gradients));
    if interpolates {
        trainer = with_partners(trainer);
    }
    let fit = trainer.fit().unwrap();
    [wide(&read(&gradients).concat()), wide(&fit.model.weights())]
}

#[test]
fn parts_train_like_the_whole_with_class_weights_and_indices() {
    for reduction in [Reduction::Mean, Reduction::Sum] {
        for interpolates in [false, true] {
            let [gradients, weights] = weighted(11, 1, interpolates, reduction);
            for (size, parts) in [(4, 3), (2, 6)] {
                let of_parts = weighted(size, parts, interpolates, reduction);
                assert_close(&of_parts[0], &gradients, 2e-5);
                assert_close(&of_parts[1], &weights, 2e-5);
            }
        }
    }
}

#[test]
fn a_mean_with_class_weights_divides_by_the_weights_of_the_batch() {
    let loss = CrossEntropy::new().with_weights(class_weights());
    let weight = Loss::mean_weight(&loss, &uneven().into()).unwrap().unwrap();
    let expected = 6.0 * 0.2 + 2.0 * 1.0 + 3.0 * 3.5;
    assert!((weight.into_scalar::<f32>() - expected).abs() < 1e-5);
    assert!(
        Loss::mean_weight(&CrossEntropy::new(), &uneven().into())
            .unwrap()
            .is_none()
    );
}

/// Eight samples in two parts, with targets as in [`uneven`].
fn two_parts() -> Samples {
    let classes = [0, 0, 2, 0, 2, 2, 1, 2];
    Samples::new(8, 4).fixed().with_classes(&classes)
}

/// Makes the targets of every second part dense, as an algorithm does that mixes some of the parts.
fn with_dense_second_parts(trainer: Trainer<Tiny>) -> Trainer<Tiny> {
    trainer.algorithm(At(Event::BeforeForward, |state: &mut State<Tiny>| {
        if state.part() % 2 == 1 {
            let dense = state.targets.clone().into_dense(state.num_classes())?;
            state.targets = dense.into();
        }
        Ok(())
    }))
}

/// The gradients of the sum of the weighted losses of a part.
fn gradients_of_sum(part: &cutmix_train::Batch, targets: Targets) -> Vec<f64> {
    let model = Tiny::new(&Device::default().autodiff());
    let sum = CrossEntropy::new()
        .with_weights(class_weights())
        .with_reduction(Reduction::Sum);
    let logits = Network::forward(&model, part.images.clone().autodiff());
    let loss = sum.forward(logits, targets).unwrap();
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    wide(&values(gradients.get::<2>(model.linear.weight.id).unwrap()))
}

#[test]
fn parts_are_weighted_by_the_divisors_of_their_means() {
    let gradients = Shared::default();
    let run = trainer(config("1ep").with_accumulate(2), two_parts())
        .loss(CrossEntropy::new().with_weights(class_weights()))
        .callback(gradients_seen(&gradients));
    let fit = with_dense_second_parts(run).fit().unwrap();

    let [first, second] = [0, 1].map(|index| two_parts().batch(index));
    let dense = second.targets.clone().into_dense(CLASSES).unwrap();
    let numerators = [
        gradients_of_sum(&first, first.targets.clone()),
        gradients_of_sum(&second, dense.into()),
    ];
    // Classes 0, 0, 2 and 0 of the first part, and four samples in the second.
    let denominator = (3.0 * 0.2 + 3.5) + 4.0;
    let expected = (numerators[0].iter().zip(&numerators[1]))
        .map(|(first, second)| (first + second) / denominator)
        .collect::<Vec<_>>();
    assert_close(&wide(&read(&gradients).concat()), &expected, 1e-6);

    let before = wide(&Tiny::new(&Device::default()).weights());
    let stepped: Vec<_> = (before.iter().zip(&expected))
        .map(|(weight, gradient)| weight - 0.1 * gradient)
        .collect();
    assert_close(&wide(&fit.model.weights()), &stepped, 1e-6);
}

#[test]
fn the_reported_loss_of_a_sum_is_the_mean_loss_of_a_sample() {
    let report = |reduction| {
        // No step changes anything, so that both runs see the same weights.
        let fit = trainer(config("1ep").with_learning_rate(1e-30), eleven())
            .eval("val", Samples::new(7, 3).loader())
            .loss(CrossEntropy::new().with_reduction(reduction))
            .fit()
            .unwrap();
        ["train/loss", "val/loss"].map(|name| fit.history.last(name).unwrap())
    };
    assert_close(&report(Reduction::Sum), &report(Reduction::Mean), 1e-6);
}

#[test]
fn parts_end_at_the_same_batches_and_samples_as_the_whole() {
    for run in ["2ep", "3ba", "3sp", "14sp", "17sp"] {
        let ends = |size: usize, parts: usize| {
            let log = Shared::default();
            let train = Samples::new(11, size).fixed();
            let fit = trainer(config(run).with_accumulate(parts), train)
                .algorithm(Recorder::new(&log))
                .fit()
                .unwrap();
            let mut log = read(&log);
            log.retain(|entry| entry.starts_with("BatchEnd") || entry.starts_with("EpochEnd"));
            let last = fit.history.reports.last().unwrap();
            (log, last.batches, last.samples, last.epoch)
        };
        assert_eq!(ends(6, 1), ends(2, 3), "{run}");
    }
}
