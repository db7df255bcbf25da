//! MixUp, CutOut and label smoothing: what holds for every mixture, square and smoothed label, and
//! the arguments that are refused.

mod common;

use burn::tensor::{Device, Int, Tensor, TensorData};
use cutmix::functional::{
    cutmix_batch, cutout_batch, cutout_regions, mixup_apply, mixup_batch, smooth_labels,
};
use cutmix::plan::{Length, Mixture, Mode, PlanSampler, Region, RegionSampler, Stream};
use cutmix::{Targets, ops};
use proptest::prelude::*;

use common::{assert_refused, cases, devices, values};

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Batch), Just(Mode::Pair), Just(Mode::Sample)]
}

fn mixtures(batch: usize) -> impl Strategy<Value = (Mode, Mixture)> {
    (1..=batch, modes(), 0.05..4.0, any::<u64>()).prop_map(|(batch, mode, alpha, step)| {
        let sampler = PlanSampler::new(alpha).with_mode(mode);
        let mixture = sampler.draw_mixture(batch, &mut Stream::new(0).at(step));
        (mode, mixture.unwrap())
    })
}

/// Numbers without a pattern, in 0..1.
fn scramble(i: usize) -> f32 {
    let x = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / (1u32 << 24) as f32
}

fn batch_of<const D: usize>(dims: [usize; D], device: &Device) -> (Vec<f32>, Tensor<D>) {
    let host: Vec<_> = (0..dims.iter().product()).map(scramble).collect();
    let tensor = Tensor::from_data(TensorData::new(host.clone(), dims), device);
    (host, tensor)
}

/// Rows of `classes` shares that are distributions.
fn distributions(batch: usize, classes: usize, device: &Device) -> Tensor<2> {
    let (_, raw) = batch_of([batch, classes], device);
    let raw = raw + 0.01;
    raw.clone() / raw.sum_dim(1)
}

#[track_caller]
fn assert_distributions(targets: &Tensor<2>) {
    let [_, classes] = targets.dims();
    for row in values::<f64, _, _>(targets).chunks(classes) {
        assert!(
            row.iter().all(|share| (0.0..=1.0 + 1e-6).contains(share)),
            "{row:?}"
        );
        let sum: f64 = row.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row:?} has the sum {sum}");
    }
}

/// The rule, number by number, with exactly the mixture's lambda.
fn mix_by_hand(host: &[f32], mixture: &Mixture) -> Vec<f32> {
    let size = host.len() / mixture.batch();
    let mixed = (0..host.len()).map(|i| {
        let (sample, offset) = (i / size, i % size);
        let lambda = mixture.lambda(sample);
        let partner = host[mixture.partners()[sample] * size + offset];
        if mixture.is_identity() {
            host[i]
        } else {
            host[i] * lambda as f32 + partner * (1.0 - lambda) as f32
        }
    });
    mixed.collect()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_drawn_mixture_is_sound((mode, mixture) in mixtures(12)) {
        let batch = mixture.batch();
        let mut partners = mixture.partners().to_vec();
        partners.sort();
        prop_assert_eq!(partners, (0..batch).collect::<Vec<_>>());
        prop_assert!(mixture.lambdas().iter().all(|lambda| (0.0..=1.0).contains(lambda)));
        prop_assert_eq!(mixture.lambdas().len(), if mode == Mode::Batch { 1 } else { batch });
        if mode == Mode::Pair {
            let alone = (0..batch).filter(|&i| mixture.partners()[i] == i).count();
            prop_assert_eq!(alone, batch % 2);
            for (sample, &partner) in mixture.partners().iter().enumerate() {
                prop_assert_eq!(mixture.partners()[partner], sample);
                prop_assert_eq!(mixture.lambda(partner), mixture.lambda(sample));
                prop_assert!(partner != sample || mixture.lambda(sample) == 1.0);
            }
        }
        let json = serde_json::to_string(&mixture).unwrap();
        let stored: Mixture = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(stored.partners(), mixture.partners());
        prop_assert_eq!(stored.lambdas().len(), mixture.lambdas().len());
        // Text formats may lose the last digit.
        for (stored, drawn) in stored.lambdas().iter().zip(mixture.lambdas()) {
            prop_assert!((stored - drawn).abs() <= f64::EPSILON * drawn);
        }
    }

    #[test]
    fn pixels_and_targets_are_blended_by_exactly_the_lambdas(
        (_, mixture) in mixtures(9),
        (channels, height, width) in (1usize..4, 1usize..7, 1usize..7),
    ) {
        for device in devices() {
            let dims = [mixture.batch(), channels, height, width];
            let (host, images) = batch_of(dims, &device);
            let classes: Vec<_> = (0..mixture.batch() as i64).map(|i| i % 3).collect();
            let one_hot = (classes.iter())
                .flat_map(|&class| (0..3).map(move |k| f32::from(u8::from(k == class))));
            let one_hot: Vec<_> = one_hot.collect();
            let labels = Tensor::<1, Int>::from_data(classes.as_slice(), &device);

            let (mixed, targets) = mixup_apply(images.clone(), labels, 3, &mixture).unwrap();
            prop_assert_eq!(mixed.dims(), dims);
            prop_assert_eq!(values::<f32, _, _>(&mixed), mix_by_hand(&host, &mixture));
            prop_assert_eq!(values::<f32, _, _>(&targets), mix_by_hand(&one_hot, &mixture));
            prop_assert_eq!(values::<f32, _, _>(&images), host, "the batch that was passed changed");
        }
    }

    #[test]
    fn targets_stay_distributions(
        (batch, classes) in (1usize..9, 1usize..7),
        (alpha, smoothing) in (0.05..4.0, 0.0..0.999),
        step in any::<u64>(),
    ) {
        let device = Device::default();
        let rng = || Stream::new(5).at(step);
        let (_, images) = batch_of([batch, 1, 4, 4], &device);
        let indices = (0..batch as i64).map(|i| i % classes as i64).collect::<Vec<_>>();
        let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &device);
        let dense = distributions(batch, classes, &device);
        for targets in [Targets::from(indices), Targets::from(dense)] {
            let mixed = mixup_batch(images.clone(), targets.clone(), classes, alpha, &mut rng());
            assert_distributions(&mixed.unwrap().1);
            let (_, mixed) =
                cutmix_batch(images.clone(), targets.clone(), classes, alpha, &mut rng()).unwrap();
            assert_distributions(&mixed);
            assert_distributions(&smooth_labels(targets, classes, smoothing).unwrap());
            assert_distributions(&smooth_labels(mixed, classes, smoothing).unwrap());
        }
    }

    #[test]
    fn exactly_the_drawn_squares_are_filled(
        (batch, channels) in (1usize..6, 1usize..4),
        spatial in (1usize..12, 1usize..12),
        (side, value, step) in (0usize..12, -2.0f32..2.0, any::<u64>()),
        per_sample in any::<bool>(),
    ) {
        let (height, width) = spatial;
        let side = 1 + side % height.min(width);
        let mode = if per_sample { Mode::Sample } else { Mode::Batch };
        for device in devices() {
            let (host, images) = batch_of([batch, channels, height, width], &device);
            let rng = || Stream::new(3).at(step);
            let regions = cutout_regions(side, mode, &images, &mut rng()).unwrap();
            prop_assert_eq!(regions.len(), if per_sample { batch } else { 1 });
            for region in &regions {
                for (range, size) in region.as_box().unwrap().iter().zip([height, width]) {
                    prop_assert!(!range.is_empty() && range.end <= size);
                    let is_clipped = range.start == 0 || range.end == size;
                    prop_assert!(range.len() == side || (is_clipped && range.len() < side));
                }
            }
            let filled = ops::fill(images.clone(), &regions, value as f64).unwrap();
            let expected = host.iter().enumerate().map(|(i, &own)| {
                let (column, row) = (i % width, i / width % height);
                let sample = i / (width * height * channels);
                let region = &regions[if per_sample { sample } else { 0 }];
                let Some([rows, columns]) = region.as_box() else { unreachable!() };
                if rows.contains(&row) && columns.contains(&column) { value } else { own }
            });
            let expected: Vec<_> = expected.collect();
            prop_assert_eq!(values::<f32, _, _>(&filled), expected.clone());
            if per_sample {
                let whole = cutout_batch(images, side, value as f64, &mut rng()).unwrap();
                prop_assert_eq!(values::<f32, _, _>(&whole), expected);
            }
        }
    }

    #[test]
    fn a_smoothed_mixture_is_a_mixture_of_smoothed_targets(
        (_, mixture) in mixtures(8),
        smoothing in 0.0..0.999,
    ) {
        let dense = distributions(mixture.batch(), 4, &Device::default());
        let mix = |dense: Tensor<2>| Targets::from(dense).mix(4, &mixture).unwrap();
        let smooth = |dense: Tensor<2>| smooth_labels(dense, 4, smoothing).unwrap();
        let (one, other) = (smooth(mix(dense.clone())), mix(smooth(dense)));
        for (a, b) in values::<f32, _, _>(&one).iter().zip(values::<f32, _, _>(&other)) {
            prop_assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn smoothing_moves_its_share_evenly(smoothing in 0.0f32..0.999, class in 0i64..5) {
        let labels = Tensor::<1, Int>::from_data([class], &Device::default());
        let smooth = smooth_labels(labels, 5, f64::from(smoothing)).unwrap();
        for (k, share) in values::<f64, _, _>(&smooth).into_iter().enumerate() {
            let own = if k as i64 == class { 1.0 - f64::from(smoothing) } else { 0.0 };
            prop_assert!((share - own - f64::from(smoothing) / 5.0).abs() < 1e-6);
        }
    }
}

#[test]
fn the_same_seed_and_step_draw_the_same() {
    let images = batch_of([6, 1, 9, 9], &Device::default()).1;
    let mixture = |step| {
        let sampler = PlanSampler::new(0.3).with_mode(Mode::Sample);
        sampler
            .draw_mixture(6, &mut Stream::new(1).at(step))
            .unwrap()
    };
    let squares =
        |step| cutout_regions(4, Mode::Sample, &images, &mut Stream::new(1).at(step)).unwrap();
    assert_eq!(mixture(3), mixture(3));
    assert_ne!(mixture(3), mixture(4));
    assert_eq!(squares(3), squares(3));
    assert_ne!(squares(3), squares(4));
}

/// Recorded and resumed runs rely on this. A change is a breaking one, for the changelog.
#[test]
fn mixtures_and_squares_never_change() {
    let rng = || Stream::new(42).lane(1).at(0);
    let mixture = PlanSampler::new(0.2).draw_mixture(5, &mut rng()).unwrap();
    let pinned = Mixture::new(vec![3, 0, 1, 4, 2], 0.9825350044858114);
    assert_eq!(mixture, pinned.unwrap());

    let pairs = PlanSampler::new(1.0).with_mode(Mode::Pair);
    let pairs = pairs.draw_mixture(5, &mut rng()).unwrap();
    let [one, other] = [0.7606718238744764, 0.7450128979168327];
    let pinned = Mixture::per_sample(vec![2, 4, 0, 3, 1], vec![one, other, one, 1.0, other]);
    assert_eq!(pairs, pinned.unwrap());

    let images = Tensor::<4>::zeros([2, 1, 32, 48], &Device::default());
    let squares = cutout_regions(0.5, Mode::Sample, &images, &mut rng()).unwrap();
    let pinned = [[11..27, 17..33], [16..32, 0..15]].map(Region::new);
    assert_eq!(squares, pinned);
}

#[test]
fn a_mixture_can_be_fixed_or_written_by_hand() {
    let sampler = PlanSampler::new(1.0)
        .with_lambda(0.3)
        .with_partners(vec![1, 2, 0]);
    let mixture = sampler.draw_mixture(3, &mut Stream::new(0).at(0)).unwrap();
    assert_eq!(mixture, Mixture::new(vec![1, 2, 0], 0.3).unwrap());
    assert_eq!(mixture.to_string(), "lambda 0.3000, partners [1, 2, 0]");
    let each = Mixture::per_sample(vec![1, 0], vec![0.25, 1.0]).unwrap();
    assert_eq!(
        each.to_string(),
        "mixtures: 0 with 1, lambda 0.2500; 1 with 0, lambda 1.0000;"
    );
    assert!(!each.is_identity());
    assert!(
        Mixture::per_sample(vec![1, 0, 2], vec![1.0, 1.0, 0.5])
            .unwrap()
            .is_identity()
    );
}

#[test]
fn lengths_are_pixels_or_a_share_of_the_smallest_side() {
    for (length, pixels) in [
        (Length::from(16), 16),
        (Length::from(28), 28),
        (Length::from(0.5), 14),
        (Length::from(0.99), 27),
        (Length::from(1.0), 28),
        (Length::from(0.01), 0),
    ] {
        assert_eq!(length.pixels(&[40, 28]).unwrap(), pixels, "{length}");
    }
    assert_eq!(
        [Length::from(1), Length::from(1.0)].map(|length| length.to_string()),
        ["1", "1.0"]
    );
}

#[test]
fn whole_numbers_and_other_ranks_are_mixed_and_cut() {
    let device = Device::default();
    let bytes = Tensor::<4, Int>::from_data([[[[0, 10]]], [[[5, 255]]]], &device);
    let labels = Tensor::<1, Int>::from_data([0, 1], &device);
    let half = Mixture::new(vec![1, 0], 0.5).unwrap();
    let (mixed, _) = mixup_apply(bytes, labels.clone(), 2, &half).unwrap();
    // Ties to even: 2.5 and 132.5.
    assert_eq!(values::<i64, _, _>(&mixed), [2, 132, 2, 132]);

    let rows = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 6.0]], &device);
    let (mixed, _) = mixup_apply(rows, labels, 2, &half).unwrap();
    assert_eq!(values::<f32, _, _>(&mixed), [2.0, 4.0, 2.0, 4.0]);

    let sequences = Tensor::<3>::ones([2, 1, 9], &device);
    let cut = cutout_batch(sequences, 9, 0.0, &mut Stream::new(0).at(0)).unwrap();
    let kept = values::<f32, _, _>(&cut).iter().sum::<f32>();
    assert!(kept < 18.0 && kept.fract() == 0.0);
}

#[test]
fn regions_are_drawn_for_the_batch_or_for_each_sample() {
    let regions = PlanSampler::new(1.0).draw_regions(3, &[8], &mut Stream::new(0).at(0));
    assert_eq!(regions.unwrap().len(), 1);
    let whole = PlanSampler::new(1.0)
        .with_lambda(0.0)
        .with_mode(Mode::Sample);
    let regions = whole.draw_regions(2, &[8], &mut Stream::new(0).at(0));
    assert_eq!(regions.unwrap().len(), 2);
}

#[test]
fn an_odd_batch_and_a_batch_of_one_leave_one_sample_as_it_is() {
    for batch in [1, 3] {
        let (host, images) = batch_of([batch, 1, 4, 4], &Device::default());
        let pairs = PlanSampler::new(1.0).with_mode(Mode::Pair);
        let mixture = pairs
            .draw_mixture(batch, &mut Stream::new(7).at(0))
            .unwrap();
        let mixed: Vec<f32> = values(&ops::mix(images, &mixture).unwrap());
        let alone = (0..batch).find(|&i| mixture.partners()[i] == i).unwrap();
        assert_eq!(mixed[16 * alone..][..16], host[16 * alone..][..16]);
    }
}

#[test]
fn functions_refuse_arguments_that_do_not_fit() {
    let device = Device::default();
    let rng = &mut Stream::new(0).at(0);
    let images = Tensor::<4>::ones([3, 2, 5, 6], &device);
    let labels = Tensor::<1, Int>::from_data([0, 1, 2], &device);

    let mut mixup =
        |classes, alpha| mixup_batch(images.clone(), labels.clone(), classes, alpha, rng);
    assert_refused(mixup(3, f64::NAN), "alpha");
    assert_refused(mixup(2, 1.0), "targets");
    assert_refused(mixup(0, 1.0), "num_classes");
    let none = Tensor::<4>::ones([0, 2, 5, 6], &device);
    assert_refused(mixup_batch(none, labels.clone(), 3, 1.0, rng), "batch");
    let two = Mixture::new(vec![1, 0], 0.5).unwrap();
    assert_refused(
        mixup_apply(images.clone(), labels.clone(), 3, &two),
        "targets",
    );
    let labels = labels.slice_dim(0, 0..2);
    assert_refused(
        mixup_apply(images.clone(), labels.clone(), 3, &two),
        "images",
    );
    let flat = Tensor::<1>::ones([2], &device);
    assert_refused(mixup_apply(flat, labels.clone(), 3, &two), "images");

    let mut cut = |length: Length, value| cutout_batch(images.clone(), length, value, rng);
    assert_refused(cut(6.into(), 0.0), "length");
    assert_refused(cut(0.into(), 0.0), "length");
    assert_refused(cut(1.1.into(), 0.0), "length");
    assert_refused(cut(2.into(), f64::NAN), "value");
    let flat = Tensor::<2>::ones([3, 8], &device);
    assert_refused(cutout_batch(flat, 1, 0.0, rng), "images");
    let none = Tensor::<4>::ones([0, 2, 5, 6], &device);
    assert_refused(cutout_batch(none, 1, 0.0, rng), "batch");
    assert_refused(cutout_regions(1, Mode::Pair, &images, rng), "mode");

    let smooth = |classes, smoothing| smooth_labels(labels.clone(), classes, smoothing);
    assert_refused(smooth(3, 1.0), "smoothing");
    assert_refused(smooth(3, -0.5), "smoothing");
    assert_refused(smooth(1, 0.1), "targets");
}

#[test]
fn mixtures_out_of_range_are_refused() {
    assert_refused(Mixture::new(vec![1, 1], 0.5), "partners");
    assert_refused(Mixture::new(vec![], 0.5), "batch");
    for lambda in [-0.1, 1.1, f64::NAN] {
        assert_refused(Mixture::new(vec![1, 0], lambda), "lambda");
        assert_refused(Mixture::per_sample(vec![1, 0], vec![0.5, lambda]), "lambda");
    }
    assert_refused(Mixture::per_sample(vec![1, 0], vec![0.5; 3]), "lambdas");
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
            .contains("`lambdas` is a list of 0")
    );
}

#[test]
fn samplers_refuse_settings_without_effect_on_a_mixture() {
    let rng = &mut Stream::new(0).at(0);
    let sampler = PlanSampler::new(1.0);
    let min_max = RegionSampler::MinMax { min: 0.1, max: 0.5 };
    for fixed in [
        sampler.clone().with_region(Region::new([0..1, 0..1])),
        sampler.clone().with_side(3),
        sampler.clone().with_region_sampler(min_max),
    ] {
        assert_refused(fixed.draw_mixture(2, rng), "plan_sampler");
    }
    assert_refused(sampler.draw_mixture(0, rng), "batch");
    let partners = sampler.clone().with_partners(vec![1, 0]);
    assert_refused(partners.draw_mixture(3, rng), "partners");
    let pairs = sampler.with_mode(Mode::Pair);
    assert_refused(pairs.draw_regions(3, &[8], rng), "mode");
    let outside = PlanSampler::new(1.0).with_region(Region::new([0..4, 4..9]));
    assert_refused(outside.draw_regions(3, &[8, 8], rng), "region");
}
