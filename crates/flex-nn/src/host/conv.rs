//! Convolutions and their gradients.

use rayon::prelude::*;

use super::gather::{Gather, Padded, Phase, Run, output_block};
use super::weight_gradient;
use super::{Images, arch, lanes};

/// A convolution of images `[N, C, H, W]` with weights `[O, C / groups, h, w]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// The shape of the input `[N, C, H, W]`.
    pub input: [usize; 4],
    /// The number of output channels.
    pub channels: usize,
    /// The height and width of the kernel.
    pub kernel: [usize; 2],
    /// The distance of output positions in the input.
    pub stride: [usize; 2],
    /// The rows above and below, and the columns left and right, that count as 0.
    pub padding: [[usize; 2]; 2],
    /// The distance of the elements of the kernel in the input.
    pub dilation: [usize; 2],
    /// The number of groups of channels, which are convolved each by itself.
    pub groups: usize,
}

/// The numbers of f32 that the copy of a group of images may take: about half of a usual cache of the
/// second level.
pub(super) const CACHE: usize = 1 << 16;

/// The numbers of a run that are packed together.
pub(super) const PIECE: usize = 144;

impl Conv {
    /// The height and width of the output; `None` where the kernel does not fit into the input.
    pub fn output_size(&self) -> Option<[usize; 2]> {
        let size = |axis: usize| {
            let padded = self.input[2 + axis] + self.padding[axis].iter().sum::<usize>();
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            Some(padded.checked_sub(reach)? / self.stride[axis] + 1)
        };
        Some([size(0)?, size(1)?])
    }

    /// The shape of the output `[N, O, H, W]`.
    pub fn output(&self) -> [usize; 4] {
        let [height, width] = self
            .output_size()
            .expect("the caller has checked the shape");
        [self.input[0], self.channels, height, width]
    }

    /// Channels of the input and of the output in a group.
    pub(super) fn group_channels(&self) -> [usize; 2] {
        [self.input[1] / self.groups, self.channels / self.groups]
    }

    /// The number of images that are worked on together, where a copy of one takes `numbers` of f32 and
    /// gives `positions`. Each position is a sum of its own, so the result does not depend on it.
    fn images_together(&self, numbers: usize, positions: usize) -> usize {
        // Enough positions that reading the weights counts little.
        let enough = 256usize.div_ceil(positions.max(1));
        let fitting = (CACHE / numbers.max(1)).max(enough);
        fitting
            .min(self.input[0].div_ceil(rayon::current_num_threads()))
            .max(1)
    }

    /// The size of a padded image for the forward pass.
    pub(super) fn padded(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.input[2 + axis] + self.padding[axis].iter().sum::<usize>())
    }

    pub(super) fn before(&self) -> [usize; 2] {
        self.padding.map(|[before, _]| before)
    }

    /// The runs of the forward pass.
    pub(super) fn forward_runs(&self, padded: &Padded) -> (Vec<Run>, Vec<(usize, [usize; 2])>) {
        let taps = |axis: usize| -> Vec<_> {
            let taps = 0..self.kernel[axis];
            taps.map(|tap| (tap * self.dilation[axis], tap)).collect()
        };
        Self::runs(padded, [&taps(0), &taps(1)])
    }

    /// The place in the padded copy of each output position of the forward pass.
    pub(super) fn forward_places(&self, padded: &Padded) -> Vec<usize> {
        let [_, _, height, width] = self.output();
        let mut places = Vec::with_capacity(padded.images * height * width);
        for image in 0..padded.images {
            for y in 0..height {
                let place = |x| padded.place(0, image, y * self.stride[0], x * self.stride[1]);
                places.extend((0..width).map(place));
            }
        }
        places
    }

    /// The runs over all blocks of channels and the taps of the kernel, and for each number of a run
    /// its channel and its tap. A tap is given by its place in the padded copy and its number.
    fn runs(padded: &Padded, taps: [&[(usize, usize)]; 2]) -> (Vec<Run>, Vec<(usize, [usize; 2])>) {
        let (mut runs, mut numbers): (Vec<Run>, _) = (Vec::new(), Vec::new());
        let len = padded.block;
        for block in 0..padded.blocks() {
            let first = block * len;
            for &(y, row) in taps[0] {
                for &(x, column) in taps[1] {
                    let offset = padded.place(block, 0, y, x);
                    match runs.last_mut() {
                        Some(last) if last.offset + last.len == offset => last.len += len,
                        _ => runs.push(Run { offset, len }),
                    }
                    let channels = first..first + len;
                    numbers.extend(channels.map(|channel| (channel, [row, column])));
                }
            }
        }
        (runs, numbers)
    }

    /// Packs weights for [`Gather`] from `inputs` channels to `channels`. In `weights`, two channels of
    /// the input and two of the output are as far apart as `steps` says.
    fn pack(
        &self,
        numbers: &[(usize, [usize; 2])],
        [inputs, channels]: [usize; 2],
        weights: &[f32],
        steps: [usize; 2],
    ) -> Vec<f32> {
        let width = output_block(lanes(), channels);
        let mut packed = vec![0.0; channels.div_ceil(width) * numbers.len() * width];
        let blocks = packed.par_chunks_mut(numbers.len() * width);
        blocks.enumerate().for_each(|(block, packed)| {
            let count = width.min(channels - block * width);
            let weights = &weights[block * width * steps[1]..];
            // Some numbers at a time, so that both sides stay in the first cache.
            let pieces = packed.chunks_mut(PIECE * width).zip(numbers.chunks(PIECE));
            for (packed, numbers) in pieces {
                for output in 0..count {
                    let weights = &weights[output * steps[1]..];
                    let packed = packed[output..].iter_mut().step_by(width);
                    for (packed, &(channel, [row, column])) in packed.zip(numbers) {
                        if channel < inputs {
                            *packed = weights[channel * steps[0] + row * self.kernel[1] + column];
                        }
                    }
                }
            }
        });
        packed
    }

    /// The distances of two input channels and of two output channels of the weights.
    pub(super) fn weight_steps(&self) -> [usize; 2] {
        let taps = self.kernel[0] * self.kernel[1];
        [taps, self.input[1] / self.groups * taps]
    }

    /// The output `[N, H, W, O]`, with a bias for each channel.
    ///
    /// # Panics
    ///
    /// Where the lengths do not match the shapes.
    pub fn forward(&self, images: &Images<'_>, weights: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        assert_eq!(images.shape(), self.input);
        let [_, _, height, width] = self.output();
        let [inputs, outputs] = self.group_channels();
        let [padded_height, padded_width] = self.padded();
        let numbers = inputs * padded_height * padded_width;
        let together = self.images_together(numbers, height * width);
        let phases = |padded: &Padded, group: usize| {
            let (runs, numbers) = self.forward_runs(padded);
            let places = self.forward_places(padded);
            vec![Phase {
                targets: (0..places.len()).collect(),
                weights: self.pack(
                    &numbers,
                    [inputs, outputs],
                    &weights[group * outputs * self.weight_steps()[1]..],
                    self.weight_steps(),
                ),
                runs,
                places,
            }]
        };
        let new = |images| Padded::new(images, inputs, self.padded(), self.before());
        self.gather(images, self.output(), together, bias, new, phases)
    }

    /// The gradient with respect to the input, `[N, H, W, C]`, from that with respect to the output.
    ///
    /// # Panics
    ///
    /// Where the lengths do not match the shapes.
    pub fn input_gradient(&self, gradient: &Images<'_>, weights: &[f32]) -> Vec<f32> {
        assert_eq!(gradient.shape(), self.output());
        let [inputs, outputs] = self.group_channels();
        // An input position belongs to one of `stride` phases in each direction, and only some taps of
        // the kernel meet it: those by which an output position is a whole number.
        let taps = |axis: usize, phase: usize| -> Vec<(isize, usize)> {
            let stride = self.stride[axis] as isize;
            let taps = (0..self.kernel[axis]).rev().filter_map(|tap| {
                let reach = phase + self.padding[axis][0];
                let place = reach as isize - (tap * self.dilation[axis]) as isize;
                (place.rem_euclid(stride) == 0).then(|| (place.div_euclid(stride), tap))
            });
            taps.collect()
        };
        let count = |axis: usize, phase: usize| {
            (self.input[2 + axis].saturating_sub(phase)).div_ceil(self.stride[axis])
        };
        // The rows and columns around the gradient that the taps reach.
        let output = self.output();
        let border = |axis: usize| {
            let (mut before, mut after) = (0, 0);
            for phase in 0..self.stride[axis] {
                for (place, _) in taps(axis, phase) {
                    before = before.max(-place);
                    let last = place + count(axis, phase) as isize - output[2 + axis] as isize;
                    after = after.max(last);
                }
            }
            [before as usize, after.max(0) as usize]
        };
        let borders = [border(0), border(1)];
        let size = [0, 1].map(|axis| output[2 + axis] + borders[axis].iter().sum::<usize>());
        let before = borders.map(|[before, _]| before);
        let positions = self.input[2] * self.input[3];
        let together = self.images_together(outputs * size[0] * size[1], positions);
        let phases = |padded: &Padded, group: usize| {
            let all = (0..self.stride[0])
                .flat_map(|row| (0..self.stride[1]).map(move |column| [row, column]));
            let phases = all.filter_map(|phase| {
                let taps = [0, 1].map(|axis| -> Vec<_> {
                    let shift = |(place, tap)| ((place + before[axis] as isize) as usize, tap);
                    taps(axis, phase[axis]).into_iter().map(shift).collect()
                });
                if taps.iter().any(Vec::is_empty) {
                    return None;
                }
                let (runs, numbers) = Self::runs(padded, [&taps[0], &taps[1]]);
                let counts = [0, 1].map(|axis| count(axis, phase[axis]));
                let (mut places, mut targets) = (Vec::new(), Vec::new());
                for image in 0..padded.images {
                    for y in 0..counts[0] {
                        for x in 0..counts[1] {
                            places.push(padded.place(0, image, y, x));
                            let y = y * self.stride[0] + phase[0];
                            let x = x * self.stride[1] + phase[1];
                            targets.push((image * self.input[2] + y) * self.input[3] + x);
                        }
                    }
                }
                let [input, output] = self.weight_steps();
                let weights = &weights[group * outputs * output..];
                let weights = self.pack(&numbers, [outputs, inputs], weights, [output, input]);
                Some(Phase {
                    runs,
                    places,
                    targets,
                    weights,
                })
            });
            phases.collect()
        };
        let new = |images| Padded::new(images, outputs, size, before);
        self.gather(gradient, self.input, together, None, new, phases)
    }

    /// Computes an output `[N, H, W, channels]` of this shape by [`Gather`], some images at a time.
    fn gather(
        &self,
        images: &Images<'_>,
        output: [usize; 4],
        together: usize,
        bias: Option<&[f32]>,
        new: impl Fn(usize) -> Padded + Sync,
        phases: impl Fn(&Padded, usize) -> Vec<Phase>,
    ) -> Vec<f32> {
        let [count, channels, height, width] = output;
        let len = channels * height * width;
        let mut result = vec![0.0; count * len];
        let of_group = channels / self.groups;
        let arch = arch();
        let layout = new(together);
        let phases: Vec<_> = (0..self.groups)
            .map(|group| phases(&layout, group))
            .collect();
        drop(layout);
        let parts = result.par_chunks_mut((together * len).max(1)).enumerate();
        parts.for_each(|(part, output)| {
            let mut padded = new(together);
            let images_here = output.len() / len;
            let first = part * together;
            for (group, phases) in phases.iter().enumerate() {
                padded.fill(images, first..first + images_here, group * padded.channels);
                for phase in phases {
                    arch.dispatch(Gather {
                        phase,
                        positions: phase.places.len() / together * images_here,
                        input: &padded.data,
                        output: &mut *output,
                        stride: channels,
                        first: group * of_group,
                        channels: of_group,
                        bias: bias.map(|bias| &bias[group * of_group..][..of_group]),
                    });
                }
            }
        });
        result
    }

    /// The gradient with respect to the weights `[O, C / groups, h, w]`, from that with respect to the
    /// output.
    ///
    /// # Panics
    ///
    /// Where the lengths do not match the shapes.
    pub fn weight_gradient(&self, images: &Images<'_>, gradient: &Images<'_>) -> Vec<f32> {
        assert_eq!(images.shape(), self.input);
        assert_eq!(gradient.shape(), self.output());
        weight_gradient::compute(self, images, gradient)
    }
}

/// The gradient of a bias with respect to a convolution: the sums over all positions for each channel.
pub fn bias_gradient(gradient: &Images<'_>) -> Vec<f32> {
    let channels = gradient.shape()[1];
    let gradient = gradient.to_channels_last();
    let mut sums = vec![0.0f64; channels];
    for position in gradient.chunks_exact(channels) {
        sums.iter_mut()
            .zip(position)
            .for_each(|(sum, g)| *sum += f64::from(*g));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}
