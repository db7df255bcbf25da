//! Images in memory.

use std::borrow::Cow;

use super::{arch, memory, parallel};

/// The strides of images of the shape `[N, C, H, W]` that are `[N, H, W, C]` in memory.
pub fn channels_last_strides(shape: [usize; 4]) -> [isize; 4] {
    let [_, channels, height, width] = shape.map(|size| size as isize);
    [height * width * channels, 1, width * channels, channels]
}

/// A batch of images `[N, C, H, W]` in memory, with any strides.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    data: &'a [f32],
    shape: [usize; 4],
    strides: [isize; 4],
    offset: usize,
}

impl<'a> Images<'a> {
    /// Images of the shape `[N, C, H, W]`; element `[n, c, y, x]` is number
    /// `offset + n * strides[0] + c * strides[1] + ...` of `data`.
    ///
    /// # Panics
    ///
    /// Where an element is outside `data`.
    pub fn new(data: &'a [f32], shape: [usize; 4], strides: [isize; 4], offset: usize) -> Self {
        let images = Self {
            data,
            shape,
            strides,
            offset,
        };
        if !shape.contains(&0) {
            let mut ends = [offset as isize; 2];
            for (size, stride) in shape.iter().zip(strides) {
                let reach = (*size as isize - 1) * stride;
                ends[usize::from(reach > 0)] += reach;
            }
            assert!(ends[0] >= 0 && (ends[1] as usize) < data.len());
        }
        images
    }

    /// Images `[N, H, W, C]` that fill `data`, by their shape `[N, C, H, W]`.
    pub fn channels_last(data: &'a [f32], shape: [usize; 4]) -> Self {
        Self::new(data, shape, channels_last_strides(shape), 0)
    }

    pub(super) fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// The numbers `[N, H, W, C]`; `None` where they are not that in memory.
    pub fn as_channels_last(&self) -> Option<&'a [f32]> {
        let dense = channels_last_strides(self.shape);
        let mut sizes = self.shape.iter().zip(self.strides.iter().zip(dense));
        let is_dense = sizes.all(|(&size, (&stride, dense))| size <= 1 || stride == dense);
        let len = self.shape.iter().product();
        is_dense.then(|| &self.data[self.offset..][..len])
    }

    /// The numbers `[N, H, W, C]`, which are a copy where they are not that in memory.
    pub fn to_channels_last(&self) -> Cow<'a, [f32]> {
        match self.as_channels_last() {
            Some(numbers) => numbers.into(),
            None => {
                let mut copy = vec![0.0; self.shape.iter().product()];
                self.copy_channels_last(&mut copy);
                copy.into()
            }
        }
    }

    /// The numbers `[N, H, W, C]` in memory of their own.
    pub fn into_channels_last(self) -> Vec<f32> {
        let mut copy = memory::take(self.shape.iter().product());
        self.copy_channels_last(&mut copy);
        copy
    }

    fn copy_channels_last(&self, copy: &mut [f32]) {
        let [_, channels, height, width] = self.shape;
        let len = copy.len();
        let images = copy.chunks_mut((height * width * channels).max(1));
        parallel::each(len, images.enumerate(), |(image, to)| {
            arch().dispatch(|| {
                for (y, row) in to.chunks_mut(width * channels).enumerate() {
                    self.copy_row(image, y, 0..channels, row, channels);
                }
            });
        });
    }

    /// Copies some channels of a row of an image to positions that are `step` numbers apart.
    #[inline(always)]
    pub(super) fn copy_row(
        &self,
        image: usize,
        y: usize,
        channels: std::ops::Range<usize>,
        to: &mut [f32],
        step: usize,
    ) {
        let [n, c, h, w] = self.strides;
        let start = self.offset as isize + image as isize * n + y as isize * h;
        let start = start + channels.start as isize * c;
        let count = channels.len();
        let width = self.shape[3];
        if c == 1 || count == 1 {
            let rows = to.chunks_exact_mut(step).take(width);
            if w == count as isize && step == count {
                let from = &self.data[start as usize..][..width * count];
                to[..width * count].copy_from_slice(from);
            } else if count == 16 && step == 16 {
                // A copy of a known length is one instruction or two.
                for (x, to) in to.as_chunks_mut::<16>().0[..width].iter_mut().enumerate() {
                    let from = (start + x as isize * w) as usize;
                    to.copy_from_slice(&self.data[from..from + 16]);
                }
            } else {
                for (x, to) in rows.enumerate() {
                    let from = (start + x as isize * w) as usize;
                    to[..count].copy_from_slice(&self.data[from..from + count]);
                }
            }
            return;
        }
        for channel in 0..count {
            let start = start + channel as isize * c;
            if w == 1 {
                let from = &self.data[start as usize..][..width];
                let to = to[channel..].iter_mut().step_by(step);
                to.zip(from).for_each(|(to, from)| *to = *from);
            } else {
                for x in 0..width {
                    to[x * step + channel] = self.data[(start + x as isize * w) as usize];
                }
            }
        }
    }
}
