//! Several algorithms in one run: their order, and what is refused.

use cutmix::algorithms::{Algorithm, CutMix, CutOut, LabelSmoothing, MixUp, OneOf, When, check};
use cutmix::functional::{cutmix_batch, cutout_batch, mixup_batch, smooth_labels};
use cutmix::plan::Stream;

use crate::setting::{CLASSES, Log, Recorder, values};
use crate::{SEED, batch, boxed, fit, steps};

/// The generator of an algorithm by its place.
fn rng(place: u64) -> impl rand::Rng {
    Stream::new(SEED).lane(place).at(0)
}

#[test]
fn algorithms_act_in_the_order_of_adding() {
    let (cutmix, mixup) = (CutMix::new(CLASSES), MixUp::new(CLASSES).alpha(1.0));
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
    let mixup = || boxed(MixUp::new(CLASSES).alpha(1.0));
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
        let mut algorithms = vec![boxed(CutMix::new(CLASSES))];
        algorithms.insert(place, boxed(LabelSmoothing::new(CLASSES, 0.1)));
        let seen = &steps(1, algorithms)[0];
        let lane = 1 - place as u64;
        let (_, mixed) = cutmix_batch(
            data.images.clone(),
            data.targets.clone(),
            CLASSES,
            1.0,
            &mut rng(lane),
        )
        .unwrap();
        assert_eq!(seen.targets, values(mixed.clone()));
        let smooth = smooth_labels(mixed, CLASSES, 0.1).unwrap();
        assert_eq!(seen.loss_targets, Some(values(smooth)));
    }
}

/// What is said of an algorithm that interpolates the loss and one that makes the targets dense.
fn dense(interpolating: &str, making: &str) -> String {
    format!(
        "accepted: one of them, as `{interpolating}` interpolates the loss, which is for class \
         indices, and `{making}` makes the targets dense; or both with dense targets"
    )
}

const TWICE: &str =
    "accepted: one that interpolates the loss, which has room for one set of partners";
const SMOOTH: &str =
    "accepted: one label smoothing, as the second would smooth what the first has smoothed";

fn cutmix(interpolate: bool) -> CutMix {
    CutMix::new(CLASSES).interpolate_loss(interpolate)
}

fn mixup(interpolate: bool) -> MixUp {
    MixUp::new(CLASSES).interpolate_loss(interpolate)
}

fn smoothing() -> LabelSmoothing {
    LabelSmoothing::new(CLASSES, 0.1)
}

/// Refused by the trainer before anything has happened, in either order.
#[track_caller]
fn refused(pair: impl Fn() -> [Box<dyn Algorithm>; 2], reason: &str) {
    for turned in [false, true] {
        let mut pair = pair();
        if turned {
            pair.reverse();
        }
        let [first, second] = pair;
        let log = Log::default();
        let recorder = Recorder {
            log: log.clone(),
            label: "",
        };
        let names = format!("`{}` and `{}` together; ", first.name(), second.name());
        // Others between them change nothing.
        let error = fit(
            1,
            vec![first, boxed(recorder), boxed(CutOut::new(2)), second],
        );
        let message = error.unwrap_err().to_string();
        assert_eq!(message, format!("`algorithms` is {names}{reason}"));
        assert!(log.lock().unwrap().is_empty(), "training has begun");
    }
}

#[test]
fn an_interpolated_loss_and_dense_targets_are_refused() {
    let reason = dense("cutmix", "mixup");
    refused(|| [boxed(cutmix(true)), boxed(mixup(false))], &reason);
    let reason = dense("mixup", "cutmix");
    refused(|| [boxed(mixup(true)), boxed(cutmix(false))], &reason);
    let reason = dense("cutmix", "label-smoothing");
    refused(|| [boxed(cutmix(true)), boxed(smoothing())], &reason);
    let reason = dense("mixup", "label-smoothing");
    refused(|| [boxed(mixup(true)), boxed(smoothing())], &reason);
}

#[test]
fn two_interpolated_losses_are_refused() {
    refused(|| [boxed(cutmix(true)), boxed(mixup(true))], TWICE);
    refused(|| [boxed(cutmix(true)), boxed(cutmix(true))], TWICE);
}

#[test]
fn two_label_smoothings_are_refused() {
    refused(|| [boxed(smoothing()), boxed(smoothing())], SMOOTH);
}

#[test]
fn combinators_are_refused_for_what_is_in_them() {
    let never_at_once = || {
        let early = When::new(cutmix(true)).until("1ba".parse().unwrap());
        let late = When::new(smoothing()).from("1ba".parse().unwrap());
        [boxed(early), boxed(late)]
    };
    refused(never_at_once, &dense("cutmix", "label-smoothing"));
    let sometimes = || When::new(smoothing()).probability(0.1);
    refused(|| [boxed(sometimes()), boxed(sometimes())], SMOOTH);
    // One part of the choice is enough.
    let choice = || boxed(OneOf::new().add(1.0, CutOut::new(2)).add(1.0, cutmix(true)));
    let reason = dense("one of cutout, cutmix", "label-smoothing");
    refused(|| [choice(), boxed(smoothing())], &reason);
    refused(|| [choice(), boxed(mixup(true))], TWICE);
    let smooth = || boxed(OneOf::new().add(1.0, CutOut::new(2)).add(1.0, smoothing()));
    refused(|| [smooth(), boxed(smoothing())], SMOOTH);
}

#[test]
fn what_can_work_together_is_accepted() {
    let accepted = |algorithms: Vec<Box<dyn Algorithm>>| {
        check(&algorithms).unwrap();
        fit(3, algorithms).unwrap();
    };
    accepted(vec![
        boxed(cutmix(false)),
        boxed(mixup(false)),
        boxed(CutOut::new(2)),
        boxed(smoothing()),
    ]);
    accepted(vec![boxed(cutmix(true)), boxed(CutOut::new(2))]);
    // Parts of a choice exclude each other.
    accepted(vec![boxed(
        OneOf::new().add(1.0, cutmix(true)).add(1.0, mixup(true)),
    )]);
    accepted(vec![boxed(
        OneOf::new().add(1.0, cutmix(true)).add(1.0, mixup(false)),
    )]);
    accepted(vec![boxed(
        OneOf::new().add(1.0, smoothing()).add(1.0, smoothing()),
    )]);
    accepted(vec![
        boxed(OneOf::mixup_or_cutmix(CLASSES)),
        boxed(smoothing()),
    ]);
    // What never acts is not in the way.
    let never = || When::new(cutmix(true)).probability(0.0);
    accepted(vec![boxed(never()), boxed(smoothing())]);
    let never = OneOf::new().add(0.0, cutmix(true)).add(1.0, CutOut::new(2));
    accepted(vec![boxed(never), boxed(smoothing())]);
}
