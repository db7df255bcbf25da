//! Pooling.

#[cfg(feature = "flex")]
use burn::backend::Dispatch;
use burn::module::Module;
use burn::nn::{self, PaddingConfig2d};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::{MaxPoolOptions, PadMode};
use burn::tensor::{Tensor, s};

use super::padding;
#[cfg(feature = "flex")]
use super::{has_kernels, is_untracked, without_autodiff};
#[cfg(feature = "flex")]
use crate::backend::NnOps;

/// A max pooling with the settings of [`burn::nn::pool::MaxPool2d`], from which it is made.
#[derive(Module, Debug)]
pub struct MaxPool2d {
    /// The distance of two windows, by rows and by columns.
    pub stride: [usize; 2],
    /// The height and width of the windows.
    pub kernel_size: [usize; 2],
    /// The positions around the images, which are never the largest.
    #[module(skip)]
    pub padding: PaddingConfig2d,
    /// The distance of two rows and of two columns of a window.
    pub dilation: [usize; 2],
    /// Whether a window may begin in the images and end behind their padding.
    pub ceil_mode: bool,
}

impl From<nn::pool::MaxPool2d> for MaxPool2d {
    fn from(pool: nn::pool::MaxPool2d) -> Self {
        Self {
            stride: pool.stride,
            kernel_size: pool.kernel_size,
            padding: pool.padding,
            dilation: pool.dilation,
            ceil_mode: pool.ceil_mode,
        }
    }
}

impl MaxPool2d {
    /// The largest numbers of the windows of images `[N, C, H, W]`.
    ///
    /// # Panics
    ///
    /// Where Burn does.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = images.dims();
        let size = [height, width];
        let padding = padding(&self.padding, size, self.kernel_size, self.stride);
        let options = MaxPoolOptions::new(self.kernel_size)
            .with_stride(self.stride)
            .with_padding_pairs(padding)
            .with_dilation(self.dilation)
            .with_ceil_mode(self.ceil_mode);
        #[cfg(feature = "flex")]
        if !self.ceil_mode
            && has_kernels(&images)
            && crate::flex::pool(images.dims(), &options)
                .output_size()
                .is_some()
        {
            if images.is_autodiff() && is_untracked(&images) {
                return without_autodiff(images, |images| self.forward(images));
            }
            let images = images.into_dispatch();
            return Tensor::from_dispatch(Dispatch::fast_max_pool2d(images, options));
        }
        max_pool2d(images, options)
    }
}

/// The mean `[N, C]` over the positions of images `[N, C, H, W]`, known as global average pooling.
pub fn global_mean(images: Tensor<4>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if has_kernels(&images) {
        if images.is_autodiff() && is_untracked(&images) {
            return without_autodiff(images, global_mean);
        }
        return Tensor::from_dispatch(Dispatch::fast_global_mean(images.into_dispatch()));
    }
    images.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
}

/// Every `stride`-th position of images `[N, C, H, W]`, followed by channels of 0 up to `channels`: the
/// shortcut without parameters of a residual network (He et al., arXiv:1512.03385, section 3.3, A).
///
/// # Panics
///
/// Where `channels` is less than `C`, or a stride is 0.
pub fn subsample(images: Tensor<4>, stride: [usize; 2], channels: usize) -> Tensor<4> {
    let missing = channels.checked_sub(images.dims()[1]);
    let missing = missing.expect("at least as many channels as before");
    if stride == [1, 1] && missing == 0 {
        return images;
    }
    #[cfg(feature = "flex")]
    if has_kernels(&images) {
        if images.is_autodiff() && is_untracked(&images) {
            return without_autodiff(images, |images| subsample(images, stride, channels));
        }
        let images = images.into_dispatch();
        return Tensor::from_dispatch(Dispatch::fast_subsample(images, stride, channels));
    }
    let [y, x] = stride.map(|stride| stride as isize);
    images
        .slice(s![.., .., ..;y, ..;x])
        .permute([0, 2, 3, 1])
        .pad([(0, missing)], PadMode::Constant(0.0))
        .permute([0, 3, 1, 2])
}
