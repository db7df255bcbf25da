//! What MixUp, CutMix, CutOut and label smoothing do to the batches of a run.

use burn::tensor::Device;
use cutmix::Targets;
use cutmix::functional::{
    cutmix_apply, cutout_batch, cutout_regions, mixup_apply, mixup_batch, smooth_labels,
};
use cutmix::loss::CrossEntropy;
use cutmix::ops;
use cutmix::plan::{Mode, PlanSampler, Stream};
use cutmix_train::Network;
use cutmix_train::algorithms::{Algorithm, CutMix, CutOut, LabelSmoothing, MixUp};

use crate::common::{CLASSES, Tiny, values};
use crate::{BATCH, SEED, assert_close, batch, boxed, fit, steps};

/// The generator of the first algorithm of a run.
pub fn rng(step: usize) -> impl rand::Rng {
    Stream::new(SEED).at(step as u64)
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn mixup_does_what_the_function_does() {
    let seen = steps(3, vec![boxed(MixUp::new().with_alpha(0.7))]);
    for (step, seen) in seen.iter().enumerate() {
        let batch = batch(3, step);
        let before = values(batch.images.clone());
        let (images, targets) =
            mixup_batch(batch.images, batch.targets, CLASSES, 0.7, &mut rng(step)).unwrap();
        assert_eq!(seen.images, values(images));
        assert_eq!(seen.targets, values(targets));
        assert_ne!(seen.images, before, "the seed has to mix this batch");
        assert_eq!(seen.loss_targets, None);
    }
}

#[test]
fn mixup_and_cutmix_obey_their_modes_and_log_lambda() {
    for mode in [Mode::Batch, Mode::Pair, Mode::Sample] {
        let sampler = PlanSampler::new(0.5).with_mode(mode);
        let seen = &steps(1, vec![boxed(MixUp::new().with_alpha(0.5).with_mode(mode))])[0];
        let mixture = sampler.draw_mixture(BATCH, &mut rng(0)).unwrap();
        let data = batch(1, 0);
        let (images, targets) = mixup_apply(data.images, data.targets, CLASSES, &mixture).unwrap();
        assert_eq!(seen.images, values(images), "{mode}");
        assert_eq!(seen.targets, values(targets), "{mode}");
        assert_eq!(seen.logged("mixup/lambda"), Some(mean(mixture.lambdas())));

        let seen = &steps(
            1,
            vec![boxed(CutMix::new().with_alpha(0.5).with_mode(mode))],
        )[0];
        let plan = sampler.draw(BATCH, &[4, 4], &mut rng(0)).unwrap();
        let data = batch(1, 0);
        let (images, targets) = cutmix_apply(data.images, data.targets, CLASSES, &plan).unwrap();
        assert_eq!(seen.images, values(images), "{mode}");
        assert_eq!(seen.targets, values(targets), "{mode}");
        assert_eq!(seen.logged("cutmix/lambda"), Some(mean(plan.lambdas())));
    }
}

#[test]
fn mixup_can_keep_the_targets_and_interpolate_the_loss() {
    let mixup = |interpolate| vec![boxed(MixUp::new().with_interpolate_loss(interpolate))];
    let seen = &steps(1, mixup(true))[0];
    let mixture = PlanSampler::new(0.2)
        .draw_mixture(BATCH, &mut rng(0))
        .unwrap();
    let data = batch(1, 0);
    let dense = |targets: &Targets| values(targets.clone().into_dense(CLASSES).unwrap());
    let partners = dense(&data.targets.partners(&mixture).unwrap());
    assert_eq!(seen.targets, dense(&data.targets));
    assert_eq!(seen.interpolation, Some((mixture.lambda(0), partners)));
    assert_eq!(
        seen.images,
        values(ops::mix(data.images, &mixture).unwrap())
    );

    let weights = |interpolate| fit(3, mixup(interpolate)).unwrap().model.weights();
    assert_close(&weights(true), &weights(false), 1e-5);
}

#[test]
fn cutout_fills_squares_and_leaves_the_targets() {
    let seen = steps(3, vec![boxed(CutOut::new(2).with_value(0.25))]);
    for (step, seen) in seen.iter().enumerate() {
        let data = batch(3, step);
        let targets = data.targets.into_dense(CLASSES).unwrap();
        assert_eq!(seen.targets, values(targets));
        assert_eq!((&seen.loss_targets, &seen.interpolation), (&None, &None));
        let regions = cutout_regions(2, Mode::Sample, &data.images, &mut rng(step)).unwrap();
        let shares: Vec<_> = regions.iter().map(|r| r.volume() as f64 / 16.0).collect();
        assert_eq!(seen.logged("cutout/share"), Some(mean(&shares)));
        let images = cutout_batch(data.images, 2, 0.25, &mut rng(step)).unwrap();
        assert_eq!(seen.images, values(images));
    }
}

#[test]
fn cutout_can_fill_the_same_square_in_all_images() {
    let seen = &steps(1, vec![boxed(CutOut::new(0.5).with_mode(Mode::Batch))])[0];
    let filled: Vec<_> = (seen.images.chunks(16))
        .map(|image| image.iter().map(|&pixel| pixel == 0.0).collect::<Vec<_>>())
        .collect();
    assert!(filled[0].contains(&true) && filled.iter().all(|f| *f == filled[0]));
}

#[test]
fn label_smoothing_changes_the_targets_of_the_loss_alone() {
    let seen = &steps(1, vec![boxed(LabelSmoothing::new(0.1))])[0];
    let data = batch(1, 0);
    assert_eq!(seen.images, values(data.images.clone()));
    let whole = data.targets.clone().into_dense(CLASSES).unwrap();
    assert_eq!(seen.targets, values(whole));
    let smooth = smooth_labels(data.targets.clone(), CLASSES, 0.1).unwrap();
    assert_eq!(seen.loss_targets, Some(values(smooth)));
}

#[test]
fn label_smoothing_reports_the_smoothed_loss_and_the_accuracy_of_the_targets() {
    let score = |algorithms: Vec<Box<dyn Algorithm<Tiny>>>, name| {
        fit(1, algorithms).unwrap().history.last(name).unwrap()
    };
    let smoothing = || vec![boxed(LabelSmoothing::new(0.1))];
    assert_eq!(
        score(smoothing(), "train/accuracy"),
        score(vec![], "train/accuracy")
    );

    let data = batch(1, 0);
    let logits = Tiny::new(&Device::default()).forward(data.images);
    let loss = CrossEntropy::new().with_smoothing(0.1);
    let loss = f64::from(values(loss.forward(logits, data.targets).unwrap())[0]);
    assert!((score(smoothing(), "train/loss") - loss).abs() < 1e-6);
    assert!((score(vec![], "train/loss") - loss).abs() > 1e-3);
}

#[test]
fn smoothing_by_0_changes_nothing() {
    let weights = |algorithms| fit(3, algorithms).unwrap().model.weights();
    let smoothed = weights(vec![boxed(LabelSmoothing::new(0.0))]);
    assert_close(&smoothed, &weights(vec![]), 1e-6);
}

#[test]
fn every_algorithm_repeats_itself_by_the_seed() {
    let all = || {
        vec![
            boxed(MixUp::new()),
            boxed(CutMix::new()),
            boxed(CutOut::new(2)),
            boxed(LabelSmoothing::new(0.1)),
        ]
    };
    assert_eq!(steps(4, all()), steps(4, all()));
}
