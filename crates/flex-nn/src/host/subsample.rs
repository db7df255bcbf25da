//! The shortcut of a residual network that has no parameters.

use super::{memory, parallel};

/// Every `stride`-th position of images `[N, C, H, W]`, with channels of 0 behind the others: option A
/// of He et al., arXiv:1512.03385, section 3.3.
#[derive(Clone, Debug, PartialEq)]
pub struct Subsample {
    /// The shape of the input `[N, C, H, W]`.
    pub input: [usize; 4],
    /// The distance of two rows and of two columns.
    pub stride: [usize; 2],
    /// The number of output channels, at least `C`.
    pub channels: usize,
}

impl Subsample {
    /// The shape of the output `[N, channels, H, W]`.
    pub fn output(&self) -> [usize; 4] {
        let [n, _, height, width] = self.input;
        let [y, x] = self.stride;
        [n, self.channels, height.div_ceil(y), width.div_ceil(x)]
    }

    /// The output `[N, H, W, channels]` of images `[N, H, W, C]`.
    ///
    /// # Panics
    ///
    /// Where the length does not match the shape.
    pub fn forward(&self, images: &[f32]) -> Vec<f32> {
        let [n, channels, height, width] = self.input;
        assert_eq!(images.len(), n * channels * height * width);
        let mut result = memory::take(self.output().iter().product());
        let parts = result
            .chunks_mut(self.output()[1..].iter().product())
            .zip(images.chunks(channels * height * width));
        parallel::each(images.len(), parts, |(result, image)| {
            let positions = result.chunks_exact_mut(self.channels);
            for (place, to) in self.places().zip(positions) {
                let (numbers, missing) = to.split_at_mut(channels);
                numbers.copy_from_slice(&image[place * channels..][..channels]);
                missing.fill(0.0);
            }
        });
        result
    }

    /// The gradient with respect to the images, `[N, H, W, C]`, from that with respect to the output,
    /// `[N, H, W, channels]`. It is added to `sum` where there is one.
    ///
    /// # Panics
    ///
    /// Where the lengths do not match the shapes.
    pub fn backward(&self, gradient: &[f32], sum: Option<Vec<f32>>) -> Vec<f32> {
        let [_, channels, height, width] = self.input;
        let mut result = sum.unwrap_or_else(|| {
            let mut result = memory::take(self.input.iter().product());
            result.fill(0.0);
            result
        });
        assert_eq!(result.len(), self.input.iter().product::<usize>());
        assert_eq!(gradient.len(), self.output().iter().product::<usize>());
        let parts = result
            .chunks_mut(channels * height * width)
            .zip(gradient.chunks(self.output()[1..].iter().product()));
        parallel::each(gradient.len(), parts, |(result, gradient)| {
            let positions = gradient.chunks_exact(self.channels);
            for (place, from) in self.places().zip(positions) {
                let to = &mut result[place * channels..][..channels];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        });
        result
    }

    /// The positions of an image that are kept.
    fn places(&self) -> impl Iterator<Item = usize> {
        let [_, _, height, width] = self.input;
        let [rows, columns] = self.stride;
        let rows = (0..height).step_by(rows);
        rows.flat_map(move |y| (0..width).step_by(columns).map(move |x| y * width + x))
    }
}
