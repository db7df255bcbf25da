//! The inverted residual block: narrow at both ends and wide inside.

use burn::module::Module;
use burn::nn::{Initializer, PaddingConfig2d};
use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::{Device, Tensor};
use flex_nn::{BatchNorm, Conv2d, global_mean};

use super::EfficientNetActivation;
use crate::models::layers::{self, DropPath};

impl EfficientNetActivation {
    fn forward(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Silu => silu(x),
        }
    }

    /// Convolves, normalises and applies the function.
    pub(super) fn forward_layer(self, x: Tensor<4>, conv: &Conv2d, norm: &BatchNorm) -> Tensor<4> {
        match self {
            // The normalisation cuts off the negative numbers in its own pass.
            Self::Relu6 => conv.forward_norm_relu(x, norm).clamp_max(6.0),
            Self::Silu => silu(conv.forward_norm(x, norm)),
        }
    }
}

/// Makes the layers of a network.
pub(super) struct Layers<'a> {
    pub(super) tensorflow: bool,
    pub(super) device: &'a Device,
}

impl Layers<'_> {
    pub(super) fn conv(
        &self,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
    ) -> Conv2d {
        let mut conv = layers::conv(channels, kernel, stride, groups, self.device);
        if self.tensorflow {
            conv.padding = PaddingConfig2d::Same;
        }
        conv
    }

    pub(super) fn norm(&self, channels: usize) -> BatchNorm {
        let mut norm = layers::norm(channels, self.device);
        if self.tensorflow {
            norm.epsilon = 1e-3;
        }
        norm
    }
}

/// Configuration of a [`Block`].
pub(super) struct BlockConfig {
    /// Channels that go in.
    pub(super) input: usize,
    /// Channels of the depthwise convolution.
    pub(super) inner: usize,
    /// Channels that come out.
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) activation: EfficientNetActivation,
    pub(super) squeeze_excite: bool,
}

/// A convolution that widens, a depthwise one and one that narrows, and a shortcut where the shapes
/// allow it. As in timm, a block that does not widen calls its last convolution `conv_pw`.
#[derive(Module, Debug)]
pub(super) struct Block {
    conv_pw: Conv2d,
    bn1: BatchNorm,
    conv_dw: Conv2d,
    bn2: BatchNorm,
    se: Option<SqueezeExcite>,
    /// The last convolution of a block that widens.
    conv_pwl: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    drop_path: Option<DropPath>,
    #[module(skip)]
    activation: EfficientNetActivation,
    has_shortcut: bool,
}

impl Block {
    pub(super) fn new(
        config: &BlockConfig,
        drop_path: Option<DropPath>,
        layers: &Layers<'_>,
    ) -> Self {
        let &BlockConfig {
            input,
            inner,
            output,
            ..
        } = config;
        let widens = inner != input;
        let first = if widens { inner } else { output };
        Self {
            conv_pw: layers.conv([input, first], 1, 1, 1),
            bn1: layers.norm(inner),
            conv_dw: layers.conv([inner, inner], config.kernel, config.stride, inner),
            bn2: layers.norm(first),
            se: (config.squeeze_excite).then(|| SqueezeExcite::new(config, layers)),
            conv_pwl: widens.then(|| layers.conv([inner, output], 1, 1, 1)),
            bn3: widens.then(|| layers.norm(output)),
            drop_path,
            activation: config.activation,
            has_shortcut: config.stride == 1 && input == output,
        }
    }

    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let layer = |x, conv, norm| self.activation.forward_layer(x, conv, norm);
        let shortcut = self.has_shortcut.then(|| input.clone());
        let (x, last, norm) = match (&self.conv_pwl, &self.bn3) {
            (Some(conv_pwl), Some(bn3)) => {
                let x = layer(input, &self.conv_pw, &self.bn1);
                (layer(x, &self.conv_dw, &self.bn2), conv_pwl, bn3)
            }
            _ => {
                let x = layer(input, &self.conv_dw, &self.bn1);
                (x, &self.conv_pw, &self.bn2)
            }
        };
        let x = match &self.se {
            Some(se) => se.forward(x),
            None => x,
        };
        let x = last.forward_norm(x, norm);
        match shortcut {
            Some(shortcut) => DropPath::apply(&self.drop_path, x) + shortcut,
            None => x,
        }
    }
}

/// Scales each channel by a number that two layers make of the means of all channels.
#[derive(Module, Debug)]
struct SqueezeExcite {
    conv_reduce: Conv2d,
    conv_expand: Conv2d,
    #[module(skip)]
    activation: EfficientNetActivation,
}

impl SqueezeExcite {
    fn new(config: &BlockConfig, layers: &Layers<'_>) -> Self {
        // A quarter of the channels that go into the block.
        let squeezed = (config.input / 4).max(1);
        let conv = |channels: [usize; 2]| {
            let mut conv = layers.conv(channels, 1, 1, 1);
            conv.bias = Some(Initializer::Zeros.init([channels[1]], layers.device));
            conv
        };
        Self {
            conv_reduce: conv([config.inner, squeezed]),
            conv_expand: conv([squeezed, config.inner]),
            activation: config.activation,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [count, channels, ..] = x.dims();
        let mean = global_mean(x.clone()).reshape([count, channels, 1, 1]);
        let squeezed = self.activation.forward(self.conv_reduce.forward(mean));
        x * sigmoid(self.conv_expand.forward(squeezed))
    }
}
