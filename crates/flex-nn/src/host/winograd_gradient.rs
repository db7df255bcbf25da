//! The gradient with respect to the weights of 3 x 3 convolutions with stride 1, in 4 multiplications
//! for each position instead of 9.
//!
//! The gradient of a tile of 2 x 2 output positions is a filter for the 4 x 4 positions of the input:
//! F(3 x 3, 2 x 2) of Lavin and Gray, arXiv:1509.09308, section 4.1. Both are transformed to 16 numbers
//! and multiplied; the sum of the products over all tiles is transformed to the 3 x 3 weights once.

#![allow(clippy::needless_range_loop)] // x and y are the columns and rows of tiles

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use pulp::{Simd, WithSimd};

use super::gather::{Layout, Padded, Run, output_block};
use super::parallel::{self, MUCH};
use super::vector::are_finite;
use super::weight_gradient::{Add, PARTS, add_up};
use super::weights::unpack;
use super::winograd::{APART, NUMBERS, Tile, Winograd, tiles, transform_input};
use super::{Conv, Images, arch, lanes, memory};

/// The numbers of f32 that the transformed tiles that are worked on together may take.
const CACHE: usize = 1 << 17;
/// The numbers of f32 that the transformed images may take where threads share the products.
const ROOM: usize = 1 << 23;
/// The most products of which each part of the batch has sums of its own.
const LARGE: usize = 1 << 18;

/// The gradient of the weights; `None` where a number is not finite, which would spread to others.
pub fn compute(conv: &Conv, images: &Images<'_>, gradient: &Images<'_>) -> Option<Vec<f32>> {
    let gradient = gradient.to_channels_last();
    let job = Job::new(conv);
    let sums = job.sums(images, &gradient)?;
    let [inputs, outputs] = conv.group_channels();
    let (_, places) = conv.forward_runs(&job.layout);
    let mut weights = memory::take(outputs * inputs * 9);
    let of_block = NUMBERS * inputs * job.width;
    let blocks = weights.chunks_mut(job.width * inputs * 9);
    let arch = arch();
    let blocks = blocks.zip(sums.chunks(of_block));
    parallel::each(sums.len(), blocks, |(weights, sums)| {
        let mut taps = memory::take(inputs * 9 * job.width);
        arch.dispatch(ToTaps {
            from: sums,
            to: &mut taps,
            block: job.layout.block,
            width: job.width,
        });
        unpack(&taps, weights, &places, inputs * 9);
        memory::give_back(taps);
    });
    memory::give_back(sums);
    Some(weights)
}

struct Job<'a> {
    conv: &'a Conv,
    /// How the padded copy of an image is read.
    layout: Layout,
    tiles: Vec<Tile>,
    /// Tiles that are worked on together.
    together: usize,
    /// Channels in a block of output channels, and blocks.
    width: usize,
    blocks: usize,
    /// The numbers from one tile of the transformed input to the next.
    step: usize,
}

/// Some tiles after their transformation.
struct Transformed {
    /// `[16, tile, channel]`.
    inputs: Vec<f32>,
    /// `[block, 16, tile, channel]`.
    gradients: Vec<f32>,
    tiles: usize,
}

impl Drop for Transformed {
    fn drop(&mut self) {
        memory::give_back(std::mem::take(&mut self.inputs));
        memory::give_back(std::mem::take(&mut self.gradients));
    }
}

impl<'a> Job<'a> {
    fn new(conv: &'a Conv) -> Self {
        let [inputs, outputs] = conv.group_channels();
        let [_, _, height, width] = conv.output();
        let size = [height, width];
        let padded = Winograd::padded(size, conv.padded());
        let layout = Layout::padded(1, inputs, padded, conv.before());
        let step = inputs + APART;
        let tiles = tiles(&layout, size);
        let together = CACHE / (NUMBERS * (step + outputs)) / 12 * 12;
        let block = output_block(lanes(), outputs);
        Self {
            conv,
            layout,
            together: together.max(24).min(tiles.len()),
            tiles,
            width: block,
            blocks: outputs.div_ceil(block),
            step,
        }
    }

    /// The sums of the products, `[block, 16, input channel, output channel]`.
    fn sums(&self, images: &Images<'_>, gradient: &[f32]) -> Option<Vec<f32>> {
        let count = self.conv.input[0];
        let of_plane = self.conv.input[1] * self.width;
        let len = self.blocks * NUMBERS * of_plane;
        let is_finite = AtomicBool::new(true);
        if len > LARGE {
            // Threads share the products, and not the images.
            let mut sums = memory::take(len);
            sums.fill(0.0);
            let of_image = NUMBERS * self.tiles.len() * (self.step + self.blocks * self.width);
            let together = (ROOM / of_image).max(1);
            for first in (0..count).step_by(together) {
                let some = first..(first + together).min(count);
                let some = parallel::map(MUCH, some, |image| {
                    let mut transformed = self.room(self.tiles.len());
                    let (padded, gradient) = self.image(images, gradient, image, &is_finite);
                    self.transform(&padded, gradient, &self.tiles, &mut transformed);
                    transformed
                });
                let planes = sums.chunks_mut(of_plane).enumerate();
                parallel::each(MUCH, planes, |(plane, sums)| {
                    some.iter()
                        .for_each(|transformed| self.add(transformed, plane, sums));
                });
            }
            return is_finite.into_inner().then_some(sums);
        }
        let parts = PARTS.min(count);
        let sums = parallel::map(MUCH, 0..parts, |part| {
            let mut sums = memory::take(len);
            sums.fill(0.0);
            let mut transformed = self.room(self.together);
            let images_of: Range<usize> = part * count / parts..(part + 1) * count / parts;
            for image in images_of {
                let (padded, gradient) = self.image(images, gradient, image, &is_finite);
                for tiles in self.tiles.chunks(self.together) {
                    self.transform(&padded, gradient, tiles, &mut transformed);
                    let planes = sums.chunks_mut(of_plane).enumerate();
                    planes.for_each(|(plane, sums)| self.add(&transformed, plane, sums));
                }
            }
            sums
        });
        is_finite.into_inner().then(|| add_up(sums))
    }

    fn room(&self, tiles: usize) -> Transformed {
        Transformed {
            inputs: memory::take(NUMBERS * tiles * self.step),
            gradients: memory::take(self.blocks * NUMBERS * tiles * self.width),
            tiles,
        }
    }

    /// A padded copy of an image, and its gradient.
    fn image<'g>(
        &self,
        images: &Images<'_>,
        gradient: &'g [f32],
        image: usize,
        is_finite: &AtomicBool,
    ) -> (Padded, &'g [f32]) {
        let mut padded = Padded::new(self.layout);
        padded.fill(images, image..image + 1, 0);
        let len = gradient.len() / self.conv.input[0];
        let gradient = &gradient[image * len..][..len];
        if !padded.is_finite(0) || !are_finite(gradient) {
            is_finite.store(false, Ordering::Relaxed);
        }
        (padded, gradient)
    }

    /// Transforms some tiles of an image.
    fn transform(&self, padded: &Padded, gradient: &[f32], tiles: &[Tile], to: &mut Transformed) {
        to.tiles = tiles.len();
        arch().dispatch(Transform {
            job: self,
            input: padded.data(),
            gradient,
            tiles,
            to,
        });
    }

    /// Adds the products of some tiles: of one of the 16 numbers, for a block of output channels.
    fn add(&self, transformed: &Transformed, plane: usize, sums: &mut [f32]) {
        let room = transformed.inputs.len() / NUMBERS;
        let number = plane % NUMBERS;
        let places: Vec<_> = (0..transformed.tiles)
            .map(|tile| tile * self.step)
            .collect();
        let len = transformed.gradients.len() / (self.blocks * NUMBERS);
        arch().dispatch(Add {
            runs: &[Run {
                offset: number * room,
                len: self.conv.input[1],
            }],
            places: &places,
            input: &transformed.inputs,
            gradient: &transformed.gradients[plane * len..][..transformed.tiles * self.width],
            width: self.width,
            sums,
        });
    }
}

struct Transform<'a> {
    job: &'a Job<'a>,
    input: &'a [f32],
    /// The gradient of the image, `[H, W, O]`.
    gradient: &'a [f32],
    tiles: &'a [Tile],
    to: &'a mut Transformed,
}

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.job;
        let (inputs, step) = (&mut self.to.inputs, job.step);
        transform_input(simd, &job.layout, self.input, self.tiles, inputs, step);
        let [_, outputs, _, columns] = job.conv.output();
        let (gradient, _) = S::as_simd_f32s(self.gradient);
        let of_number = self.to.gradients.len() / (job.blocks * NUMBERS) / S::F32_LANES;
        let (to, _) = S::as_mut_simd_f32s(&mut self.to.gradients);
        let (of_position, of_block) = (outputs / S::F32_LANES, job.width / S::F32_LANES);
        for (number, tile) in self.tiles.iter().enumerate() {
            for vector in 0..of_position {
                let mut rows = [[simd.splat_f32s(0.0); 4]; 2];
                for y in 0..tile.size[0] {
                    let position = tile.target + y * columns;
                    let left = gradient[position * of_position + vector];
                    let right = match tile.size[1] {
                        2 => gradient[(position + 1) * of_position + vector],
                        _ => simd.splat_f32s(0.0),
                    };
                    rows[y] = gradient_row(simd, [left, right]);
                }
                let (block, lane) = (vector / of_block, vector % of_block);
                let start = block * NUMBERS * of_number + number * of_block + lane;
                for x in 0..4 {
                    let column = gradient_row(simd, [rows[0][x], rows[1][x]]);
                    for y in 0..4 {
                        to[start + (4 * y + x) * of_number] = column[y];
                    }
                }
            }
        }
    }
}

/// Transforms the sums of a block from `[16, input, output]` to `[block, tap, input, output]`.
struct ToTaps<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
    /// The input channels of a block of the copy.
    block: usize,
    /// The output channels of the block.
    width: usize,
}

impl WithSimd for ToTaps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (from, _) = S::as_simd_f32s(self.from);
        let (to, _) = S::as_mut_simd_f32s(self.to);
        let of_tap = self.block * self.width / S::F32_LANES;
        let of_number = from.len() / NUMBERS;
        for (block, to) in to.chunks_exact_mut(9 * of_tap).enumerate() {
            for place in 0..of_tap {
                let mut rows = [[simd.splat_f32s(0.0); 3]; 4];
                for y in 0..4 {
                    let mut numbers = [simd.splat_f32s(0.0); 4];
                    for x in 0..4 {
                        numbers[x] = from[(4 * y + x) * of_number + block * of_tap + place];
                    }
                    rows[y] = weight_row(simd, numbers);
                }
                for x in 0..3 {
                    let column = [rows[0][x], rows[1][x], rows[2][x], rows[3][x]];
                    let column = weight_row(simd, column);
                    for y in 0..3 {
                        to[(3 * y + x) * of_tap + place] = column[y];
                    }
                }
            }
        }
    }
}

/// The last number has the sign of that of the input.
#[inline(always)]
fn gradient_row<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
    let half = simd.splat_f32s(0.5);
    [
        a,
        simd.mul_f32s(half, simd.add_f32s(a, b)),
        simd.mul_f32s(half, simd.sub_f32s(a, b)),
        simd.sub_f32s(simd.splat_f32s(0.0), b),
    ]
}

#[inline(always)]
fn weight_row<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 3] {
    let sum = simd.add_f32s(b, c);
    [
        simd.add_f32s(a, sum),
        simd.sub_f32s(b, c),
        simd.add_f32s(sum, d),
    ]
}
