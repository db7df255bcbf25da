//! Residual networks.

use std::fmt;
use std::str::FromStr;

use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor, s};
use serde::{Deserialize, Serialize};

use crate::DataError;

/// The members of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 8 layers for images of 28 to 64 pixels: 75,290 parameters for 3 channels and 10 classes.
    ResNet8,
    /// 20 layers for images of 28 to 64 pixels: 269,722 parameters for 3 channels and 10 classes.
    ResNet20,
    /// 18 layers for images of about 224 pixels: 11,689,512 parameters for 3 channels and 1000
    /// classes.
    ResNet18,
    /// 34 layers for images of about 224 pixels: 21,797,672 parameters for 3 channels and 1000
    /// classes.
    ResNet34,
    /// 50 layers with bottlenecks, for images of about 224 pixels: 25,557,032 parameters for 3
    /// channels and 1000 classes.
    ResNet50,
}

impl Architecture {
    /// All of them, from small to large.
    pub const ALL: [Self; 5] = [
        Self::ResNet8,
        Self::ResNet20,
        Self::ResNet18,
        Self::ResNet34,
        Self::ResNet50,
    ];

    /// The name: `resnet8`, `resnet20`, `resnet18`, `resnet34` or `resnet50`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResNet8 => "resnet8",
            Self::ResNet20 => "resnet20",
            Self::ResNet18 => "resnet18",
            Self::ResNet34 => "resnet34",
            Self::ResNet50 => "resnet50",
        }
    }

    fn plan(self) -> Plan {
        let (small, bottleneck, blocks): (_, _, &[usize]) = match self {
            Self::ResNet8 => (true, false, &[1, 1, 1]),
            Self::ResNet20 => (true, false, &[3, 3, 3]),
            Self::ResNet18 => (false, false, &[2, 2, 2, 2]),
            Self::ResNet34 => (false, false, &[3, 4, 6, 3]),
            Self::ResNet50 => (false, true, &[3, 4, 6, 3]),
        };
        Plan {
            small,
            bottleneck,
            blocks,
            width: if small { 16 } else { 64 },
        }
    }
}

/// What tells the members of the family apart.
struct Plan {
    /// A 3 x 3 stem and shortcuts without parameters, for small images.
    small: bool,
    bottleneck: bool,
    /// Blocks in each stage.
    blocks: &'static [usize],
    /// Channels of the stem and the first stage; each stage doubles them.
    width: usize,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is none of [`Architecture::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown architecture `{0}`, expected resnet8, resnet20, resnet18, resnet34 or resnet50")]
pub struct UnknownArchitecture(pub String);

impl FromStr for Architecture {
    type Err = UnknownArchitecture;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| UnknownArchitecture(name.into()))
    }
}

/// Which network to make.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::{Architecture, ResNetConfig};
///
/// let device = Device::default();
/// device.seed(42);
/// let model = ResNetConfig::new(Architecture::ResNet8, 10).with_channels(1).init(&device)?;
/// let logits = model.forward(Tensor::zeros([2, 1, 28, 28], &device));
/// assert_eq!(logits.dims(), [2, 10]);
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct ResNetConfig {
    /// The member of the family.
    pub architecture: Architecture,
    /// The number of classes.
    pub num_classes: usize,
    /// The channels of the images: 1 for grey, 3 for RGB.
    #[config(default = 3)]
    pub channels: usize,
}

/// A residual network: images `[N, C, H, W]` to logits `[N, K]`, for any `H` and `W`.
///
/// `ResNet8` and `ResNet20` are the networks for CIFAR-10 of section 4.2 of the paper, with
/// shortcuts that have no parameters (option A). The others are those for ImageNet of its table 1,
/// with the stride of a bottleneck in its 3 x 3 convolution (known as version 1.5), as in
/// torchvision.
///
/// Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", arXiv:1512.03385.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: ConvNorm,
    pool: Option<MaxPool2d>,
    blocks: Vec<Block>,
    classifier: Linear,
}

impl ResNetConfig {
    /// Makes the network with random weights, from the random numbers of `device`: seed those first
    /// (`device.seed(seed)`) to get the same weights again. Convolutions are drawn as by He et al.
    /// (normal, fan out); the last normalisation of each block starts at 0, so that the block
    /// starts as its shortcut (Goyal et al., arXiv:1706.02677).
    ///
    /// # Errors
    /// [`DataError::Argument`] where `num_classes` or `channels` is 0.
    pub fn init(&self, device: &Device) -> Result<ResNet, DataError> {
        for (argument, size) in [
            ("num_classes", self.num_classes),
            ("channels", self.channels),
        ] {
            if size == 0 {
                return Err(DataError::argument(argument, size, "at least 1"));
            }
        }
        let plan = self.architecture.plan();
        let (kernel, stride) = if plan.small { (3, 1) } else { (7, 2) };
        let stem = ConvNorm::new([self.channels, plan.width], kernel, stride, device);
        let pool = (!plan.small).then(|| {
            MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init()
        });

        let mut channels = plan.width;
        let mut blocks = Vec::new();
        for (stage, &count) in plan.blocks.iter().enumerate() {
            let width = plan.width << stage;
            for index in 0..count {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let block = Block::new(&plan, channels, width, stride, device);
                channels = block.channels;
                blocks.push(block);
            }
        }
        let classifier = LinearConfig::new(channels, self.num_classes).init(device);
        // Parameters are drawn when first used; drawing them now makes the order, and so the
        // values, certain.
        classifier.weight.val();
        classifier.bias.as_ref().map(|bias| bias.val());
        Ok(ResNet {
            stem,
            pool,
            blocks,
            classifier,
        })
    }
}

impl ResNet {
    /// Images `[N, C, H, W]` to logits `[N, K]`.
    ///
    /// # Panics
    /// Where `C` is not the number of channels that the network was made for.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = (self.blocks.iter()).fold(self.enter(images), |x, block| block.forward(x));
        let pooled: Tensor<2> = x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2);
        self.classifier.forward(pooled)
    }

    /// What comes before the blocks.
    fn enter(&self, images: Tensor<4>) -> Tensor<4> {
        let x = relu(self.stem.forward(images));
        match &self.pool {
            Some(pool) => pool.forward(x),
            None => x,
        }
    }
}

impl cutmix::Classifier for ResNet {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        Self::forward(self, images)
    }
}

/// Convolutions beside a shortcut.
#[derive(Module, Debug)]
struct Block {
    /// Two 3 x 3 convolutions, or the three of a bottleneck.
    body: Vec<ConvNorm>,
    /// Where the shape changes and the shortcut has parameters.
    projection: Option<ConvNorm>,
    stride: usize,
    /// Channels that come out.
    channels: usize,
}

impl Block {
    fn new(plan: &Plan, input: usize, width: usize, stride: usize, device: &Device) -> Self {
        let output = if plan.bottleneck { 4 * width } else { width };
        let conv = |channels, kernel, stride| ConvNorm::new(channels, kernel, stride, device);
        let mut body = if plan.bottleneck {
            vec![
                conv([input, width], 1, 1),
                conv([width, width], 3, stride),
                conv([width, output], 1, 1),
            ]
        } else {
            vec![conv([input, width], 3, stride), conv([width, output], 3, 1)]
        };
        if let Some(last) = body.last_mut() {
            last.norm.gamma = Initializer::Zeros.init([output], device);
        }
        let reshapes = input != output || stride != 1;
        Self {
            body,
            projection: (reshapes && !plan.small).then(|| conv([input, output], 1, stride)),
            stride,
            channels: output,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.projection {
            Some(projection) => projection.forward(input.clone()),
            None => self.subsample(input.clone()),
        };
        let mut x = input;
        for (index, layer) in self.body.iter().enumerate() {
            x = layer.forward(if index > 0 { relu(x) } else { x });
        }
        relu(x + shortcut)
    }

    /// The shortcut without parameters: every `stride`-th pixel, and channels of 0 after those that
    /// are there.
    fn subsample(&self, input: Tensor<4>) -> Tensor<4> {
        let missing = self.channels - input.dims()[1];
        if self.stride == 1 && missing == 0 {
            return input;
        }
        let step = self.stride as isize;
        input
            .slice(s![.., .., ..;step, ..;step])
            .pad([(0, missing), (0, 0), (0, 0)], PadMode::Constant(0.0))
    }
}

/// A convolution without bias, padded by half its kernel, and the normalisation of its output.
#[derive(Module, Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Self {
        let pad = kernel / 2;
        let conv = Conv2dConfig::new(channels, [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(false)
            .with_initializer(Initializer::KaimingNormal {
                gain: std::f64::consts::SQRT_2,
                fan_out_only: true,
            })
            .init(device);
        // Drawn now and not when first used: see `ResNetConfig::init`.
        conv.weight.val();
        Self {
            conv,
            norm: BatchNormConfig::new(channels[1]).init(device),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(input))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::{Architecture, ResNetConfig};

    /// Table 1 of the paper for images of 224 pixels, section 4.2 for those of 32.
    #[test]
    fn stages_have_the_published_output_sizes() {
        let small = [[16, 32, 32], [32, 16, 16], [64, 8, 8]];
        let plain = [[64, 56, 56], [128, 28, 28], [256, 14, 14], [512, 7, 7]];
        let bottleneck = plain.map(|[channels, height, width]| [4 * channels, height, width]);
        let device = Device::default();
        for (architecture, size, stages) in [
            (Architecture::ResNet8, 32, &small[..]),
            (Architecture::ResNet20, 32, &small),
            (Architecture::ResNet18, 224, &plain),
            (Architecture::ResNet34, 224, &plain),
            (Architecture::ResNet50, 224, &bottleneck),
        ] {
            let config = ResNetConfig::new(architecture, 10);
            let model = config.init(&device).unwrap();
            let mut x = model.enter(Tensor::zeros([1, 3, size, size], &device));
            let mut blocks = model.blocks.iter();
            let plan = architecture.plan();
            assert_eq!(plan.blocks.len(), stages.len());
            for (&count, stage) in plan.blocks.iter().zip(stages) {
                x = blocks
                    .by_ref()
                    .take(count)
                    .fold(x, |x, block| block.forward(x));
                assert_eq!(x.dims()[1..], stage[..], "{architecture}");
            }
            assert!(blocks.next().is_none());
        }
    }
}
