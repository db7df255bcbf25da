//! The interface between the kernels and the memory layouts of boxes and masks.

use std::ops::Range;

use bytemuck::Pod;

/// The most elements of a sample in a tile. A tile stays in the L1 or L2 cache between the times
/// that it is touched, so that nothing is read from memory twice.
pub const TILE: usize = 1 << 13;

/// The place of a batch in memory: blocks, in each block the samples one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// The place of the first element.
    pub base: usize,
    pub batch: usize,
    /// The distance from one sample to the next.
    pub sample_stride: usize,
    /// Whether memory has the samples in reverse order.
    pub is_reversed: bool,
    /// Whether memory has no other element between those of the batch.
    pub is_dense: bool,
    /// The number of elements from the first to the last one of a sample within a block.
    pub extent: usize,
    /// The number of blocks.
    pub blocks: usize,
}

/// The selection of blocks to visit.
#[derive(Clone, Copy, Debug)]
pub enum Blocks {
    All,
    /// All blocks that a region covers something of.
    Touched,
}

/// The elements of a batch that regions cover.
pub trait Area: Sync {
    type Block<'a>: Block
    where
        Self: 'a;

    fn placement(&self) -> &Placement;

    /// Visits blocks in the order of memory, with the place where each begins, after the base. They
    /// are made one at a time, because a batch whose samples lie innermost has as many blocks as
    /// pixels.
    fn visit_blocks(&self, which: Blocks, visit: impl FnMut(usize, &Self::Block<'_>));
}

/// The elements that regions cover in one block, cut into tiles. A tile is at the same place in every
/// sample.
pub trait Block: Sync {
    type Tile: Sync;
    type Rows<'a>: Rows
    where
        Self: 'a;

    /// Whether one region holds for all samples.
    fn has_one_region(&self) -> bool;

    /// The number of elements that the regions of all samples cover.
    fn elements(&self) -> usize;

    /// The most elements of a sample in a tile.
    fn tile_elements(&self) -> usize;

    /// The number of tiles; 0 if no region covers anything.
    fn tiles(&self) -> usize;

    /// The tile of this number. Tiles are numbered in the order of memory.
    fn tile(&self, index: usize) -> Self::Tile;

    /// The place in a sample where a tile begins.
    fn start(&self, tile: &Self::Tile) -> usize;

    /// The rows of a tile that the region of a sample covers, if any, among the elements of the sample
    /// from `start` on.
    fn rows(&self, tile: &Self::Tile, sample: usize, start: usize) -> Option<Self::Rows<'_>>;
}

/// Rows of consecutive elements, in the order of memory.
pub trait Rows: Copy {
    /// The same rows without anything between them.
    fn packed(self) -> Self;

    /// The range from the first element to the last.
    fn extent(self) -> Range<usize>;

    /// The rows among these elements.
    fn of<E>(self, elements: &[E]) -> impl Iterator<Item = &[E]>;

    /// The rows among these elements.
    fn of_mut<E>(self, elements: &mut [E]) -> impl Iterator<Item = &mut [E]>;

    /// Copies the rows `from` of the source to the rows `at` of the target, which are as many of the
    /// same lengths.
    fn copy<E: Pod>(target: &mut [E], at: Self, source: &[E], from: Self);
}

/// One place of a box, the last axis fastest: its offset and its index along each axis.
pub fn locate(
    strides: impl Iterator<Item = usize>,
    ranges: &[Range<usize>],
    mut place: usize,
) -> (usize, Vec<usize>) {
    let mut index = vec![0; ranges.len()];
    for (index, range) in index.iter_mut().zip(ranges).rev() {
        *index = range.start + place % range.len();
        place /= range.len();
    }
    let steps = index
        .iter()
        .zip(strides)
        .map(|(index, stride)| index * stride);
    (steps.sum(), index)
}
