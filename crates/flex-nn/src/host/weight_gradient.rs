//! The gradient of a convolution with respect to its weights.
//!
//! For each number of a run, and so for each channel and tap, it is the sum over all positions of that
//! number times the gradient of a block of output channels, which is in vectors.

use pulp::{Simd, WithSimd};

use super::conv::CACHE;
use super::gather::{Layout, Padded, Run, output_block};
use super::parallel::{self, MUCH};
use super::weights::unpack;
use super::winograd_gradient;
use super::{Conv, Images, arch, lanes, memory};

/// The positions that are worked on together: what is read of them stays in the first cache.
const POSITIONS: usize = 128;
/// The parts of a batch whose sums are made apart and then added up, so that they do not depend on the
/// number of threads.
pub const PARTS: usize = 8;
/// The most weights of which each part has sums of its own.
const LARGE: usize = 1 << 17;

pub fn compute(conv: &Conv, images: &Images<'_>, gradient: &Images<'_>) -> Vec<f32> {
    if conv.is_winograd(conv.input[1], conv.output())
        && let Some(weights) = winograd_gradient::compute(conv, images, gradient)
    {
        return weights;
    }
    let [inputs, outputs] = conv.group_channels();
    let [kernel_height, kernel_width] = conv.kernel;
    let taps = kernel_height * kernel_width;
    let of_group = outputs * inputs * taps;
    let mut weights = memory::take(conv.groups * of_group);
    for (group, weights) in weights.chunks_exact_mut(of_group.max(1)).enumerate() {
        let job = Job::new(conv, group, images);
        let sums = job.sums(images, gradient);
        let width = job.width;
        let blocks = weights
            .chunks_mut(width * inputs * taps)
            .zip(sums.chunks(job.weight_places.len() * width));
        parallel::each(sums.len(), blocks, |(weights, sums)| {
            unpack(sums, weights, &job.weight_places, inputs * taps);
        });
        memory::give_back(sums);
    }
    weights
}

/// The gradient of the weights of a group of channels.
struct Job<'a> {
    conv: &'a Conv,
    group: usize,
    /// The copy of the images that are worked on together.
    layout: Layout,
    runs: Vec<Run>,
    /// The place of the weight of each number of the runs.
    weight_places: Vec<Option<usize>>,
    /// Channels in a block of output channels, and blocks.
    width: usize,
    blocks: usize,
    /// The place of each position of the images.
    places: Vec<usize>,
    /// The images `[N, H, W, C]`, where they need no copy.
    dense: Option<&'a [f32]>,
}

/// The copies of some images.
struct Copies {
    /// The number of the first image.
    first: usize,
    /// The images, unless they are read where they are.
    padded: Option<Padded>,
    /// The gradient of each block of output channels, `[block, position, channel]`.
    gradient: Vec<f32>,
    images: usize,
}

impl Drop for Copies {
    fn drop(&mut self) {
        memory::give_back(std::mem::take(&mut self.gradient));
    }
}

impl<'a> Job<'a> {
    fn new(conv: &'a Conv, group: usize, images: &Images<'a>) -> Self {
        let [inputs, outputs] = conv.group_channels();
        let [_, _, height, width] = conv.output();
        let [padded_height, padded_width] = conv.padded();
        let numbers = inputs * padded_height * padded_width + outputs * height * width;
        // Enough pieces for some threads, and the same ones for any number of threads.
        let together = (CACHE / numbers.max(1)).clamp(1, conv.input[0].div_ceil(PARTS).max(1));
        let is_possible = conv.groups == 1 && conv.padding == [[0; 2]; 2];
        let dense = images.as_channels_last().filter(|_| is_possible);
        let layout = match dense {
            Some(_) => Layout::dense(together, inputs, conv.padded()),
            None => Layout::padded(together, inputs, conv.padded(), conv.before()),
        };
        let (runs, weight_places) = conv.forward_runs(&layout);
        let places = conv.forward_places(&layout);
        let block = output_block(lanes(), outputs);
        Self {
            conv,
            group,
            layout,
            runs,
            weight_places,
            width: block,
            blocks: outputs.div_ceil(block),
            places,
            dense,
        }
    }

    /// The sums for each block of output channels and each number of a run, `[block, number, channel]`.
    fn sums(&self, images: &Images<'_>, gradient: &Images<'_>) -> Vec<f32> {
        let len = self.blocks * self.weight_places.len() * self.width;
        let pieces = self.conv.input[0].div_ceil(self.layout.images);
        if len > LARGE {
            // Threads share the weights, and not the images.
            let copies = parallel::map(MUCH, 0..pieces, |piece| {
                let mut copies = self.copies();
                self.fill(&mut copies, piece, images, gradient);
                copies
            });
            let mut sums = memory::take(len);
            let blocks = sums.chunks_mut(self.weight_places.len() * self.width);
            parallel::each(MUCH, blocks.enumerate(), |(block, sums)| {
                sums.fill(0.0);
                for copies in &copies {
                    self.add(copies, block, sums);
                }
            });
            return sums;
        }
        let parts = PARTS.min(pieces).max(1);
        let sums = parallel::map(MUCH, 0..parts, |part| {
            let mut sums = memory::take(len);
            sums.fill(0.0);
            let mut copies = self.copies();
            for piece in part * pieces / parts..(part + 1) * pieces / parts {
                self.fill(&mut copies, piece, images, gradient);
                let blocks = sums.chunks_mut(self.weight_places.len() * self.width);
                blocks
                    .enumerate()
                    .for_each(|(block, sums)| self.add(&copies, block, sums));
            }
            sums
        });
        add_up(sums)
    }

    fn copies(&self) -> Copies {
        Copies {
            first: 0,
            padded: self.dense.is_none().then(|| Padded::new(self.layout)),
            gradient: memory::take(self.blocks * self.places.len() * self.width),
            images: 0,
        }
    }

    /// Copies piece `piece` of the batch.
    fn fill(&self, copies: &mut Copies, piece: usize, images: &Images<'_>, gradient: &Images<'_>) {
        let first = piece * self.layout.images;
        copies.images = self.layout.images.min(self.conv.input[0] - first);
        let [inputs, outputs] = self.conv.group_channels();
        let [_, _, height, width] = self.conv.output();
        copies.first = first;
        if let Some(padded) = &mut copies.padded {
            padded.fill(images, first..first + copies.images, self.group * inputs);
        }
        let block = self.places.len() * self.width;
        for (number, to) in copies.gradient.chunks_exact_mut(block).enumerate() {
            let channels = number * self.width..((number + 1) * self.width).min(outputs);
            let start = self.group * outputs;
            let channels = start + channels.start..start + channels.end;
            let rows = to
                .chunks_exact_mut(width * self.width)
                .take(copies.images * height);
            arch().dispatch(|| {
                for (row, to) in rows.enumerate() {
                    let (image, y) = (first + row / height, row % height);
                    gradient.copy_row(image, y, channels.clone(), to, self.width);
                }
            });
        }
    }

    /// Adds the sums over the positions of some images for a block of output channels.
    fn add(&self, copies: &Copies, block: usize, sums: &mut [f32]) {
        let positions = self.places.len() / self.layout.images * copies.images;
        let gradient = &copies.gradient[block * self.places.len() * self.width..];
        let input = match (&copies.padded, self.dense) {
            (Some(padded), _) => padded.data(),
            (None, images) => {
                &images.unwrap_or_default()[self.layout.place(0, copies.first, 0, 0)..]
            }
        };
        arch().dispatch(Add {
            runs: &self.runs,
            places: &self.places[..positions],
            input,
            gradient: &gradient[..positions * self.width],
            width: self.width,
            sums,
        });
    }
}

/// The sums of all parts, in their order; the memory of the parts is given back.
pub fn add_up(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |mut total, part| {
        let pairs = total.iter_mut().zip(&part);
        pairs.for_each(|(total, part)| *total += part);
        memory::give_back(part);
        total
    })
}

/// Adds to the sums, `[number, channel]`, the products of each number of the runs with the gradient,
/// `[position, channel]`, over all positions.
pub struct Add<'a> {
    pub runs: &'a [Run],
    pub places: &'a [usize],
    pub input: &'a [f32],
    pub gradient: &'a [f32],
    /// The channels of a block: those of `output_block`.
    pub width: usize,
    pub sums: &'a mut [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (S::F32_LANES, self.width) {
            (16, 16) => self.all::<S, 1, 24>(simd),
            (16, _) => self.all::<S, 2, 12>(simd),
            (8, _) => self.all::<S, 2, 6>(simd),
            (4, _) => self.all::<S, 4, 6>(simd),
            _ => self.all::<S, 16, 1>(simd),
        }
    }
}

impl Add<'_> {
    /// Computes tiles of `P` numbers of a run and `V` vectors of output channels.
    #[inline(always)]
    fn all<S: Simd, const V: usize, const P: usize>(self, simd: S) {
        let (gradient, _) = S::as_simd_f32s(self.gradient);
        let (gradient, _) = gradient.as_chunks::<V>();
        let (sums, _) = S::as_mut_simd_f32s(self.sums);
        let (sums, _) = sums.as_chunks_mut::<V>();
        let pieces = self
            .places
            .chunks(POSITIONS)
            .zip(gradient.chunks(POSITIONS));
        for (places, gradient) in pieces {
            let mut sums = &mut sums[..];
            for run in self.runs {
                let (own, rest) = sums.split_at_mut(run.len);
                sums = rest;
                let (mut offset, mut own) = (run.offset, own);
                while !own.is_empty() {
                    // A tile that is wider than what is left reads numbers that it does not store.
                    let (tile, rest) = own.split_at_mut(P.min(own.len()));
                    if tile.len() <= 4 && P > 4 {
                        columns::<S, V, 4>(simd, places, offset, self.input, gradient, tile);
                    } else if tile.len() <= 8 && P > 8 {
                        columns::<S, V, 8>(simd, places, offset, self.input, gradient, tile);
                    } else if tile.len() <= 16 && P > 16 {
                        columns::<S, V, 16>(simd, places, offset, self.input, gradient, tile);
                    } else {
                        columns::<S, V, P>(simd, places, offset, self.input, gradient, tile);
                    }
                    offset += tile.len();
                    own = rest;
                }
            }
        }
    }
}

/// Adds to `sums` the products of the numbers from `offset` on of each position with its gradient.
#[inline(always)]
fn columns<S: Simd, const V: usize, const P: usize>(
    simd: S,
    places: &[usize],
    offset: usize,
    input: &[f32],
    gradient: &[[S::f32s; V]],
    sums: &mut [[S::f32s; V]],
) {
    let mut tile = [[simd.splat_f32s(0.0); V]; P];
    // By constant indices alone, or the compiler keeps the tile in memory.
    for (p, tile) in tile.iter_mut().enumerate() {
        if let Some(sum) = sums.get(p) {
            *tile = *sum;
        }
    }
    let input = &input[offset..];
    for (&place, gradient) in places.iter().zip(gradient) {
        let behind = &input[place..];
        let mut last = [0.0; P];
        let numbers: &[f32; P] = match behind.first_chunk() {
            Some(numbers) => numbers,
            None => {
                // A tile that is wider than what is left, at the end of images without a tail.
                last[..behind.len()].copy_from_slice(behind);
                &last
            }
        };
        for (tile, number) in tile.iter_mut().zip(numbers) {
            let x = simd.splat_f32s(*number);
            for (sum, gradient) in tile.iter_mut().zip(gradient) {
                *sum = simd.mul_add_f32s(x, *gradient, *sum);
            }
        }
    }
    for (p, tile) in tile.iter().enumerate() {
        if let Some(sum) = sums.get_mut(p) {
            *sum = *tile;
        }
    }
}
