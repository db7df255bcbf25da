//! 3 x 3 convolutions with stride 1 in 4 multiplications for each position instead of 9: F(2 x 2, 3 x 3)
//! of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308, section 4.1.
//!
//! The output is computed in tiles of 2 x 2 positions. The 4 x 4 positions of the input that a tile
//! needs and the 3 x 3 weights are each transformed to 4 x 4 numbers; these are multiplied and summed
//! over the channels, as a matrix product for each of the 16, and transformed to the tile.

#![allow(clippy::needless_range_loop)] // x and y are the columns and rows of tiles

use pulp::{Simd, WithSimd};

use super::gather::{Finish, Layout, Run, Tiled, output_block, tile, with_tiles};
use super::{arch, lanes, memory, parallel};

/// The numbers of a transformed tile.
pub const NUMBERS: usize = 16;
/// The most tiles that are worked on together. It is a multiple of the positions that [`tile`] takes.
const TOGETHER: usize = 84;
/// The numbers of f32 that the transformed input of these tiles may take.
const CACHE: usize = 3 << 15;
/// The numbers between two tiles of the transformed input, which keep them in different sets of the
/// caches.
pub const APART: usize = 16;
/// The number of tiles from which on the transformation of the weights pays.
const ENOUGH: usize = 192;

/// A tile of the output.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// The place of its first input position in the padded copy.
    pub place: usize,
    /// Its first output position.
    pub target: usize,
    /// Its rows and columns that are inside the output: 1 or 2.
    pub size: [usize; 2],
}

/// A convolution of padded images to an output of this height and width.
pub struct Winograd {
    layout: Layout,
    channels: usize,
    /// The transformed weights.
    weights: Vec<f32>,
    /// The run of each of the 16 products.
    runs: Vec<Run>,
    /// The distance of two tiles of the transformed input.
    step: usize,
    /// The tiles of an image, one after the other for all images of the layout.
    tiles: Vec<Tile>,
    together: usize,
    /// The columns of the output.
    columns: usize,
}

impl Winograd {
    /// Whether it is faster than the sum over all taps, for an output of this shape `[N, C, H, W]` from
    /// so many input channels. The channels must fill vectors.
    pub fn pays(inputs: usize, [n, channels, height, width]: [usize; 4]) -> bool {
        let fills = |channels: usize| channels.is_multiple_of(lanes().max(8));
        let block = Layout::block_of(inputs);
        let are_whole = inputs.is_multiple_of(block) && fills(block) && fills(channels);
        let tiles = n * height.div_ceil(2) * width.div_ceil(2);
        are_whole && inputs >= 32 && tiles >= ENOUGH
    }

    /// The size of a padded image, with room for whole tiles of an output of this size.
    pub fn padded(output: [usize; 2], padded: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| padded[axis].max(output[axis].next_multiple_of(2) + 2))
    }

    /// Prepares the convolution; `weights` are packed for the layout, with 9 taps.
    pub fn new(layout: Layout, channels: usize, size: [usize; 2], weights: &[f32]) -> Self {
        let block = layout.block;
        let numbers = layout.channels;
        let width = output_block(lanes(), channels);
        let mut transformed = memory::take(weights.len() / 9 * NUMBERS);
        let outputs = transformed
            .chunks_mut(NUMBERS * numbers * width)
            .zip(weights.chunks(9 * numbers * width));
        let arch = arch();
        parallel::each(weights.len(), outputs, |(to, from)| {
            arch.dispatch(Transform {
                from,
                to,
                block,
                width,
            });
        });
        let step = numbers + APART;
        let together = CACHE / (NUMBERS * step) / 12 * 12;
        let together = together.clamp(12, TOGETHER);
        let run = |number| Run {
            offset: number * together * step,
            len: numbers,
        };
        let tiles = tiles(&layout, size);
        let [_, columns] = size;
        Self {
            layout,
            channels,
            weights: transformed,
            runs: (0..NUMBERS).map(run).collect(),
            step,
            tiles,
            together,
            columns,
        }
    }

    /// Computes the output `[N, H, W, O]` of some images of the padded copy.
    pub fn apply(
        &self,
        images: std::ops::Range<usize>,
        input: &[f32],
        output: &mut [f32],
        finish: Finish<'_>,
    ) {
        let of_image = self.tiles.len() / self.layout.images;
        let width = output_block(lanes(), self.channels);
        let mut inputs = memory::take(NUMBERS * self.together * self.step);
        let mut products = memory::take(NUMBERS * self.together * width);
        arch().dispatch(Apply {
            winograd: self,
            tiles: &self.tiles[images.start * of_image..images.end * of_image],
            input,
            output,
            finish,
            inputs: &mut inputs,
            products: &mut products,
        });
        memory::give_back(inputs);
        memory::give_back(products);
    }
}

/// The tiles of an output of this height and width, for all images of the layout.
pub fn tiles(layout: &Layout, [rows, columns]: [usize; 2]) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for image in 0..layout.images {
        for y in (0..rows).step_by(2) {
            for x in (0..columns).step_by(2) {
                tiles.push(Tile {
                    place: layout.place(0, image, y, x),
                    target: (image * rows + y) * columns + x,
                    size: [(rows - y).min(2), (columns - x).min(2)],
                });
            }
        }
    }
    tiles
}

/// Transforms the input of some tiles to `[16, tile, channel]`, with `step` numbers from tile to tile
/// and as much room as there is for all.
#[inline(always)]
pub fn transform_input<S: Simd>(
    simd: S,
    layout: &Layout,
    input: &[f32],
    tiles: &[Tile],
    to: &mut [f32],
    step: usize,
) {
    let of_row = layout.width * layout.block / S::F32_LANES;
    let of_position = layout.block / S::F32_LANES;
    let of_number = to.len() / NUMBERS / S::F32_LANES;
    let of_tile = step / S::F32_LANES;
    let (input, _) = S::as_simd_f32s(input);
    let (to, _) = S::as_mut_simd_f32s(to);
    for block in 0..layout.blocks() {
        let first = layout.place(block, 0, 0, 0) / S::F32_LANES;
        for vector in 0..of_position {
            for (number, tile) in tiles.iter().enumerate() {
                let place = first + tile.place / S::F32_LANES + vector;
                let mut rows = [[simd.splat_f32s(0.0); 4]; 4];
                for y in 0..4 {
                    let positions = &input[place + y * of_row..][..3 * of_position + 1];
                    for x in 0..4 {
                        rows[y][x] = positions[x * of_position];
                    }
                    rows[y] = input_row(simd, rows[y]);
                }
                let start = number * of_tile + block * of_position + vector;
                for x in 0..4 {
                    let column = [rows[0][x], rows[1][x], rows[2][x], rows[3][x]];
                    let column = input_row(simd, column);
                    for y in 0..4 {
                        to[(4 * y + x) * of_number + start] = column[y];
                    }
                }
            }
        }
    }
}

impl Drop for Winograd {
    fn drop(&mut self) {
        memory::give_back(std::mem::take(&mut self.weights));
    }
}

/// Transforms the weights of a block of output channels from `[block, tap, channel, output]` to
/// `[16, number, output]`, where the numbers are the channels of all blocks.
struct Transform<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
    /// The input channels of a block of the copy.
    block: usize,
    /// The output channels of the block.
    width: usize,
}

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (from, _) = S::as_simd_f32s(self.from);
        let (to, _) = S::as_mut_simd_f32s(self.to);
        let vectors = self.width / S::F32_LANES;
        let len = to.len() / NUMBERS;
        let blocks = from.chunks_exact(9 * self.block * vectors);
        for (of_block, from) in blocks.enumerate() {
            let first = of_block * self.block * vectors;
            for number in 0..self.block * vectors {
                let mut columns = [[simd.splat_f32s(0.0); 3]; 4];
                for x in 0..3 {
                    let mut taps = [simd.splat_f32s(0.0); 3];
                    for y in 0..3 {
                        taps[y] = from[(3 * y + x) * self.block * vectors + number];
                    }
                    let column = weight_row(simd, taps);
                    for y in 0..4 {
                        columns[y][x] = column[y];
                    }
                }
                for y in 0..4 {
                    let row = weight_row(simd, columns[y]);
                    for x in 0..4 {
                        to[(4 * y + x) * len + first + number] = row[x];
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn weight_row<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 4] {
    let half = simd.splat_f32s(0.5);
    let sum = simd.add_f32s(a, c);
    [
        a,
        simd.mul_f32s(half, simd.add_f32s(sum, b)),
        simd.mul_f32s(half, simd.sub_f32s(sum, b)),
        c,
    ]
}

struct Apply<'a> {
    winograd: &'a Winograd,
    tiles: &'a [Tile],
    input: &'a [f32],
    output: &'a mut [f32],
    finish: Finish<'a>,
    /// Room for the transformed input, `[16, tile, channel]`.
    inputs: &'a mut [f32],
    /// Room for the products with a block of output channels, `[16, tile, channel]`.
    products: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.winograd.channels;
        with_tiles(simd, channels, self);
    }
}

impl Tiled for Apply<'_> {
    #[inline(always)]
    fn all<S: Simd, const V: usize, const P: usize>(mut self, simd: S) {
        let winograd = self.winograd;
        let width = V * S::F32_LANES;
        let (weights, _) = S::as_simd_f32s(&winograd.weights);
        let len = winograd.layout.blocks() * winograd.layout.block * V;
        for tiles in self.tiles.chunks(winograd.together) {
            let step = winograd.step;
            transform_input(simd, &winograd.layout, self.input, tiles, self.inputs, step);
            for first in (0..winograd.channels).step_by(width) {
                let weights = &weights[first / width * NUMBERS * len..][..NUMBERS * len];
                for (number, weights) in weights.chunks_exact(len).enumerate() {
                    let runs = &winograd.runs[number..=number];
                    let products = &mut self.products[number * winograd.together * width..];
                    let (products, _) = S::as_mut_simd_f32s(&mut products[..tiles.len() * width]);
                    let (products, _) = products.as_chunks_mut::<V>();
                    for (group, products) in products.chunks_mut(P).enumerate() {
                        let mut places = [0; P];
                        for (tile, place) in places.iter_mut().enumerate() {
                            *place = (group * P + tile).min(tiles.len() - 1) * winograd.step;
                        }
                        let sums = tile::<S, V, P>(simd, runs, self.inputs, &places, weights);
                        products.copy_from_slice(&sums[..products.len()]);
                    }
                }
                self.transform_output::<S, V>(simd, tiles, first);
            }
        }
    }
}

impl Apply<'_> {
    #[inline(always)]
    fn transform_output<S: Simd, const V: usize>(&mut self, simd: S, tiles: &[Tile], first: usize) {
        let &Winograd {
            channels,
            together,
            columns,
            ..
        } = self.winograd;
        let count = V.min((channels - first) / S::F32_LANES);
        let (products, _) = S::as_simd_f32s(self.products);
        let (products, _) = products.as_chunks::<V>();
        for (number, tile) in tiles.iter().enumerate() {
            for v in 0..count {
                let mut rows = [[simd.splat_f32s(0.0); 2]; 4];
                for y in 0..4 {
                    let mut numbers = [simd.splat_f32s(0.0); 4];
                    for x in 0..4 {
                        numbers[x] = products[(4 * y + x) * together + number][v];
                    }
                    rows[y] = output_row(simd, numbers);
                }
                let channel = first + v * S::F32_LANES;
                for x in 0..tile.size[1] {
                    let column = [rows[0][x], rows[1][x], rows[2][x], rows[3][x]];
                    let column = output_row(simd, column);
                    for y in 0..tile.size[0] {
                        let position = tile.target + y * columns + x;
                        let to = &mut self.output[position * channels + channel..];
                        let to = &mut to[..S::F32_LANES];
                        self.finish.store_vector(simd, channel, to, column[y]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn input_row<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [
        simd.sub_f32s(a, c),
        simd.add_f32s(b, c),
        simd.sub_f32s(c, b),
        simd.sub_f32s(b, d),
    ]
}

#[inline(always)]
fn output_row<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [
        simd.add_f32s(simd.add_f32s(a, b), c),
        simd.sub_f32s(simd.sub_f32s(b, c), d),
    ]
}
