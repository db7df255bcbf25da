//! Boxes in memory: planes of rows at equal distances.

use std::ops::Range;

use bytemuck::Pod;

use super::Layout;
use super::area::{Area, Block, Blocks, Placement, Rows, TILE, locate};
use crate::ops::axes::{Axes, Axis, around};
use crate::plan::Region;

/// The elements of a batch in the order of memory: in each sample of a block planes of rows of
/// consecutive elements.
#[derive(Debug)]
pub struct Grid {
    placement: Placement,
    /// The axes with a larger stride than the samples; usually none.
    outer: Vec<Axis>,
    planes: Vec<Axis>,
    rows: Axis,
    columns: Axis,
    /// The number of boxes.
    boxes: usize,
}

impl Grid {
    /// Creates the grid of regions that are boxes. It is `None` where elements share their memory or
    /// dimensions interleave.
    pub fn new(layout: &Layout, regions: &[Region]) -> Option<Self> {
        let axes = Axes::new(layout.shape(), layout.strides(), layout.offset(), regions)?;
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
            placement: Placement {
                base: axes.base,
                batch: axes.batch,
                sample_stride: axes.sample_stride,
                is_reversed: axes.is_reversed,
                is_dense,
                extent,
                blocks: axes.outer.iter().map(|axis| axis.size).product(),
            },
            outer: axes.outer,
            planes,
            rows,
            columns,
            boxes: regions.len(),
        })
    }

    /// The axes within a sample.
    fn inner(&self) -> impl Iterator<Item = &Axis> {
        self.planes.iter().chain([&self.rows, &self.columns])
    }
}

impl Area for Grid {
    type Block<'a> = GridBlock<'a>;

    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn visit_blocks(&self, which: Blocks, mut visit: impl FnMut(usize, &GridBlock)) {
        let ranges = self.outer.iter().map(|axis| match which {
            Blocks::All => 0..axis.size,
            Blocks::Touched => around(axis.ranges.iter()),
        });
        let ranges: Vec<_> = ranges.collect();
        for block in 0..ranges.iter().map(Range::len).product() {
            let strides = self.outer.iter().map(|axis| axis.stride);
            let (offset, index) = locate(strides, &ranges, block);
            visit(offset, &GridBlock::new(self, index));
        }
    }
}

/// The samples at one place of the outer axes, and the tiles of the box around all regions there.
#[derive(Debug)]
pub struct GridBlock<'a> {
    grid: &'a Grid,
    /// The index along each outer axis.
    outer: Vec<usize>,
    /// The boxes that cover something here.
    boxes: Vec<usize>,
    /// The box around them.
    planes: Vec<Range<usize>>,
    rows: Range<usize>,
    columns: Range<usize>,
    /// The number of rows of a tile.
    height: usize,
    /// The number of columns of a tile.
    width: usize,
}

/// A rectangle of rows and columns in one plane.
#[derive(Debug)]
pub struct Tile {
    plane: Vec<usize>,
    /// The place in the sample where the plane begins.
    offset: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a> GridBlock<'a> {
    fn new(grid: &'a Grid, outer: Vec<usize>) -> Self {
        let boxes = (0..grid.boxes).filter(|&index| {
            is_inside(&grid.outer, &outer, index)
                && grid.inner().all(|axis| !axis.ranges[index].is_empty())
        });
        let boxes: Vec<_> = boxes.collect();
        let touched = |axis: &Axis| around(boxes.iter().map(|&index| &axis.ranges[index]));
        let planes = grid.planes.iter().map(touched).collect();
        let (rows, columns) = (touched(&grid.rows), touched(&grid.columns));
        let width = columns.len().clamp(1, TILE);
        let height = rows.len().clamp(1, TILE / width);
        Self {
            grid,
            outer,
            boxes,
            planes,
            rows,
            columns,
            height,
            width,
        }
    }
}

impl Block for GridBlock<'_> {
    type Tile = Tile;
    type Rows<'a>
        = Strip
    where
        Self: 'a;

    fn has_one_region(&self) -> bool {
        self.grid.boxes == 1
    }

    fn elements(&self) -> usize {
        let grid = self.grid;
        let volume = |index: usize| -> usize {
            let lengths = grid.inner().map(|axis| axis.ranges[index].len());
            lengths.product()
        };
        let volumes = self.boxes.iter().map(|&index| volume(index));
        volumes.sum::<usize>() * (grid.placement.batch / grid.boxes)
    }

    fn tile_elements(&self) -> usize {
        self.height * self.width
    }

    fn tiles(&self) -> usize {
        let planes: usize = self.planes.iter().map(Range::len).product();
        planes * self.rows.len().div_ceil(self.height) * self.columns.len().div_ceil(self.width)
    }

    fn tile(&self, index: usize) -> Tile {
        let across = self.columns.len().div_ceil(self.width);
        let down = self.rows.len().div_ceil(self.height);
        let cut = |whole: &Range<usize>, step: usize, index: usize| {
            let start = whole.start + index * step;
            start..whole.end.min(start + step)
        };
        let strides = self.grid.planes.iter().map(|axis| axis.stride);
        let (offset, plane) = locate(strides, &self.planes, index / (across * down));
        Tile {
            plane,
            offset,
            rows: cut(&self.rows, self.height, index / across % down),
            columns: cut(&self.columns, self.width, index % across),
        }
    }

    fn start(&self, tile: &Tile) -> usize {
        tile.offset + tile.rows.start * self.grid.rows.stride + tile.columns.start
    }

    #[inline]
    fn rows(&self, tile: &Tile, sample: usize, start: usize) -> Option<Strip> {
        let grid = self.grid;
        let index = if self.has_one_region() { 0 } else { sample };
        let rows = common(&grid.rows.ranges[index], &tile.rows);
        let columns = common(&grid.columns.ranges[index], &tile.columns);
        let is_here = !rows.is_empty()
            && !columns.is_empty()
            && is_inside(&grid.planes, &tile.plane, index)
            && is_inside(&grid.outer, &self.outer, index);
        is_here.then(|| Strip {
            start: tile.offset + rows.start * grid.rows.stride + columns.start - start,
            stride: grid.rows.stride,
            count: rows.len(),
            length: columns.len(),
        })
    }
}

/// Rows of equal length at equal distances.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// The place of the first element of the first row.
    start: usize,
    /// The distance from one row to the next.
    stride: usize,
    count: usize,
    /// The number of elements of each row.
    length: usize,
}

impl Rows for Strip {
    fn packed(self) -> Self {
        Self {
            start: 0,
            stride: self.length,
            ..self
        }
    }

    fn extent(self) -> Range<usize> {
        self.start..self.start + (self.count - 1) * self.stride + self.length
    }

    fn of<E>(self, elements: &[E]) -> impl Iterator<Item = &[E]> {
        let rows = elements[self.extent()].chunks(self.stride);
        rows.map(move |row| &row[..self.length])
    }

    fn of_mut<E>(self, elements: &mut [E]) -> impl Iterator<Item = &mut [E]> {
        let rows = elements[self.extent()].chunks_mut(self.stride);
        rows.map(move |row| &mut row[..self.length])
    }

    /// Short rows are copied without a call, by a loop for each length.
    fn copy<E: Pod>(target: &mut [E], at: Self, source: &[E], from: Self) {
        fn each<U: Pod, E: Pod>(target: &mut [E], at: Strip, source: &[E], from: Strip) {
            let (target, source) = (
                bytemuck::cast_slice_mut(target),
                bytemuck::cast_slice(source),
            );
            let rows = at.of_mut::<U>(target).zip(from.of::<U>(source));
            macro_rules! by_length {
                ($($length:literal)*) => {
                    match at.length {
                        $($length => rows.for_each(|(target, source)| {
                            target[..$length].copy_from_slice(&source[..$length]);
                        }),)*
                        _ => rows.for_each(|(target, source)| target.copy_from_slice(source)),
                    }
                };
            }
            by_length!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
        }
        // The same loops serve all types of a size.
        match size_of::<E>() {
            1 => each::<u8, E>(target, at, source, from),
            2 => each::<u16, E>(target, at, source, from),
            4 => each::<u32, E>(target, at, source, from),
            _ => each::<u64, E>(target, at, source, from),
        }
    }
}

#[inline]
fn common(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.max(b.start)..a.end.min(b.end)
}

#[inline]
fn is_inside(axes: &[Axis], index: &[usize], box_index: usize) -> bool {
    let mut pairs = axes.iter().zip(index);
    pairs.all(|(axis, index)| axis.ranges[box_index].contains(index))
}
