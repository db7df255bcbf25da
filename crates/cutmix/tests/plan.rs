//! Plans: what holds for all of them, what stays the same for ever, what is refused.

// A region of a sequence is a single range.
#![allow(clippy::single_range_in_vec_init)]

mod common;

use common::{assert_refused, cases, plans, samplers};
use cutmix::plan::{Drawer, Plan, Region, Sampler, Stream};
use proptest::collection::vec;
use proptest::prelude::*;

fn draw(drawer: &Drawer, batch: usize, spatial: &[usize]) -> Result<Plan, cutmix::Error> {
    drawer.draw(batch, spatial, &mut Stream::new(1).at(0))
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_drawn_plan_is_sound(
        spatial in vec(1usize..50, 1..=3),
        batch in 1usize..20,
        alpha in 0.01f64..10.0,
        sampler in samplers(),
        (seed, step) in (any::<u64>(), any::<u64>()),
    ) {
        let drawer = Drawer::new(alpha).sampler(sampler);
        let draw = |step| drawer.draw(batch, &spatial, &mut Stream::new(seed).at(step)).unwrap();
        let plan = draw(step);

        prop_assert_eq!(plan.spatial(), &spatial);
        prop_assert_eq!(plan.region(0).rank(), spatial.len());
        for (range, &size) in plan.region(0).ranges().iter().zip(&spatial) {
            prop_assert!(range.start <= range.end && range.end <= size);
        }
        let inside = plan.region(0).ranges().iter().map(|range| range.end - range.start);
        let inside = inside.product::<usize>() as f64;
        let pixels = spatial.iter().product::<usize>() as f64;
        prop_assert_eq!(plan.lambda(0), 1.0 - inside / pixels);

        let mut partners = plan.partners().to_vec();
        partners.sort();
        prop_assert_eq!(partners, (0..batch).collect::<Vec<_>>());

        prop_assert_eq!(&draw(step), &plan);
    }

    #[test]
    fn json_gives_the_same_plan_back(plan in (1usize..=3).prop_flat_map(|rank| plans(20, rank, 50))) {
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
}

#[test]
fn every_step_seed_and_lane_has_its_own_plan() {
    let drawer = Drawer::new(1.0);
    let draw = |stream: Stream, step| drawer.draw(32, &[224, 224], &mut stream.at(step)).unwrap();
    let mut plans: Vec<_> = (0..100).map(|step| draw(Stream::new(1), step)).collect();
    plans.extend((2..102).map(|seed| draw(Stream::new(seed), 0)));
    plans.extend((1..101).map(|lane| draw(Stream::new(1).lane(lane), 0)));
    for (i, plan) in plans.iter().enumerate() {
        assert!(!plans[..i].contains(plan), "plan {i} is not the first such");
    }
}

/// Runs that were recorded or are resumed rely on this; if it changes, that is a breaking change
/// for the changelog, not a test to refresh.
#[test]
fn the_stream_never_changes() {
    let check = |sampler, alpha, (seed, step), spatial: &[usize], partners: [usize; 5], region| {
        let drawer = Drawer::new(alpha).sampler(sampler);
        let rng = &mut Stream::new(seed).lane(1).at(step);
        let plan = drawer.draw(5, spatial, rng).unwrap();
        let pinned = Plan::new(partners.to_vec(), region, spatial.to_vec()).unwrap();
        assert_eq!(plan, pinned, "{plan}");
    };
    let region = |ranges: &[std::ops::Range<usize>]| Region::new(ranges);
    let (paper, uniform) = (Sampler::Paper, Sampler::Uniform);
    let min_max = Sampler::MinMax { min: 0.2, max: 0.8 };
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

/// As the stream: plans that were stored must stay readable.
#[test]
fn the_stored_form_never_changes() {
    let plan = Plan::new(vec![2, 0, 1], Region::new([2..6, 0..3]), vec![8, 9]).unwrap();
    let json = r#"{"partners":[2,0,1],"regions":[[{"start":2,"end":6},{"start":0,"end":3}]],"spatial":[8,9],"lambdas":[0.8333333333333334]}"#;
    assert_eq!(serde_json::to_string(&plan).unwrap(), json);
}

#[test]
fn all_permutations_occur_equally_often() {
    const DRAWS: usize = 60_000;
    let drawer = Drawer::new(1.0);
    let stream = Stream::new(5);
    let mut counts = std::collections::BTreeMap::<Vec<usize>, usize>::new();
    for step in 0..DRAWS as u64 {
        let plan = drawer.draw(3, &[4], &mut stream.at(step)).unwrap();
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
fn a_plan_prints_for_people() {
    let plan = Plan::new(vec![2, 0, 1], Region::new([2..6, 0..3]), vec![8, 9]).unwrap();
    assert_eq!(
        plan.to_string(),
        "region [2..6, 0..3] of [0..8, 0..9], lambda 0.8333, partners [2, 0, 1]"
    );
    let sampler = Sampler::MinMax { min: 0.2, max: 0.8 };
    assert_eq!(sampler.to_string(), "min-max(0.2, 0.8)");
    assert_eq!(Sampler::Paper.to_string(), "paper");
    assert_eq!(Sampler::Uniform.to_string(), "uniform");
}

#[test]
fn a_plan_knows_when_it_changes_nothing() {
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
fn damaged_json_is_refused_with_the_field_named() {
    let refused = |json: &str, parts: &[&str]| {
        let message = serde_json::from_str::<Plan>(json).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
    };
    let good =
        r#"{"partners":[1,0],"regions":[[{"start":1,"end":3}]],"spatial":[4],"lambdas":[0.5]}"#;
    assert_eq!(serde_json::from_str::<Plan>(good).unwrap().lambda(0), 0.5);
    let damage = |from: &str, to: &str| good.replacen(from, to, 1);

    refused(
        &damage("[1,0]", "[1,1]"),
        &["`partners`", "[1, 1]", "permutation of 0..2"],
    );
    refused(&damage("[1,0]", "[1,2]"), &["`partners`", "[1, 2]"]);
    refused(&damage("[1,0]", "[]"), &["`batch`"]);
    refused(&damage("[1,0]", "[-1,0]"), &["-1"]);
    refused(
        &damage(r#""end":3"#, r#""end":5"#),
        &["`region`", "[1..5]", "[0..4]"],
    );
    refused(
        &damage(r#""start":1"#, r#""start":4"#),
        &["`region`", "[4..3]"],
    );
    refused(
        &damage(r#""spatial":[4]"#, r#""spatial":[4,4]"#),
        &["`region`", "[0..4, 0..4]"],
    );
    refused(
        &damage(r#""spatial":[4]"#, r#""spatial":[0]"#),
        &["`spatial`", "[0]"],
    );
    refused(&damage("0.5", "0.51"), &["`lambdas`", "0.51", "0.5"]);
    refused(&damage(r#","lambdas":[0.5]"#, ""), &["lambdas"]);
}

#[test]
fn a_plan_by_hand_is_checked() {
    let plan = |partners: &[usize], region: Region, spatial: &[usize]| {
        Plan::new(partners.to_vec(), region, spatial.to_vec())
    };
    let region = || Region::new([1..3]);
    assert_refused(plan(&[], region(), &[4]), &["`batch`", "0", "at least one"]);
    assert_refused(
        plan(&[0, 0], region(), &[4]),
        &["`partners`", "[0, 0]", "0..2"],
    );
    assert_refused(
        plan(&[0, 7], region(), &[4]),
        &["`partners`", "[0, 7]", "0..2"],
    );
    assert_refused(
        plan(&[0], region(), &[2]),
        &["`region`", "[1..3]", "[0..2]"],
    );
    assert_refused(plan(&[0], region(), &[4, 4]), &["`region`", "[1..3]"]);
    let huge = usize::MAX / 2;
    assert_refused(
        plan(&[0], Region::new([0..huge, 0..huge]), &[4, 4]),
        &["`region`"],
    );
    for spatial in [&[][..], &[0], &[4, 0], &[huge, huge], &[usize::MAX]] {
        let region = Region::whole(spatial);
        assert_refused(
            plan(&[0], region, spatial),
            &["`spatial`", &format!("{spatial:?}")],
        );
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn fixed_parts_are_honoured(
        spatial in vec(4usize..30, 1..=3),
        uniform in any::<bool>(),
        side in 0usize..=4,
        lambda in 0.0f64..=1.0,
        step in any::<u64>(),
    ) {
        let sampler = if uniform { Sampler::Uniform } else { Sampler::Paper };
        let drawer = Drawer::new(1.0).sampler(sampler);
        let draw = |drawer: Drawer| {
            drawer.draw(4, &spatial, &mut Stream::new(9).at(step)).unwrap()
        };

        let region = Region::new(spatial.iter().map(|&size| 1..size - 2).collect::<Vec<_>>());
        let plan = draw(drawer.clone().region(region.clone()));
        prop_assert_eq!(plan.region(0), &region);

        let partners = vec![3, 0, 1, 2];
        let plan = draw(drawer.clone().partners(partners.clone()));
        prop_assert_eq!(plan.partners(), &partners);

        // Sides have the asked length unless the border clips them, and are never longer.
        let is_side = |plan: &Plan, axis: usize, side: usize| {
            let range = &plan.region(0).ranges()[axis];
            let at_border = range.start == 0 || range.end == spatial[axis];
            range.len() == side || at_border && range.len() < side
        };
        let plan = draw(drawer.clone().side(side));
        for axis in 0..spatial.len() {
            prop_assert!(is_side(&plan, axis, side), "{} for side {}", plan, side);
        }

        let plan = draw(drawer.clone().lambda(lambda));
        for (axis, &size) in spatial.iter().enumerate() {
            let exact = (1.0 - lambda).powf(1.0 / spatial.len() as f64) * size as f64;
            // A last digit may round the other way.
            let sides = [exact - 1e-9, exact + 1e-9].map(|side| match sampler {
                Sampler::Uniform => side.max(0.0) as usize,
                _ => side.max(0.0) as usize / 2 * 2,
            });
            let fits = sides.iter().any(|&side| is_side(&plan, axis, side));
            prop_assert!(fits, "{} for lambda {}", plan, lambda);
        }
    }
}

#[test]
fn fixed_lambdas_at_the_ends_are_nothing_and_everything() {
    let drawer = Drawer::new(1.0).sampler(Sampler::Uniform);
    let stream = Stream::new(2);
    for step in 0..100 {
        let draw = |lambda: f64| {
            let drawer = drawer.clone().lambda(lambda);
            drawer.draw(2, &[6, 9], &mut stream.at(step)).unwrap()
        };
        assert!(draw(1.0).region(0).is_empty());
        assert!(!draw(0.0).region(0).is_empty());
    }
    let whole = Sampler::MinMax { min: 1.0, max: 1.0 };
    let plan = self::draw(&Drawer::new(1.0).sampler(whole), 2, &[6, 9]).unwrap();
    assert_eq!(
        (plan.region(0), plan.lambda(0)),
        (&Region::whole(&[6, 9]), 0.0)
    );
    let none = Sampler::MinMax { min: 0.0, max: 0.0 };
    let plan = self::draw(&Drawer::new(1.0).sampler(none), 2, &[6, 9]).unwrap();
    assert!(plan.region(0).is_empty());
}

#[test]
fn settings_out_of_range_are_refused() {
    let drawer = Drawer::new(1.0);
    let refused = |drawer: &Drawer, parts: &[&str]| {
        assert_refused(draw(drawer, 4, &[8, 6]), parts);
    };
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let value = format!("is {alpha};");
        refused(
            &Drawer::new(alpha),
            &["`alpha`", &value, "finite number above 0"],
        );
        refused(&drawer.clone().alpha(alpha), &["`alpha`", &value]);
    }
    for lambda in [-0.1, 1.1, f64::NAN] {
        let value = format!("is {lambda};");
        refused(
            &drawer.clone().lambda(lambda),
            &["`lambda`", &value, "0..=1"],
        );
    }
    for (min, max) in [
        (0.6, 0.5),
        (-0.1, 0.5),
        (0.5, 1.1),
        (f64::NAN, 0.5),
        (0.5, f64::NAN),
    ] {
        let sampler = Sampler::MinMax { min, max };
        let value = format!("is min-max({min}, {max});");
        refused(
            &drawer.clone().sampler(sampler),
            &["`sampler`", &value, "0 <= min <= max <= 1"],
        );
    }
    refused(&drawer.clone().side(7), &["`side`", "7", "0..=6"]);
    refused(
        &drawer.clone().partners(vec![0, 0, 1, 2]),
        &["`partners`", "[0, 0, 1, 2]", "0..4"],
    );
    refused(
        &drawer.clone().partners(vec![0, 1, 2, 4]),
        &["`partners`", "[0, 1, 2, 4]", "0..4"],
    );
    refused(
        &drawer.clone().partners(vec![1, 0]),
        &["`partners`", "[1, 0]", "4 samples"],
    );
    refused(
        &drawer.clone().region(Region::new([0..9, 0..3])),
        &["`region`", "[0..9, 0..3]"],
    );
    refused(
        &drawer.clone().region(Region::new([0..3])),
        &["`region`", "[0..3]"],
    );
}

#[test]
fn a_batch_or_an_image_of_nothing_is_refused() {
    for sampler in [
        Sampler::Paper,
        Sampler::Uniform,
        Sampler::MinMax { min: 0.0, max: 1.0 },
    ] {
        let drawer = Drawer::new(1.0).sampler(sampler);
        assert_refused(draw(&drawer, 0, &[8, 6]), &["`batch`", "0", "at least one"]);
        // The largest sizes would overflow on the way.
        for spatial in [&[][..], &[0], &[8, 0], &[usize::MAX], &[usize::MAX, 2]] {
            let value = format!("{spatial:?}");
            assert_refused(
                draw(&drawer, 4, spatial),
                &["`spatial`", &value, "at least 1"],
            );
        }
    }
}

#[test]
fn two_ways_to_fix_the_region_are_refused() {
    let fix = |drawer: Drawer, part| match part {
        "region" => drawer.region(Region::new([0..1])),
        "side" => drawer.side(1),
        "lambda" => drawer.lambda(0.5),
        _ => drawer.sampler(Sampler::MinMax { min: 0.1, max: 0.5 }),
    };
    let parts = ["region", "side", "lambda", "min-max"];
    for (i, part) in parts.iter().enumerate() {
        let fixed = fix(Drawer::new(1.0), part);
        draw(&fixed, 2, &[8]).unwrap();
        for other in &parts[i + 1..] {
            let refused = draw(&fix(fixed.clone(), other), 2, &[8]);
            assert_refused(refused, &[part, other, "one of"]);
        }
    }
}
