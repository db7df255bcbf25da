//! Pooling.

use pulp::{Simd, WithSimd};

use super::vector::{load, store, vectors};
use super::{arch, memory, parallel, windows};

/// The position of the largest number in a window of padding alone.
const NOWHERE: u32 = u32::MAX;

/// A max pooling of images `[N, C, H, W]`. As in PyTorch and Burn, NaN is larger than all numbers, the
/// first of equal numbers is the largest, and the padding is never chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPool {
    /// The shape of the input `[N, C, H, W]`.
    pub input: [usize; 4],
    /// The height and width of the windows.
    pub kernel: [usize; 2],
    /// The distance of two windows.
    pub stride: [usize; 2],
    /// The rows above and below, and the columns left and right, of the input.
    pub padding: [[usize; 2]; 2],
    /// The distance of two rows and of two columns of a window.
    pub dilation: [usize; 2],
}

impl MaxPool {
    /// The height and width of the output; `None` where no window fits into the input.
    pub fn output_size(&self) -> Option<[usize; 2]> {
        let size = |axis: usize| {
            let padded = self.input[2 + axis] + self.padding[axis].iter().sum::<usize>();
            let [kernel, dilation] = [self.kernel[axis], self.dilation[axis]];
            windows(padded, kernel, self.stride[axis], dilation)
        };
        Some([size(0)?, size(1)?])
    }

    /// The shape of the output `[N, C, H, W]`.
    ///
    /// # Panics
    ///
    /// Where no window fits into the input.
    pub fn output(&self) -> [usize; 4] {
        let size = self.output_size();
        let [height, width] = size.expect("a window fits into the padded images");
        [self.input[0], self.input[1], height, width]
    }

    /// The positions of a window in an image, without those of the padding.
    fn positions(&self, window: usize, positions: &mut Vec<usize>) {
        let [_, _, height, width] = self.input;
        let [.., columns] = self.output();
        let taps = |axis: usize, number: usize, size: usize| {
            let first = number * self.stride[axis];
            let before = self.padding[axis][0];
            let taps = (0..self.kernel[axis]).map(move |tap| first + tap * self.dilation[axis]);
            taps.filter_map(move |tap| tap.checked_sub(before).filter(|tap| *tap < size))
        };
        positions.clear();
        for y in taps(0, window / columns, height) {
            positions.extend(taps(1, window % columns, width).map(|x| y * width + x));
        }
    }

    /// The numbers of an image of the input and of the output.
    fn lens(&self) -> [usize; 2] {
        [self.input, self.output()].map(|shape| shape[1..].iter().product())
    }

    /// The output `[N, H, W, C]` of images `[N, H, W, C]`.
    ///
    /// # Panics
    ///
    /// Where the length does not match the shape.
    pub fn forward(&self, images: &[f32]) -> Vec<f32> {
        let [input, output] = self.lens();
        assert_eq!(images.len(), self.input[0] * input);
        let mut result = memory::take(self.input[0] * output);
        let arch = arch();
        let parts = result.chunks_mut(output).zip(images.chunks(input));
        parallel::each(images.len(), parts, |(result, image)| {
            arch.dispatch(Windows {
                pool: self,
                image,
                found: |number, largest: &[f32], _: &[u32]| {
                    result[number..][..largest.len()].copy_from_slice(largest);
                },
            });
        });
        result
    }

    /// The gradient with respect to the images, `[N, H, W, C]`, from that with respect to the output.
    ///
    /// # Panics
    ///
    /// Where the lengths do not match the shapes.
    pub fn backward(&self, images: &[f32], gradient: &[f32]) -> Vec<f32> {
        let [input, output] = self.lens();
        assert_eq!(images.len(), self.input[0] * input);
        assert_eq!(gradient.len(), self.input[0] * output);
        let channels = self.input[1];
        let mut result = memory::take(images.len());
        let arch = arch();
        let parts = result
            .chunks_mut(input)
            .zip(images.chunks(input).zip(gradient.chunks(output)));
        parallel::each(images.len(), parts, |(result, (image, gradient))| {
            result.fill(0.0);
            arch.dispatch(Windows {
                pool: self,
                image,
                found: |number, _: &[f32], positions: &[u32]| {
                    let channel = number % channels;
                    let gradient = &gradient[number..][..positions.len()];
                    for (lane, (gradient, position)) in gradient.iter().zip(positions).enumerate() {
                        if *position != NOWHERE {
                            let place = *position as usize * channels + channel + lane;
                            result[place] += gradient;
                        }
                    }
                },
            });
        });
        result
    }
}

/// Finds the largest numbers of the windows of an image, for a vector of channels at a time. `found`
/// gets the place of the first of them in the output, the numbers, and the position of each in the image.
struct Windows<'a, F> {
    pool: &'a MaxPool,
    image: &'a [f32],
    found: F,
}

impl<F: FnMut(usize, &[f32], &[u32])> WithSimd for Windows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let channels = self.pool.input[1];
        let [.., rows, columns] = self.pool.output();
        let (mut positions, mut numbers) = (Vec::new(), vec![0.0; S::F32_LANES]);
        let mut places = vec![NOWHERE; S::F32_LANES];
        for window in 0..rows * columns {
            self.pool.positions(window, &mut positions);
            for lanes in vectors(S::F32_LANES, channels) {
                let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
                let mut place = simd.splat_u32s(NOWHERE);
                for (number, position) in positions.iter().enumerate() {
                    let x = load(simd, &self.image[position * channels..][lanes.clone()]);
                    let own = simd.splat_u32s(*position as u32);
                    if number == 0 {
                        (largest, place) = (x, own);
                        continue;
                    }
                    let is_nan = simd.not_m32s(simd.equal_f32s(x, x));
                    let is_larger = simd.or_m32s(simd.greater_than_f32s(x, largest), is_nan);
                    largest = simd.select_f32s(is_larger, x, largest);
                    place = simd.select_u32s(is_larger, own, place);
                }
                store(simd, &mut numbers, largest);
                S::as_mut_simd_u32s(&mut places).0[0] = place;
                let len = lanes.len();
                (self.found)(
                    window * channels + lanes.start,
                    &numbers[..len],
                    &places[..len],
                );
            }
        }
    }
}

/// The mean `[N, C]` over the positions of images `[N, H, W, C]`, by their shape `[N, C, H, W]`.
///
/// # Panics
///
/// Where the length does not match the shape.
pub fn global_mean(images: &[f32], [n, channels, height, width]: [usize; 4]) -> Vec<f32> {
    let positions = height * width;
    assert_eq!(images.len(), n * channels * positions);
    let mut means = vec![0.0; n * channels];
    let arch = arch();
    let parts = means
        .chunks_mut(channels)
        .zip(images.chunks(channels * positions));
    parallel::each(images.len(), parts, |(means, image)| {
        arch.dispatch(|| {
            for position in image.chunks_exact(channels) {
                let pairs = means.iter_mut().zip(position);
                pairs.for_each(|(mean, x)| *mean += x);
            }
            means.iter_mut().for_each(|mean| *mean /= positions as f32);
        });
    });
    means
}

/// The gradient of images of this shape `[N, C, H, W]`, as `[N, H, W, C]`, from that of their
/// [`global_mean`].
///
/// # Panics
///
/// Where the length does not match the shape.
pub fn global_mean_gradient(
    gradient: &[f32],
    [n, channels, height, width]: [usize; 4],
) -> Vec<f32> {
    let positions = height * width;
    assert_eq!(gradient.len(), n * channels);
    let mut result = memory::take(n * channels * positions);
    let parts = result
        .chunks_mut(channels * positions)
        .zip(gradient.chunks(channels));
    parallel::each(n * channels * positions, parts, |(image, gradient)| {
        let share: Vec<_> = gradient.iter().map(|g| g / positions as f32).collect();
        for position in image.chunks_exact_mut(channels) {
            position.copy_from_slice(&share);
        }
    });
    result
}
