//! How well the confidence of predictions agrees with how often they are right.

use serde::{Deserialize, Serialize};

/// How often predictions are right that a network makes with about the same confidence, the
/// probability of the class that it predicts. Of a calibrated network, 80 % of the predictions with a
/// confidence of 0.8 are right.
///
/// After Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599 (2017): bins of equal
/// width over the confidence, of which bin `m` of `M`, from 1, has `(m - 1) / M < confidence <= m / M`.
///
/// ```
/// use cutmix_train::Calibration;
///
/// let mut calibration = Calibration::new();
/// for (confidence, is_right) in [(0.95, true), (0.95, false), (0.55, true)] {
///     calibration.add(confidence, is_right);
/// }
/// // Two samples that are off by 0.45 together, and one by 0.45.
/// assert!((calibration.expected_error() - 0.45).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    bins: [Sums; Self::BINS],
}

/// The sums over the samples of a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    samples: usize,
    right: usize,
    confidence: f64,
}

/// The samples whose confidence is in a bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// The confidence from which the bin reaches; it is not in the bin.
    pub from: f64,
    /// The confidence up to which the bin reaches.
    pub to: f64,
    /// The number of samples.
    pub samples: usize,
    /// The mean confidence of the samples; 0 where there are none.
    pub confidence: f64,
    /// The share of the samples whose prediction is right; 0 where there are none.
    pub accuracy: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new()
    }
}

impl Calibration {
    /// The number of bins, that of the paper.
    pub const BINS: usize = 15;

    /// The calibration before any sample.
    pub fn new() -> Self {
        Self {
            bins: [Sums::default(); Self::BINS],
        }
    }

    /// Adds a sample that was predicted with a confidence in 0..=1. A confidence beyond is taken for the
    /// nearest end. NaN is counted in the first bin and makes its means NaN.
    pub fn add(&mut self, confidence: f64, is_right: bool) {
        let confidence = confidence.clamp(0.0, 1.0);
        // NaN becomes 0.
        let bin = (confidence * Self::BINS as f64).ceil() as usize;
        let bin = &mut self.bins[bin.clamp(1, Self::BINS) - 1];
        bin.samples += 1;
        bin.right += usize::from(is_right);
        bin.confidence += confidence;
    }

    /// The bins by rising confidence.
    pub fn bins(&self) -> impl ExactSizeIterator<Item = CalibrationBin> + '_ {
        let edge = |at: usize| at as f64 / Self::BINS as f64;
        self.bins.iter().enumerate().map(move |(at, bin)| {
            let samples = bin.samples.max(1) as f64;
            CalibrationBin {
                from: edge(at),
                to: edge(at + 1),
                samples: bin.samples,
                confidence: bin.confidence / samples,
                accuracy: bin.right as f64 / samples,
            }
        })
    }

    /// The expected calibration error, in 0..=1: the mean over all samples of the distance between the
    /// mean confidence and the accuracy of their bin; 0 where there are none.
    pub fn expected_error(&self) -> f64 {
        let distances = self.bins().map(|bin| {
            let distance = (bin.accuracy - bin.confidence).abs();
            bin.samples as f64 * distance
        });
        distances.sum::<f64>() / self.samples() as f64
    }

    /// The mean confidence of all samples; 0 where there are none.
    pub fn mean_confidence(&self) -> f64 {
        let sum: f64 = self.bins.iter().map(|bin| bin.confidence).sum();
        sum / self.samples() as f64
    }

    /// The number of samples; 1 where there are none, by which sums of 0 are divided.
    fn samples(&self) -> usize {
        let samples: usize = self.bins.iter().map(|bin| bin.samples).sum();
        samples.max(1)
    }
}
