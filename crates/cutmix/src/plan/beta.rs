//! The symmetric beta distribution, from which lambda is drawn.

use rand::{Rng, RngExt};

/// Draws a number in `0..=1` from Beta(alpha, alpha). It takes two uniform numbers for any alpha.
///
/// With `T` from Student's t distribution of `2 alpha` degrees of freedom,
/// `(1 + T / sqrt(2 alpha + T^2)) / 2` is Beta(alpha, alpha) (Devroye, Non-Uniform Random Variate
/// Generation, 1986, chapter IX.3), and `T` has a polar form without rejection (Bailey,
/// Mathematics of Computation 62, 1994). `libm` makes it the same on every platform.
pub(super) fn symmetric_beta(alpha: f64, rng: &mut impl Rng) -> f64 {
    let radius: f64 = 1.0 - rng.random::<f64>(); // in (0, 1]
    let angle = 2.0 * std::f64::consts::PI * rng.random::<f64>();
    let t = libm::sqrt(libm::pow(radius, -1.0 / alpha) - 1.0) * libm::cos(angle);
    // For a tiny alpha `t` overflows, and the limit is an end of the interval.
    let unit = if t.is_finite() {
        t / libm::sqrt(1.0 + t * t)
    } else {
        t.signum()
    };
    (0.5 + 0.5 * unit).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::symmetric_beta;
    use crate::plan::Stream;

    const DRAWS: usize = 100_000;

    fn sorted_draws(alpha: f64) -> Vec<f64> {
        let mut rng = Stream::new(7).at(0);
        let mut draws: Vec<_> = (0..DRAWS)
            .map(|_| symmetric_beta(alpha, &mut rng))
            .collect();
        draws.sort_by(f64::total_cmp);
        draws
    }

    #[test]
    fn follows_the_exact_distribution_functions() {
        use std::f64::consts::FRAC_2_PI;
        let check = |alpha, cdf: fn(f64) -> f64| {
            // Kolmogorov-Smirnov: the largest distance exceeds 2.5 / sqrt(n) with probability
            // 2 exp(-2 * 2.5^2), one in 130,000.
            let draws = sorted_draws(alpha);
            let distance = draws.iter().enumerate().map(|(i, &x)| {
                let (below, up_to) = (i as f64, i as f64 + 1.0);
                let p = cdf(x) * DRAWS as f64;
                (p - below).abs().max((up_to - p).abs()) / DRAWS as f64
            });
            let distance = distance.fold(0.0, f64::max);
            let bound = 2.5 / (DRAWS as f64).sqrt();
            assert!(
                distance < bound,
                "alpha {alpha}: {distance} not under {bound}"
            );
        };
        check(0.5, |x| FRAC_2_PI * x.sqrt().asin());
        check(1.0, |x| x);
        check(2.0, |x| x * x * (3.0 - 2.0 * x));
        check(3.0, |x| x.powi(3) * (10.0 - 15.0 * x + 6.0 * x * x));
    }

    #[test]
    fn has_the_mean_and_the_variance_of_beta() {
        for alpha in [0.05, 0.2, 1.0, 20.0, 500.0] {
            let draws = sorted_draws(alpha);
            let moment =
                |power| draws.iter().map(|x| (x - 0.5f64).powi(power)).sum::<f64>() / DRAWS as f64;
            let variance = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            // Five standard deviations of the sample's mean, and of its second moment.
            let bound = 5.0 * (variance / DRAWS as f64).sqrt();
            assert!(
                moment(1).abs() < bound,
                "alpha {alpha}: mean off by {}",
                moment(1)
            );
            let bound = 5.0 * ((moment(4) - moment(2).powi(2)) / DRAWS as f64).sqrt();
            let off = (moment(2) - variance).abs();
            assert!(
                off < bound,
                "alpha {alpha}: variance {}, not {variance}",
                moment(2)
            );
            // Symmetry beyond the mean: the quartiles mirror each other; each has the share
            // 1/4 of the draws beyond it, with a standard deviation of sqrt(3 / 16 / n).
            let upper = 1.0 - draws[DRAWS / 4];
            let beyond = draws.iter().filter(|&&x| x > upper).count() as f64 / DRAWS as f64;
            let up_to = draws.iter().filter(|&&x| x >= upper).count() as f64 / DRAWS as f64;
            let bound = 5.0 * (2.0 * 3.0 / 16.0 / DRAWS as f64).sqrt();
            assert!(
                beyond < 0.25 + bound && up_to > 0.25 - bound,
                "alpha {alpha}: {beyond}"
            );
        }
    }

    #[test]
    fn stays_in_the_unit_interval_for_any_alpha() {
        for alpha in [f64::MIN_POSITIVE, 1e-3, 1e-2, 1e6, f64::MAX] {
            let draws = sorted_draws(alpha);
            assert!((0.0..=1.0).contains(&draws[0]) && (0.0..=1.0).contains(&draws[DRAWS - 1]));
            if alpha < 1.0 {
                // Almost all draws lie at the two ends, half at each.
                let low = draws.iter().filter(|&&x| x < 0.01).count() as f64;
                let high = draws.iter().filter(|&&x| x > 0.99).count() as f64;
                assert!(low + high > 0.9 * DRAWS as f64, "alpha {alpha}");
                assert!(
                    (low - high).abs() < 5.0 * (DRAWS as f64).sqrt(),
                    "alpha {alpha}"
                );
            } else {
                assert!((draws[0] - 0.5).abs() < 0.01 && (draws[DRAWS - 1] - 0.5).abs() < 0.01);
            }
        }
    }
}
