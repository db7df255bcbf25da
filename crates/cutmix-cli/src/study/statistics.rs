//! What several seeds say of a number.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

/// The most seeds that are asked for; where more were needed, the difference is too small.
const MOST_SEEDS: usize = 1000;

/// The share of studies in which a difference that is there should be seen.
const POWER: f64 = 0.8;

/// The mean of a number over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mean {
    pub runs: usize,
    pub mean: f64,
    /// `None` of one run.
    pub standard_error: Option<f64>,
}

/// The difference of a row to the first one, over the seeds that both have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    pub runs: usize,
    pub mean: f64,
    /// The ends of the 95 % interval; `None` of one run.
    pub interval: Option<[f64; 2]>,
    /// The number of seeds with which such an interval would leave out zero in 80 of 100 studies, were the
    /// difference and its spread what they seem to be; `None` of one run, and where it is above 1000.
    pub seeds_needed: Option<usize>,
}

impl Mean {
    /// `None` of no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let runs = values.len();
        (runs > 0).then(|| Self {
            runs,
            mean: mean(values),
            standard_error: deviation(values).map(|deviation| deviation / (runs as f64).sqrt()),
        })
    }
}

impl Difference {
    /// Of the differences of the seeds; `None` of none.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let Mean {
            runs,
            mean,
            standard_error,
        } = Mean::of(differences)?;
        let interval = standard_error.map(|error| {
            let half = quantile(0.975, runs) * error;
            [mean - half, mean + half]
        });
        Some(Self {
            runs,
            mean,
            interval,
            seeds_needed: deviation(differences).and_then(|deviation| needed(mean, deviation)),
        })
    }

    /// Whether the interval leaves out zero.
    pub fn is_clear(&self) -> bool {
        (self.interval).is_some_and(|[low, high]| low > 0.0 || high < 0.0)
    }
}

/// The mean of at least one value.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of the distribution that the values are from; `None` of one value.
fn deviation(values: &[f64]) -> Option<f64> {
    let center = mean(values);
    let squares: f64 = values.iter().map(|value| (value - center).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The quantile of Student's distribution for a mean of so many values, at least two.
fn quantile(share: f64, values: usize) -> f64 {
    let distribution = StudentsT::new(0.0, 1.0, (values - 1) as f64);
    distribution.map_or(f64::NAN, |distribution| distribution.inverse_cdf(share))
}

/// The smallest number of values with which the interval leaves out zero often enough.
fn needed(mean: f64, deviation: f64) -> Option<usize> {
    if deviation == 0.0 {
        return (mean != 0.0).then_some(2);
    }
    let effect = mean.abs() / deviation;
    let mut numbers = 2..=MOST_SEEDS;
    numbers.find(|&values| power(effect, values) >= POWER)
}

/// How often the interval of so many values lies above zero, where their distribution is normal and its mean
/// is `effect` deviations: the probability that the noncentral t variable exceeds the quantile.
fn power(effect: f64, values: usize) -> f64 {
    /// The integral is a sum of this many steps.
    const STEPS: usize = 400;

    let normal = Normal::standard();
    let (freedom, shift) = ((values - 1) as f64, effect * (values as f64).sqrt());
    let limit = quantile(0.975, values);
    // The logarithm of the density of the deviation of the values, where that of the distribution is 1.
    let constant = 2f64.ln() + freedom / 2.0 * (freedom / 2.0).ln() - ln_gamma(freedom / 2.0);
    let density = |deviation: f64| {
        let logarithm = (freedom - 1.0) * deviation.ln() - freedom * deviation.powi(2) / 2.0;
        (constant + logarithm).exp()
    };
    // Next to nothing of it lies beyond.
    let width = 6.0 / (2.0 * freedom).sqrt();
    let (low, high) = ((1.0 - width).max(0.0), 1.0 + width);
    let step = (high - low) / STEPS as f64;
    let middles = (0..STEPS).map(|at| low + (at as f64 + 0.5) * step);
    let parts = middles.map(|deviation| density(deviation) * normal.cdf(shift - limit * deviation));
    step * parts.sum::<f64>()
}

#[cfg(test)]
#[path = "../../tests/unit/statistics.rs"]
mod tests;
