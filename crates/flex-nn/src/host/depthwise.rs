//! Convolutions of each channel by itself, and their gradients.

use pulp::{Simd, WithSimd};

use super::gather::Finish;
use super::vector::{load, store, vectors};
use super::{Conv, Images, arch, memory, parallel};

/// For each position of the result along an axis, the taps of the kernel that meet it and the positions
/// that they come from.
type Taps = Vec<Vec<(usize, usize)>>;

/// The taps of the forward pass along an axis.
fn forward_taps(conv: &Conv, axis: usize) -> Taps {
    let size = conv.input[2 + axis];
    let before = conv.padding[axis][0];
    let of = |number: usize| {
        let taps = 0..conv.kernel[axis];
        let place = |tap: usize| {
            let place = number * conv.stride[axis] + tap * conv.dilation[axis];
            place.checked_sub(before).filter(|place| *place < size)
        };
        taps.filter_map(|tap| Some((tap, place(tap)?))).collect()
    };
    (0..conv.output()[2 + axis]).map(of).collect()
}

/// The same products by the positions of the input, for its gradient.
fn backward_taps(conv: &Conv, axis: usize) -> Taps {
    let mut taps = vec![Vec::new(); conv.input[2 + axis]];
    for (output, of_output) in forward_taps(conv, axis).into_iter().enumerate() {
        for (tap, input) in of_output {
            taps[input].push((tap, output));
        }
    }
    taps
}

/// The weights `[tap, channel]`.
fn by_taps(conv: &Conv, weights: &[f32]) -> Vec<f32> {
    let taps = conv.kernel[0] * conv.kernel[1];
    let mut result = vec![0.0; weights.len()];
    for (channel, weights) in weights.chunks_exact(taps).enumerate() {
        for (tap, weight) in weights.iter().enumerate() {
            result[tap * conv.channels + channel] = *weight;
        }
    }
    result
}

/// Computes the output in `result`.
pub fn forward(
    conv: &Conv,
    images: &Images<'_>,
    weights: &[f32],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    let taps = [0, 1].map(|axis| forward_taps(conv, axis));
    sum(conv, images, weights, &taps, finish, result);
}

/// Computes the gradient of the input in `result`, from that of the output.
pub fn input_gradient(
    conv: &Conv,
    gradient: &Images<'_>,
    weights: &[f32],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    let taps = [0, 1].map(|axis| backward_taps(conv, axis));
    sum(conv, gradient, weights, &taps, finish, result);
}

fn sum(
    conv: &Conv,
    images: &Images<'_>,
    weights: &[f32],
    taps: &[Taps; 2],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    let [.., width] = images.shape();
    let weights = by_taps(conv, weights);
    let images = images.to_channels_last();
    let len = images.len() / conv.input[0];
    let [rows, columns] = taps;
    let of_row = columns.len() * conv.channels;
    let arch = arch();
    let numbers = result.len() * conv.kernel[0] * conv.kernel[1];
    let parts = result.chunks_mut(of_row).enumerate();
    parallel::each(numbers, parts, |(row, output)| {
        let (image, y) = (row / rows.len(), row % rows.len());
        let image = &images[image * len..][..len];
        arch.dispatch(Row {
            conv,
            image,
            width,
            weights: &weights,
            rows: &rows[y],
            columns,
            finish,
            output,
        });
    });
}

/// A row of the result.
struct Row<'a> {
    conv: &'a Conv,
    image: &'a [f32],
    /// The columns of the image.
    width: usize,
    weights: &'a [f32],
    rows: &'a [(usize, usize)],
    columns: &'a Taps,
    finish: Finish<'a>,
    output: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.conv.channels;
        for (columns, output) in self
            .columns
            .iter()
            .zip(self.output.chunks_exact_mut(channels))
        {
            for lanes in vectors(S::F32_LANES, channels) {
                let mut sum = simd.splat_f32s(0.0);
                for &(row, y) in self.rows {
                    for &(column, x) in columns {
                        let tap = row * self.conv.kernel[1] + column;
                        let number = &self.image[(y * self.width + x) * channels..][lanes.clone()];
                        let weight = &self.weights[tap * channels..][lanes.clone()];
                        sum = simd.mul_add_f32s(load(simd, number), load(simd, weight), sum);
                    }
                }
                let first = lanes.start;
                self.finish
                    .store_vector(simd, first, &mut output[lanes], sum);
            }
        }
    }
}

/// The gradient of the weights `[C, 1, h, w]`.
pub fn weight_gradient(conv: &Conv, images: &Images<'_>, gradient: &Images<'_>) -> Vec<f32> {
    let (images, gradient) = (images.to_channels_last(), gradient.to_channels_last());
    let count = conv.input[0];
    let taps = [0, 1].map(|axis| forward_taps(conv, axis));
    let arch = arch();
    let parts = images
        .chunks(images.len() / count)
        .zip(gradient.chunks(gradient.len() / count));
    let numbers = gradient.len() * conv.kernel[0] * conv.kernel[1];
    let sums = parallel::map(numbers, parts, |(image, gradient)| {
        arch.dispatch(Products {
            conv,
            image,
            gradient,
            taps: &taps,
        })
    });
    let of_kernel = conv.kernel[0] * conv.kernel[1];
    let mut weights = memory::take(conv.channels * of_kernel);
    for (place, weight) in weights.iter_mut().enumerate() {
        let (channel, tap) = (place / of_kernel, place % of_kernel);
        let parts = sums
            .iter()
            .map(|sums| f64::from(sums[tap * conv.channels + channel]));
        *weight = parts.sum::<f64>() as f32;
    }
    weights
}

/// The sums `[tap, channel]` over the positions of an image.
struct Products<'a> {
    conv: &'a Conv,
    image: &'a [f32],
    gradient: &'a [f32],
    taps: &'a [Taps; 2],
}

impl WithSimd for Products<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let channels = self.conv.channels;
        let [_, kernel_width] = self.conv.kernel;
        let [rows, columns] = self.taps;
        let width = self.conv.input[3];
        let mut sums = vec![0.0; self.conv.kernel[0] * kernel_width * channels];
        // The sums of a row are made apart, so that few numbers are added to a large one.
        let mut of_row = vec![0.0; sums.len()];
        let gradients = self.gradient.chunks_exact(columns.len() * channels);
        for (rows, gradient) in rows.iter().zip(gradients) {
            of_row.fill(0.0);
            for (columns, gradient) in columns.iter().zip(gradient.chunks_exact(channels)) {
                for lanes in vectors(S::F32_LANES, channels) {
                    let g = load(simd, &gradient[lanes.clone()]);
                    for &(row, y) in rows {
                        for &(column, x) in columns {
                            let number = &self.image[(y * width + x) * channels..][lanes.clone()];
                            let sum = (row * kernel_width + column) * channels;
                            let sum = &mut of_row[sum..][lanes.clone()];
                            let new = simd.mul_add_f32s(g, load(simd, number), load(simd, sum));
                            store(simd, sum, new);
                        }
                    }
                }
            }
            sums.iter_mut()
                .zip(&of_row)
                .for_each(|(sum, of_row)| *sum += of_row);
        }
        sums
    }
}
