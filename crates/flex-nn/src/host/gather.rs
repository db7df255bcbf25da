//! The inner loop of a convolution and of its gradient with respect to the input.
//!
//! Both are sums over *runs*: pieces of memory that lie at fixed distances from the place of a
//! position. Each output position is a sum over all runs, for a block of output channels in vectors.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::vector::{are_finite, load, masked, store};
use super::{arch, memory};

/// Where the numbers of some images are: in blocks of channels, `[block, image, y, x, channel]`.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub images: usize,
    pub channels: usize,
    /// The channels of a block; those behind the last one are 0.
    pub block: usize,
    pub height: usize,
    pub width: usize,
    /// Rows above and columns left of an image.
    pub before: [usize; 2],
    pub kind: Kind,
}

/// How images are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Where they are, `[N, H, W, C]`.
    Dense,
    /// From a padded copy.
    Padded,
    /// From a padded copy, in tiles for [`Winograd`](super::winograd::Winograd).
    Tiled,
}

impl Layout {
    /// The layout of a padded copy. Positions are at most 16 numbers apart whatever the number of
    /// channels, which keeps them in different sets of the caches.
    pub fn padded(
        images: usize,
        channels: usize,
        [height, width]: [usize; 2],
        before: [usize; 2],
    ) -> Self {
        Self {
            images,
            channels,
            block: Self::block_of(channels),
            height,
            width,
            before,
            kind: Kind::Padded,
        }
    }

    /// The channels of a block of a padded copy.
    pub fn block_of(channels: usize) -> usize {
        match channels {
            0..=16 => channels,
            _ => (8..=16)
                .rev()
                .find(|block| channels.is_multiple_of(*block))
                .unwrap_or(16),
        }
    }

    /// The layout `[N, H, W, C]`.
    pub fn dense(images: usize, channels: usize, [height, width]: [usize; 2]) -> Self {
        Self {
            images,
            channels,
            block: channels,
            height,
            width,
            before: [0, 0],
            kind: Kind::Dense,
        }
    }

    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(self.block)
    }

    /// The place of position `(y, x)` of an image in block `block`, counted with the padding.
    pub fn place(&self, block: usize, image: usize, y: usize, x: usize) -> usize {
        (((block * self.images + image) * self.height + y) * self.width + x) * self.block
    }

    fn len(&self) -> usize {
        self.blocks() * self.images * self.height * self.width * self.block
    }
}

/// A padded copy of some images.
pub struct Padded {
    layout: Layout,
    data: Vec<f32>,
}

impl Drop for Padded {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        SCRATCH.with_borrow_mut(|kept| {
            if data.len() > kept.len() {
                memory::give_back(std::mem::replace(kept, data));
            } else {
                memory::give_back(data);
            }
        });
    }
}

thread_local! {
    /// The largest copy of each thread, which it needs no lock to use again.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Numbers behind the last one, which a tile of columns may read and does not use.
const TAIL: usize = 64;

impl Padded {
    pub fn new(layout: Layout) -> Self {
        let len = layout.len() + TAIL;
        let kept = SCRATCH.take();
        let data = if kept.len() >= len {
            kept
        } else {
            memory::give_back(kept);
            memory::take(len)
        };
        Self { layout, data }
    }

    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Whether all numbers of an image are finite.
    pub fn is_finite(&self, image: usize) -> bool {
        let layout = &self.layout;
        let len = layout.height * layout.width * layout.block;
        let blocks = (0..layout.blocks()).map(|block| layout.place(block, image, 0, 0));
        let mut blocks = blocks.map(|place| &self.data[place..][..len]);
        blocks.all(are_finite)
    }

    /// Copies the channels from `channel` on of some images, at most as many as there is room for, and
    /// clears the borders.
    pub fn fill(&mut self, images: &super::Images<'_>, some: Range<usize>, channel: usize) {
        arch().dispatch(|| self.fill_all(images, some, channel));
    }

    #[inline(always)]
    fn fill_all(&mut self, images: &super::Images<'_>, some: Range<usize>, channel: usize) {
        let [_, _, height, width] = images.shape();
        let layout = self.layout;
        let [top, left] = layout.before;
        let step = layout.block;
        for block in 0..layout.blocks() {
            let first = block * step;
            let channels = first..(first + step).min(layout.channels);
            let is_whole = channels.len() == step;
            let channels = channels.start + channel..channels.end + channel;
            for (own, image) in some.clone().enumerate() {
                let place = layout.place(block, own, 0, 0);
                let plane = &mut self.data[place..][..layout.height * layout.width * step];
                let mut end = 0;
                for y in 0..height {
                    let start = ((top + y) * layout.width + left) * step;
                    plane[end..start].fill(0.0);
                    end = start + width * step;
                    let row = &mut plane[start..end];
                    if !is_whole {
                        row.fill(0.0);
                    }
                    images.copy_row(image, y, channels.clone(), row, step);
                }
                plane[end..].fill(0.0);
            }
        }
    }
}

/// A piece of memory that a position sums over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// The start, counted from the place of the position.
    pub offset: usize,
    pub len: usize,
}

/// The positions of an output that sum over the same runs.
pub struct Phase {
    pub runs: Vec<Run>,
    /// The place of each position in the padded copy.
    pub places: Vec<usize>,
    /// The position of the output.
    pub targets: Vec<usize>,
    /// The weights: for each block of output channels all runs, and for each number of a run the
    /// weights of the block.
    pub weights: Vec<f32>,
}

/// The number of output channels in a block of the weights.
pub fn output_block(lanes: usize, channels: usize) -> usize {
    match lanes {
        16 if channels <= 16 => 16,
        16 => 32,
        _ => 16,
    }
}

/// Sums over all runs of all positions of a phase.
pub struct Gather<'a> {
    pub phase: &'a Phase,
    /// The numbers of the positions that are computed.
    pub positions: Range<usize>,
    pub input: &'a [f32],
    /// The output of `channels` of `stride` channels for each position, from channel `first` on.
    pub output: &'a mut [f32],
    pub stride: usize,
    pub first: usize,
    pub channels: usize,
    pub finish: Finish<'a>,
}

/// What is done with the sums of a position before they are stored, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finish<'a> {
    /// A factor for each channel.
    pub scale: Option<&'a [f32]>,
    /// A number that is added to each channel.
    pub shift: Option<&'a [f32]>,
    /// Whether the numbers that are in the output are added.
    pub add: bool,
    /// Whether negative numbers become 0; NaN stays.
    pub relu: bool,
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.channels;
        with_tiles(simd, channels, self);
    }
}

/// Work in tiles of `P` positions and `V` vectors of channels, which stay in registers.
pub trait Tiled {
    fn all<S: Simd, const V: usize, const P: usize>(self, simd: S);
}

/// Does work for so many output channels, in tiles that suit the registers.
#[inline(always)]
pub fn with_tiles<S: Simd>(simd: S, channels: usize, work: impl Tiled) {
    match (S::F32_LANES, output_block(S::F32_LANES, channels)) {
        (16, 16) => work.all::<S, 1, 14>(simd),
        (16, _) => work.all::<S, 2, 12>(simd),
        (8, _) => work.all::<S, 2, 6>(simd),
        (4, _) => work.all::<S, 4, 6>(simd),
        _ => work.all::<S, 16, 1>(simd),
    }
}

impl Tiled for Gather<'_> {
    #[inline(always)]
    fn all<S: Simd, const V: usize, const P: usize>(self, simd: S) {
        let width = V * S::F32_LANES;
        let (weights, _) = S::as_simd_f32s(&self.phase.weights);
        let len: usize = self.phase.runs.iter().map(|run| run.len).sum();
        for block in 0..self.channels.div_ceil(width) {
            let weights = &weights[block * len * V..][..len * V];
            let first = block * width;
            let count = width.min(self.channels - first);
            let places = &self.phase.places[self.positions.clone()];
            let targets = &self.phase.targets[self.positions.clone()];
            for (places, targets) in places.chunks(P).zip(targets.chunks(P)) {
                // The last tile repeats a position and does not store it.
                let places = std::array::from_fn(|p| places[p.min(places.len() - 1)]);
                let sums = tile::<S, V, P>(simd, &self.phase.runs, self.input, &places, weights);
                for (target, sums) in targets.iter().zip(&sums) {
                    let start = target * self.stride + self.first + first;
                    let output = &mut self.output[start..][..count];
                    self.finish.store(simd, self.first + first, output, sums);
                }
            }
        }
    }
}

impl Finish<'_> {
    /// Finishes and stores the sums of the channels from `first` on, as many as there is room for.
    #[inline(always)]
    pub fn store<S: Simd, const V: usize>(
        &self,
        simd: S,
        first: usize,
        output: &mut [f32],
        sums: &[S::f32s; V],
    ) {
        let channels = output.chunks_mut(S::F32_LANES).zip(sums).enumerate();
        for (v, (output, sum)) in channels {
            self.store_vector(simd, first + v * S::F32_LANES, output, *sum);
        }
    }

    /// As [`store`](Self::store), for at most one vector.
    #[inline(always)]
    pub fn store_vector<S: Simd>(&self, simd: S, first: usize, output: &mut [f32], mut y: S::f32s) {
        if let Some(scale) = self.scale {
            y = simd.mul_f32s(y, load(simd, &scale[first..][..output.len()]));
        }
        if let Some(shift) = self.shift {
            y = simd.add_f32s(y, load(simd, &shift[first..][..output.len()]));
        }
        if self.add {
            y = simd.add_f32s(y, load(simd, output));
        }
        if self.relu {
            y = masked(simd, y, y);
        }
        store(simd, output, y);
    }
}

/// The sums of `P` positions for `V` vectors of channels.
#[inline(always)]
pub fn tile<S: Simd, const V: usize, const P: usize>(
    simd: S,
    runs: &[Run],
    input: &[f32],
    places: &[usize; P],
    mut weights: &[S::f32s],
) -> [[S::f32s; V]; P] {
    /// Numbers of a run between two looks at the places, which do not fit into registers.
    const UNROLL: usize = 8;
    let mut sums = [[simd.splat_f32s(0.0); V]; P];
    for run in runs {
        let (own, rest) = weights.split_at(run.len * V);
        weights = rest;
        let rows: [&[f32]; P] =
            std::array::from_fn(|p| &input[places[p] + run.offset..][..run.len]);
        let count = run.len / UNROLL;
        let chunks: [&[[f32; UNROLL]]; P] =
            std::array::from_fn(|p| &rows[p].as_chunks::<UNROLL>().0[..count]);
        let (own, _) = own.as_chunks::<V>();
        let (unrolled, last) = own.as_chunks::<UNROLL>();
        for (chunk, weights) in unrolled[..count].iter().enumerate() {
            for (number, weights) in weights.iter().enumerate() {
                for (sums, chunks) in sums.iter_mut().zip(&chunks) {
                    let x = simd.splat_f32s(chunks[chunk][number]);
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = simd.mul_add_f32s(x, *weight, *sum);
                    }
                }
            }
        }
        for (number, weights) in last.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let x = simd.splat_f32s(row[count * UNROLL + number]);
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = simd.mul_add_f32s(x, *weight, *sum);
                }
            }
        }
    }
    sums
}
