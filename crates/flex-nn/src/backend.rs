//! The operations as an extension of Burn's backends.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};
use burn::tensor::ops::ConvOptions;

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
    /// The tensor.
    pub fn get(self) -> Option<FloatTensor<B>> {
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

    /// Normalises images `[N, C, ...]` with the statistics of the batch, adds a residual, and sets
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

    /// Multiplies each channel of images `[N, C, ...]` by a scale, adds a shift and a residual, and sets
    /// negative numbers to 0 where `relu` says so. It has no gradient.
    fn fast_scale(
        images: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        #[extension_type] residual: Maybe<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;
}

/// The gradients of the operations.
pub trait NnGradients: NnOps {
    /// The gradient of a convolution with respect to the images.
    fn conv2d_input_gradient(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    /// The gradient of a convolution with respect to the weights.
    fn conv2d_weight_gradient(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    /// The gradient of a convolution with respect to the bias.
    fn conv2d_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradients of a normalisation.
    fn norm_gradient(norm: NormState<Self>, gradient: FloatTensor<Self>) -> NormGradients<Self>;
}

/// What the gradient of a normalisation needs.
#[derive(Clone, Debug)]
pub struct NormState<B: Backend> {
    /// The images that were normalised.
    pub images: FloatTensor<B>,
    /// The scale of each channel.
    pub gamma: FloatTensor<B>,
    /// The mean of each channel.
    pub mean: FloatTensor<B>,
    /// The biased variance of each channel.
    pub variance: FloatTensor<B>,
    /// The result.
    pub output: FloatTensor<B>,
    /// The number that was added to the variance.
    pub epsilon: f64,
    /// Whether negative numbers became 0.
    pub relu: bool,
    /// Whether a residual was added.
    pub has_residual: bool,
}

/// The gradients of a normalisation.
pub struct NormGradients<B: Backend> {
    /// The gradient of the images.
    pub images: FloatTensor<B>,
    /// The gradient of the scale.
    pub gamma: FloatTensor<B>,
    /// The gradient of the shift.
    pub beta: FloatTensor<B>,
    /// The gradient of the residual, where there is one.
    pub residual: Option<FloatTensor<B>>,
}
