//! The memory layout of a batch, and the order in which its samples change.

use std::cmp::Reverse;
use std::ops::Range;

use crate::plan::Region;

/// A dimension of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Dimension {
    /// Its place in the shape.
    pub index: usize,
    /// Its number of elements.
    pub size: usize,
    /// The distance of neighbours in elements. It is positive; for a single element it is 1, or the
    /// largest number for the samples.
    pub stride: usize,
    /// Whether memory has the elements in reverse order.
    pub is_reversed: bool,
}

/// The dimensions of a batch, the largest stride first.
#[derive(Clone, Debug)]
pub struct Order {
    /// The place of the first element in memory.
    pub base: usize,
    pub dimensions: Vec<Dimension>,
    /// The number of elements of memory from the first one of the batch to the last.
    pub span: usize,
}

impl Order {
    /// Creates the order of a batch `[N, ..., spatial...]` without a dimension of size 0. It is
    /// `None` where elements share their memory, as those of an expanded tensor do, or where
    /// dimensions interleave.
    pub fn new(shape: &[usize], strides: &[isize], mut base: usize) -> Option<Self> {
        let dimension = |(index, (&size, &stride)): (usize, (&usize, &isize))| {
            let is_reversed = size > 1 && stride < 0;
            if is_reversed {
                base -= (size - 1) * stride.unsigned_abs();
            }
            // The stride of a single element is never taken, and may be anything.
            let stride = match (size, index) {
                (1, 0) => usize::MAX,
                (1, _) => 1,
                _ => stride.unsigned_abs(),
            };
            Dimension {
                index,
                size,
                stride,
                is_reversed,
            }
        };
        let pairs = shape.iter().zip(strides);
        let mut dimensions: Vec<_> = pairs.enumerate().map(dimension).collect();
        // A stable sort: of two dimensions with equal strides at least one has a single element.
        dimensions.sort_by_key(|dimension| Reverse((dimension.stride, dimension.size)));
        let mut span = 1;
        for dimension in dimensions.iter().rev().filter(|d| d.size > 1) {
            if dimension.stride < span {
                return None;
            }
            span += (dimension.size - 1) * dimension.stride;
        }
        Some(Self {
            base,
            dimensions,
            span,
        })
    }
}

/// A dimension of a sample, or several neighbours that are one in memory.
#[derive(Clone, Debug)]
pub struct Axis {
    pub size: usize,
    /// The distance of neighbours in elements.
    pub stride: usize,
    /// The range that each box covers.
    pub ranges: Vec<Range<usize>>,
}

/// The dimensions of a batch, the largest stride first.
///
/// Strides are positive. Neighbouring dimensions become one where no box divides them, so that rows
/// are as long as they can be.
#[derive(Debug)]
pub struct Axes {
    /// The place of the first element in memory.
    pub base: usize,
    pub batch: usize,
    /// The distance from one sample to the next.
    pub sample_stride: usize,
    /// Whether memory has the samples in reverse order.
    pub is_reversed: bool,
    /// The number of elements of memory from the first one of the batch to the last.
    pub span: usize,
    /// The axes with a larger stride than the samples; usually none.
    pub outer: Vec<Axis>,
    /// The axes within a sample.
    pub inner: Vec<Axis>,
}

impl Axes {
    /// Creates the axes of a batch `[N, ..., spatial...]` without a dimension of size 0, for regions
    /// that are boxes. It is `None` where [`Order::new`] is.
    pub fn new(
        shape: &[usize],
        strides: &[isize],
        base: usize,
        regions: &[Region],
    ) -> Option<Self> {
        let boxes: Vec<_> = regions.iter().map(Region::bounds).collect();
        let spatial = shape.len() - boxes[0].len();
        let order = Order::new(shape, strides, base)?;
        let mut axes = Self {
            base: order.base,
            batch: shape[0],
            sample_stride: 1,
            is_reversed: false,
            span: order.span,
            outer: Vec::new(),
            inner: Vec::new(),
        };
        let mut is_inner = false;
        for dimension in order.dimensions {
            let Dimension { size, stride, .. } = dimension;
            if dimension.index == 0 {
                (axes.sample_stride, is_inner) = (stride, true);
                axes.is_reversed = dimension.is_reversed;
                continue;
            }
            let ranges = boxes.iter().map(|ranges| {
                let range = match dimension.index.checked_sub(spatial) {
                    Some(axis) => ranges[axis].clone(),
                    None => 0..size,
                };
                if dimension.is_reversed {
                    size - range.end..size - range.start
                } else {
                    range
                }
            });
            let axis = Axis {
                size,
                stride,
                ranges: ranges.collect(),
            };
            push(
                if is_inner {
                    &mut axes.inner
                } else {
                    &mut axes.outer
                },
                axis,
            );
        }
        Some(axes)
    }

    /// The axes except for the samples, the largest stride first.
    pub fn all(&self) -> Vec<&Axis> {
        self.outer.iter().chain(&self.inner).collect()
    }

    /// Whether memory has no other element between those of the batch.
    pub fn is_dense(&self) -> bool {
        let sizes = self.all().into_iter().map(|axis| axis.size);
        self.span == self.batch * sizes.product::<usize>()
    }
}

/// Adds the axis with the next smaller stride, as a part of the axis before it where it is whole.
fn push(axes: &mut Vec<Axis>, axis: Axis) {
    let is_whole = axis.ranges.iter().all(|range| *range == (0..axis.size));
    match axes.last_mut() {
        Some(before) if is_whole && before.stride == axis.stride * axis.size => {
            before.size *= axis.size;
            before.stride = axis.stride;
            for range in &mut before.ranges {
                *range = range.start * axis.size..range.end * axis.size;
            }
        }
        _ => axes.push(axis),
    }
}

/// The cycles of a permutation. Each sample stands before its partner.
pub fn cycles(partners: &[usize], skip_fixed_points: bool) -> Vec<Vec<usize>> {
    let mut seen = vec![false; partners.len()];
    let mut cycles = Vec::new();
    for start in 0..partners.len() {
        if seen[start] || (skip_fixed_points && partners[start] == start) {
            continue;
        }
        let mut cycle = vec![start];
        seen[start] = true;
        let mut sample = partners[start];
        while sample != start {
            cycle.push(sample);
            seen[sample] = true;
            sample = partners[sample];
        }
        cycles.push(cycle);
    }
    cycles
}

/// The smallest range that contains all of these.
pub fn around<'a>(ranges: impl Iterator<Item = &'a Range<usize>>) -> Range<usize> {
    let touched = ranges.filter(|range| !range.is_empty());
    let join = |a: Range<usize>, b: Range<usize>| a.start.min(b.start)..a.end.max(b.end);
    touched.cloned().reduce(join).unwrap_or(0..0)
}
