//! What each algorithm does to the steps of a run.

use burn::tensor::{Tensor, TensorData};
use cutmix::algorithms::{Algorithm, CutMix, CutOut, LabelSmoothing, MixUp};
use cutmix::functional::{
    cutmix_apply, cutout_batch, cutout_plan, mixup_apply, mixup_batch, smooth_labels,
};
use cutmix::loss::CrossEntropy;
use cutmix::ops;
use cutmix::plan::{Drawer, Mode, Stream};

use crate::setting::{CLASSES, Tiny, values};
use crate::{BATCH, SEED, batch, boxed, fit, steps};
use burn::tensor::Device;
use cutmix::Classifier;

/// The generator of the first algorithm of a run.
fn rng(step: usize) -> impl rand::Rng {
    Stream::new(SEED).at(step as u64)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn mixup_gives_what_the_function_gives() {
    let seen = steps(3, vec![boxed(MixUp::new(CLASSES).alpha(0.7))]);
    for (step, seen) in seen.iter().enumerate() {
        let batch = batch(3, step);
        let before = values(batch.images.clone());
        let (images, targets) =
            mixup_batch(batch.images, batch.targets, CLASSES, 0.7, &mut rng(step)).unwrap();
        assert_eq!(seen.images, values(images));
        assert_eq!(seen.targets, values(targets));
        assert_ne!(seen.images, before, "the seed must mix this step");
        assert_eq!(seen.loss_targets, None);
    }
}

#[test]
fn mixup_and_cutmix_know_the_modes_and_note_lambda() {
    for mode in [Mode::Batch, Mode::Pair, Mode::Sample] {
        let drawer = Drawer::new(0.5).mode(mode);
        let mixup = MixUp::new(CLASSES).alpha(0.5).mode(mode);
        let seen = &steps(1, vec![boxed(mixup)])[0];
        let mixture = drawer.draw_mixture(BATCH, &mut rng(0)).unwrap();
        let data = batch(1, 0);
        let (images, targets) = mixup_apply(data.images, data.targets, CLASSES, &mixture).unwrap();
        assert_eq!(seen.images, values(images), "{mode}");
        assert_eq!(seen.targets, values(targets), "{mode}");
        assert_eq!(seen.note("mixup/lambda"), Some(mean(mixture.lambdas())));

        let cutmix = CutMix::new(CLASSES).alpha(0.5).mode(mode);
        let seen = &steps(1, vec![boxed(cutmix)])[0];
        let plan = drawer.draw(BATCH, &[4, 4], &mut rng(0)).unwrap();
        let data = batch(1, 0);
        let (images, targets) = cutmix_apply(data.images, data.targets, CLASSES, &plan).unwrap();
        assert_eq!(seen.images, values(images), "{mode}");
        assert_eq!(seen.targets, values(targets), "{mode}");
        assert_eq!(seen.note("cutmix/lambda"), Some(mean(plan.lambdas())));
    }
}

#[test]
fn mixup_can_keep_the_targets_and_interpolate_the_loss() {
    let mixup = |interpolate| vec![boxed(MixUp::new(CLASSES).interpolate_loss(interpolate))];
    let seen = &steps(1, mixup(true))[0];
    let mixture = Drawer::new(0.2).draw_mixture(BATCH, &mut rng(0)).unwrap();
    let data = batch(1, 0);
    let dense = |targets: &cutmix::Targets| values(targets.clone().into_dense(CLASSES).unwrap());
    let partners = dense(&data.targets.partners(&mixture).unwrap());
    assert_eq!(seen.targets, dense(&data.targets));
    assert_eq!(seen.interpolation, Some((mixture.lambda(0), partners)));
    assert_eq!(
        seen.images,
        values(ops::mix(data.images, &mixture).unwrap())
    );

    let weights = |interpolate| fit(3, mixup(interpolate)).unwrap().model.weights();
    for (a, b) in weights(true).iter().zip(weights(false)) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn cutout_fills_squares_and_leaves_the_targets() {
    let seen = steps(3, vec![boxed(CutOut::new(2).value(0.25))]);
    for (step, seen) in seen.iter().enumerate() {
        let data = batch(3, step);
        let targets = data.targets.into_dense(CLASSES).unwrap();
        assert_eq!(seen.targets, values(targets));
        assert_eq!((&seen.loss_targets, &seen.interpolation), (&None, &None));
        let regions = cutout_plan(2, Mode::Sample, &data.images, &mut rng(step)).unwrap();
        let shares: Vec<_> = regions.iter().map(|r| r.volume() as f64 / 16.0).collect();
        assert_eq!(seen.note("cutout/share"), Some(mean(&shares)));
        let images = cutout_batch(data.images, 2, 0.25, &mut rng(step)).unwrap();
        assert_eq!(seen.images, values(images));
    }

    let one = CutOut::new(0.5).mode(Mode::Batch);
    let seen = &steps(1, vec![boxed(one)])[0];
    let filled: Vec<_> = (seen.images.chunks(16))
        .map(|image| image.iter().map(|&pixel| pixel == 0.0).collect::<Vec<_>>())
        .collect();
    assert!(filled[0].contains(&true) && filled.iter().all(|f| *f == filled[0]));
}

#[test]
fn label_smoothing_acts_on_the_loss_alone() {
    let seen = &steps(1, vec![boxed(LabelSmoothing::new(CLASSES, 0.1))])[0];
    let data = batch(1, 0);
    assert_eq!(seen.images, values(data.images.clone()));
    let whole = data.targets.clone().into_dense(CLASSES).unwrap();
    assert_eq!(seen.targets, values(whole));
    let smooth = smooth_labels(data.targets.clone(), CLASSES, 0.1).unwrap();
    assert_eq!(seen.loss_targets, Some(values(smooth)));

    // The loss is that of a smoothing cross-entropy, and accuracy stays that of the targets.
    let scores =
        |algorithms: Vec<Box<dyn Algorithm>>| fit(1, algorithms).unwrap().history.reports[0].train;
    let smoothed = scores(vec![boxed(LabelSmoothing::new(CLASSES, 0.1))]);
    let plain = scores(vec![]);
    assert_eq!(smoothed.accuracy, plain.accuracy);
    let logits = Tiny::new(&Device::default()).forward(data.images);
    let loss = CrossEntropy::new()
        .smoothing(0.1)
        .forward(logits, data.targets);
    let loss = f64::from(values(loss.unwrap())[0]);
    assert!((smoothed.loss - loss).abs() < 1e-6 && (plain.loss - loss).abs() > 1e-3);
}

#[test]
fn smoothing_by_nothing_changes_nothing() {
    let weights = |algorithms| fit(3, algorithms).unwrap().model.weights();
    let none = weights(vec![boxed(LabelSmoothing::new(CLASSES, 0.0))]);
    for (a, b) in none.iter().zip(weights(vec![])) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn every_algorithm_repeats_itself_by_the_seed() {
    let all = || {
        vec![
            boxed(MixUp::new(CLASSES)),
            boxed(CutMix::new(CLASSES)),
            boxed(CutOut::new(2)),
            boxed(LabelSmoothing::new(CLASSES, 0.1)),
        ]
    };
    assert_eq!(steps(4, all()), steps(4, all()));
}

#[test]
fn odd_batches_and_batches_of_one_are_mixed() {
    let device = Device::default();
    for batch in [1, 3] {
        let dims = [batch, 1, 4, 4];
        let data = TensorData::new((0..16 * batch).map(|x| x as f32).collect(), dims);
        let images = Tensor::<4>::from_data(data, &device);
        let mixture = Drawer::new(1.0).mode(Mode::Pair);
        let mixture = mixture.draw_mixture(batch, &mut rng(0)).unwrap();
        let mixed = values(ops::mix(images.clone(), &mixture).unwrap());
        let alone = (0..batch).find(|&i| mixture.partners()[i] == i).unwrap();
        let own = values(images);
        assert_eq!(mixed[16 * alone..][..16], own[16 * alone..][..16]);
    }
}
