//! Convolution.

use burn::module::{Module, Param};
use burn::nn::{self, PaddingConfig2d};
use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::ConvOptions;
#[cfg(feature = "flex")]
use burn::{backend::Dispatch, tensor::DType};

use super::{BatchNorm, padding};
#[cfg(feature = "flex")]
use super::{has_kernels, is_untracked, norm::check_shapes, without_autodiff};
#[cfg(feature = "flex")]
use crate::backend::NnOps;

/// A convolution with the parameters of [`burn::nn::conv::Conv2d`], from which it is made.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// The weights `[O, C / groups, h, w]`.
    pub weight: Param<Tensor<4>>,
    /// A number for each output channel, `[O]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The distance of output positions in the input, by rows and by columns.
    pub stride: [usize; 2],
    /// The height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// The distance of the elements of the kernel in the input.
    pub dilation: [usize; 2],
    /// The number of groups of channels, which are convolved each by itself.
    pub groups: usize,
    /// The zeros around the input.
    #[module(skip)]
    pub padding: PaddingConfig2d,
}

impl From<nn::conv::Conv2d> for Conv2d {
    fn from(conv: nn::conv::Conv2d) -> Self {
        Self {
            weight: conv.weight,
            bias: conv.bias,
            stride: conv.stride,
            kernel_size: conv.kernel_size,
            dilation: conv.dilation,
            groups: conv.groups,
            padding: conv.padding,
        }
    }
}

impl Conv2d {
    /// Convolves images `[N, C, H, W]` to `[N, O, H', W']`.
    ///
    /// # Panics
    ///
    /// Where the shapes do not match or the kernel does not fit into the images, as Burn does.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let options = self.options(&images);
        let bias = self.bias.as_ref().map(|bias| bias.val());
        conv2d(images, self.weight.val(), bias, options)
    }

    /// Convolves images and normalises the result, which for inference is one pass.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward) and [`BatchNorm::forward`].
    pub fn forward_norm(&self, images: Tensor<4>, norm: &BatchNorm) -> Tensor<4> {
        self.normalised(images, norm, None, false)
    }

    /// As [`forward_norm`](Self::forward_norm), and sets negative numbers to 0.
    ///
    /// # Panics
    ///
    /// As [`forward_norm`](Self::forward_norm).
    pub fn forward_norm_relu(&self, images: Tensor<4>, norm: &BatchNorm) -> Tensor<4> {
        self.normalised(images, norm, None, true)
    }

    /// As [`forward_norm`](Self::forward_norm), adds `residual`, of the shape of the result, and sets
    /// negative numbers to 0.
    ///
    /// # Panics
    ///
    /// As [`forward_norm`](Self::forward_norm), and where the shapes differ.
    pub fn forward_norm_add_relu(
        &self,
        images: Tensor<4>,
        norm: &BatchNorm,
        residual: Tensor<4>,
    ) -> Tensor<4> {
        self.normalised(images, norm, Some(residual), true)
    }

    fn normalised(
        &self,
        images: Tensor<4>,
        norm: &BatchNorm,
        residual: Option<Tensor<4>>,
        has_relu: bool,
    ) -> Tensor<4> {
        #[cfg(feature = "flex")]
        if has_conv_kernels(&images, &self.weight.val(), self.groups)
            && norm.is_plain(&images, residual.as_ref())
            && self.is_plain()
        {
            let options = self.options(&images);
            let conv = crate::flex::conv(images.dims(), self.weight.dims(), &options);
            check_shapes(conv.output(), norm, residual.as_ref());
            return without_autodiff(images, |images| {
                let (scale, mut shift) = norm.scale_and_shift(&images.device());
                if let Some(bias) = &self.bias {
                    shift = shift + bias.val().without_autodiff() * scale.clone();
                }
                let residual = residual.map(Tensor::without_autodiff);
                Tensor::from_dispatch(Dispatch::fast_conv2d_scale(
                    images.into_dispatch(),
                    self.weight.val().without_autodiff().into_dispatch(),
                    scale.into_dispatch(),
                    shift.into_dispatch(),
                    residual.map(Tensor::into_dispatch).into(),
                    options,
                    has_relu,
                ))
            });
        }
        norm.apply(self.forward(images), residual, has_relu)
    }

    /// Whether no gradients of the parameters are tracked.
    #[cfg(feature = "flex")]
    fn is_plain(&self) -> bool {
        let bias = self.bias.as_ref();
        is_untracked(&self.weight.val()) && bias.is_none_or(|bias| is_untracked(&bias.val()))
    }

    fn options(&self, images: &Tensor<4>) -> ConvOptions<2> {
        let [_, channels, height, width] = images.dims();
        let expected = self.weight.dims()[1] * self.groups;
        assert_eq!(channels, expected, "the number of channels");
        let size = [height, width];
        let padding = padding(&self.padding, size, self.kernel_size, self.stride);
        ConvOptions::new_with_padding(self.stride, padding, self.dilation, self.groups)
    }
}

/// Convolves images `[N, C, H, W]` with weights `[O, C / groups, h, w]` to `[N, O, H', W']`, and adds a
/// number to each output channel.
///
/// # Panics
///
/// Where the shapes do not match or the kernel does not fit into the images, as Burn does.
pub fn conv2d(
    images: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_conv_kernels(&images, &weight, options.groups) {
        if images.is_autodiff()
            && is_untracked(&images)
            && is_untracked(&weight)
            && bias.as_ref().is_none_or(is_untracked)
        {
            return without_autodiff(images, |images| {
                let bias = bias.map(Tensor::without_autodiff);
                conv2d(images, weight.without_autodiff(), bias, options)
            });
        }
        let bias = bias.map(Tensor::into_dispatch).into();
        let (images, weight) = (images.into_dispatch(), weight.into_dispatch());
        return Tensor::from_dispatch(Dispatch::fast_conv2d(images, weight, bias, options));
    }
    module::conv2d(images, weight, bias, options)
}

/// Whether the kernels of this crate can run and are faster: a group has enough output channels for
/// a vector, or each channel is convolved by itself.
#[cfg(feature = "flex")]
fn has_conv_kernels(images: &Tensor<4>, weight: &Tensor<4>, groups: usize) -> bool {
    let [outputs, of_group, ..] = weight.dims();
    let is_depthwise = of_group == 1 && outputs == groups;
    let fills_vectors = groups == 1 || outputs / groups >= 8 || is_depthwise;
    fills_vectors && weight.dtype() == DType::F32 && has_kernels(images)
}
