//! The operations as an extension of Burn's backends.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};
use burn::tensor::Shape;
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};

use crate::host::SgdStep;

/// A tensor that may be missing. (An extension takes no `Option`.)
#[derive(Clone, Debug, ExtensionType)]
pub enum Maybe<B: Backend> {
    /// There is no tensor.
    Missing,
    /// There is this tensor.
    Given(FloatTensor<B>),
}

impl<B: Backend> From<Option<FloatTensor<B>>> for Maybe<B> {
    fn from(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::Missing, Self::Given)
    }
}

impl<B: Backend> Maybe<B> {
    /// The tensor, where there is one.
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Missing => None,
            Self::Given(tensor) => Some(tensor),
        }
    }
}

/// The operations of a backend. Tensors are of f32.
#[backend_extension(Autodiff, Flex)]
pub trait NnOps: Backend {
    /// Convolves images `[N, C, H, W]` with weights `[O, C / groups, h, w]`.
    fn fast_conv2d(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    /// Normalises images `[N, C, H, W]` with the statistics of the batch, adds a residual, and sets
    /// negative numbers to 0 where `relu` says so. Returns the result, the mean and the biased
    /// variance of each channel; gradients flow through the result alone.
    fn fast_norm_train(
        images: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        #[extension_type] residual: Maybe<Self>,
        epsilon: f64,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Multiplies each channel of images `[N, C, H, W]` by a scale, adds a shift and a residual, and sets
    /// negative numbers to 0 where `relu` says so. It has no gradient.
    fn fast_scale(
        images: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        #[extension_type] residual: Maybe<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// A convolution without bias, and [`fast_scale`](Self::fast_scale) of its result, in one pass.
    fn fast_conv2d_scale(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        #[extension_type] residual: Maybe<Self>,
        options: ConvOptions<2>,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// The largest numbers of the windows of images `[N, C, H, W]`; without `ceil_mode`.
    fn fast_max_pool2d(images: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self>;

    /// The mean `[N, C]` over the positions of images `[N, C, H, W]`.
    fn fast_global_mean(images: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Every `stride`-th position of images `[N, C, H, W]`, followed by channels of 0 up to `channels`.
    fn fast_subsample(
        images: FloatTensor<Self>,
        stride: [usize; 2],
        channels: usize,
    ) -> FloatTensor<Self>;

    /// A step of stochastic gradient descent: the parameter and the velocity after it. It has no
    /// gradient.
    fn fast_sgd(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        #[extension_type] velocity: Maybe<Self>,
        step: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// The gradients of the operations.
pub trait NnGradients: NnOps {
    /// The gradients of a convolution that are `wanted`: of the images, the weights and the bias. That
    /// of the images is added to `sum`.
    fn conv2d_gradients(
        state: ConvState<Self>,
        gradient: FloatTensor<Self>,
        wanted: [bool; 3],
        sum: Option<FloatTensor<Self>>,
    ) -> [Option<FloatTensor<Self>>; 3];

    /// The gradients of a normalisation: of the images, the scale, the shift and the residual.
    fn norm_gradients(
        state: NormState<Self>,
        gradient: FloatTensor<Self>,
    ) -> [Option<FloatTensor<Self>>; 4];

    /// The gradient of a pooling.
    fn max_pool2d_gradient(
        images: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: MaxPoolOptions<2>,
    ) -> FloatTensor<Self>;

    /// The gradient of images of this shape through their mean.
    fn global_mean_gradient(images: Shape, gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of images of this shape through [`fast_subsample`](NnOps::fast_subsample), which is
    /// added to `sum`.
    fn subsample_gradient(
        images: Shape,
        gradient: FloatTensor<Self>,
        stride: [usize; 2],
        sum: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self>;
}

/// What the gradients of a convolution need.
#[derive(Clone, Debug)]
pub struct ConvState<B: Backend> {
    /// The images.
    pub images: FloatTensor<B>,
    /// The weights.
    pub weight: FloatTensor<B>,
    /// Stride, padding, dilation and groups.
    pub options: ConvOptions<2>,
}

/// What the gradients of a normalisation need.
#[derive(Clone, Debug)]
pub struct NormState<B: Backend> {
    /// The images that were normalised.
    pub images: FloatTensor<B>,
    /// The scale of each channel.
    pub gamma: FloatTensor<B>,
    /// The shift of each channel.
    pub beta: FloatTensor<B>,
    /// The mean of each channel.
    pub mean: FloatTensor<B>,
    /// The biased variance of each channel.
    pub variance: FloatTensor<B>,
    /// The result, where a residual was added.
    pub output: Option<FloatTensor<B>>,
    /// The number that was added to the variance.
    pub epsilon: f64,
    /// Whether negative numbers became 0.
    pub relu: bool,
}
