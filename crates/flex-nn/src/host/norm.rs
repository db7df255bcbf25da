//! Batch normalisation of images `[N, H, W, C]`, with an optional sum and a rectifier in the same
//! pass, and its gradient.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::vector::{load, masked, store, vectors};
use super::{arch, memory, parallel};

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
    /// The statistics of images `[N, H, W, C]`; without images the variance is NaN.
    pub fn of(images: &[f32], channels: usize) -> Self {
        let arch = arch();
        let parts = images.chunks(part_len(images.len(), channels));
        let parts = parallel::map(images.len(), parts, |images| {
            arch.dispatch(Measure { images, channels })
        });
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
            for lanes in vectors(S::F32_LANES, channels) {
                // Two sums at a time, so that an addition need not wait for the one before it.
                let mut sum = [simd.splat_f32s(0.0); 2];
                for (row, position) in rows().enumerate() {
                    let x = load(simd, &position[lanes.clone()]);
                    sum[row % 2] = simd.add_f32s(sum[row % 2], x);
                }
                let mean = simd.add_f32s(sum[0], sum[1]);
                let mean = simd.mul_f32s(mean, simd.splat_f32s(count.recip()));
                let mut sum = [simd.splat_f32s(0.0); 2];
                for (row, position) in rows().enumerate() {
                    let x = simd.sub_f32s(load(simd, &position[lanes.clone()]), mean);
                    sum[row % 2] = simd.mul_add_f32s(x, x, sum[row % 2]);
                }
                store(simd, &mut means[lanes.clone()], mean);
                store(simd, &mut squares[lanes], simd.add_f32s(sum[0], sum[1]));
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
    ///
    /// # Panics
    ///
    /// Where the images are no whole number of positions, or the residual has another length.
    pub fn forward(&self, images: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        let channels = self.scale.len();
        assert_eq!(images.len() % channels, 0);
        assert!(residual.is_none_or(|residual| residual.len() == images.len()));
        let mut output = memory::take(images.len());
        let len = part_len(images.len(), channels);
        let arch = arch();
        let parts = output.chunks_mut(len).enumerate();
        parallel::each(images.len(), parts, |(part, output)| {
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
    /// is what [`forward`](Self::forward) returned, needed where a residual was added. The memory of
    /// `gradient`, which is that of the output, is used for a result.
    ///
    /// # Panics
    ///
    /// Where the lengths differ.
    pub fn backward(
        &self,
        statistics: &Statistics,
        epsilon: f64,
        images: &[f32],
        output: Option<&[f32]>,
        mut gradient: Vec<f32>,
    ) -> NormGradient {
        let channels = self.scale.len();
        assert_eq!(images.len(), gradient.len());
        assert!(output.is_none_or(|output| output.len() == images.len()));
        let len = part_len(images.len(), channels);
        let arch = arch();
        let part_of = |part: usize, of: &'_ [f32]| -> Range<usize> {
            part * len..(part * len + len).min(of.len())
        };
        let parts = gradient.chunks_mut(len).enumerate();
        let sums = parallel::map(images.len(), parts, |(part, gradient)| {
            let own = part_of(part, images);
            arch.dispatch(Sum {
                norm: self,
                mean: &statistics.mean,
                images: &images[own.clone()],
                output: output.map(|output| &output[own]),
                gradient,
            })
        });
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
        let mut residual = output.map(|_| memory::take(images.len()));
        let mut residuals: Vec<_> = match &mut residual {
            Some(residual) => residual.chunks_mut(len).map(Some).collect(),
            None => Vec::new(),
        };
        residuals.resize_with(images.len().div_ceil(len), || None);
        let parts = gradient.chunks_mut(len).zip(residuals).enumerate();
        parallel::each(images.len(), parts, |(part, (gradient, residual))| {
            arch.dispatch(Differentiate {
                norm: self,
                slopes: &slopes,
                offsets: &offsets,
                images: &images[part_of(part, images)],
                gradient,
                residual,
            });
        });
        let gamma = of_product.iter().zip(&inverses);
        NormGradient {
            input: gradient,
            residual,
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
            for lanes in vectors(S::F32_LANES, channels) {
                let scale = load(simd, &scale[lanes.clone()]);
                let shift = load(simd, &shift[lanes.clone()]);
                let positions = images
                    .chunks_exact(channels)
                    .zip(residual.chunks_exact(channels));
                for (output, (image, residual)) in output.chunks_exact_mut(channels).zip(positions)
                {
                    let mut y = simd.mul_add_f32s(load(simd, &image[lanes.clone()]), scale, shift);
                    if SUM {
                        y = simd.add_f32s(y, load(simd, &residual[lanes.clone()]));
                    }
                    if RELU {
                        y = masked(simd, y, y);
                    }
                    store(simd, &mut output[lanes.clone()], y);
                }
            }
        }
    }
}

/// The sums of the gradient, and of the gradient times the distance from the mean, of each channel.
/// Where there is an output, the gradient becomes that with respect to the sum before the rectifier.
struct Sum<'a> {
    norm: &'a Norm,
    mean: &'a [f32],
    images: &'a [f32],
    output: Option<&'a [f32]>,
    gradient: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        match (self.norm.relu, self.output) {
            (false, _) => self.each::<S, false, false>(simd, &[]),
            (true, None) => self.each::<S, true, false>(simd, &[]),
            (true, Some(output)) => self.each::<S, true, true>(simd, output),
        }
    }
}

impl Sum<'_> {
    #[inline(always)]
    fn each<S: Simd, const RELU: bool, const OUTPUT: bool>(
        self,
        simd: S,
        outputs: &[f32],
    ) -> Vec<f64> {
        let channels = self.mean.len();
        let len = piece_len(channels);
        let mut totals = vec![0.0; 2 * channels];
        let mut sums = vec![0.0f32; 2 * channels];
        for (piece, gradients) in self.gradient.chunks_mut(len).enumerate() {
            let own = piece * len..piece * len + gradients.len();
            let images = &self.images[own.clone()];
            let outputs = if OUTPUT { &outputs[own] } else { images };
            for lanes in vectors(S::F32_LANES, channels) {
                let mean = load(simd, &self.mean[lanes.clone()]);
                let scale = load(simd, &self.norm.scale[lanes.clone()]);
                let shift = load(simd, &self.norm.shift[lanes.clone()]);
                let mut of_gradient = [simd.splat_f32s(0.0); 2];
                let mut of_product = [simd.splat_f32s(0.0); 2];
                let positions = images
                    .chunks_exact(channels)
                    .zip(outputs.chunks_exact(channels));
                let positions = gradients.chunks_exact_mut(channels).zip(positions);
                for (row, (gradient, (image, output))) in positions.enumerate() {
                    let x = load(simd, &image[lanes.clone()]);
                    let mut g = load(simd, &gradient[lanes.clone()]);
                    if OUTPUT {
                        g = masked(simd, load(simd, &output[lanes.clone()]), g);
                        store(simd, &mut gradient[lanes.clone()], g);
                    } else if RELU {
                        g = masked(simd, simd.mul_add_f32s(x, scale, shift), g);
                    }
                    let x = simd.sub_f32s(x, mean);
                    of_gradient[row % 2] = simd.add_f32s(of_gradient[row % 2], g);
                    of_product[row % 2] = simd.mul_add_f32s(g, x, of_product[row % 2]);
                }
                let sum = simd.add_f32s(of_gradient[0], of_gradient[1]);
                let product = simd.add_f32s(of_product[0], of_product[1]);
                store(simd, &mut sums[lanes.clone()], sum);
                store(simd, &mut sums[channels..][lanes], product);
            }
            totals
                .iter_mut()
                .zip(&sums)
                .for_each(|(total, sum)| *total += f64::from(*sum));
        }
        totals
    }
}

/// Turns the gradient into that of the images. Where there was a residual, the gradient is that with
/// respect to the sum before the rectifier, and is copied for the residual.
struct Differentiate<'a> {
    norm: &'a Norm,
    slopes: &'a [f32],
    offsets: &'a [f32],
    images: &'a [f32],
    gradient: &'a mut [f32],
    residual: Option<&'a mut [f32]>,
}

impl WithSimd for Differentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match (self.norm.relu, self.residual.take()) {
            (true, None) => self.each::<S, true>(simd, None),
            (_, residual) => self.each::<S, false>(simd, residual),
        }
    }
}

impl Differentiate<'_> {
    #[inline(always)]
    fn each<S: Simd, const RELU: bool>(self, simd: S, mut residual: Option<&mut [f32]>) {
        let channels = self.slopes.len();
        let len = piece_len(channels);
        for (piece, gradients) in self.gradient.chunks_mut(len).enumerate() {
            let own = piece * len..piece * len + gradients.len();
            if let Some(residual) = &mut residual {
                residual[own.clone()].copy_from_slice(gradients);
            }
            let images = &self.images[own];
            for lanes in vectors(S::F32_LANES, channels) {
                let Norm { scale, shift, .. } = self.norm;
                let constants = [scale, shift, self.slopes, self.offsets];
                let [scale, shift, slope, offset] =
                    constants.map(|values| load(simd, &values[lanes.clone()]));
                let positions = images.chunks_exact(channels);
                for (gradient, image) in gradients.chunks_exact_mut(channels).zip(positions) {
                    let x = load(simd, &image[lanes.clone()]);
                    let mut g = load(simd, &gradient[lanes.clone()]);
                    if RELU {
                        g = masked(simd, simd.mul_add_f32s(x, scale, shift), g);
                    }
                    let x = simd.mul_add_f32s(x, slope, offset);
                    let g = simd.mul_add_f32s(g, scale, x);
                    store(simd, &mut gradient[lanes.clone()], g);
                }
            }
        }
    }
}
