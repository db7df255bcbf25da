//! Plans: the properties of all plans, plans that never change, and settings that are refused.

// The region of a sequence is a single range.
#![allow(clippy::single_range_in_vec_init)]

mod common;

use common::{assert_refused, cases, plans, samplers};
use cutmix::plan::{Length, Mode, Plan, PlanSampler, Region, RegionSampler, Stream};
use proptest::collection::vec;
use proptest::prelude::*;

fn draw(sampler: &PlanSampler, batch: usize, spatial: &[usize]) -> Result<Plan, cutmix::Error> {
    sampler.draw(batch, spatial, &mut Stream::new(1).at(0))
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_drawn_plan_is_consistent(
        spatial in vec(1usize..50, 1..=3),
        batch in 1usize..20,
        alpha in 0.01f64..10.0,
        sampler in samplers(),
        (seed, step) in (any::<u64>(), any::<u64>()),
    ) {
        let sampler = PlanSampler::new(alpha).with_region_sampler(sampler);
        let draw = |step| sampler.draw(batch, &spatial, &mut Stream::new(seed).at(step)).unwrap();
        let plan = draw(step);

        prop_assert_eq!(plan.spatial(), &spatial);
        let region = plan.region(0);
        prop_assert_eq!(region.rank(), spatial.len());
        for (range, &size) in region.bounds().iter().zip(&spatial) {
            prop_assert!(range.start <= range.end && range.end <= size);
        }
        let inside = match region {
            Region::Box(ranges) => ranges.iter().map(|range| range.end - range.start).product(),
            Region::Mask(mask) => mask.to_pixels().iter().filter(|inside| **inside).count(),
        } as f64;
        let pixels = spatial.iter().product::<usize>() as f64;
        prop_assert_eq!(plan.lambda(0), 1.0 - inside / pixels);

        let mut partners = plan.partners().to_vec();
        partners.sort();
        prop_assert_eq!(partners, (0..batch).collect::<Vec<_>>());

        prop_assert_eq!(&draw(step), &plan);
    }

    #[test]
    fn a_plan_survives_json(plan in (1usize..=3).prop_flat_map(|rank| plans(20, rank, 50))) {
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
}

#[test]
fn every_step_seed_and_lane_has_its_own_plan() {
    let sampler = PlanSampler::new(1.0);
    let draw = |stream: Stream, step| sampler.draw(32, &[224, 224], &mut stream.at(step)).unwrap();
    let mut plans: Vec<_> = (0..100).map(|step| draw(Stream::new(1), step)).collect();
    plans.extend((2..102).map(|seed| draw(Stream::new(seed), 0)));
    plans.extend((1..101).map(|lane| draw(Stream::new(1).lane(lane), 0)));
    for (i, plan) in plans.iter().enumerate() {
        assert!(!plans[..i].contains(plan), "plan {i} is not the first such");
    }
}

/// Recorded and resumed runs rely on it. A change is a breaking one and belongs in the changelog; the
/// test must not be adapted.
#[test]
fn the_stream_never_changes() {
    let check = |sampler, alpha, (seed, step), spatial: &[usize], partners: [usize; 5], region| {
        let sampler = PlanSampler::new(alpha).with_region_sampler(sampler);
        let rng = &mut Stream::new(seed).lane(1).at(step);
        let plan = sampler.draw(5, spatial, rng).unwrap();
        let pinned = Plan::new(partners.to_vec(), region, spatial.to_vec()).unwrap();
        assert_eq!(plan, pinned, "{plan}");
    };
    let region = |ranges: &[std::ops::Range<usize>]| Region::new(ranges);
    let (paper, uniform) = (RegionSampler::Paper, RegionSampler::Uniform);
    let min_max = RegionSampler::MinMax { min: 0.2, max: 0.8 };
    let photo = &[224, 224];

    check(
        paper,
        1.0,
        (42, 0),
        photo,
        [0, 1, 4, 3, 2],
        region(&[151..224, 57..165]),
    );
    check(
        paper,
        0.2,
        (42, 7),
        &[32, 48],
        [2, 4, 3, 1, 0],
        region(&[10..10, 41..41]),
    );
    let last = (u64::MAX, u64::MAX);
    check(
        paper,
        1.0,
        last,
        &[1000],
        [4, 0, 3, 1, 2],
        region(&[0..550]),
    );
    check(
        uniform,
        1.0,
        (42, 0),
        photo,
        [0, 1, 4, 3, 2],
        region(&[196..224, 57..166]),
    );
    let volume = &[16, 28, 20];
    check(
        uniform,
        1.0,
        (0, 1 << 40),
        volume,
        [4, 0, 3, 1, 2],
        region(&[0..10, 18..28, 0..9]),
    );
    let four = region(&[8..9, 4..9, 0..6, 8..9]);
    check(uniform, 2.5, (3, 3), &[9, 9, 9, 9], [0, 1, 4, 3, 2], four);
    check(
        min_max,
        1.0,
        (42, 0),
        photo,
        [3, 0, 1, 4, 2],
        region(&[51..177, 11..158]),
    );
}

/// Stored plans have to stay readable.
#[test]
fn the_stored_form_never_changes() {
    let plan = Plan::new(vec![2, 0, 1], Region::new([2..6, 0..3]), vec![8, 9]).unwrap();
    let json = r#"{"partners":[2,0,1],"regions":[[{"start":2,"end":6},{"start":0,"end":3}]],"spatial":[8,9],"lambdas":[0.8333333333333334]}"#;
    assert_eq!(serde_json::to_string(&plan).unwrap(), json);
}

#[test]
fn all_permutations_occur_equally_often() {
    const DRAWS: usize = 60_000;
    let sampler = PlanSampler::new(1.0);
    let stream = Stream::new(5);
    let mut counts = std::collections::BTreeMap::<Vec<usize>, usize>::new();
    for step in 0..DRAWS as u64 {
        let plan = sampler.draw(3, &[4], &mut stream.at(step)).unwrap();
        *counts.entry(plan.partners().to_vec()).or_default() += 1;
    }
    assert_eq!(counts.len(), 6);
    // Each count is binomial(DRAWS, 1/6); five standard deviations.
    let expected = DRAWS as f64 / 6.0;
    let bound = 5.0 * (expected * 5.0 / 6.0).sqrt();
    for (partners, count) in counts {
        let off = (count as f64 - expected).abs();
        assert!(off < bound, "{partners:?} came {count} times");
    }
}

#[test]
fn a_plan_is_printed_in_words() {
    let plan = Plan::new(vec![2, 0, 1], Region::new([2..6, 0..3]), vec![8, 9]).unwrap();
    assert_eq!(
        plan.to_string(),
        "region [2..6, 0..3] of [0..8, 0..9], lambda 0.8333, partners [2, 0, 1]"
    );
    let sampler = RegionSampler::MinMax { min: 0.2, max: 0.8 };
    assert_eq!(sampler.to_string(), "min-max:0.2..0.8");
    assert_eq!(RegionSampler::Paper.to_string(), "paper");
    assert_eq!(RegionSampler::Uniform.to_string(), "uniform");
}

#[test]
fn a_plan_that_changes_nothing_is_the_identity() {
    let identity = |partners: &[usize], region: Region| {
        Plan::new(partners.to_vec(), region, vec![4])
            .unwrap()
            .is_identity()
    };
    assert!(identity(&[1, 0], Region::new([2..2])));
    assert!(identity(&[0, 1], Region::new([1..3])));
    assert!(identity(&[0], Region::whole(&[4])));
    assert!(!identity(&[1, 0], Region::new([1..3])));
}

#[test]
fn damaged_json_is_refused_and_the_field_named() {
    let refused = |json: &str, argument: &str| {
        let message = serde_json::from_str::<Plan>(json).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("`{argument}` is ")),
            "{message}"
        );
    };
    let good =
        r#"{"partners":[1,0],"regions":[[{"start":1,"end":3}]],"spatial":[4],"lambdas":[0.5]}"#;
    assert_eq!(serde_json::from_str::<Plan>(good).unwrap().lambda(0), 0.5);
    let damage = |from: &str, to: &str| good.replacen(from, to, 1);

    refused(&damage("[1,0]", "[1,1]"), "partners");
    refused(&damage("[1,0]", "[1,2]"), "partners");
    refused(&damage("[1,0]", "[]"), "batch");
    serde_json::from_str::<Plan>(&damage("[1,0]", "[-1,0]")).unwrap_err();
    refused(&damage(r#""end":3"#, r#""end":5"#), "region");
    refused(&damage(r#""start":1"#, r#""start":4"#), "region");
    refused(&damage(r#""spatial":[4]"#, r#""spatial":[4,4]"#), "region");
    refused(&damage(r#""spatial":[4]"#, r#""spatial":[0]"#), "spatial");
    refused(&damage("0.5", "0.51"), "lambdas");
    serde_json::from_str::<Plan>(&damage(r#","lambdas":[0.5]"#, "")).unwrap_err();
}

#[test]
fn a_plan_that_does_not_fit_is_refused() {
    let plan = |partners: &[usize], region: Region, spatial: &[usize]| {
        Plan::new(partners.to_vec(), region, spatial.to_vec())
    };
    let region = || Region::new([1..3]);
    assert_refused(plan(&[], region(), &[4]), "batch");
    assert_refused(plan(&[0, 0], region(), &[4]), "partners");
    assert_refused(plan(&[0, 7], region(), &[4]), "partners");
    assert_refused(plan(&[0], region(), &[2]), "region");
    assert_refused(plan(&[0], region(), &[4, 4]), "region");
    let huge = usize::MAX / 2;
    assert_refused(
        plan(&[0], Region::new([0..huge, 0..huge]), &[4, 4]),
        "region",
    );
    for spatial in [&[][..], &[0], &[4, 0], &[huge, huge], &[usize::MAX]] {
        let region = Region::whole(spatial);
        assert_refused(plan(&[0], region, spatial), "spatial");
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn fixed_parts_appear_in_the_plan(
        spatial in vec(4usize..30, 1..=3),
        uniform in any::<bool>(),
        side in 0usize..=4,
        lambda in 0.0f64..=1.0,
        step in any::<u64>(),
    ) {
        let regions = if uniform { RegionSampler::Uniform } else { RegionSampler::Paper };
        let sampler = PlanSampler::new(1.0).with_region_sampler(regions);
        let draw = |sampler: PlanSampler| {
            sampler.draw(4, &spatial, &mut Stream::new(9).at(step)).unwrap()
        };

        let region = Region::new(spatial.iter().map(|&size| 1..size - 2).collect::<Vec<_>>());
        let plan = draw(sampler.clone().with_region(region.clone()));
        prop_assert_eq!(plan.region(0), &region);

        let partners = vec![3, 0, 1, 2];
        let plan = draw(sampler.clone().with_partners(partners.clone()));
        prop_assert_eq!(plan.partners(), &partners);

        // Sides have the fixed length unless the border clips them, and are never longer.
        let is_side = |plan: &Plan, axis: usize, side: usize| {
            let range = &plan.region(0).as_box().unwrap()[axis];
            let at_border = range.start == 0 || range.end == spatial[axis];
            range.len() == side || at_border && range.len() < side
        };
        let plan = draw(sampler.clone().with_side(side));
        for axis in 0..spatial.len() {
            prop_assert!(is_side(&plan, axis, side), "{} for side {}", plan, side);
        }

        let plan = draw(sampler.clone().with_lambda(lambda));
        for (axis, &size) in spatial.iter().enumerate() {
            let exact = (1.0 - lambda).powf(1.0 / spatial.len() as f64) * size as f64;
            // The last digit may be rounded the other way.
            let sides = [exact - 1e-9, exact + 1e-9].map(|side| match regions {
                RegionSampler::Uniform => side.max(0.0) as usize,
                _ => side.max(0.0) as usize / 2 * 2,
            });
            let fits = sides.iter().any(|&side| is_side(&plan, axis, side));
            prop_assert!(fits, "{} for lambda {}", plan, lambda);
        }
    }
}

#[test]
fn a_fixed_lambda_of_1_cuts_nothing_and_0_cuts_something() {
    let sampler = PlanSampler::new(1.0).with_region_sampler(RegionSampler::Uniform);
    let stream = Stream::new(2);
    for step in 0..100 {
        let draw = |lambda: f64| {
            let sampler = sampler.clone().with_lambda(lambda);
            sampler.draw(2, &[6, 9], &mut stream.at(step)).unwrap()
        };
        assert!(draw(1.0).region(0).is_empty());
        assert!(!draw(0.0).region(0).is_empty());
    }
    let whole = RegionSampler::MinMax { min: 1.0, max: 1.0 };
    let plan = self::draw(
        &PlanSampler::new(1.0).with_region_sampler(whole),
        2,
        &[6, 9],
    )
    .unwrap();
    assert_eq!(
        (plan.region(0), plan.lambda(0)),
        (&Region::whole(&[6, 9]), 0.0)
    );
    let none = RegionSampler::MinMax { min: 0.0, max: 0.0 };
    let plan = self::draw(&PlanSampler::new(1.0).with_region_sampler(none), 2, &[6, 9]).unwrap();
    assert!(plan.region(0).is_empty());
}

#[test]
fn settings_out_of_range_are_refused() {
    let sampler = PlanSampler::new(1.0);
    let refused = |sampler: &PlanSampler, argument: &str| {
        assert_refused(draw(sampler, 4, &[8, 6]), argument);
    };
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused(&PlanSampler::new(alpha), "alpha");
        refused(&sampler.clone().with_alpha(alpha), "alpha");
    }
    for lambda in [-0.1, 1.1, f64::NAN] {
        refused(&sampler.clone().with_lambda(lambda), "lambda");
    }
    for (min, max) in [
        (0.6, 0.5),
        (-0.1, 0.5),
        (0.5, 1.1),
        (f64::NAN, 0.5),
        (0.5, f64::NAN),
    ] {
        let regions = RegionSampler::MinMax { min, max };
        refused(
            &sampler.clone().with_region_sampler(regions),
            "region_sampler",
        );
    }
    refused(&sampler.clone().with_side(7), "side");
    refused(&sampler.clone().with_partners(vec![0, 0, 1, 2]), "partners");
    refused(&sampler.clone().with_partners(vec![0, 1, 2, 4]), "partners");
    refused(&sampler.clone().with_partners(vec![1, 0]), "partners");
    refused(
        &sampler.clone().with_region(Region::new([0..9, 0..3])),
        "region",
    );
    refused(&sampler.clone().with_region(Region::new([0..3])), "region");
}

#[test]
fn an_empty_batch_and_an_empty_image_are_refused() {
    for sampler in [
        RegionSampler::Paper,
        RegionSampler::Uniform,
        RegionSampler::MinMax { min: 0.0, max: 1.0 },
    ] {
        let sampler = PlanSampler::new(1.0).with_region_sampler(sampler);
        assert_refused(draw(&sampler, 0, &[8, 6]), "batch");
        // The largest sizes would overflow.
        for spatial in [&[][..], &[0], &[8, 0], &[usize::MAX], &[usize::MAX, 2]] {
            assert_refused(draw(&sampler, 4, spatial), "spatial");
        }
    }
}

#[test]
fn fixing_the_region_twice_is_refused() {
    let fix = |sampler: PlanSampler, part| match part {
        "region" => sampler.with_region(Region::new([0..1])),
        "side" => sampler.with_side(1),
        "lambda" => sampler.with_lambda(0.5),
        _ => sampler.with_region_sampler(RegionSampler::MinMax { min: 0.1, max: 0.5 }),
    };
    let parts = ["region", "side", "lambda", "min-max"];
    for (i, part) in parts.iter().enumerate() {
        let fixed = fix(PlanSampler::new(1.0), part);
        draw(&fixed, 2, &[8]).unwrap();
        for other in &parts[i + 1..] {
            let refused = draw(&fix(fixed.clone(), other), 2, &[8]);
            assert_refused(refused, "plan_sampler");
        }
    }
}

#[test]
fn settings_have_a_text_form_that_files_store() {
    fn check<T>(value: T, text: &str, json: &str)
    where
        T: std::fmt::Debug + std::fmt::Display + std::str::FromStr<Err = cutmix::Error>,
        T: PartialEq + serde::Serialize + serde::de::DeserializeOwned,
    {
        assert_eq!(value.to_string(), text);
        assert_eq!(text.parse::<T>().unwrap(), value);
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(json).unwrap(), value);
    }
    check(Mode::Batch, "batch", r#""batch""#);
    check(Mode::Pair, "pair", r#""pair""#);
    check(Mode::Sample, "sample", r#""sample""#);
    let sampler = |sampler: RegionSampler, text: &str| check(sampler, text, &format!("{text:?}"));
    sampler(RegionSampler::Paper, "paper");
    sampler(RegionSampler::Uniform, "uniform");
    let [min, max] = [0.2, 0.8];
    sampler(RegionSampler::MinMax { min, max }, "min-max:0.2..0.8");
    sampler(RegionSampler::Scale { min, max: 1.0 }, "scale:0.2..1");
    sampler(
        RegionSampler::LowFrequency { decay_power: 3.0 },
        "low-frequency:3",
    );
    check(Length::Pixels(16), "16", "16");
    check(Length::Share(0.5), "0.5", "0.5");
    check(Length::Share(1.0), "1.0", "1.0");
}

#[test]
fn text_that_is_no_setting_is_refused() {
    assert_refused("each".parse::<Mode>(), "mode");
    for text in [
        "",
        "Paper",
        "paper:1",
        "min-max",
        "min-max:0.2",
        "min-max:0.2..",
        "min-max:0.8..0.2",
        "scale:0..0.5",
        "low-frequency",
        "low-frequency:-1",
        "low-frequency:NaN",
    ] {
        assert_refused(text.parse::<RegionSampler>(), "region_sampler");
    }
    for text in ["", "0", "-1", "0.0", "1.5", "16px", "NaN"] {
        assert_refused(text.parse::<Length>(), "length");
    }
}
