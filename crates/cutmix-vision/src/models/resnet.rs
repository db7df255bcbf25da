//! Residual networks.

use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2dConfig;
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use cutmix_train::Network;
use flex_nn::{BatchNorm, Conv2d, MaxPool2d, global_mean, subsample};
use serde::{Deserialize, Serialize};

use super::{AnyNetwork, Architecture, ModelConfig, ModelError, Optimizer, Recipe, Scaling};

/// The members of the family that have a name.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    small(
        "resnet8",
        "8 layers and 75 thousand parameters, for images of 28 to 64 pixels",
        |config, device| init(ResNetConfig::resnet8, config, device),
    ),
    small(
        "resnet20",
        "20 layers and 270 thousand parameters, for images of 28 to 64 pixels",
        |config, device| init(ResNetConfig::resnet20, config, device),
    ),
    large(
        "resnet18",
        "18 layers and 12 million parameters, for images of about 224 pixels",
        |config, device| init(ResNetConfig::resnet18, config, device),
    ),
    large(
        "resnet34",
        "34 layers and 22 million parameters, for images of about 224 pixels",
        |config, device| init(ResNetConfig::resnet34, config, device),
    ),
    large(
        "resnet50",
        "50 layers and 26 million parameters, for images of about 224 pixels",
        |config, device| init(ResNetConfig::resnet50, config, device),
    ),
];

type Init = fn(&ModelConfig, &Device) -> Result<AnyNetwork, ModelError>;

fn init(
    resnet: fn(usize) -> ResNetConfig,
    config: &ModelConfig,
    device: &Device,
) -> Result<AnyNetwork, ModelError> {
    let resnet = resnet(config.num_classes).with_channels(config.channels);
    Ok(resnet.init(device)?.into())
}

/// A network for small images.
const fn small(name: &'static str, about: &'static str, init: Init) -> Architecture {
    Architecture {
        name,
        about,
        optimizer: Optimizer::Sgd,
        // Chosen for runs of a few epochs, by validation of ResNet-8: see the note on the learning
        // rate in docs/decisions. He et al. use 0.1 for batches of 128 over 160 epochs. In
        // proportion the rate would reach 1.6 at 256, where square-root scaling stays at 0.57.
        sgd: Recipe {
            learning_rate: 0.2,
            batch_size: 32,
            scaling: Scaling::SquareRoot,
            weight_decay: 5e-4,
        },
        adamw: Recipe {
            learning_rate: 4e-3,
            batch_size: 128,
            scaling: Scaling::SquareRoot,
            weight_decay: 0.05,
        },
        init,
    }
}

/// A network for photographs.
const fn large(name: &'static str, about: &'static str, init: Init) -> Architecture {
    Architecture {
        name,
        about,
        optimizer: Optimizer::Sgd,
        // He et al., section 3.4, and torchvision's reference.
        sgd: Recipe {
            learning_rate: 0.1,
            batch_size: 256,
            scaling: Scaling::Linear,
            weight_decay: 1e-4,
        },
        adamw: Recipe {
            learning_rate: 1e-3,
            batch_size: 256,
            scaling: Scaling::SquareRoot,
            weight_decay: 0.05,
        },
        init,
    }
}

/// The layers in front of the blocks of a [`ResNet`], and the shortcuts that go with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResNetInput {
    /// For images of 28 to 64 pixels: a 3 x 3 convolution, and shortcuts without parameters (option
    /// A of the paper).
    Small,
    /// For photographs: a 7 x 7 convolution and a pooling layer, which divide height and width by 4,
    /// and a convolution in each shortcut that changes the shape (option B).
    Large,
}

/// The layers of a block of a [`ResNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResNetBlock {
    /// Two 3 x 3 convolutions.
    Basic,
    /// A 1 x 1, a 3 x 3 and a 1 x 1 convolution; the last one has four times as many channels as the
    /// others. The 3 x 3 convolution has the stride (known as version 1.5), as in torchvision.
    Bottleneck,
}

impl ResNetBlock {
    /// Channels that come out of a block of this width.
    fn channels(self, width: usize) -> usize {
        match self {
            Self::Basic => width,
            Self::Bottleneck => 4 * width,
        }
    }
}

/// Configuration of a [`ResNet`]. The constructors [`resnet8`](Self::resnet8) to
/// [`resnet50`](Self::resnet50) make the published ones.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::ResNetConfig;
///
/// let device = Device::default();
/// device.seed(42);
/// let model = ResNetConfig::resnet8(10).with_channels(1).init(&device)?;
/// let logits = model.forward(Tensor::zeros([2, 1, 28, 28], &device));
/// assert_eq!(logits.dims(), [2, 10]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct ResNetConfig {
    /// Number of classes.
    pub num_classes: usize,
    /// Number of blocks in each stage, for 1 to 8 stages. Each stage after the first one halves
    /// height and width and doubles the channels.
    pub blocks: Vec<usize>,
    /// Number of channels of the images: 1 for grey, 3 for RGB.
    #[config(default = 3)]
    pub channels: usize,
    /// Layers in front of the blocks.
    #[config(default = "ResNetInput::Small")]
    pub input: ResNetInput,
    /// Layers of a block.
    #[config(default = "ResNetBlock::Basic")]
    pub block: ResNetBlock,
    /// Channels of the first stage, inside its blocks.
    #[config(default = 16)]
    pub width: usize,
    /// Whether the last normalisation of each block starts with the factor 0 instead of 1, so that
    /// the block starts as its shortcut (Goyal et al., arXiv:1706.02677). This helps deep networks
    /// in long runs and costs accuracy in short ones. As in torchvision it is off by default.
    #[config(default = false)]
    pub zero_init_residual: bool,
}

/// A residual network, made by a [`ResNetConfig`]. It takes images of any height and width.
///
/// `resnet8` and `resnet20` are built as the networks for CIFAR-10 in section 4.2 of the paper, the
/// others as those for ImageNet in its table 1.
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
    /// 8 layers, for images of 28 to 64 pixels: 75,290 parameters for 3 channels and 10 classes.
    pub fn resnet8(num_classes: usize) -> Self {
        Self::new(num_classes, vec![1, 1, 1])
    }

    /// 20 layers, for images of 28 to 64 pixels: 269,722 parameters for 3 channels and 10 classes.
    pub fn resnet20(num_classes: usize) -> Self {
        Self::new(num_classes, vec![3, 3, 3])
    }

    /// 18 layers, for photographs: 11,689,512 parameters for 3 channels and 1000 classes.
    pub fn resnet18(num_classes: usize) -> Self {
        Self::large(num_classes, vec![2, 2, 2, 2])
    }

    /// 34 layers, for photographs: 21,797,672 parameters for 3 channels and 1000 classes.
    pub fn resnet34(num_classes: usize) -> Self {
        Self::large(num_classes, vec![3, 4, 6, 3])
    }

    /// 50 layers with bottlenecks, for photographs: 25,557,032 parameters for 3 channels and 1000
    /// classes.
    pub fn resnet50(num_classes: usize) -> Self {
        Self::large(num_classes, vec![3, 4, 6, 3]).with_block(ResNetBlock::Bottleneck)
    }

    fn large(num_classes: usize, blocks: Vec<usize>) -> Self {
        Self::new(num_classes, blocks)
            .with_input(ResNetInput::Large)
            .with_width(64)
    }

    /// Makes the network with random weights from the random numbers of `device`: a call of
    /// `device.seed(seed)` before it makes them repeatable. Convolutions are drawn as by He et al.
    /// (normal, fan out).
    ///
    /// # Errors
    /// [`ModelError::Argument`] where a number is 0, or there are not 1 to 8 stages.
    pub fn init(&self, device: &Device) -> Result<ResNet, ModelError> {
        self.check()?;
        let (kernel, stride) = match self.input {
            ResNetInput::Small => (3, 1),
            ResNetInput::Large => (7, 2),
        };
        let stem = ConvNorm::new([self.channels, self.width], kernel, stride, device);
        let pool = match self.input {
            ResNetInput::Small => None,
            ResNetInput::Large => {
                let pool = MaxPool2dConfig::new([3, 3])
                    .with_strides([2, 2])
                    .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
                Some(pool.init().into())
            }
        };
        let mut channels = self.width;
        let mut blocks = Vec::new();
        for (stage, &count) in self.blocks.iter().enumerate() {
            for index in 0..count {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let block = Block::new(self, channels, self.width << stage, stride, device);
                channels = block.channels;
                blocks.push(block);
            }
        }
        let classifier = LinearConfig::new(channels, self.num_classes).init(device);
        // Burn draws a parameter when it is first used. Drawing it now makes the weights depend on
        // the seed alone and not on what else is drawn between making and using the network.
        classifier.weight.val();
        classifier.bias.as_ref().map(|bias| bias.val());
        Ok(ResNet {
            stem,
            pool,
            blocks,
            classifier,
        })
    }

    fn check(&self) -> Result<(), ModelError> {
        ModelError::check_sizes(&[
            ("num_classes", self.num_classes),
            ("channels", self.channels),
            ("width", self.width),
        ])?;
        if (1..=8).contains(&self.blocks.len()) && !self.blocks.contains(&0) {
            Ok(())
        } else {
            let value = format!("{:?}", self.blocks);
            let expected = "1 to 8 numbers of at least 1";
            Err(ModelError::argument("blocks", value, expected))
        }
    }
}

impl ResNet {
    /// Logits `[N, K]` of images `[N, C, H, W]`.
    ///
    /// # Panics
    /// Where `C` is not the number of channels that the network was made for.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = (self.blocks.iter()).fold(self.enter(images), |x, block| block.forward(x));
        self.classifier.forward(global_mean(x))
    }

    /// Applies the layers in front of the blocks.
    fn enter(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.stem.forward_relu(images);
        match &self.pool {
            Some(pool) => pool.forward(x),
            None => x,
        }
    }
}

impl Network for ResNet {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        Self::forward(self, images)
    }
}

/// Convolutions, and a shortcut around them.
#[derive(Module, Debug)]
struct Block {
    /// The convolutions, in order.
    body: Vec<ConvNorm>,
    /// Convolution of the shortcut, where it has one.
    projection: Option<ConvNorm>,
    stride: usize,
    /// Number of channels that come out.
    channels: usize,
}

impl Block {
    fn new(
        config: &ResNetConfig,
        input: usize,
        width: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        let output = config.block.channels(width);
        let conv = |channels, kernel, stride| ConvNorm::new(channels, kernel, stride, device);
        let mut body = match config.block {
            ResNetBlock::Basic => {
                vec![conv([input, width], 3, stride), conv([width, output], 3, 1)]
            }
            ResNetBlock::Bottleneck => vec![
                conv([input, width], 1, 1),
                conv([width, width], 3, stride),
                conv([width, output], 1, 1),
            ],
        };
        if let (true, Some(last)) = (config.zero_init_residual, body.last_mut()) {
            last.norm.gamma = Initializer::Zeros.init([output], device);
        }
        let has_projection = config.input == ResNetInput::Large && (input != output || stride != 1);
        Self {
            body,
            projection: has_projection.then(|| conv([input, output], 1, stride)),
            stride,
            channels: output,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.projection {
            Some(projection) => projection.forward(input.clone()),
            None => subsample(input.clone(), [self.stride; 2], self.channels),
        };
        let (last, first) = self.body.split_last().expect("a block has convolutions");
        let x = first.iter().fold(input, |x, layer| layer.forward_relu(x));
        last.conv.forward_norm_add_relu(x, &last.norm, shortcut)
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
        // Drawn now, as `ResNetConfig::init` explains.
        conv.weight.val();
        Self {
            conv: conv.into(),
            norm: BatchNormConfig::new(channels[1]).init(device).into(),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.conv.forward_norm(input, &self.norm)
    }

    fn forward_relu(&self, input: Tensor<4>) -> Tensor<4> {
        self.conv.forward_norm_relu(input, &self.norm)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::ResNetConfig;

    /// The sizes are those of table 1 of the paper for images of 224 pixels, and of section 4.2 for
    /// images of 32.
    #[test]
    fn stages_have_the_published_output_sizes() {
        let small = [[16, 32, 32], [32, 16, 16], [64, 8, 8]];
        let plain = [[64, 56, 56], [128, 28, 28], [256, 14, 14], [512, 7, 7]];
        let bottleneck = plain.map(|[channels, height, width]| [4 * channels, height, width]);
        let device = Device::default();
        for (config, size, stages) in [
            (ResNetConfig::resnet8(10), 32, &small[..]),
            (ResNetConfig::resnet20(10), 32, &small),
            (ResNetConfig::resnet18(10), 224, &plain),
            (ResNetConfig::resnet34(10), 224, &plain),
            (ResNetConfig::resnet50(10), 224, &bottleneck),
        ] {
            let model = config.init(&device).unwrap();
            let mut x = model.enter(Tensor::zeros([1, 3, size, size], &device));
            let mut blocks = model.blocks.iter();
            assert_eq!(config.blocks.len(), stages.len());
            for (&count, stage) in config.blocks.iter().zip(stages) {
                x = (blocks.by_ref().take(count)).fold(x, |x, block| block.forward(x));
                assert_eq!(x.dims()[1..], stage[..], "{config}");
            }
            assert!(blocks.next().is_none());
        }
    }
}
