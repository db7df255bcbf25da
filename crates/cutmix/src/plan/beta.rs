//! The distribution that lambda comes from.

use rand::{Rng, RngExt};

/// Draws from Beta(alpha, alpha) in `0..=1`; two uniform numbers, whatever alpha is.
///
/// With `T` from Student's t distribution of `2 alpha` degrees of freedom,
/// `(1 + T / sqrt(2 alpha + T^2)) / 2` is Beta(alpha, alpha) (Devroye, Non-Uniform Random Variate
/// Generation, 1986, chapter IX.3), and `T` has a polar form without rejection (Bailey,
/// Mathematics of Computation 62, 1994). `libm` makes it the same on every platform.
pub(super) fn symmetric_beta(alpha: f64, rng: &mut impl Rng) -> f64 {
    let radius: f64 = 1.0 - rng.random::<f64>(); // in (0, 1]
    let angle = 2.0 * std::f64::consts::PI * rng.random::<f64>();
    let t = libm::sqrt(libm::pow(radius, -1.0 / alpha) - 1.0) * libm::cos(angle);
    // For a tiny alpha `t` overflows; its limit is an end of the interval.
    let unit = if t.is_finite() {
        t / libm::sqrt(1.0 + t * t)
    } else {
        t.signum()
    };
    (0.5 + 0.5 * unit).clamp(0.0, 1.0)
}
