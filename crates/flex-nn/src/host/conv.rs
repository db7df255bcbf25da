//! Convolutions and their gradients.

use std::ops::Range;

use super::depthwise;
use super::gather::{Finish, Gather, Kind, Layout, Padded, Phase, Run};
use super::parallel::{self, MUCH};
use super::vector::are_finite;
use super::weight_gradient;
use super::weights::pack;
use super::winograd::Winograd;
use super::{Images, arch, memory, windows};

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

/// What is done with the result of a convolution before it is stored, in this order.
#[derive(Clone, Debug, Default)]
pub struct Epilogue<'a> {
    /// A factor for each output channel.
    pub scale: Option<&'a [f32]>,
    /// A number that is added to each output channel.
    pub shift: Option<&'a [f32]>,
    /// Numbers `[N, H, W, O]` that are added. Their memory is that of the result.
    pub residual: Option<Vec<f32>>,
    /// Whether negative numbers become 0; NaN stays.
    pub relu: bool,
}

/// The numbers of f32 that the copy of a group of images may take: about half of a usual cache of the
/// second level.
pub(super) const CACHE: usize = 1 << 16;

impl Conv {
    /// The height and width of the output; `None` where the kernel does not fit into the input.
    pub fn output_size(&self) -> Option<[usize; 2]> {
        let size = |axis: usize| {
            let [kernel, dilation] = [self.kernel[axis], self.dilation[axis]];
            windows(self.padded()[axis], kernel, self.stride[axis], dilation)
        };
        Some([size(0)?, size(1)?])
    }

    /// The shape of the output `[N, O, H, W]`.
    pub fn output(&self) -> [usize; 4] {
        let [height, width] = self
            .output_size()
            .expect("the kernel fits into the padded images");
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
        let (images, threads) = (self.input[0], rayon::current_num_threads());
        let most = fitting.min(images.div_ceil(threads)).max(1);
        // The images of the busiest thread.
        let load = |together: usize| images.div_ceil(together).div_ceil(threads) * together;
        let choices = (most.div_ceil(2)..=most).rev();
        choices.min_by_key(|some| load(*some)).unwrap_or(most)
    }

    /// The number of weights.
    fn weights(&self) -> usize {
        self.channels * self.weight_steps()[1]
    }

    /// The size of a padded image for the forward pass.
    pub(super) fn padded(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.input[2 + axis] + self.padding[axis].iter().sum::<usize>())
    }

    pub(super) fn before(&self) -> [usize; 2] {
        self.padding.map(|[before, _]| before)
    }

    /// The runs of the forward pass, and the place of the weight of each of their numbers.
    pub(super) fn forward_runs(&self, layout: &Layout) -> (Vec<Run>, Vec<Option<usize>>) {
        let taps = |axis: usize| -> Vec<_> {
            let taps = 0..self.kernel[axis];
            taps.map(|tap| (tap * self.dilation[axis], tap)).collect()
        };
        let [step, _] = self.weight_steps();
        self.runs(layout, [&taps(0), &taps(1)], step)
    }

    /// The place in the padded copy of each output position of the forward pass.
    pub(super) fn forward_places(&self, layout: &Layout) -> Vec<usize> {
        let [_, _, height, width] = self.output();
        let mut places = Vec::with_capacity(layout.images * height * width);
        for image in 0..layout.images {
            for y in 0..height {
                let place = |x| layout.place(0, image, y * self.stride[0], x * self.stride[1]);
                places.extend((0..width).map(place));
            }
        }
        places
    }

    /// The runs over all blocks of channels and the taps of the kernel, and the place of the weight of
    /// each of their numbers; those of two channels are `step` apart. A tap is given by its place in the
    /// copy and its number.
    fn runs(
        &self,
        layout: &Layout,
        taps: [&[(usize, usize)]; 2],
        step: usize,
    ) -> (Vec<Run>, Vec<Option<usize>>) {
        let (mut runs, mut places): (Vec<Run>, _) = (Vec::new(), Vec::new());
        let len = layout.block;
        for block in 0..layout.blocks() {
            let first = block * len;
            for &(y, row) in taps[0] {
                for &(x, column) in taps[1] {
                    let offset = layout.place(block, 0, y, x);
                    match runs.last_mut() {
                        Some(last) if last.offset + last.len == offset => last.len += len,
                        _ => runs.push(Run { offset, len }),
                    }
                    let tap = row * self.kernel[1] + column;
                    places.extend((first..first + len).map(|channel| {
                        (channel < layout.channels).then_some(channel * step + tap)
                    }));
                }
            }
        }
        (runs, places)
    }

    /// The distances of two input channels and of two output channels of the weights.
    pub(super) fn weight_steps(&self) -> [usize; 2] {
        let taps = self.kernel[0] * self.kernel[1];
        [taps, self.input[1] / self.groups * taps]
    }

    /// The output `[N, H, W, O]`.
    ///
    /// # Panics
    ///
    /// Where the lengths do not match the shapes.
    pub fn forward(
        &self,
        images: &Images<'_>,
        weights: &[f32],
        epilogue: Epilogue<'_>,
    ) -> Vec<f32> {
        assert_eq!(images.shape(), self.input);
        assert_eq!(weights.len(), self.weights());
        let finish = Finish {
            scale: epilogue.scale,
            shift: epilogue.shift,
            add: epilogue.residual.is_some(),
            relu: epilogue.relu,
        };
        let len = self.output().iter().product();
        let mut result = epilogue.residual.unwrap_or_else(|| memory::take(len));
        assert_eq!(result.len(), len);
        if self.is_depthwise() {
            depthwise::forward(self, images, weights, finish, &mut result);
            return result;
        }
        let [inputs, outputs] = self.group_channels();
        let layout = self.layout(images, inputs, self.output(), self.padding);
        let phases = |group: usize| {
            let (runs, weight_places) = self.forward_runs(&layout);
            let places = self.forward_places(&layout);
            let [_, step] = self.weight_steps();
            let weights = &weights[group * outputs * step..];
            vec![Phase {
                targets: (0..places.len()).collect(),
                weights: pack(weights, &weight_places, outputs, step),
                runs,
                places,
            }]
        };
        self.gather(images, layout, self.output(), finish, result, phases)
    }

    /// The gradient with respect to the input, `[N, H, W, C]`, from that with respect to the output. It
    /// is added to `sum` where there is one.
    ///
    /// # Panics
    ///
    /// Where the lengths do not match the shapes.
    pub fn input_gradient(
        &self,
        gradient: &Images<'_>,
        weights: &[f32],
        sum: Option<Vec<f32>>,
    ) -> Vec<f32> {
        assert_eq!(gradient.shape(), self.output());
        assert_eq!(weights.len(), self.weights());
        let finish = Finish {
            add: sum.is_some(),
            ..Finish::default()
        };
        let len = self.input.iter().product();
        if self.is_depthwise() {
            let mut result = sum.unwrap_or_else(|| memory::take(len));
            depthwise::input_gradient(self, gradient, weights, finish, &mut result);
            return result;
        }
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
        let layout = self.layout(gradient, outputs, self.input, borders);
        let before = layout.before;
        let phases = |group: usize| -> Vec<_> {
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
                let [input, output] = self.weight_steps();
                let (runs, weight_places) = self.runs(&layout, [&taps[0], &taps[1]], output);
                let counts = [0, 1].map(|axis| count(axis, phase[axis]));
                let (mut places, mut targets) = (Vec::new(), Vec::new());
                for image in 0..layout.images {
                    for y in 0..counts[0] {
                        for x in 0..counts[1] {
                            places.push(layout.place(0, image, y, x));
                            let y = y * self.stride[0] + phase[0];
                            let x = x * self.stride[1] + phase[1];
                            targets.push((image * self.input[2] + y) * self.input[3] + x);
                        }
                    }
                }
                let weights = &weights[group * outputs * output..];
                let weights = pack(weights, &weight_places, inputs, input);
                Some(Phase {
                    runs,
                    places,
                    targets,
                    weights,
                })
            });
            phases.collect()
        };
        let result = sum.unwrap_or_else(|| {
            let mut result = memory::take(len);
            // Positions that no tap of the kernel meets.
            if (0..2).any(|axis| (0..self.stride[axis]).any(|phase| taps(axis, phase).is_empty())) {
                result.fill(0.0);
            }
            result
        });
        self.gather(gradient, layout, self.input, finish, result, phases)
    }

    /// Whether each channel is convolved by itself.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.channels && self.groups == self.input[1]
    }

    /// Whether [`Winograd`] computes an output of this shape from so many input channels.
    pub(super) fn is_winograd(&self, inputs: usize, output: [usize; 4]) -> bool {
        let is_possible = self.groups == 1
            && self.kernel == [3, 3]
            && self.stride == [1, 1]
            && self.dilation == [1, 1]
            && self.before().iter().all(|before| *before < 3);
        is_possible && Winograd::pays(inputs, output)
    }

    /// How images with so many channels in a group and these borders are read for an output of this
    /// shape.
    fn layout(
        &self,
        images: &Images<'_>,
        channels: usize,
        output: [usize; 4],
        borders: [[usize; 2]; 2],
    ) -> Layout {
        let [_, _, rows, columns] = output;
        let mut size =
            [0, 1].map(|axis| images.shape()[2 + axis] + borders[axis].iter().sum::<usize>());
        let is_tiled = self.is_winograd(channels, output);
        if is_tiled {
            size = Winograd::padded([rows, columns], size);
        }
        let is_dense = self.groups == 1
            && !is_tiled
            && borders == [[0; 2]; 2]
            && channels.is_multiple_of(8)
            && images.as_channels_last().is_some();
        let together = self.images_together(channels * size[0] * size[1], rows * columns);
        if is_dense {
            return Layout::dense(together, channels, size);
        }
        let before = borders.map(|[before, _]| before);
        let padded = Layout::padded(together, channels, size, before);
        let kind = if is_tiled { Kind::Tiled } else { padded.kind };
        Layout { kind, ..padded }
    }

    /// Computes an output `[N, H, W, channels]` of this shape, some images at a time.
    fn gather(
        &self,
        images: &Images<'_>,
        layout: Layout,
        output: [usize; 4],
        finish: Finish<'_>,
        mut result: Vec<f32>,
        phases: impl Fn(usize) -> Vec<Phase>,
    ) -> Vec<f32> {
        let [count, channels, height, width] = output;
        let len = channels * height * width;
        assert_eq!(result.len(), count * len);
        let of_group = channels / self.groups;
        let arch = arch();
        let phases: Vec<_> = (0..self.groups).map(phases).collect();
        let winograd = (layout.kind == Kind::Tiled).then(|| {
            let weights = &phases[0][0].weights;
            are_finite(weights).then(|| Winograd::new(layout, channels, [height, width], weights))
        });
        let winograd = winograd.flatten();
        let dense = images
            .as_channels_last()
            .filter(|_| layout.kind == Kind::Dense);
        let parts = result.chunks_mut((layout.images * len).max(1));
        parallel::each(MUCH, parts.enumerate(), |(part, output)| {
            let first = part * layout.images;
            let images_here = output.len() / len;
            let mut padded = dense.is_none().then(|| Padded::new(layout));
            for (group, phases) in phases.iter().enumerate() {
                if let Some(padded) = &mut padded {
                    let channel = group * layout.channels;
                    padded.fill(images, first..first + images_here, channel);
                }
                let input = match (&padded, dense) {
                    (Some(padded), _) => padded.data(),
                    (None, images) => &images.unwrap_or_default()[layout.place(0, first, 0, 0)..],
                };
                // In a tile a number that is not finite would spread to all positions.
                let is_tiled = |image: usize| match (&winograd, &padded) {
                    (Some(_), Some(padded)) => padded.is_finite(image),
                    _ => false,
                };
                let mut ranges: Vec<(bool, Range<usize>)> = Vec::new();
                for image in 0..images_here {
                    let own = is_tiled(image);
                    match ranges.last_mut() {
                        Some((last, range)) if *last == own => range.end += 1,
                        _ => ranges.push((own, image..image + 1)),
                    }
                }
                for (is_tiled, images) in ranges {
                    if let Some(winograd) = winograd.as_ref().filter(|_| is_tiled) {
                        winograd.apply(images, input, output, finish);
                        continue;
                    }
                    for phase in phases {
                        let of_image = phase.places.len() / layout.images;
                        arch.dispatch(Gather {
                            phase,
                            positions: of_image * images.start..of_image * images.end,
                            input,
                            output: &mut *output,
                            stride: channels,
                            first: group * of_group,
                            channels: of_group,
                            finish,
                        });
                    }
                }
            }
        });
        for phase in phases.into_iter().flatten() {
            memory::give_back(phase.weights);
        }
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
        if self.is_depthwise() {
            return depthwise::weight_gradient(self, images, gradient);
        }
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
