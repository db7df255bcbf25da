//! Layers that ConvNeXt and the Vision Transformer share.

use burn::module::Module;
use burn::nn::conv::Conv2dConfig;
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};
use flex_nn::Conv2d;

/// Weights as timm draws them. Its normal distribution is truncated at plus and minus 2, which is 100
/// standard deviations away.
pub(super) const NORMAL: Initializer = Initializer::Normal {
    mean: 0.0,
    std: 0.02,
};

/// The two layers at the end of a block, with four times as many channels between them.
#[derive(Module, Debug)]
pub(super) struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        Self {
            fc1: dense(channels, 4 * channels, device),
            fc2: dense(4 * channels, channels, device),
        }
    }

    /// Changes the last axis of `[..., C]`.
    pub(super) fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        self.fc2.forward(gelu(self.fc1.forward(input)))
    }
}

/// A linear layer with [`NORMAL`] weights and biases of 0.
pub(super) fn dense(inputs: usize, outputs: usize, device: &Device) -> Linear {
    let config = LinearConfig::new(inputs, outputs).with_initializer(NORMAL);
    Linear {
        bias: Some(Initializer::Zeros.init([outputs], device)),
        ..config.init(device)
    }
}

/// A normalisation of the last axis.
pub(super) fn layer_norm(channels: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(channels)
        .with_epsilon(1e-6)
        .init(device)
}

/// A convolution of square patches that do not overlap, drawn as PyTorch does.
pub(super) fn patches(channels: [usize; 2], size: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [size, size])
        .with_stride([size, size])
        .with_padding(PaddingConfig2d::Valid)
        .init(device)
        .into()
}
