//! Random changes to the images of a training set.

use cutmix::plan::Stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// Random changes to the images of a training set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Augment {
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
    /// Number of pixels by which an image is shifted at most in each direction, no more than its
    /// shorter side. Pixels that come in at the edges have the mean colour. Also known as random
    /// crop with padding.
    pub crop_padding: usize,
}

impl Augment {
    /// Images are left as they are.
    pub const NONE: Self = Self {
        flip: false,
        crop_padding: 0,
    };

    /// The usual changes for photographs with sides of `side` pixels: flip, and shift by up to `side
    /// / 8` pixels (4 for the 32 of CIFAR).
    ///
    /// Source: He et al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385, section
    /// 4.2.
    pub const fn standard(side: usize) -> Self {
        Self {
            flip: true,
            crop_padding: side / 8,
        }
    }

    /// Draws what is done to sample `index` in `epoch`, as a function of these numbers alone.
    pub(crate) fn draw(&self, stream: Stream, epoch: u64, index: usize) -> Placement {
        // Each sample has its own block of the epoch's stream: 16 words.
        let mut rng = stream.at(epoch);
        rng.set_word_pos(16 * index as u128);
        let flip = rng.random::<bool>() && self.flip;
        let reach = self.crop_padding as i32;
        let mut shift = || rng.random_range(-reach..=reach) as isize;
        Placement {
            flip,
            down: shift(),
            right: shift(),
        }
    }
}

/// Where the pixels of an image are written.
pub(crate) struct Placement {
    flip: bool,
    down: isize,
    right: isize,
}

impl Placement {
    pub(crate) const NONE: Self = Self {
        flip: false,
        down: 0,
        right: 0,
    };

    /// Writes the normalised `image` to `values`, which is 0 everywhere, the mean colour.
    pub(crate) fn write(
        &self,
        image: &[u8],
        [_, height, width]: [usize; 3],
        table: &[[f32; 256]],
        values: &mut [f32],
    ) {
        // The rows and columns of the image that stay inside it.
        let inside = |side: usize, shift: isize| {
            let (lost, kept) = (
                shift.unsigned_abs().min(side),
                side.saturating_sub(shift.unsigned_abs()),
            );
            if shift < 0 {
                (lost, 0, kept)
            } else {
                (0, lost, kept)
            }
        };
        let (from_row, to_row, rows) = inside(height, self.down);
        let (from_col, to_col, cols) = inside(width, self.right);
        let plane = height * width;
        let planes = image
            .chunks_exact(plane)
            .zip(values.chunks_exact_mut(plane));
        for ((image, values), table) in planes.zip(table) {
            for row in 0..rows {
                let source = &image[(from_row + row) * width..][..width];
                let target = &mut values[(to_row + row) * width + to_col..][..cols];
                let pairs = target.iter_mut();
                if self.flip {
                    let mirrored = source.iter().rev().skip(from_col);
                    pairs
                        .zip(mirrored)
                        .for_each(|(to, &value)| *to = table[value as usize]);
                } else {
                    pairs
                        .zip(&source[from_col..])
                        .for_each(|(to, &value)| *to = table[value as usize]);
                }
            }
        }
    }
}
