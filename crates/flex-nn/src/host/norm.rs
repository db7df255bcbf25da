//! Batch normalisation of images `[N, H, W, C]`, with an optional sum and a rectifier in the same
//! pass, and its gradient.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::arch;

/// The parts of a batch whose sums are made apart and then added up, so that they do not depend on the
/// number of threads.
const PARTS: usize = 32;
/// The f32 that are worked on together; they stay in the first cache between two passes.
const PIECE: usize = 4096;

/// The mean and the biased variance of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// The mean of each channel.
    pub mean: Vec<f32>,
    /// The biased variance of each channel.
    pub variance: Vec<f32>,
}

/// The scale and the shift of each channel, and whether negative results become 0.
#[derive(Clone, Debug)]
pub struct Norm {
    /// The factor of each channel.
    pub scale: Vec<f32>,
    /// The number that is added to each channel.
    pub shift: Vec<f32>,
    /// Whether negative results become 0; NaN stays.
    pub relu: bool,
}

/// The gradients of the loss through a normalisation with the statistics of the batch.
pub struct NormGradient {
    /// The gradient with respect to the images, `[N, H, W, C]`.
    pub input: Vec<f32>,
    /// The gradient with respect to what was added to the normalised images, `[N, H, W, C]`.
    pub residual: Option<Vec<f32>>,
    /// The gradient with respect to gamma, one number for each channel.
    pub gamma: Vec<f32>,
    /// The gradient with respect to beta, one number for each channel.
    pub beta: Vec<f32>,
}

/// The length of a part of `len` numbers, a multiple of `channels`.
fn part_len(len: usize, channels: usize) -> usize {
    (len / channels).div_ceil(PARTS).max(1) * channels
}

fn piece_len(channels: usize) -> usize {
    (PIECE / channels).max(1) * channels
}

impl Statistics {
    /// The statistics of images `[N, H, W, C]`; NaN where there are none.
    pub fn of(images: &[f32], channels: usize) -> Self {
        let arch = arch();
        let parts = images.par_chunks(part_len(images.len(), channels));
        let parts: Vec<Moments> = parts
            .map(|images| arch.dispatch(Measure { images, channels }))
            .collect();
        let mut total = Moments::new(channels);
        parts.iter().for_each(|part| total.merge(part));
        let count = total.count;
        Self {
            mean: total.mean.iter().map(|mean| *mean as f32).collect(),
            variance: (total.squares.iter())
                .map(|squares| (squares / count) as f32)
                .collect(),
        }
    }
}

/// The number of positions, and the mean and the sum of squared differences from it, of each channel.
struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn new(channels: usize) -> Self {
        Self {
            count: 0.0,
            mean: vec![0.0; channels],
            squares: vec![0.0; channels],
        }
    }

    /// Adds the moments of other positions (Chan, Golub, LeVeque: Updating Formulae and a Pairwise
    /// Algorithm for Computing Sample Variances, 1979).
    fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        let share = other.count / count;
        let own = self.mean.iter_mut().zip(&mut self.squares);
        for ((mean, squares), (other_mean, other_squares)) in
            own.zip(other.mean.iter().zip(&other.squares))
        {
            let distance = other_mean - *mean;
            *mean += distance * share;
            *squares += other_squares + distance * distance * self.count * share;
        }
        self.count = count;
    }
}

/// Loads the vector of channels from `first` on.
#[inline(always)]
fn load<S: Simd>(values: &[f32], first: usize) -> S::f32s {
    S::as_simd_f32s(&values[first..][..S::F32_LANES]).0[0]
}

/// Stores the vector of channels from `first` on.
#[inline(always)]
fn store<S: Simd>(values: &mut [f32], first: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut values[first..][..S::F32_LANES]).0[0] = value;
}

/// The first channel behind the last whole vector.
#[inline(always)]
fn tail<S: Simd>(channels: usize) -> usize {
    channels / S::F32_LANES * S::F32_LANES
}

/// `x`, or 0 where it is negative; NaN stays.
#[inline(always)]
fn relu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    masked(simd, x, x)
}

/// `x`, or 0 where `y` is at most 0.
#[inline(always)]
fn masked<S: Simd>(simd: S, y: S::f32s, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_or_equal_f32s(y, zero), zero, x)
}

fn masked_scalar(y: f32, x: f32) -> f32 {
    if y <= 0.0 { 0.0 } else { x }
}

struct Measure<'a> {
    images: &'a [f32],
    channels: usize,
}

impl WithSimd for Measure<'_> {
    type Output = Moments;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Moments {
        let channels = self.channels;
        let mut total = Moments::new(channels);
        let mut piece = Moments::new(channels);
        let mut sums = vec![0.0f32; 2 * channels];
        let (means, squares) = sums.split_at_mut(channels);
        for images in self.images.chunks(piece_len(channels)) {
            let count = (images.len() / channels) as f32;
            let rows = || images.chunks_exact(channels);
            for first in (0..tail::<S>(channels)).step_by(S::F32_LANES) {
                // Two sums at a time, so that an addition need not wait for the one before it.
                let mut sum = [simd.splat_f32s(0.0); 2];
                for (row, position) in rows().enumerate() {
                    let x = load::<S>(position, first);
                    sum[row % 2] = simd.add_f32s(sum[row % 2], x);
                }
                let mean = simd.add_f32s(sum[0], sum[1]);
                let mean = simd.mul_f32s(mean, simd.splat_f32s(count.recip()));
                let mut sum = [simd.splat_f32s(0.0); 2];
                for (row, position) in rows().enumerate() {
                    let x = simd.sub_f32s(load::<S>(position, first), mean);
                    sum[row % 2] = simd.mul_add_f32s(x, x, sum[row % 2]);
                }
                store::<S>(means, first, mean);
                store::<S>(squares, first, simd.add_f32s(sum[0], sum[1]));
            }
            for channel in tail::<S>(channels)..channels {
                let values = || rows().map(|position| position[channel]);
                let mean = values().sum::<f32>() / count;
                means[channel] = mean;
                squares[channel] = values().map(|x| (x - mean) * (x - mean)).sum();
            }
            piece.count = f64::from(count);
            let pairs = piece.mean.iter_mut().zip(&mut piece.squares);
            for ((mean, square), (m, s)) in pairs.zip(means.iter().zip(&*squares)) {
                (*mean, *square) = (f64::from(*m), f64::from(*s));
            }
            total.merge(&piece);
        }
        total
    }
}

impl Norm {
    /// The normalisation `(x - mean) / sqrt(variance + epsilon) * gamma + beta`.
    pub fn new(
        statistics: &Statistics,
        gamma: &[f32],
        beta: &[f32],
        epsilon: f64,
        relu: bool,
    ) -> Self {
        let scale: Vec<f32> = (statistics.variance.iter().zip(gamma))
            .map(|(variance, gamma)| gamma * inverse(*variance, epsilon))
            .collect();
        let shift = beta.iter().zip(scale.iter().zip(&statistics.mean));
        Self {
            shift: shift
                .map(|(beta, (scale, mean))| beta - scale * mean)
                .collect(),
            scale,
            relu,
        }
    }

    /// Normalises images `[N, H, W, C]`, and adds a residual of the same shape.
    pub fn forward(&self, images: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        let channels = self.scale.len();
        let mut output = vec![0.0; images.len()];
        let len = part_len(images.len(), channels);
        let arch = arch();
        let parts = output.par_chunks_mut(len).enumerate();
        parts.for_each(|(part, output)| {
            let own = part * len..part * len + output.len();
            arch.dispatch(Apply {
                norm: self,
                images: &images[own.clone()],
                residual: residual.map(|residual| &residual[own]),
                output,
            });
        });
        output
    }

    /// The gradients, where the scale and the shift come from the `statistics` of `images`. `output`
    /// is what [`forward`](Self::forward) returned.
    pub fn backward(
        &self,
        statistics: &Statistics,
        epsilon: f64,
        images: &[f32],
        output: &[f32],
        gradient: &[f32],
        has_residual: bool,
    ) -> NormGradient {
        let channels = self.scale.len();
        let len = part_len(images.len(), channels);
        let arch = arch();
        let parts = images
            .par_chunks(len)
            .zip(output.par_chunks(len).zip(gradient.par_chunks(len)));
        let sums: Vec<Vec<f64>> = parts
            .map(|(images, (output, gradient))| {
                arch.dispatch(Sum {
                    norm: self,
                    mean: &statistics.mean,
                    images,
                    output,
                    gradient,
                })
            })
            .collect();
        let mut totals = vec![0.0; 2 * channels];
        for sums in &sums {
            totals
                .iter_mut()
                .zip(sums)
                .for_each(|(total, sum)| *total += sum);
        }
        let (of_gradient, of_product) = totals.split_at(channels);
        let count = (images.len() / channels) as f64;
        let inverses: Vec<_> = (statistics.variance.iter())
            .map(|variance| f64::from(inverse(*variance, epsilon)))
            .collect();
        // The gradient is `scale * gradient + slope * image + offset` for each channel.
        let (mut slopes, mut offsets) = (vec![0.0; channels], vec![0.0; channels]);
        for channel in 0..channels {
            let scale = f64::from(self.scale[channel]);
            let slope = -scale * inverses[channel].powi(2) * of_product[channel] / count;
            let mean = f64::from(statistics.mean[channel]);
            slopes[channel] = slope as f32;
            offsets[channel] = (-scale * of_gradient[channel] / count - slope * mean) as f32;
        }
        let mut input = vec![0.0; images.len()];
        let mut residual = vec![0.0; if has_residual { images.len() } else { 0 }];
        let mut residuals: Vec<_> = residual.chunks_mut(len).map(Some).collect();
        residuals.resize_with(images.len().div_ceil(len), || None);
        let parts = input.par_chunks_mut(len).zip(residuals).enumerate();
        parts.for_each(|(part, (input, residual))| {
            let own = part * len..part * len + input.len();
            arch.dispatch(Differentiate {
                norm: self,
                slopes: &slopes,
                offsets: &offsets,
                images: &images[own.clone()],
                output: &output[own.clone()],
                gradient: &gradient[own],
                input,
                residual,
            });
        });
        let gamma = of_product.iter().zip(&inverses);
        NormGradient {
            input,
            residual: has_residual.then_some(residual),
            gamma: gamma.map(|(sum, inverse)| (sum * inverse) as f32).collect(),
            beta: of_gradient.iter().map(|sum| *sum as f32).collect(),
        }
    }
}

fn inverse(variance: f32, epsilon: f64) -> f32 {
    ((f64::from(variance) + epsilon).sqrt().recip()) as f32
}

struct Apply<'a> {
    norm: &'a Norm,
    images: &'a [f32],
    residual: Option<&'a [f32]>,
    output: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.residual, self.norm.relu) {
            (None, false) => self.each::<S, false, false>(simd, &[]),
            (None, true) => self.each::<S, false, true>(simd, &[]),
            (Some(residual), false) => self.each::<S, true, false>(simd, residual),
            (Some(residual), true) => self.each::<S, true, true>(simd, residual),
        }
    }
}

impl Apply<'_> {
    #[inline(always)]
    fn each<S: Simd, const SUM: bool, const RELU: bool>(self, simd: S, residual: &[f32]) {
        let Norm { scale, shift, .. } = self.norm;
        let channels = scale.len();
        let len = piece_len(channels);
        for (piece, output) in self.output.chunks_mut(len).enumerate() {
            let own = piece * len..piece * len + output.len();
            let images = &self.images[own.clone()];
            let residual = if SUM { &residual[own] } else { images };
            for first in (0..tail::<S>(channels)).step_by(S::F32_LANES) {
                let (scale, shift) = (load::<S>(scale, first), load::<S>(shift, first));
                let positions = images
                    .chunks_exact(channels)
                    .zip(residual.chunks_exact(channels));
                for (output, (image, residual)) in output.chunks_exact_mut(channels).zip(positions)
                {
                    let mut y = simd.mul_add_f32s(load::<S>(image, first), scale, shift);
                    if SUM {
                        y = simd.add_f32s(y, load::<S>(residual, first));
                    }
                    store::<S>(output, first, if RELU { relu(simd, y) } else { y });
                }
            }
            let rest = tail::<S>(channels)..channels;
            let positions = images
                .chunks_exact(channels)
                .zip(residual.chunks_exact(channels));
            for (output, (image, residual)) in output.chunks_exact_mut(channels).zip(positions) {
                for channel in rest.clone() {
                    let mut y = image[channel].mul_add(scale[channel], shift[channel]);
                    if SUM {
                        y += residual[channel];
                    }
                    output[channel] = if RELU { masked_scalar(y, y) } else { y };
                }
            }
        }
    }
}

/// The sums of the gradient, and of the gradient times the distance from the mean, of each channel.
struct Sum<'a> {
    norm: &'a Norm,
    mean: &'a [f32],
    images: &'a [f32],
    output: &'a [f32],
    gradient: &'a [f32],
}

impl WithSimd for Sum<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let channels = self.mean.len();
        let len = piece_len(channels);
        let relu = self.norm.relu;
        let mut totals = vec![0.0; 2 * channels];
        let mut sums = vec![0.0f32; 2 * channels];
        let pieces = self.images.chunks(len).zip(self.output.chunks(len));
        for ((images, outputs), gradients) in pieces.zip(self.gradient.chunks(len)) {
            let positions = || {
                let outputs = outputs
                    .chunks_exact(channels)
                    .zip(gradients.chunks_exact(channels));
                images.chunks_exact(channels).zip(outputs)
            };
            for first in (0..tail::<S>(channels)).step_by(S::F32_LANES) {
                let mean = load::<S>(self.mean, first);
                let mut of_gradient = [simd.splat_f32s(0.0); 2];
                let mut of_product = [simd.splat_f32s(0.0); 2];
                for (row, (image, (output, gradient))) in positions().enumerate() {
                    let mut g = load::<S>(gradient, first);
                    if relu {
                        g = masked(simd, load::<S>(output, first), g);
                    }
                    let x = simd.sub_f32s(load::<S>(image, first), mean);
                    of_gradient[row % 2] = simd.add_f32s(of_gradient[row % 2], g);
                    of_product[row % 2] = simd.mul_add_f32s(g, x, of_product[row % 2]);
                }
                store::<S>(
                    &mut sums,
                    first,
                    simd.add_f32s(of_gradient[0], of_gradient[1]),
                );
                let product = simd.add_f32s(of_product[0], of_product[1]);
                store::<S>(&mut sums[channels..], first, product);
            }
            for channel in tail::<S>(channels)..channels {
                let (mut of_gradient, mut of_product) = (0.0, 0.0);
                for (image, (output, gradient)) in positions() {
                    let g = if relu {
                        masked_scalar(output[channel], gradient[channel])
                    } else {
                        gradient[channel]
                    };
                    of_gradient += g;
                    of_product += g * (image[channel] - self.mean[channel]);
                }
                (sums[channel], sums[channels + channel]) = (of_gradient, of_product);
            }
            totals
                .iter_mut()
                .zip(&sums)
                .for_each(|(total, sum)| *total += f64::from(*sum));
        }
        totals
    }
}

/// The gradient of the images, and of the residual.
struct Differentiate<'a> {
    norm: &'a Norm,
    slopes: &'a [f32],
    offsets: &'a [f32],
    images: &'a [f32],
    output: &'a [f32],
    gradient: &'a [f32],
    input: &'a mut [f32],
    residual: Option<&'a mut [f32]>,
}

impl WithSimd for Differentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Norm { scale, relu, .. } = self.norm;
        let channels = scale.len();
        let len = piece_len(channels);
        let mut residual = self.residual;
        for (piece, input) in self.input.chunks_mut(len).enumerate() {
            let own = piece * len..piece * len + input.len();
            let (images, outputs) = (&self.images[own.clone()], &self.output[own.clone()]);
            let gradients = &self.gradient[own.clone()];
            let mut residual = residual.as_mut().map(|residual| &mut residual[own]);
            for first in (0..tail::<S>(channels)).step_by(S::F32_LANES) {
                let constants = [scale, self.slopes, self.offsets];
                let [scale, slope, offset] = constants.map(|values| load::<S>(values, first));
                for (row, input) in input.chunks_exact_mut(channels).enumerate() {
                    let at = row * channels + first;
                    let mut g = load::<S>(gradients, at);
                    if *relu {
                        g = masked(simd, load::<S>(outputs, at), g);
                    }
                    let x = simd.mul_add_f32s(load::<S>(images, at), slope, offset);
                    store::<S>(input, first, simd.mul_add_f32s(g, scale, x));
                    if let Some(residual) = &mut residual {
                        store::<S>(residual, at, g);
                    }
                }
            }
            for (row, input) in input.chunks_exact_mut(channels).enumerate() {
                for channel in tail::<S>(channels)..channels {
                    let at = row * channels + channel;
                    let g = if *relu {
                        masked_scalar(outputs[at], gradients[at])
                    } else {
                        gradients[at]
                    };
                    let x = images[at].mul_add(self.slopes[channel], self.offsets[channel]);
                    input[channel] = g.mul_add(scale[channel], x);
                    if let Some(residual) = &mut residual {
                        residual[at] = g;
                    }
                }
            }
        }
    }
}
