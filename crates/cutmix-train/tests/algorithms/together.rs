//! Several algorithms in one run: their order, and what is refused.

use cutmix::functional::{cutmix_batch, cutout_batch, mixup_batch, smooth_labels};
use cutmix::plan::Stream;
use cutmix_train::algorithms::{
    Algorithm, CutMix, CutOut, Ema, FMix, LabelSmoothing, MixUp, MixUpOrCutMix, OneOf, ResizeMix,
    When, check,
};

use crate::common::{CLASSES, Tiny, duration, values};
use crate::fixtures::Recorder;
use crate::{SEED, argument, batch, boxed, fit, steps};

/// The generator of an algorithm by its place.
fn rng(place: u64) -> impl rand::Rng {
    Stream::new(SEED).lane(place).at(0)
}

#[test]
fn algorithms_act_in_the_order_of_adding() {
    let (cutmix, mixup) = (CutMix::new(), MixUp::new().with_alpha(1.0));
    let one = &steps(1, vec![boxed(cutmix.clone()), boxed(mixup.clone())])[0];
    let other = &steps(1, vec![boxed(mixup), boxed(cutmix)])[0];
    assert_ne!(one.images, other.images);

    let data = batch(1, 0);
    let (images, targets) =
        cutmix_batch(data.images, data.targets, CLASSES, 1.0, &mut rng(0)).unwrap();
    let (images, targets) = mixup_batch(images, targets, CLASSES, 1.0, &mut rng(1)).unwrap();
    assert_eq!(
        (&one.images, &one.targets),
        (&values(images), &values(targets))
    );

    let data = batch(1, 0);
    let (images, targets) =
        mixup_batch(data.images, data.targets, CLASSES, 1.0, &mut rng(0)).unwrap();
    let (images, targets) = cutmix_batch(images, targets, CLASSES, 1.0, &mut rng(1)).unwrap();
    assert_eq!(
        (&other.images, &other.targets),
        (&values(images), &values(targets))
    );
}

#[test]
fn a_square_is_cut_before_or_after_the_mixing() {
    let mixup = || boxed(MixUp::new().with_alpha(1.0));
    let before = &steps(1, vec![boxed(CutOut::new(2)), mixup()])[0];
    let after = &steps(1, vec![mixup(), boxed(CutOut::new(2))])[0];

    let data = batch(1, 0);
    let images = cutout_batch(data.images.clone(), 2, 0.0, &mut rng(0)).unwrap();
    let (images, _) = mixup_batch(images, data.targets.clone(), CLASSES, 1.0, &mut rng(1)).unwrap();
    assert_eq!(before.images, values(images));

    let (images, _) = mixup_batch(data.images, data.targets, CLASSES, 1.0, &mut rng(0)).unwrap();
    let images = cutout_batch(images, 2, 0.0, &mut rng(1)).unwrap();
    assert_eq!(after.images, values(images));
}

#[test]
fn labels_are_smoothed_after_all_mixing_wherever_the_smoothing_stands() {
    let data = batch(1, 0);
    for place in [0, 1] {
        let mut algorithms = vec![boxed(CutMix::new())];
        algorithms.insert(place, boxed(LabelSmoothing::new(0.1)));
        let seen = &steps(1, algorithms)[0];
        let (images, targets) = (data.images.clone(), data.targets.clone());
        let lane = 1 - place as u64;
        let (_, mixed) = cutmix_batch(images, targets, CLASSES, 1.0, &mut rng(lane)).unwrap();
        assert_eq!(seen.targets, values(mixed.clone()));
        let smooth = smooth_labels(mixed, CLASSES, 0.1).unwrap();
        assert_eq!(seen.loss_targets, Some(values(smooth)));
    }
}

fn cutmix(interpolate: bool) -> CutMix {
    CutMix::new().with_interpolate_loss(interpolate)
}

fn mixup(interpolate: bool) -> MixUp {
    MixUp::new().with_interpolate_loss(interpolate)
}

fn smoothing() -> LabelSmoothing {
    LabelSmoothing::new(0.1)
}

/// Asserts that two algorithms are refused before training, in either order.
#[track_caller]
fn refused(pair: impl Fn() -> [Box<dyn Algorithm<Tiny>>; 2]) {
    for turned in [false, true] {
        let mut pair = pair();
        if turned {
            pair.reverse();
        }
        let [first, second] = pair;
        let recorder = Recorder::default();
        let names = format!("`{}` and `{}` together", first.name(), second.name());
        // Others between them change nothing.
        let between = [boxed(recorder.clone()), boxed(CutOut::new(2))];
        let algorithms = [first].into_iter().chain(between).chain([second]);
        let error = fit(1, algorithms.collect()).unwrap_err();
        assert_eq!(argument(&error), "algorithms");
        assert!(error.to_string().contains(&names), "{error}");
        assert!(
            recorder.0.lock().unwrap().is_empty(),
            "training has started"
        );
    }
}

#[test]
fn an_interpolated_loss_and_dense_targets_are_refused() {
    refused(|| [boxed(cutmix(true)), boxed(mixup(false))]);
    refused(|| [boxed(mixup(true)), boxed(cutmix(false))]);
    refused(|| [boxed(cutmix(true)), boxed(smoothing())]);
    refused(|| [boxed(mixup(true)), boxed(smoothing())]);
    refused(|| [boxed(cutmix(true)), boxed(FMix::new())]);
    refused(|| {
        [
            boxed(ResizeMix::new().with_interpolate_loss(true)),
            boxed(smoothing()),
        ]
    });
}

#[test]
fn two_interpolated_losses_are_refused() {
    refused(|| [boxed(cutmix(true)), boxed(mixup(true))]);
    refused(|| [boxed(cutmix(true)), boxed(cutmix(true))]);
    refused(|| {
        [
            boxed(cutmix(true)),
            boxed(FMix::new().with_interpolate_loss(true)),
        ]
    });
}

#[test]
fn two_label_smoothings_are_refused() {
    refused(|| [boxed(smoothing()), boxed(smoothing())]);
}

#[test]
fn two_moving_averages_are_refused() {
    refused(|| [boxed(Ema::new(0.9)), boxed(Ema::new(0.99))]);
}

#[test]
fn combinators_are_refused_for_what_is_in_them() {
    refused(|| {
        let early = When::new(cutmix(true)).with_until(duration("1ba"));
        let late = When::new(smoothing()).with_from(duration("1ba"));
        [boxed(early), boxed(late)]
    });
    let sometimes = || When::new(smoothing()).with_probability(0.1);
    refused(|| [boxed(sometimes()), boxed(sometimes())]);
    // One part of the choice is enough.
    let choice = || {
        boxed(
            OneOf::new()
                .with(1.0, CutOut::new(2))
                .with(1.0, cutmix(true)),
        )
    };
    refused(|| [choice(), boxed(smoothing())]);
    refused(|| [choice(), boxed(mixup(true))]);
    let smooth = || {
        boxed(
            OneOf::new()
                .with(1.0, CutOut::new(2))
                .with(1.0, smoothing()),
        )
    };
    refused(|| [smooth(), boxed(smoothing())]);
}

#[test]
fn algorithms_that_can_work_together_are_accepted() {
    let accepted = |algorithms: Vec<Box<dyn Algorithm<Tiny>>>| {
        check(&algorithms).unwrap();
        fit(3, algorithms).unwrap();
    };
    accepted(vec![
        boxed(cutmix(false)),
        boxed(mixup(false)),
        boxed(FMix::new()),
        boxed(ResizeMix::new()),
        boxed(CutOut::new(2)),
        boxed(smoothing()),
        boxed(Ema::new(0.9)),
    ]);
    accepted(vec![boxed(cutmix(true)), boxed(CutOut::new(2))]);
    // Parts of a choice exclude each other.
    accepted(vec![boxed(
        OneOf::new().with(1.0, cutmix(true)).with(1.0, mixup(true)),
    )]);
    accepted(vec![boxed(
        OneOf::new().with(1.0, cutmix(true)).with(1.0, mixup(false)),
    )]);
    accepted(vec![boxed(
        OneOf::new().with(1.0, smoothing()).with(1.0, smoothing()),
    )]);
    accepted(vec![boxed(MixUpOrCutMix::new()), boxed(smoothing())]);
    // An algorithm that never acts is in nobody's way.
    let never = When::new(cutmix(true)).with_probability(0.0);
    accepted(vec![boxed(never), boxed(smoothing())]);
    let never = OneOf::new()
        .with(0.0, cutmix(true))
        .with(1.0, CutOut::new(2));
    accepted(vec![boxed(never), boxed(smoothing())]);
}
