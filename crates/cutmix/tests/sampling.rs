//! The distributions of region samplers, against those of public implementations
//! (`data/sampling.json`).

mod common;

use std::collections::BTreeMap;

use cutmix::plan::{Plan, PlanSampler, RegionSampler, Stream};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    sampler: String,
    height: usize,
    width: usize,
    draws: f64,
    #[serde(default = "one")]
    alpha: f64,
    #[serde(default)]
    min: f64,
    #[serde(default)]
    max: f64,
    lam_mean: f64,
    lam_quantiles: BTreeMap<String, f64>,
    empty_box: f64,
    covers_corner: f64,
    covers_center: f64,
    covers_edge_middle: f64,
}

fn one() -> f64 {
    1.0
}

fn rows(sampler: &str) -> Vec<Row> {
    let rows: Vec<Row> = serde_json::from_str(include_str!("data/sampling.json")).unwrap();
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|row| row.sampler == sampler)
        .collect();
    assert!(rows.len() >= 2);
    rows
}

fn draw<'a>(
    sampler: &'a PlanSampler,
    spatial: &'a [usize],
    draws: u64,
) -> impl Iterator<Item = Plan> + 'a {
    let stream = Stream::new(2019);
    (0..draws).map(move |step| sampler.draw(1, spatial, &mut stream.at(step)).unwrap())
}

fn covers(plan: &Plan, pixel: &[usize]) -> bool {
    plan.region(0).contains(pixel)
}

/// Asserts that a sampler agrees with a row of the data.
///
/// Both sides are samples, ours of `n` and theirs of `m` draws. So each share `p` of one kind of draw
/// differs by noise with the standard deviation `sqrt(p (1 - p) (1 / n + 1 / m))`, and the mean by
/// `sd sqrt(1 / n + 1 / m)`. The bound is five standard deviations: in the 80 comparisons here, correct
/// samplers fail with a probability of 1 in 20,000 (and the seed is fixed).
///
/// A quantile `v` of the share `q` is tested as a share too: at most `q` of our lambdas are below `v`
/// and at least `q` are at or below it. There are two sides because lambda takes few values, and many
/// draws are equal to `v`.
fn assert_follows(row: &Row, sampler: &PlanSampler) {
    const DRAWS: u64 = 200_000;
    let spatial = [row.height, row.width];
    let plans: Vec<_> = draw(sampler, &spatial, DRAWS).collect();
    let name = format!("{} {spatial:?} alpha {}", row.sampler, row.alpha);
    let noise = |variance: f64| 5.0 * (variance * (1.0 / DRAWS as f64 + 1.0 / row.draws)).sqrt();
    let share = |is: &dyn Fn(&Plan) -> bool| {
        plans.iter().filter(|plan| is(plan)).count() as f64 / DRAWS as f64
    };

    for (q, &v) in &row.lam_quantiles {
        let q: f64 = q.parse().unwrap();
        let bound = noise(q * (1.0 - q));
        // The stored values are interpolated between draws, with rounding.
        let below = share(&|plan| plan.lambda(0) < v - 1e-9);
        let up_to = share(&|plan| plan.lambda(0) <= v + 1e-9);
        assert!(below <= q + bound, "{name}: {below} below the quantile {q}");
        assert!(up_to >= q - bound, "{name}: {up_to} up to the quantile {q}");
    }

    let mean = plans.iter().map(|plan| plan.lambda(0)).sum::<f64>() / DRAWS as f64;
    let squares = plans.iter().map(|plan| (plan.lambda(0) - mean).powi(2));
    let variance = squares.sum::<f64>() / DRAWS as f64;
    let off = (mean - row.lam_mean).abs();
    assert!(
        off <= noise(variance),
        "{name}: mean {mean}, theirs {}",
        row.lam_mean
    );

    let [bottom, right] = [row.height / 2, row.width / 2];
    let shares = [
        (
            "empty",
            share(&|plan| plan.region(0).is_empty()),
            row.empty_box,
        ),
        (
            "corner",
            share(&|plan| covers(plan, &[0, 0])),
            row.covers_corner,
        ),
        (
            "centre",
            share(&|plan| covers(plan, &[bottom, right])),
            row.covers_center,
        ),
        (
            "edge",
            share(&|plan| covers(plan, &[0, right])),
            row.covers_edge_middle,
        ),
    ];
    for (what, ours, theirs) in shares {
        let p = (ours + theirs) / 2.0;
        let off = (ours - theirs).abs();
        assert!(
            off <= noise(p * (1.0 - p)),
            "{name}: {what} {ours}, theirs {theirs}"
        );
    }
}

#[test]
fn paper_follows_composer() {
    for row in rows("paper") {
        assert_follows(&row, &PlanSampler::new(row.alpha));
    }
}

#[test]
fn min_max_follows_timm() {
    for row in rows("min-max") {
        let (min, max) = (row.min, row.max);
        assert_follows(
            &row,
            &PlanSampler::new(1.0).with_region_sampler(RegionSampler::MinMax { min, max }),
        );
    }
}

/// The box of Composer is wrong by a pixel at one border, so that the means agree within a pixel's
/// share.
#[test]
fn uniform_is_within_a_pixel_of_composer() {
    for row in rows("uniform") {
        let sampler = PlanSampler::new(row.alpha).with_region_sampler(RegionSampler::Uniform);
        let spatial = [row.height, row.width];
        let plans = draw(&sampler, &spatial, 100_000);
        let mean = plans.map(|plan| plan.lambda(0)).sum::<f64>() / 1e5;
        let bound = 1.0 / row.height as f64;
        let off = (mean - row.lam_mean).abs();
        assert!(
            off < bound,
            "{} px: mean {mean}, theirs {}",
            row.height,
            row.lam_mean
        );
    }
}

/// Counts how often each pixel is covered, in row-major order.
fn coverage(sampler: &PlanSampler, spatial: &[usize], draws: u64) -> Vec<u64> {
    // As a volume, with leading dimensions of one pixel.
    let mut shape = [1; 3];
    shape[3 - spatial.len()..].copy_from_slice(spatial);
    let mut counts = vec![0; spatial.iter().product()];
    for plan in draw(sampler, spatial, draws) {
        let mut ranges = [0..1, 0..1, 0..1];
        ranges[3 - spatial.len()..].clone_from_slice(plan.region(0).as_box().unwrap());
        let [planes, rows, columns] = ranges;
        for (plane, row) in planes.flat_map(|plane| rows.clone().map(move |row| (plane, row))) {
            let start = (plane * shape[1] + row) * shape[2];
            for count in &mut counts[start + columns.start..start + columns.end] {
                *count += 1;
            }
        }
    }
    counts
}

/// Asserts that counts are equal. Each is binomial, and the bound is five standard deviations.
fn assert_even(counts: &[u64], draws: u64, p: f64, what: &str) {
    let expected = draws as f64 * p;
    let bound = 5.0 * (expected * (1.0 - p)).sqrt();
    for (pixel, &count) in counts.iter().enumerate() {
        let off = (count as f64 - expected).abs();
        assert!(
            off <= bound,
            "{what}: pixel {pixel} {count} times, not {expected}"
        );
    }
}

#[test]
fn uniform_covers_every_pixel_equally_often() {
    let shapes: [&[usize]; 6] = [&[9], &[5, 7], &[8, 8], &[2, 6], &[4, 3, 5], &[48, 64]];
    for spatial in shapes {
        for alpha in [0.3, 1.0] {
            let draws = 100_000;
            let sampler = PlanSampler::new(alpha).with_region_sampler(RegionSampler::Uniform);
            let counts = coverage(&sampler, spatial, draws);
            let mean = counts.iter().sum::<u64>() as f64 / (draws * counts.len() as u64) as f64;
            assert!(mean > 0.005, "hardly any region at all");
            assert_even(&counts, draws, mean, &format!("{spatial:?} alpha {alpha}"));
        }
    }
}

#[test]
fn uniform_of_a_fixed_side_covers_every_pixel_with_the_exact_probability() {
    for (spatial, side) in [(&[9][..], 4), (&[5, 7], 1), (&[5, 7], 5), (&[4, 3, 5], 3)] {
        let sampler = PlanSampler::new(1.0)
            .with_region_sampler(RegionSampler::Uniform)
            .with_side(side);
        let counts = coverage(&sampler, spatial, 100_000);
        // `side` of the `size + side - 1` places that touch the image cover a pixel.
        let places = spatial.iter().map(|size| (size + side - 1) as f64);
        let p = places.map(|places| side as f64 / places).product();
        assert_even(&counts, 100_000, p, &format!("{spatial:?} side {side}"));
    }
}

/// So the check above can fail.
#[test]
fn paper_covers_the_middle_more_often_than_the_border() {
    let counts = coverage(&PlanSampler::new(1.0), &[9], 100_000);
    assert!(counts[4] > counts[0] * 5 / 4 && counts[4] > counts[8] * 5 / 4);
}

#[test]
fn a_larger_alpha_brings_lambda_together() {
    // Beta(a, a) has the variance 1 / (4 (2 a + 1)); rounding, the border and the square keep
    // the order.
    let spread = |alpha| {
        let sampler = PlanSampler::new(alpha);
        let lambdas: Vec<_> = draw(&sampler, &[224], 20_000)
            .map(|plan| plan.lambda(0))
            .collect();
        let mean = lambdas.iter().sum::<f64>() / lambdas.len() as f64;
        lambdas
            .iter()
            .map(|lambda| (lambda - mean).powi(2))
            .sum::<f64>()
    };
    let spreads = [0.1, 0.5, 1.0, 3.0, 30.0].map(spread);
    assert!(
        spreads.is_sorted_by(|wide, narrow| wide > narrow),
        "{spreads:?}"
    );
}

#[test]
fn min_max_sides_are_uniform_and_inside() {
    const DRAWS: u64 = 60_000;
    let sampler = PlanSampler::new(1.0).with_region_sampler(RegionSampler::MinMax {
        min: 0.25,
        max: 0.75,
    });
    let mut sides = BTreeMap::<usize, u64>::new();
    let mut starts = BTreeMap::<usize, u64>::new();
    for plan in draw(&sampler, &[16], DRAWS) {
        let range = &plan.region(0).bounds()[0];
        *sides.entry(range.len()).or_default() += 1;
        if range.len() == 8 {
            *starts.entry(range.start).or_default() += 1;
        }
    }
    assert!(sides.keys().copied().eq(4..12));
    let counts: Vec<_> = sides.values().copied().collect();
    assert_even(&counts, DRAWS, 1.0 / 8.0, "sides");
    assert!(starts.keys().copied().eq(0..=8));
    let counts: Vec<_> = starts.values().copied().collect();
    assert_even(&counts, counts.iter().sum(), 1.0 / 9.0, "starts of side 8");
}
