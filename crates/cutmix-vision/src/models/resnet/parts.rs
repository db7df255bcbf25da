//! The parts of a residual network.

use burn::module::Module;
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{Initializer, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use flex_nn::{BatchNorm, Conv2d, MaxPool2d, subsample};

use super::super::layers::{DropPath, blur, conv, norm};
use super::{ResNetBlock, ResNetConfig, ResNetInput};

/// The pooling between the first convolution and the blocks.
#[derive(Module, Debug)]
pub(super) struct Pool {
    max: Option<MaxPool2d>,
    is_blurred: bool,
}

impl Pool {
    pub(super) fn new(config: &ResNetConfig) -> Self {
        let stride = if config.blur_pool { 1 } else { 2 };
        let max = MaxPool2dConfig::new([3, 3])
            .with_strides([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        Self {
            max: (config.input == ResNetInput::Large).then(|| max.init().into()),
            is_blurred: config.blur_pool,
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        match &self.max {
            None => images,
            Some(max) if self.is_blurred => blur(max.forward(images), 2),
            Some(max) => max.forward(images),
        }
    }
}

/// Convolutions, and a shortcut around them.
#[derive(Module, Debug)]
pub(super) struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    /// The third layer of a bottleneck.
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    /// The layer of the shortcut, where it has one.
    downsample: Option<(Conv2d, BatchNorm)>,
    drop_path: Option<DropPath>,
    blur_pool: bool,
    stride: usize,
    /// Number of channels that come out.
    pub(super) channels: usize,
}

/// The least number of input channels of a convolution in front of which images are blurred.
const LEAST_BLURRED: usize = 16;

impl Block {
    pub(super) fn new(
        config: &ResNetConfig,
        input: usize,
        width: usize,
        stride: usize,
        drop_path: Option<DropPath>,
        device: &Device,
    ) -> Self {
        let output = config.block.channels(width);
        let inner = match config.block {
            ResNetBlock::Basic => width,
            ResNetBlock::Bottleneck => width * config.widening,
        };
        let (conv1, conv2, conv3) = match config.block {
            ResNetBlock::Basic => (
                conv([input, inner], 3, stride, 1, device),
                conv([inner, output], 3, 1, 1, device),
                None,
            ),
            ResNetBlock::Bottleneck => (
                conv([input, inner], 1, 1, 1, device),
                conv([inner, inner], 3, stride, config.groups, device),
                Some(conv([inner, output], 1, 1, 1, device)),
            ),
        };
        let last_norm = || {
            let mut norm = norm(output, device);
            if config.zero_init_residual {
                norm.gamma = Initializer::Zeros.init([output], device);
            }
            norm
        };
        let is_bottleneck = conv3.is_some();
        let has_downsample = config.input == ResNetInput::Large && (input != output || stride != 1);
        Self {
            conv1,
            bn1: norm(inner, device),
            conv2,
            bn2: if is_bottleneck {
                norm(inner, device)
            } else {
                last_norm()
            },
            conv3,
            bn3: is_bottleneck.then(last_norm),
            downsample: has_downsample.then(|| {
                (
                    conv([input, output], 1, stride, 1, device),
                    norm(output, device),
                )
            }),
            drop_path,
            blur_pool: config.blur_pool,
            stride,
            channels: output,
        }
    }

    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some((conv, norm)) => conv.forward_norm(self.blurred(input.clone(), conv), norm),
            None => subsample(input.clone(), [self.stride; 2], self.channels),
        };
        let x = self.blurred(input, &self.conv1);
        let x = self.conv1.forward_norm_relu(x, &self.bn1);
        let x = self.blurred(x, &self.conv2);
        let (x, last, norm) = match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => (self.conv2.forward_norm_relu(x, &self.bn2), conv3, bn3),
            _ => (x, &self.conv2, &self.bn2),
        };
        match &self.drop_path {
            None => last.forward_norm_add_relu(x, norm, shortcut),
            Some(drop_path) => relu(drop_path.forward(last.forward_norm(x, norm)) + shortcut),
        }
    }

    /// The input of a convolution, blurred where the network has that.
    fn blurred(&self, images: Tensor<4>, conv: &Conv2d) -> Tensor<4> {
        let is_blurred =
            self.blur_pool && conv.stride != [1, 1] && images.dims()[1] >= LEAST_BLURRED;
        if is_blurred { blur(images, 1) } else { images }
    }
}
