//! Wrong arguments.

use burn::tensor::{Device, Int, Tensor};
use cutmix::algorithms::{Algorithm, CutMix, CutOut, LabelSmoothing, MixUp, OneOf, When};
use cutmix::functional::{cutout_batch, cutout_plan, mixup_apply, mixup_batch, smooth_labels};
use cutmix::plan::{Drawer, Length, Mixture, Mode, Region, Sampler, Stream};
use cutmix::time::Duration;

use crate::common::assert_refused;
use crate::setting::CLASSES;
use crate::{boxed, fit};

#[track_caller]
fn refused(algorithm: impl Algorithm + 'static, message: &str) {
    let error = fit(1, vec![boxed(algorithm)]).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn algorithms_are_refused_before_training() {
    refused(
        MixUp::new(CLASSES).alpha(0.0),
        "`alpha` is 0; accepted: a finite number above 0 (1 is the usual choice)",
    );
    refused(
        MixUp::new(0),
        "`num_classes` is 0; accepted: at least one class",
    );
    let in_pairs = "`interpolate_loss` is on in the mode `pair`; accepted: the mode `batch`, as a \
                    loss is interpolated by one lambda for the batch; or dense targets";
    let mixup = MixUp::new(CLASSES).mode(Mode::Pair);
    refused(mixup.interpolate_loss(true), in_pairs);
    let cutmix = CutMix::new(CLASSES).mode(Mode::Pair);
    refused(cutmix.interpolate_loss(true), in_pairs);

    let length = "at least 1 pixel, or a share of the image's side above 0.0 and up to 1.0";
    refused(
        CutOut::new(0),
        &format!("`length` is 0; accepted: {length}"),
    );
    refused(
        CutOut::new(0.0),
        &format!("`length` is 0.0; accepted: {length}"),
    );
    refused(
        CutOut::new(1.5),
        &format!("`length` is 1.5; accepted: {length}"),
    );
    refused(
        CutOut::new(f64::NAN),
        &format!("`length` is NaN; accepted: {length}"),
    );
    refused(
        CutOut::new(2).value(f64::INFINITY),
        "`value` is inf; accepted: a finite number",
    );
    refused(
        CutOut::new(2).mode(Mode::Pair),
        "`mode` is pair; accepted: batch or sample, as there are no partners",
    );
    // The images are 4 x 4; only they can tell.
    refused(
        CutOut::new(5),
        "algorithm `cutout` at before_forward of batch 0: `length` is 5; accepted: 1 to 4 pixels, \
         the image's smallest side",
    );

    for smoothing in [-0.1, 1.0, f64::NAN] {
        let accepted = "accepted: a number from 0 to below 1 (0.1 is the usual choice)";
        let message = format!("`smoothing` is {smoothing}; {accepted}");
        refused(LabelSmoothing::new(CLASSES, smoothing), &message);
    }
    refused(
        LabelSmoothing::new(0, 0.1),
        "`num_classes` is 0; accepted: at least one class",
    );
    refused(
        LabelSmoothing::new(CLASSES - 1, 0.1),
        "algorithm `label-smoothing` at before_loss of batch 0: `targets` is class 2 for sample 2; \
         accepted: classes in 0..2",
    );
}

#[test]
fn combinators_are_refused_before_training() {
    let when = || When::new(CutMix::new(CLASSES));
    for probability in [-0.1, 1.5, f64::NAN] {
        let message = format!("`probability` is {probability}; accepted: a number in 0..=1");
        refused(when().probability(probability), &message);
    }
    let share = "a share of the run from 0dur to 1dur";
    refused(
        when().from(Duration::Share(1.5)),
        &format!("`from` is 1.5dur; accepted: {share}"),
    );
    refused(
        when().until(Duration::Share(-1.0)),
        &format!("`until` is -1dur; accepted: {share}"),
    );
    refused(
        when().until(Duration::Batches(0)),
        "`until` is 0ba; accepted: more than nothing; or the algorithm left out",
    );
    for (from, until) in [
        ("5ba", "5ba"),
        ("2ep", "1ep"),
        ("0.9dur", "0.1dur"),
        ("1h", "5m"),
    ] {
        let window = when()
            .from(from.parse().unwrap())
            .until(until.parse().unwrap());
        let message = format!("`until` is {until}; accepted: an end after {from}, where it begins");
        refused(window, &message);
    }
    refused(
        When::new(CutMix::new(CLASSES).alpha(-1.0)),
        "`alpha` is -1; accepted: a finite number above 0 (1 is the usual choice)",
    );

    let none = "algorithms to choose from, with weights that have a finite sum above 0";
    refused(
        OneOf::new(),
        &format!("`weights` is 0 in all; accepted: {none}"),
    );
    let nothing = OneOf::new().add(0.0, CutOut::new(2));
    refused(nothing, &format!("`weights` is 0 in all; accepted: {none}"));
    let large = OneOf::new()
        .add(f64::MAX, CutOut::new(2))
        .add(f64::MAX, CutOut::new(2));
    refused(large, &format!("`weights` is inf in all; accepted: {none}"));
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        let message = format!("`weight` is {weight}; accepted: a finite number of at least 0");
        refused(
            OneOf::new()
                .add(1.0, CutOut::new(2))
                .add(weight, CutOut::new(2)),
            &message,
        );
    }
    refused(
        OneOf::new().add(1.0, MixUp::new(CLASSES).alpha(f64::NAN)),
        "`alpha` is NaN; accepted: a finite number above 0 (1 is the usual choice)",
    );
}

#[test]
fn functions_refuse_what_does_not_fit() {
    let device = Device::default();
    let rng = &mut Stream::new(0).at(0);
    let images = Tensor::<4>::ones([3, 2, 5, 6], &device);
    let labels = Tensor::<1, Int>::from_data([0, 1, 2], &device);

    let mut mixup =
        |classes, alpha| mixup_batch(images.clone(), labels.clone(), classes, alpha, rng);
    assert_refused(mixup(3, f64::NAN), &["`alpha`", "NaN", "above 0"]);
    assert_refused(
        mixup(2, 1.0),
        &["`targets`", "class 2 for sample 2", "0..2"],
    );
    assert_refused(mixup(0, 1.0), &["`num_classes`"]);
    let none = Tensor::<4>::ones([0, 2, 5, 6], &device);
    assert_refused(mixup_batch(none, labels.clone(), 3, 1.0, rng), &["`batch`"]);
    let two = Mixture::new(vec![1, 0], 0.5).unwrap();
    let mixed = mixup_apply(images.clone(), labels.clone(), 3, &two);
    assert_refused(mixed, &["`targets`", "3 samples", "2 samples"]);
    let labels = labels.slice_dim(0, 0..2);
    let mixed = mixup_apply(images.clone(), labels.clone(), 3, &two);
    assert_refused(mixed, &["`images`", "[3, 2, 5, 6]", "a batch of 2"]);
    let flat = mixup_apply(Tensor::<1>::ones([2], &device), labels.clone(), 3, &two);
    assert_refused(flat, &["`images`", "[2]"]);

    let mut cut = |length: Length, value| cutout_batch(images.clone(), length, value, rng);
    assert_refused(cut(6.into(), 0.0), &["`length`", "6", "1 to 5 pixels"]);
    assert_refused(cut(0.into(), 0.0), &["`length`", "0", "at least 1 pixel"]);
    assert_refused(cut(1.1.into(), 0.0), &["`length`", "1.1", "up to 1.0"]);
    assert_refused(cut(2.into(), f64::NAN), &["`value`", "NaN", "finite"]);
    let flat = Tensor::<2>::ones([3, 8], &device);
    assert_refused(cutout_batch(flat, 1, 0.0, rng), &["`images`", "rank 2"]);
    let none = Tensor::<4>::ones([0, 2, 5, 6], &device);
    assert_refused(cutout_batch(none, 1, 0.0, rng), &["`batch`"]);
    assert_refused(
        cutout_plan(1, Mode::Pair, &images, rng),
        &["`mode`", "pair", "batch or sample"],
    );

    let smooth = |classes, smoothing| smooth_labels(labels.clone(), classes, smoothing);
    assert_refused(smooth(3, 1.0), &["`smoothing`", "1", "below 1"]);
    assert_refused(smooth(3, -0.5), &["`smoothing`", "-0.5"]);
    assert_refused(smooth(1, 0.1), &["`targets`", "class 1 for sample 1"]);
}

#[test]
fn mixtures_refuse_what_is_none() {
    let parts = ["`partners`", "[1, 1]", "permutation of 0..2"];
    assert_refused(Mixture::new(vec![1, 1], 0.5), &parts);
    assert_refused(Mixture::new(vec![], 0.5), &["`batch`", "0"]);
    for lambda in [-0.1, 1.1, f64::NAN] {
        let value = format!("is {lambda};");
        let parts = ["`lambda`", &value, "0..=1"];
        assert_refused(Mixture::new(vec![1, 0], lambda), &parts);
        assert_refused(Mixture::per_sample(vec![1, 0], vec![0.5, lambda]), &parts);
    }
    let parts = ["`lambdas`", "3 lambdas", "2 samples"];
    assert_refused(Mixture::per_sample(vec![1, 0], vec![0.5; 3]), &parts);
    let stored = serde_json::from_str::<Mixture>(r#"{"partners":[0,0],"lambdas":[0.5]}"#);
    assert!(
        stored
            .unwrap_err()
            .to_string()
            .contains("`partners` is [0, 0]")
    );
    let stored = serde_json::from_str::<Mixture>(r#"{"partners":[1,0],"lambdas":[]}"#);
    assert!(
        stored
            .unwrap_err()
            .to_string()
            .contains("`lambdas` is 0 lambdas")
    );

    let rng = &mut Stream::new(0).at(0);
    let drawer = Drawer::new(1.0);
    let whole = "no region, side or min-max sampler";
    let sampler = Sampler::MinMax { min: 0.1, max: 0.5 };
    for (drawer, part) in [
        (
            drawer.clone().region(Region::new([0..1, 0..1])),
            "fixed by region",
        ),
        (drawer.clone().side(3), "fixed by side"),
        (drawer.clone().sampler(sampler), "fixed by sampler min-max"),
    ] {
        assert_refused(drawer.draw_mixture(2, rng), &["`drawer`", part, whole]);
    }
    assert_refused(drawer.draw_mixture(0, rng), &["`batch`"]);
    let partners = drawer.clone().partners(vec![1, 0]);
    assert_refused(partners.draw_mixture(3, rng), &["`partners`", "3 samples"]);
    let pairs = drawer.mode(Mode::Pair);
    assert_refused(pairs.draw_regions(3, &[8], rng), &["`mode`", "pair"]);
    let outside = Drawer::new(1.0).region(Region::new([0..4, 4..9]));
    assert_refused(
        outside.draw_regions(3, &[8, 8], rng),
        &["`region`", "[0..4, 4..9]", "[0..8, 0..8]"],
    );
}
