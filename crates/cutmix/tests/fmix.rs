//! Masks and FMix.

// The region of a sequence is a single range.
#![allow(clippy::single_range_in_vec_init)]

mod common;

use burn::tensor::{Device, Distribution, Int, Tensor};
use common::{assert_refused, cases, devices, values};
use cutmix::functional::{cutmix_apply, fmix_batch};
use cutmix::plan::{Mask, Mode, Plan, PlanSampler, Region, RegionSampler, Stream};
use proptest::collection::vec;
use proptest::prelude::*;

fn sampler(decay_power: f64) -> PlanSampler {
    PlanSampler::new(1.0).with_region_sampler(RegionSampler::LowFrequency { decay_power })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_mask_has_the_share_that_lambda_asks_for(
        spatial in vec(1usize..20, 1..=3),
        lambda in 0.0f64..=1.0,
        decay_power in 0.0f64..5.0,
        step in any::<u64>(),
    ) {
        let sampler = sampler(decay_power).with_lambda(lambda);
        let plan = sampler.draw(2, &spatial, &mut Stream::new(1).at(step)).unwrap();
        let pixels = spatial.iter().product::<usize>() as f64;
        let volume = plan.region(0).volume() as f64;
        prop_assert!((volume - (1.0 - lambda) * pixels).abs() <= 0.5);
        prop_assert_eq!(plan.lambda(0), 1.0 - volume / pixels);
    }

    #[test]
    fn pixels_and_runs_are_the_same_mask(
        (width, pixels) in (1usize..9, 1usize..9).prop_flat_map(|(width, height)| {
            (Just(width), vec(any::<bool>(), width * height))
        }),
    ) {
        let spatial = vec![pixels.len() / width, width];
        let mask = Mask::from_pixels(spatial.clone(), &pixels).unwrap();
        prop_assert_eq!(mask.to_pixels(), pixels.clone());
        prop_assert_eq!(mask.volume(), pixels.iter().filter(|inside| **inside).count());
        let single = (0..pixels.len()).filter(|&pixel| pixels[pixel]).map(|pixel| pixel..pixel + 1);
        prop_assert_eq!(&Mask::new(spatial, single).unwrap(), &mask);

        let inside = |pixel: usize| [pixel / width, pixel % width];
        let indices = (0..pixels.len()).filter(|&pixel| pixels[pixel]).map(inside);
        let bounds = mask.bounds();
        for axis in 0..2 {
            let along = indices.clone().map(|index| index[axis]);
            let least = along.clone().min().unwrap_or(0);
            prop_assert_eq!(&bounds[axis], &(least..along.max().map_or(0, |most| most + 1)));
        }
        for (pixel, &is_inside) in pixels.iter().enumerate() {
            prop_assert_eq!(mask.contains(&inside(pixel)), is_inside);
        }
        prop_assert!(!mask.contains(&[0, width]) && !mask.contains(&[0]));
    }
}

#[test]
fn bounds_of_a_mask_of_a_volume_cover_runs_across_rows_and_planes() {
    let bounds = |run| Mask::new(vec![2, 3, 4], [run]).unwrap().bounds();
    assert_eq!(bounds(5..7), [0..1, 1..2, 1..3]);
    assert_eq!(bounds(7..9), [0..1, 1..3, 0..4]);
    assert_eq!(bounds(11..13), [0..2, 0..3, 0..4]);
    assert_eq!(bounds(0..0), [0..0, 0..0, 0..0]);
}

/// As all plans: recorded and resumed runs rely on it.
#[test]
fn the_masks_of_a_stream_never_change() {
    let plan = sampler(3.0)
        .with_lambda(0.6)
        .draw(3, &[5, 9], &mut Stream::new(42).lane(1).at(0));
    insta::assert_snapshot!(serde_json::to_string(&plan.unwrap()).unwrap());

    // FNV-1a over the runs.
    let digest = |spatial: &[usize], decay_power| {
        let plan = sampler(decay_power)
            .draw(1, spatial, &mut Stream::new(7).at(9))
            .unwrap();
        let runs = plan.region(0).as_mask().unwrap().runs().to_vec();
        runs.iter()
            .flat_map(|run| [run.start, run.end])
            .fold(0xcbf2_9ce4_8422_2325, |hash, end| {
                (hash ^ end as u64).wrapping_mul(0x0100_0000_01b3)
            })
    };
    let digests = [
        digest(&[224, 224], 3.0),
        digest(&[33, 47], 1.5),
        digest(&[1000], 3.0),
        digest(&[16, 28, 20], 2.0),
    ];
    insta::assert_debug_snapshot!(digests);
}

#[test]
fn every_pixel_is_covered_equally_often() {
    const DRAWS: u64 = 20_000;
    for (spatial, decay_power) in [(&[12][..], 3.0), (&[6, 8], 3.0), (&[4, 3, 5], 1.0)] {
        let sampler = sampler(decay_power);
        let mut counts = vec![0u64; spatial.iter().product()];
        for step in 0..DRAWS {
            let plan = sampler
                .draw(1, spatial, &mut Stream::new(2020).at(step))
                .unwrap();
            for run in plan.region(0).as_mask().unwrap().runs() {
                counts[run.clone()].iter_mut().for_each(|count| *count += 1);
            }
        }
        let mean = counts.iter().sum::<u64>() as f64 / (DRAWS * counts.len() as u64) as f64;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        // Each count is binomial; five standard deviations.
        let bound = 5.0 * (DRAWS as f64 * mean * (1.0 - mean)).sqrt();
        for count in counts {
            let off = (count as f64 - DRAWS as f64 * mean).abs();
            assert!(off < bound, "{spatial:?}: {count}");
        }
    }
}

#[test]
fn a_larger_decay_power_makes_smoother_borders() {
    let runs = |decay_power| {
        let sampler = sampler(decay_power).with_lambda(0.5);
        let masks = (0..50).map(|step| sampler.draw(1, &[48, 48], &mut Stream::new(3).at(step)));
        masks
            .map(|plan| plan.unwrap().region(0).as_mask().unwrap().runs().len())
            .sum::<usize>()
    };
    let runs = [0.0, 1.0, 2.0, 3.0, 5.0].map(runs);
    assert!(
        runs.is_sorted_by(|rough, smooth| rough > smooth),
        "{runs:?}"
    );
    // White noise has a run for every fourth pixel.
    assert!((runs[0] as f64 / (50.0 * 48.0 * 48.0 / 4.0) - 1.0).abs() < 0.05);
}

#[test]
fn a_mask_may_be_drawn_for_each_pair_and_sample() {
    for (mode, masks) in [(Mode::Batch, 1), (Mode::Pair, 5), (Mode::Sample, 5)] {
        let plan = sampler(3.0)
            .with_mode(mode)
            .draw(5, &[8, 8], &mut Stream::new(1).at(2));
        let plan = plan.unwrap();
        assert_eq!(plan.regions().len(), masks);
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
}

#[test]
fn fmix_is_a_draw_and_an_apply() {
    for device in devices() {
        let images = Tensor::<4>::random([5, 3, 8, 6], Distribution::Default, &device);
        let labels = || Tensor::<1, Int>::from_data([0, 1, 2, 3, 4], &device);
        let rng = || Stream::new(11).at(4);
        let (mixed, targets) =
            fmix_batch(images.clone(), labels(), 5, 0.7, 2.5, &mut rng()).unwrap();
        let plan = sampler(2.5)
            .with_alpha(0.7)
            .draw(5, &[8, 6], &mut rng())
            .unwrap();
        let expected = cutmix_apply(images, labels(), 5, &plan).unwrap();
        assert_eq!(
            values::<f32, _, _>(&mixed),
            values::<f32, _, _>(&expected.0)
        );
        assert_eq!(
            values::<f32, _, _>(&targets),
            values::<f32, _, _>(&expected.1)
        );
    }
}

#[test]
fn stored_masks_are_checked() {
    let plan = |region: &str| {
        let json =
            format!(r#"{{"partners":[1,0],"regions":[{region}],"spatial":[2,2],"lambdas":[0.5]}}"#);
        serde_json::from_str::<Plan>(&json).map_err(|error| error.to_string())
    };
    let mask = Mask::new(vec![2, 2], [1..3]).unwrap();
    let read = plan(r#"{"spatial":[2,2],"runs":[[1,3]]}"#).unwrap();
    assert_eq!(read.region(0), &Region::Mask(mask));
    let refused = |region: &str, argument: &str| {
        let message = plan(region).unwrap_err();
        assert!(
            message.starts_with(&format!("`{argument}` is ")),
            "{message}"
        );
    };
    refused(r#"{"spatial":[2,2],"runs":[[3,5]]}"#, "runs");
    refused(r#"{"spatial":[2,2],"runs":[[2,3],[0,1]]}"#, "runs");
    refused(r#"{"spatial":[2,2],"runs":[[0,2],[1,3]]}"#, "runs");
    refused(r#"{"spatial":[2,2],"runs":[[3,1]]}"#, "runs");
    refused(r#"{"spatial":[0,2],"runs":[]}"#, "spatial");
    refused(r#"{"spatial":[4,1],"runs":[[1,3]]}"#, "region");
    refused(r#"{"spatial":[2,2],"runs":[[1,2]]}"#, "lambdas");
    plan("7").unwrap_err();
}

#[test]
fn settings_out_of_range_are_refused() {
    let device = Device::default();
    let images = || Tensor::<4>::ones([2, 1, 4, 4], &device);
    let labels = || Tensor::<1, Int>::from_data([0, 1], &device);
    for decay_power in [-1.0, f64::NAN, f64::INFINITY] {
        let refused = fmix_batch(
            images(),
            labels(),
            2,
            1.0,
            decay_power,
            &mut Stream::new(0).at(0),
        );
        assert_refused(refused, "region_sampler");
    }
    let refused = fmix_batch(images(), labels(), 2, 0.0, 3.0, &mut Stream::new(0).at(0));
    assert_refused(refused, "alpha");
    let rng = &mut Stream::new(0).at(0);
    assert_refused(sampler(3.0).draw(2, &[2, 2, 2, 2], rng), "spatial");
    assert_refused(sampler(3.0).with_side(2).draw(2, &[4, 4], rng), "side");
    assert_refused(Mask::from_pixels(vec![2, 2], &[true]), "pixels");
}
