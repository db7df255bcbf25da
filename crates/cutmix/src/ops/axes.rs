//! What the kernels share: a batch's dimensions in the order of its memory, and the order in which
//! its samples change.

use std::cmp::Reverse;
use std::ops::Range;

use crate::plan::Region;

/// A dimension of a sample, or several that memory makes one.
#[derive(Clone, Debug)]
pub struct Axis {
    pub size: usize,
    /// In elements.
    pub stride: usize,
    /// For each region what it covers.
    pub ranges: Vec<Range<usize>>,
}

/// The dimensions of a batch, largest stride first.
///
/// Strides become positive, and neighbouring dimensions one where no region divides them, so that
/// rows are as long as they can be.
#[derive(Debug)]
pub struct Axes {
    /// Where the first element lies.
    pub base: usize,
    pub batch: usize,
    /// From one sample to the next.
    pub sample_stride: usize,
    /// Whether the samples lie in memory in reverse.
    pub reversed: bool,
    /// Elements of memory from the first of the batch to the last.
    pub span: usize,
    /// Those with a larger stride than the samples'; usually none.
    pub outer: Vec<Axis>,
    /// Those within a sample.
    pub inner: Vec<Axis>,
}

impl Axes {
    /// Of a tensor `[N, ..., spatial...]` without a dimension of size 0. `None` where elements
    /// share their memory, as those of an expanded tensor do.
    pub fn new(
        shape: &[usize],
        strides: &[isize],
        mut base: usize,
        regions: &[Region],
    ) -> Option<Self> {
        let spatial = shape.len() - regions[0].rank();
        let mut reversed = false;
        let mut axes = Vec::new();
        for (dim, (&size, &stride)) in shape.iter().zip(strides).enumerate() {
            let ranges = regions.iter().map(|region| match dim.checked_sub(spatial) {
                Some(axis) => region.ranges()[axis].clone(),
                None => 0..size,
            });
            let mut ranges: Vec<_> = ranges.collect();
            if size > 1 && stride < 0 {
                base -= (size - 1) * stride.unsigned_abs();
                reversed |= dim == 0;
                for range in &mut ranges {
                    *range = size - range.end..size - range.start;
                }
            }
            // The stride of a single element is never taken, and may be anything.
            let stride = match (size, dim) {
                (1, 0) => usize::MAX,
                (1, _) => 1,
                _ => stride.unsigned_abs(),
            };
            let axis = Axis {
                size,
                stride,
                ranges,
            };
            axes.push((dim == 0, axis));
        }
        // A stable sort: of two dimensions with equal strides at least one has a single element.
        axes.sort_by_key(|(_, axis)| Reverse((axis.stride, axis.size)));

        let mut span = 1;
        for (_, axis) in axes.iter().rev().filter(|(_, axis)| axis.size > 1) {
            if axis.stride < span {
                return None;
            }
            span += (axis.size - 1) * axis.stride;
        }

        let mut sample_stride = 1;
        let (mut outer, mut inner) = (Vec::new(), Vec::new());
        let mut is_inner = false;
        for (is_batch, axis) in axes {
            match (is_batch, is_inner) {
                (true, _) => (sample_stride, is_inner) = (axis.stride, true),
                (false, false) => push(&mut outer, axis),
                (false, true) => push(&mut inner, axis),
            }
        }
        Some(Self {
            base,
            batch: shape[0],
            sample_stride,
            reversed,
            span,
            outer,
            inner,
        })
    }

    /// Those of a sample, largest stride first.
    pub fn all(&self) -> Vec<&Axis> {
        self.outer.iter().chain(&self.inner).collect()
    }

    /// Whether no element lies between those of the batch.
    pub fn is_dense(&self) -> bool {
        let sizes = self.all().into_iter().map(|axis| axis.size);
        self.span == self.batch * sizes.product::<usize>()
    }
}

/// Adds the axis with the next smaller stride, as a part of the one before it where it is whole.
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

/// The cycles of a permutation, each sample before its partner.
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

/// The smallest range that holds all of these.
pub fn around<'a>(ranges: impl Iterator<Item = &'a Range<usize>>) -> Range<usize> {
    let touched = ranges.filter(|range| !range.is_empty());
    let join = |a: Range<usize>, b: Range<usize>| a.start.min(b.start)..a.end.max(b.end);
    touched.cloned().reduce(join).unwrap_or(0..0)
}
