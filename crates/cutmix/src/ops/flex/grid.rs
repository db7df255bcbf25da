//! How the regions of a batch lie in memory.

use std::ops::Range;

use burn::backend::flex::Layout;

use crate::ops::axes::{Axes, Axis, around};
use crate::plan::Region;

/// The most elements that a tile has of a sample. Few enough that they stay in a near cache between
/// the times that they are touched, so that nothing is read from memory twice.
pub const TILE: usize = 1 << 13;

/// The elements of a batch in the order of their memory: blocks, in each block the samples one
/// behind the other, in each sample planes of rows of consecutive elements.
#[derive(Debug)]
pub struct Grid {
    /// Where the first element lies.
    pub base: usize,
    pub batch: usize,
    /// From one sample to the next.
    pub sample_stride: usize,
    /// Whether the samples lie in memory in reverse.
    pub reversed: bool,
    /// Axes with a larger stride than the samples'; usually none.
    outer: Vec<Axis>,
    planes: Vec<Axis>,
    rows: Axis,
    columns: Axis,
    /// Whether no element lies between those of the batch.
    pub is_dense: bool,
    /// Elements from the first to the last of a sample within a block.
    pub extent: usize,
    /// How many regions there are.
    regions: usize,
}

impl Grid {
    /// `None` where elements share their memory.
    pub fn new(layout: &Layout, regions: &[Region]) -> Option<Self> {
        let shape = layout.shape().as_slice();
        let axes = Axes::new(shape, layout.strides(), layout.start_offset(), regions)?;
        let is_dense = axes.is_dense();
        let mut planes = axes.inner;
        let last = planes.iter().map(|axis| (axis.size - 1) * axis.stride);
        let extent = last.sum::<usize>() + 1;
        let single = || Axis {
            size: 1,
            stride: extent,
            ranges: vec![0..1; regions.len()],
        };
        let columns = planes.pop_if(|axis| axis.stride == 1);
        let columns = columns.unwrap_or_else(single);
        let rows = planes.pop().unwrap_or_else(single);
        Some(Self {
            base: axes.base,
            batch: axes.batch,
            sample_stride: axes.sample_stride,
            reversed: axes.reversed,
            outer: axes.outer,
            planes,
            rows,
            columns,
            is_dense,
            extent,
            regions: regions.len(),
        })
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.outer.iter().map(|axis| axis.size).product()
    }

    /// Visits blocks in the order of their memory: where each begins, after `base`, and its tiles.
    /// One at a time, because a batch whose samples lie innermost has as many as pixels.
    pub fn visit_blocks(&self, which: Blocks, mut visit: impl FnMut(usize, &Block)) {
        let ranges = self.outer.iter().map(|axis| match which {
            Blocks::All => 0..axis.size,
            Blocks::Touched => around(axis.ranges.iter()),
        });
        let ranges: Vec<_> = ranges.collect();
        for block in 0..ranges.iter().map(Range::len).product() {
            let (offset, index) = locate(&self.outer, &ranges, block);
            visit(offset, &Block::new(self, index));
        }
    }

    /// All axes within a sample.
    fn inner(&self) -> impl Iterator<Item = &Axis> {
        self.planes.iter().chain([&self.rows, &self.columns])
    }
}

/// Which blocks to visit.
#[derive(Clone, Copy, Debug)]
pub enum Blocks {
    All,
    /// Those in the box around all regions.
    Touched,
}

/// The samples at one place of the outer axes, and the tiles that cover what regions touch in them.
#[derive(Debug)]
pub struct Block<'a> {
    grid: &'a Grid,
    /// The place.
    outer: Vec<usize>,
    /// The regions that have something here.
    regions: Vec<usize>,
    /// The box around them.
    planes: Vec<Range<usize>>,
    rows: Range<usize>,
    columns: Range<usize>,
    /// Rows and columns of a tile.
    height: usize,
    width: usize,
}

/// A rectangle of rows and columns in one plane, at the same place in every sample.
#[derive(Debug)]
pub struct Tile {
    plane: Vec<usize>,
    /// Where the plane begins in the sample.
    offset: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a> Block<'a> {
    fn new(grid: &'a Grid, outer: Vec<usize>) -> Self {
        let regions = (0..grid.regions).filter(|&region| {
            is_inside(&grid.outer, &outer, region)
                && grid.inner().all(|axis| !axis.ranges[region].is_empty())
        });
        let regions: Vec<_> = regions.collect();
        let touched = |axis: &Axis| around(regions.iter().map(|&region| &axis.ranges[region]));
        let planes = grid.planes.iter().map(touched).collect();
        let (rows, columns) = (touched(&grid.rows), touched(&grid.columns));
        let width = columns.len().clamp(1, TILE);
        let height = rows.len().clamp(1, TILE / width);
        Self {
            grid,
            outer,
            regions,
            planes,
            rows,
            columns,
            height,
            width,
        }
    }

    pub fn has_one_region(&self) -> bool {
        self.grid.regions == 1
    }

    /// The elements of the regions of all samples.
    pub fn elements(&self) -> usize {
        let grid = self.grid;
        let volume = |region: usize| -> usize {
            let lengths = grid.inner().map(|axis| axis.ranges[region].len());
            lengths.product()
        };
        let volumes = self.regions.iter().map(|&region| volume(region));
        volumes.sum::<usize>() * (grid.batch / grid.regions)
    }

    /// The most elements that a tile has of a sample.
    pub fn tile_elements(&self) -> usize {
        self.height * self.width
    }

    /// How many tiles there are.
    pub fn tiles(&self) -> usize {
        let planes: usize = self.planes.iter().map(Range::len).product();
        planes * self.rows.len().div_ceil(self.height) * self.columns.len().div_ceil(self.width)
    }

    /// A tile; they are numbered in the order of their memory.
    pub fn tile(&self, index: usize) -> Tile {
        let across = self.columns.len().div_ceil(self.width);
        let down = self.rows.len().div_ceil(self.height);
        let cut = |whole: &Range<usize>, step: usize, index: usize| {
            let start = whole.start + index * step;
            start..whole.end.min(start + step)
        };
        let (offset, plane) = locate(&self.grid.planes, &self.planes, index / (across * down));
        Tile {
            plane,
            offset,
            rows: cut(&self.rows, self.height, index / across % down),
            columns: cut(&self.columns, self.width, index % across),
        }
    }

    /// Where a tile begins in a sample.
    pub fn start(&self, tile: &Tile) -> usize {
        tile.offset + tile.rows.start * self.grid.rows.stride + tile.columns.start
    }

    /// What a sample's region has of a tile, if anything, in the elements of the sample from
    /// `start` on.
    #[inline]
    pub fn strip(&self, tile: &Tile, sample: usize, start: usize) -> Option<Strip> {
        let grid = self.grid;
        let region = if self.has_one_region() { 0 } else { sample };
        let rows = common(&grid.rows.ranges[region], &tile.rows);
        let columns = common(&grid.columns.ranges[region], &tile.columns);
        let is_here = !rows.is_empty()
            && !columns.is_empty()
            && is_inside(&grid.planes, &tile.plane, region)
            && is_inside(&grid.outer, &self.outer, region);
        is_here.then(|| Strip {
            start: tile.offset + rows.start * grid.rows.stride + columns.start - start,
            stride: grid.rows.stride,
            count: rows.len(),
            length: columns.len(),
        })
    }
}

/// Rows of equal length, at equal distances.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// The first element of the first row.
    start: usize,
    /// From one row to the next.
    stride: usize,
    count: usize,
    /// Elements of each row.
    pub length: usize,
}

impl Strip {
    /// As many elements without anything between them.
    pub fn packed(self) -> Self {
        Self {
            start: 0,
            stride: self.length,
            ..self
        }
    }

    /// From the first element to the last.
    pub fn extent(self) -> Range<usize> {
        self.start..self.start + (self.count - 1) * self.stride + self.length
    }

    /// The rows among these elements.
    pub fn rows<E>(self, elements: &[E]) -> impl Iterator<Item = &[E]> {
        let rows = elements[self.extent()].chunks(self.stride);
        rows.map(move |row| &row[..self.length])
    }

    /// The rows among these elements.
    pub fn rows_mut<E>(self, elements: &mut [E]) -> impl Iterator<Item = &mut [E]> {
        let rows = elements[self.extent()].chunks_mut(self.stride);
        rows.map(move |row| &mut row[..self.length])
    }
}

#[inline]
fn common(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.max(b.start)..a.end.min(b.end)
}

#[inline]
fn is_inside(axes: &[Axis], index: &[usize], region: usize) -> bool {
    let mut pairs = axes.iter().zip(index);
    pairs.all(|(axis, index)| axis.ranges[region].contains(index))
}

/// One place of a box, the last axis fastest: its offset and its index along each axis.
fn locate(axes: &[Axis], ranges: &[Range<usize>], mut place: usize) -> (usize, Vec<usize>) {
    let mut index = vec![0; ranges.len()];
    for (index, range) in index.iter_mut().zip(ranges).rev() {
        *index = range.start + place % range.len();
        place /= range.len();
    }
    let steps = index
        .iter()
        .zip(axes)
        .map(|(index, axis)| index * axis.stride);
    (steps.sum(), index)
}
