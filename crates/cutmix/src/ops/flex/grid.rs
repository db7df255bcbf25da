//! How the regions of a batch lie in memory.

use std::ops::Range;

use burn::backend::flex::Layout;

use crate::ops::axes::{Axes, Axis, around};
use crate::plan::Region;

/// The most elements of a row. Few enough that a row stays in the first cache between the times
/// that it is touched, so that nothing is read from memory twice.
pub const ROW: usize = 1 << 11;

/// The elements of a batch in the order of their memory: blocks, in each block the samples one
/// behind the other, in each sample rows of consecutive elements.
#[derive(Debug)]
pub struct Grid {
    /// The last axis within a sample is the row.
    pub axes: Axes,
    /// Elements from the first to the last of a sample within a block.
    pub extent: usize,
    /// How many regions there are.
    regions: usize,
}

impl Grid {
    /// `None` where elements share their memory.
    pub fn new(layout: &Layout, regions: &[Region]) -> Option<Self> {
        let shape = layout.shape().as_slice();
        let mut axes = Axes::new(shape, layout.strides(), layout.start_offset(), regions)?;
        let regions = regions.len();
        if axes.inner.last().is_none_or(|row| row.stride != 1) {
            axes.inner.push(Axis {
                size: 1,
                stride: 1,
                ranges: vec![0..1; regions],
            });
        }
        let last = axes.inner.iter().map(|axis| (axis.size - 1) * axis.stride);
        let extent = last.sum::<usize>() + 1;
        Some(Self {
            axes,
            extent,
            regions,
        })
    }

    /// Visits blocks in the order of their memory: where each begins, after `base`, and its rows.
    /// One at a time, because a batch whose samples lie innermost has as many as pixels.
    pub fn visit_blocks(&self, which: Blocks, mut visit: impl FnMut(usize, &Rows)) {
        let outer = &self.axes.outer;
        let ranges: Vec<_> = (outer.iter())
            .map(|axis| match which {
                Blocks::All => 0..axis.size,
                Blocks::Touched => around(axis.ranges.iter()),
            })
            .collect();
        walk(outer, &ranges, |offset, index| {
            visit(offset, &self.rows(index))
        });
    }

    /// The rows that regions touch in the block at the index `outer`.
    fn rows(&self, outer: &[usize]) -> Rows {
        let inner = &self.axes.inner;
        let last = inner.len() - 1;
        // For each region its range along each axis; an empty one where it has nothing here.
        let mut boxes = Vec::with_capacity(self.regions * inner.len());
        for region in 0..self.regions {
            let range = |axis: &Axis| axis.ranges[region].clone();
            let mut outside = self.axes.outer.iter().zip(outer);
            let is_here = !inner.iter().any(|axis| range(axis).is_empty())
                && outside.all(|(axis, index)| range(axis).contains(index));
            match is_here {
                true => boxes.extend(inner.iter().map(range)),
                false => boxes.extend(inner.iter().map(|_| 0..0)),
            }
        }
        let touched = || {
            boxes
                .chunks_exact(inner.len())
                .filter(|ranges| !ranges[last].is_empty())
        };
        // The box around all of them.
        let around: Vec<_> = (0..inner.len())
            .map(|axis| around(touched().map(|ranges| &ranges[axis])))
            .collect();
        // Along the other axes a row of that box lies in all of them.
        let divided: Vec<_> = (0..last)
            .filter(|&axis| touched().any(|ranges| ranges[axis] != around[axis]))
            .collect();
        let volume = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).product::<usize>();
        let columns = around[last].clone();
        let mut rows = Rows {
            offsets: Vec::new(),
            longest: columns.len().min(ROW),
            elements: touched().map(volume).sum::<usize>() * (self.axes.batch / self.regions),
            starts: Vec::new(),
            indices: Vec::new(),
            boxes: boxes
                .chunks_exact(inner.len())
                .flat_map(|ranges| {
                    divided
                        .iter()
                        .chain([&last])
                        .map(|&axis| ranges[axis].clone())
                })
                .collect(),
            regions: self.regions,
            divided: divided.len(),
        };
        if !columns.is_empty() {
            walk(&inner[..last], &around[..last], |offset, index| {
                for start in columns.clone().step_by(ROW) {
                    rows.offsets.push(offset + start);
                    rows.starts.push(start);
                    rows.indices.extend(divided.iter().map(|&axis| index[axis]));
                }
            });
        }
        rows
    }
}

/// The rows of a sample that regions touch, in the order of memory.
#[derive(Debug)]
pub struct Rows {
    /// Where each begins in the sample.
    pub offsets: Vec<usize>,
    /// The most columns that a region has in a row.
    pub longest: usize,
    /// The elements of the regions of all samples.
    pub elements: usize,
    /// The column at which each begins.
    starts: Vec<usize>,
    /// The indices of each row along the axes that regions divide differently.
    indices: Vec<usize>,
    /// For each region its ranges along these axes, then its columns.
    boxes: Vec<Range<usize>>,
    regions: usize,
    /// How many such axes there are.
    divided: usize,
}

impl Rows {
    /// The region of a sample.
    pub fn region(&self, sample: usize) -> usize {
        match self.regions {
            1 => 0,
            _ => sample,
        }
    }

    /// Visits the elements of a sample's region in these rows, row by row.
    #[inline]
    pub fn visit(&self, rows: Range<usize>, sample: usize, mut visit: impl FnMut(Range<usize>)) {
        let ranges = &self.boxes[self.region(sample) * (self.divided + 1)..][..self.divided + 1];
        let (columns, ranges) = ranges.split_last().expect("the columns come last");
        for row in rows {
            let index = &self.indices[row * self.divided..][..self.divided];
            let (offset, start) = (self.offsets[row], self.starts[row]);
            let end = columns.end.min(start + ROW);
            let columns = columns.start.max(start)..end;
            if !columns.is_empty() && contains(ranges, index) {
                visit(offset + columns.start - start..offset + columns.end - start);
            }
        }
    }
}

/// Which blocks to visit.
#[derive(Clone, Copy, Debug)]
pub enum Blocks {
    All,
    /// Those in the box around all regions.
    Touched,
}

#[inline]
fn contains(ranges: &[Range<usize>], index: &[usize]) -> bool {
    let mut pairs = ranges.iter().zip(index);
    pairs.all(|(range, index)| range.contains(index))
}

/// Visits the elements of a box with their offsets and indices, the last dimension fastest.
fn walk(axes: &[Axis], ranges: &[Range<usize>], mut visit: impl FnMut(usize, &[usize])) {
    if ranges.iter().any(Range::is_empty) {
        return;
    }
    let mut index: Vec<_> = ranges.iter().map(|range| range.start).collect();
    let mut offset = index
        .iter()
        .zip(axes)
        .map(|(index, axis)| index * axis.stride)
        .sum();
    loop {
        visit(offset, &index);
        // The next index, like the digits of a counter.
        let Some(axis) = (0..axes.len())
            .rev()
            .find(|&axis| index[axis] + 1 < ranges[axis].end)
        else {
            return;
        };
        index[axis] += 1;
        offset += axes[axis].stride;
        for axis in axis + 1..axes.len() {
            offset -= (index[axis] - ranges[axis].start) * axes[axis].stride;
            index[axis] = ranges[axis].start;
        }
    }
}
