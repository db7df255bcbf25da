//! Masks in memory: runs of consecutive elements.

use std::borrow::Cow;
use std::ops::Range;

use bytemuck::Pod;

use super::Layout;
use super::area::{Area, Block, Blocks, Placement, Rows, TILE, locate};
use crate::ops::axes::{Dimension, Order};
use crate::plan::{Mask, Region};

/// The elements of a batch in the order of memory: in each sample of a block runs of consecutive
/// elements.
#[derive(Debug)]
pub struct Runs {
    placement: Placement,
    /// The dimensions with a larger stride than the samples; usually none.
    outer: Vec<Step>,
    /// The dimensions within a sample.
    inner: Vec<Step>,
    /// The pixels of each region, where they have to be searched for in each block.
    pixels: Vec<Vec<bool>>,
    /// The elements that each region covers, where they are the same ones in all blocks.
    common: Vec<Cover>,
}

/// A dimension of more than one element.
#[derive(Clone, Copy, Debug)]
struct Step {
    dimension: Dimension,
    /// The distance of neighbours in pixels; 0 for channels and the like.
    pixels: usize,
}

impl Step {
    /// The number of pixels up to this place along the dimension.
    fn pixel(&self, index: usize) -> usize {
        let last = self.dimension.size - 1;
        self.pixels
            * if self.dimension.is_reversed {
                last - index
            } else {
                index
            }
    }
}

impl Runs {
    /// Creates the runs of regions of any kind. It is `None` where elements share their memory or
    /// dimensions interleave.
    pub fn new(layout: &Layout, regions: &[Region]) -> Option<Self> {
        let shape = layout.shape();
        let order = Order::new(shape, layout.strides(), layout.offset())?;
        let spatial = &shape[shape.len() - regions[0].rank()..];
        let at = order.dimensions.iter().position(|d| d.index == 0)?;
        let samples = order.dimensions[at];
        let steps = |dimensions: &[Dimension]| -> Vec<Step> {
            let dimensions = dimensions.iter().filter(|d| d.size > 1);
            let step = |&dimension: &Dimension| Step {
                dimension,
                pixels: match dimension.index.checked_sub(shape.len() - spatial.len()) {
                    Some(axis) => spatial[axis + 1..].iter().product(),
                    None => 0,
                },
            };
            dimensions.map(step).collect()
        };
        let outer = steps(&order.dimensions[..at]);
        let inner = steps(&order.dimensions[at + 1..]);
        let last = inner
            .iter()
            .map(|s| (s.dimension.size - 1) * s.dimension.stride);
        let mut area = Self {
            placement: Placement {
                base: order.base,
                batch: samples.size,
                sample_stride: samples.stride,
                is_reversed: samples.is_reversed,
                is_dense: order.span == shape.iter().product::<usize>(),
                extent: last.sum::<usize>() + 1,
                blocks: outer.iter().map(|s| s.dimension.size).product(),
            },
            outer,
            inner,
            pixels: Vec::new(),
            common: Vec::new(),
        };
        let masks = regions.iter().map(|region| region.to_mask(spatial));
        if let Some((places, length)) = area.consecutive_pixels(spatial) {
            let cover = |mask: Cow<Mask>| area.cover_runs(mask.runs(), &places, length);
            area.common = masks.map(cover).collect();
        } else {
            area.pixels = masks.map(|mask| mask.to_pixels()).collect();
            if area.outer.iter().all(|step| step.pixels == 0) {
                area.common = area.search(0);
            }
        }
        Some(area)
    }

    /// The places in a sample where all pixels begin, and the number of elements of each pixel there,
    /// if memory has the pixels one after the other in their own order: one place for each channel, or
    /// one for all channels if they come last.
    fn consecutive_pixels(&self, spatial: &[usize]) -> Option<(Vec<usize>, usize)> {
        let first = self.inner.iter().position(|step| step.pixels > 0)?;
        let count = self.inner[first..]
            .iter()
            .take_while(|step| step.pixels > 0)
            .count();
        let (channels, rest) = self.inner.split_at(first);
        let (pixels, last) = rest.split_at(count);
        let length = last
            .iter()
            .map(|step| step.dimension.size)
            .product::<usize>();
        let in_order = |step: &Step| {
            !step.dimension.is_reversed && step.dimension.stride == step.pixels * length
        };
        let found: usize = pixels.iter().map(|step| step.dimension.size).product();
        if found != spatial.iter().product::<usize>() || !pixels.iter().all(in_order) {
            return None;
        }
        let ranges: Vec<_> = channels.iter().map(|step| 0..step.dimension.size).collect();
        let strides = || channels.iter().map(|step| step.dimension.stride);
        let places = 0..ranges.iter().map(Range::len).product();
        let places = places.map(|place| locate(strides(), &ranges, place).0);
        Some((places.collect(), length))
    }

    fn cover_runs(&self, runs: &[Range<usize>], places: &[usize], length: usize) -> Cover {
        let elements = places.iter().flat_map(|place| {
            runs.iter()
                .map(move |run| place + run.start * length..place + run.end * length)
        });
        Cover::new(self.placement.extent, elements)
    }

    /// The elements that each region covers in the block whose outer dimensions lead to this pixel.
    fn search(&self, pixel: usize) -> Vec<Cover> {
        let sizes: Vec<_> = self.inner.iter().map(|s| s.dimension.size).collect();
        let elements = sizes.iter().product::<usize>();
        let mut index = vec![0; sizes.len()];
        let mut places = Vec::with_capacity(elements);
        for _ in 0..elements {
            let steps = self.inner.iter().zip(&index);
            let place = steps.fold((0, pixel), |(element, pixel), (step, &index)| {
                let element = element + index * step.dimension.stride;
                (element, pixel + step.pixel(index))
            });
            places.push(place);
            for (index, &size) in index.iter_mut().zip(&sizes).rev() {
                *index += 1;
                if *index < size {
                    break;
                }
                *index = 0;
            }
        }
        let cover = |pixels: &Vec<bool>| {
            let inside = places.iter().filter(|(_, pixel)| pixels[*pixel]);
            Cover::new(
                self.placement.extent,
                inside.map(|&(element, _)| element..element + 1),
            )
        };
        self.pixels.iter().map(cover).collect()
    }
}

impl Area for Runs {
    type Block<'a> = RunsBlock<'a>;

    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn visit_blocks(&self, _: Blocks, mut visit: impl FnMut(usize, &RunsBlock)) {
        let ranges: Vec<_> = self.outer.iter().map(|s| 0..s.dimension.size).collect();
        for block in 0..self.placement.blocks {
            let strides = self.outer.iter().map(|s| s.dimension.stride);
            let (offset, index) = locate(strides, &ranges, block);
            let covers = if self.common.is_empty() {
                let steps = self.outer.iter().zip(index);
                Cow::Owned(self.search(steps.map(|(step, index)| step.pixel(index)).sum()))
            } else {
                Cow::Borrowed(self.common.as_slice())
            };
            let block = RunsBlock {
                extent: self.placement.extent,
                batch: self.placement.batch,
                covers,
            };
            visit(offset, &block);
        }
    }
}

/// The elements of a sample that a region covers.
#[derive(Clone, Debug)]
struct Cover {
    /// Sorted runs of elements, none of which crosses a multiple of [`TILE`].
    runs: Vec<Range<usize>>,
    /// The number of runs before each tile, and of all.
    tiles: Vec<usize>,
}

impl Cover {
    /// Creates the cover of sorted runs.
    fn new(extent: usize, elements: impl Iterator<Item = Range<usize>>) -> Self {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for run in elements {
            let mut start = run.start;
            while start < run.end {
                let end = run.end.min((start / TILE + 1) * TILE);
                match runs.last_mut() {
                    Some(before) if before.end == start && !start.is_multiple_of(TILE) => {
                        before.end = end;
                    }
                    _ => runs.push(start..end),
                }
                start = end;
            }
        }
        let before = |tile: usize| runs.partition_point(|run| run.start < tile * TILE);
        let tiles = (0..=extent.div_ceil(TILE)).map(before).collect();
        Self { runs, tiles }
    }
}

/// The samples at one place of the outer dimensions, and the elements that regions cover there. Its
/// tiles are ranges of [`TILE`] elements.
#[derive(Debug)]
pub struct RunsBlock<'a> {
    extent: usize,
    batch: usize,
    covers: Cow<'a, [Cover]>,
}

impl Block for RunsBlock<'_> {
    /// The number of the tile.
    type Tile = usize;
    type Rows<'a>
        = Pieces<'a>
    where
        Self: 'a;

    fn has_one_region(&self) -> bool {
        self.covers.len() == 1
    }

    fn elements(&self) -> usize {
        let runs = self.covers.iter().flat_map(|cover| &cover.runs);
        runs.map(Range::len).sum::<usize>() * (self.batch / self.covers.len())
    }

    fn tile_elements(&self) -> usize {
        self.extent.min(TILE)
    }

    fn tiles(&self) -> usize {
        if self.covers.iter().all(|cover| cover.runs.is_empty()) {
            0
        } else {
            self.extent.div_ceil(TILE)
        }
    }

    fn tile(&self, index: usize) -> usize {
        index
    }

    fn start(&self, tile: &usize) -> usize {
        tile * TILE
    }

    fn rows(&self, &tile: &usize, sample: usize, start: usize) -> Option<Pieces<'_>> {
        let cover = &self.covers[if self.has_one_region() { 0 } else { sample }];
        let runs = &cover.runs[cover.tiles[tile]..cover.tiles[tile + 1]];
        (!runs.is_empty()).then_some(Pieces {
            runs,
            start,
            is_packed: false,
        })
    }
}

/// Rows of any length at any distance.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    /// One run or more.
    runs: &'a [Range<usize>],
    /// The element that the elements begin with, unless the rows are packed.
    start: usize,
    is_packed: bool,
}

impl Pieces<'_> {
    /// The number of elements before each row since the end of the row before it, and its length.
    fn steps(self) -> impl Iterator<Item = [usize; 2]> {
        let mut end = if self.is_packed { 0 } else { self.start };
        self.runs.iter().map(move |run| {
            let skipped = if self.is_packed { 0 } else { run.start - end };
            end = run.end;
            [skipped, run.len()]
        })
    }
}

impl<'a> Rows for Pieces<'a> {
    fn packed(self) -> Self {
        Self {
            is_packed: true,
            ..self
        }
    }

    fn extent(self) -> Range<usize> {
        if self.is_packed {
            return 0..self.runs.iter().map(Range::len).sum();
        }
        let [first, .., last] = self.runs else {
            let run = &self.runs[0];
            return run.start - self.start..run.end - self.start;
        };
        first.start - self.start..last.end - self.start
    }

    fn of<E>(self, elements: &[E]) -> impl Iterator<Item = &[E]> {
        let mut rest = elements;
        self.steps().map(move |[skipped, length]| {
            let (row, after) = rest[skipped..].split_at(length);
            rest = after;
            row
        })
    }

    fn of_mut<E>(self, elements: &mut [E]) -> impl Iterator<Item = &mut [E]> {
        let mut rest = elements;
        self.steps().map(move |[skipped, length]| {
            let (row, after) = std::mem::take(&mut rest)[skipped..].split_at_mut(length);
            rest = after;
            row
        })
    }

    fn copy<E: Pod>(target: &mut [E], at: Self, source: &[E], from: Self) {
        for (target, source) in at.of_mut(target).zip(from.of(source)) {
            target.copy_from_slice(source);
        }
    }
}
