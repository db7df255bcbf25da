//! Where the samples of the components are.

use std::ops::Range;

use super::block::{Block, Quantization};
use super::file::{Component, File};
use super::idct::{last_frequency, write_block};

/// What is decoded of an image.
#[derive(Clone, Debug)]
pub struct Part {
    /// The image is made smaller by this factor: 1, 2, 4 or 8.
    pub denominator: usize,
    /// Rows and columns of the smaller image.
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Number of channels: 1 for grey, 3 for RGB.
    pub channels: usize,
}

/// The samples of one component, as far as they are wanted.
pub struct Plane {
    pub across: Axis,
    pub down: Axis,
    /// Pixels a side that a block becomes.
    pub side: usize,
    /// The highest frequency that is used, in zigzag order.
    pub last: u32,
    pub steps: Quantization,
    /// The samples, none where the component is not wanted.
    pub samples: Vec<u8>,
}

/// A direction of a plane.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The sampling factor: number of blocks in each minimum coded unit.
    pub sampling: usize,
    /// Number of blocks that hold the image.
    pub blocks: usize,
    /// The blocks of which samples are made.
    pub wanted: Range<usize>,
    /// Number of samples that the whole component has.
    pub length: usize,
    /// Number of pixels of the image for a number of samples.
    ratio: (usize, usize),
    /// Pixels a side that a block becomes.
    side: usize,
}

impl Axis {
    fn new(
        length: usize,
        sampling: usize,
        most: usize,
        side: usize,
        denominator: usize,
        pixels: &Range<usize>,
    ) -> Self {
        let blocks = (length * sampling).div_ceil(8 * most);
        let ratio = (most * 8 / denominator, sampling * side);
        // One sample more on both sides, for the interpolation of colours.
        let sample = |pixel: usize| pixel * ratio.1 / ratio.0;
        let first = sample(pixels.start).saturating_sub(1) / side;
        let end = (sample(pixels.end - 1) + 2).div_ceil(side).min(blocks);
        Self {
            sampling,
            blocks,
            wanted: first.min(blocks - 1)..end.max(1),
            length: (length * sampling * side).div_ceil(8 * most),
            ratio,
            side,
        }
    }

    /// The sample of a pixel of the image.
    #[inline(always)]
    pub fn sample(&self, pixel: usize) -> usize {
        pixel * self.ratio.1 / self.ratio.0
    }

    /// Number of pixels for each sample, where that is a whole one.
    pub fn factor(&self) -> Option<usize> {
        let (pixels, samples) = self.ratio;
        pixels.is_multiple_of(samples).then(|| pixels / samples)
    }

    /// Number of samples that are made.
    pub fn samples(&self) -> usize {
        self.wanted.len() * self.side
    }

    /// Number of the first sample that is made.
    pub fn start(&self) -> usize {
        self.wanted.start * self.side
    }

    /// Number of the last one that holds a part of the image.
    pub fn last(&self) -> usize {
        (self.wanted.end * self.side).min(self.length) - 1
    }
}

impl Plane {
    /// The planes of the components, without their samples.
    pub fn all(file: &File<'_>, part: &Part) -> Vec<Self> {
        let most = |of: fn(&Component) -> usize| file.components.iter().map(of).max().unwrap_or(1);
        let (across, down) = (most(|one| one.horizontal), most(|one| one.vertical));
        let side = 8 / part.denominator;
        let plane = |component: &Component| {
            let (horizontal, vertical) = (component.horizontal, component.vertical);
            // A component with fewer samples loses fewer of them.
            let fits = |own: usize| {
                (across * side).is_multiple_of(horizontal * own)
                    && (down * side).is_multiple_of(vertical * own)
            };
            let mut own = side;
            while own < 8 && fits(2 * own) {
                own *= 2;
            }
            Self {
                across: Axis::new(
                    file.width,
                    horizontal,
                    across,
                    own,
                    part.denominator,
                    &part.columns,
                ),
                down: Axis::new(
                    file.height,
                    vertical,
                    down,
                    own,
                    part.denominator,
                    &part.rows,
                ),
                side: own,
                last: last_frequency(own),
                steps: [0; 64],
                samples: Vec::new(),
            }
        };
        file.components.iter().map(plane).collect()
    }

    /// Number of bytes of the samples.
    pub fn size(&self) -> usize {
        self.across.samples() * self.down.samples()
    }

    /// Whether samples are made of this block.
    #[inline(always)]
    pub fn wants(&self, row: usize, column: usize) -> bool {
        self.down.wanted.contains(&row)
            && self.across.wanted.contains(&column)
            && !self.samples.is_empty()
    }

    /// Makes the samples of a block that is wanted.
    #[inline(always)]
    pub fn write(&mut self, row: usize, column: usize, block: &Block, highest: u32) {
        let stride = self.across.samples();
        let (row, column) = (
            row - self.down.wanted.start,
            column - self.across.wanted.start,
        );
        let first = row * self.side * stride + column * self.side;
        write_block(
            block,
            highest,
            self.side,
            &mut self.samples[first..],
            stride,
        );
    }

    /// The samples of a row of the component; the nearest one where it has no such row.
    pub fn row(&self, row: usize) -> &[u8] {
        let row = row.clamp(self.down.start(), self.down.last()) - self.down.start();
        let stride = self.across.samples();
        &self.samples[row * stride..][..=self.across.last() - self.across.start()]
    }
}
