//! What algorithms do to training, and that a seed repeats it.

use burn::tensor::{Device, Tensor};
use cutmix::Targets;
use cutmix::functional::cutmix_batch;
use cutmix::loss::CrossEntropy;
use cutmix::plan::Stream;
use cutmix_train::algorithms::{CutMix, When};
use cutmix_train::{Error, LossFn, Network};

use crate::common::*;

#[test]
fn training_sees_mixed_batches_and_evaluation_does_not() {
    let (train, eval) = (eleven().fixed(), Samples::new(6, 3).fixed());
    let model = Tiny::new(&Device::default());
    let (images, targets) = (model.seen.clone(), Shared::default());
    config("2ba")
        .with_seed(7)
        .init(model, train.clone().loader())
        .logger(Quiet)
        .eval("val", eval.clone().loader())
        .algorithm(CutMix::new())
        .callback(targets_seen(&targets))
        .fit()
        .unwrap();
    let (images, targets) = (read(&images), read(&targets));
    assert_eq!((images.len(), targets.len()), (4, 2));
    for position in 0..2 {
        // What the functional interface gives for the same seed and position.
        let batch = train.batch(position);
        let mut rng = Stream::new(7).at(position as u64);
        let (mixed, dense) =
            cutmix_batch(batch.images.clone(), batch.targets, CLASSES, 1.0, &mut rng).unwrap();
        assert_eq!(images[position], values(mixed));
        assert_eq!(targets[position], values(dense));
        assert_ne!(
            images[position],
            values(batch.images),
            "the seed must mix this batch"
        );
    }
    for batch in 0..2 {
        assert_eq!(images[2 + batch], values(eval.batch(batch).images));
    }
}

#[test]
fn cutmix_with_probability_0_changes_nothing() {
    let fit = |probability: Option<f64>| {
        let mut trainer = trainer(config("1ep"), eleven());
        if let Some(probability) = probability {
            trainer = trainer.algorithm(When::new(CutMix::new()).with_probability(probability));
        }
        trainer.fit().unwrap().model.weights()
    };
    assert_eq!(fit(Some(0.0)), fit(None));
    assert_ne!(fit(Some(1.0)), fit(None));
}

#[test]
fn a_seed_repeats_a_run() {
    let fit = |seed| {
        let fit = trainer(config("2ep").with_seed(seed), eleven())
            .algorithm(CutMix::new())
            .fit()
            .unwrap();
        (fit.model.weights(), scores(&fit))
    };
    assert_eq!(fit(3), fit(3));
    assert_ne!(fit(3), fit(4));
}

#[test]
fn a_plan_is_a_function_of_seed_and_position_alone() {
    let logged = |run: &str, size: usize, parts: usize| {
        let log = LogRecorder::default();
        trainer(
            config(run).with_accumulate(parts).with_seed(5),
            Samples::new(8, size),
        )
        .algorithm(CutMix::new())
        .logger(log.clone())
        .fit()
        .unwrap();
        let batches = read(&log.batches);
        let logged = batches.into_iter().flat_map(|batch| batch.logged);
        logged.map(|logged| logged.value).collect::<Vec<_>>()
    };
    // The parts of batches are mixed as if they were batches.
    assert_eq!(logged("4ba", 2, 1), logged("2ba", 2, 2));
    // A longer run starts with the same plans.
    assert_eq!(logged("4ba", 2, 1), logged("9ba", 2, 1)[..4]);
}

#[test]
fn interpolating_the_loss_trains_like_mixing_the_targets() {
    let fit = |interpolate| {
        trainer(config("2ep"), eleven())
            .algorithm(CutMix::new().with_interpolate_loss(interpolate))
            .fit()
            .unwrap()
    };
    let (mixed, interpolated) = (fit(false), fit(true));
    let weights = [&mixed, &interpolated].map(|fit| wide(&fit.model.weights()));
    assert_close(&weights[0], &weights[1], 1e-5);
    for name in ["train/loss", "train/accuracy"] {
        let [a, b] = [&mixed, &interpolated].map(|fit| fit.history.last(name).unwrap());
        assert!((a - b).abs() < 1e-3, "{name}: {a} {b}");
    }
}

#[test]
fn accuracy_under_mixed_targets_is_the_share_on_the_predicted_class() {
    let device = Device::default();
    let model = Tiny::new(&device);
    let (untrained, seen, targets) = (model.clone(), model.seen.clone(), Shared::default());
    let fit = config("1ba")
        .with_seed(7)
        .init(model, eleven().loader())
        .logger(Quiet)
        .algorithm(CutMix::new())
        .callback(targets_seen(&targets))
        .fit()
        .unwrap();
    let mixed = Tensor::<1>::from_floats(read(&seen)[0].as_slice(), &device);
    let predicted = untrained.forward(mixed.reshape([4, 1, 4, 4])).argmax(1);
    let predicted: Vec<i32> = predicted.into_data().try_to_vec().unwrap();
    let share = |(row, &class): (&[f32], &i32)| f64::from(row[class as usize]);
    let targets = read(&targets);
    let sum: f64 = targets[0].chunks(CLASSES).zip(&predicted).map(share).sum();
    let report = &fit.history.reports[0];
    assert!((report.value("train/accuracy").unwrap() - 100.0 * sum / 4.0).abs() < 1e-3);
    assert!(report.mixed);
}

#[test]
fn a_loss_of_indices_works_interpolated_and_otherwise_names_what_to_use() {
    let fit = |cutmix| {
        let loss = LossFn::mean(|logits: Tensor<2>, targets: Targets| {
            let classes = targets.into_indices("this model's loss")?;
            Ok(CrossEntropy::new().forward(logits, classes)?)
        });
        trainer(config("1ep"), eleven())
            .loss(loss)
            .algorithm(cutmix)
            .fit()
    };
    assert!(fit(CutMix::new().with_interpolate_loss(true)).is_ok());
    let error = fit(CutMix::new()).unwrap_err();
    let Error::Mix(cutmix::Error::DenseTargets {
        receiver, instead, ..
    }) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(receiver, "this model's loss");
    assert!(instead.contains("with_interpolate_loss"), "{instead}");
}
