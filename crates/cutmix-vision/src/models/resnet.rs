//! Residual networks.

mod parts;

use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use flex_nn::{BatchNorm, Conv2d, global_mean};
use serde::{Deserialize, Serialize};

use super::classifier::network;
use super::layers::{DropPath, conv, draw, linear, norm};
use super::registry::{Build, IMAGENET};
use super::{
    AnyNetwork, Architecture, Classifier, Features, ImageSizes, ModelConfig, ModelError, Optimizer,
    Recipe, Scaling,
};
use parts::{Block, Pool};

/// The members of the family that have a name.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    small(
        "resnet8",
        "8 layers and 75 thousand parameters, for images of 28 to 64 pixels",
        |config, device| build(ResNetConfig::resnet8, config, device),
    ),
    small(
        "resnet20",
        "20 layers and 270 thousand parameters, for images of 28 to 64 pixels",
        |config, device| build(ResNetConfig::resnet20, config, device),
    ),
    large(
        "resnet18",
        "18 layers and 12 million parameters, for images of about 224 pixels",
        |config, device| build(ResNetConfig::resnet18, config, device),
    ),
    large(
        "resnet34",
        "34 layers and 22 million parameters, for images of about 224 pixels",
        |config, device| build(ResNetConfig::resnet34, config, device),
    ),
    large(
        "resnet50",
        "50 layers and 26 million parameters, for images of about 224 pixels",
        |config, device| build(ResNetConfig::resnet50, config, device),
    ),
    large(
        "resnet101",
        "101 layers and 45 million parameters, for images of about 224 pixels",
        |config, device| build(ResNetConfig::resnet101, config, device),
    ),
    large(
        "resnet152",
        "152 layers and 60 million parameters, for images of about 224 pixels",
        |config, device| build(ResNetConfig::resnet152, config, device),
    ),
    large(
        "wide-resnet50-2",
        "ResNet-50 with blocks twice as wide inside, 69 million parameters",
        |config, device| build(ResNetConfig::wide_resnet50_2, config, device),
    ),
    large(
        "resnext50-32x4d",
        "ResNet-50 with convolutions in 32 groups, 25 million parameters",
        |config, device| build(ResNetConfig::resnext50_32x4d, config, device),
    ),
];

fn build(
    resnet: fn(usize) -> ResNetConfig,
    config: &ModelConfig,
    device: &Device,
) -> Result<AnyNetwork, ModelError> {
    let resnet = resnet(config.num_classes)
        .with_channels(config.channels)
        .with_stochastic_depth(config.stochastic_depth)
        .with_blur_pool(config.blur_pool);
    Ok(resnet.build(device)?.into())
}

/// A network for small images.
const fn small(name: &'static str, about: &'static str, build: Build) -> Architecture {
    Architecture {
        name,
        about,
        head: HEAD,
        aliases: &[],
        colours: IMAGENET,
        sizes: ImageSizes::ANY,
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
        build,
    }
}

/// A network for photographs.
const fn large(name: &'static str, about: &'static str, build: Build) -> Architecture {
    Architecture {
        name,
        about,
        head: HEAD,
        aliases: &[],
        colours: IMAGENET,
        sizes: ImageSizes::ANY,
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
        build,
    }
}

/// The name of the head.
const HEAD: &str = "fc";

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
    /// stage is wide. The 3 x 3 convolution has the stride (known as version 1.5), as in torchvision.
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

/// Configuration of a [`ResNet`]. The constructors from [`resnet8`](Self::resnet8) to
/// [`resnext50_32x4d`](Self::resnext50_32x4d) make the published ones.
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
    /// Number of blocks in each stage, for 1 to 4 stages. Each stage after the first one halves
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
    /// How many times as wide as the stage the 3 x 3 convolution of a bottleneck is; 1 for basic blocks.
    #[config(default = 1)]
    pub widening: usize,
    /// Number of groups of the 3 x 3 convolution of a bottleneck (Xie et al., arXiv:1611.05431); 1 for
    /// basic blocks.
    #[config(default = 1)]
    pub groups: usize,
    /// Whether the last normalisation of each block starts with the factor 0 instead of 1, so that
    /// the block starts as its shortcut (Goyal et al., arXiv:1706.02677). This helps deep networks
    /// in long runs and costs accuracy in short ones. As in torchvision it is off by default.
    #[config(default = false)]
    pub zero_init_residual: bool,
    /// Probability that the last block is left out for a sample of training, 0 or more and below 1. The
    /// probabilities rise in equal steps from 0 at the first block (Huang et al., arXiv:1603.09382).
    #[config(default = 0.0)]
    pub stochastic_depth: f64,
    /// Whether images are blurred in front of each convolution that has a stride and at least 16 input
    /// channels, and between the two halves of the max pooling, as in Composer (Zhang,
    /// arXiv:1904.11486).
    #[config(default = false)]
    pub blur_pool: bool,
}

/// A residual network, made by a [`ResNetConfig`]. It takes images of any height and width.
///
/// `resnet8` and `resnet20` are built as the networks for CIFAR-10 in section 4.2 of the paper, the
/// others as those for ImageNet in its table 1. Parameters have the names of torchvision.
///
/// Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", arXiv:1512.03385.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    pool: Pool,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    fc: Linear,
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

    /// 101 layers with bottlenecks, for photographs: 44,549,160 parameters for 3 channels and 1000
    /// classes.
    pub fn resnet101(num_classes: usize) -> Self {
        Self::large(num_classes, vec![3, 4, 23, 3]).with_block(ResNetBlock::Bottleneck)
    }

    /// 152 layers with bottlenecks, for photographs: 60,192,808 parameters for 3 channels and 1000
    /// classes.
    pub fn resnet152(num_classes: usize) -> Self {
        Self::large(num_classes, vec![3, 8, 36, 3]).with_block(ResNetBlock::Bottleneck)
    }

    /// [`resnet50`](Self::resnet50) with 3 x 3 convolutions twice as wide (Zagoruyko, Komodakis,
    /// arXiv:1605.07146): 68,883,240 parameters for 3 channels and 1000 classes.
    pub fn wide_resnet50_2(num_classes: usize) -> Self {
        Self::resnet50(num_classes).with_widening(2)
    }

    /// [`resnet50`](Self::resnet50) with 3 x 3 convolutions twice as wide in 32 groups (Xie et al.,
    /// arXiv:1611.05431): 25,028,904 parameters for 3 channels and 1000 classes.
    pub fn resnext50_32x4d(num_classes: usize) -> Self {
        Self::resnet50(num_classes).with_widening(2).with_groups(32)
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
    /// [`ModelError::Argument`] where a number is 0, there are not 1 to 4 stages, the channels do not
    /// divide into the groups, basic blocks have groups or widening, or the stochastic depth is out of
    /// range.
    pub fn init(&self, device: &Device) -> Result<ResNet, ModelError> {
        self.build(device).map(draw)
    }

    /// Makes the network, whose weights are drawn when they are first used.
    fn build(&self, device: &Device) -> Result<ResNet, ModelError> {
        self.check()?;
        let (kernel, stride) = match self.input {
            ResNetInput::Small => (3, 1),
            ResNetInput::Large => (7, 2),
        };
        let total = self.blocks.iter().sum();
        let (mut input, mut index) = (self.width, 0);
        let mut stages = (0..4).map(|stage| {
            let count = self.blocks.get(stage).copied().unwrap_or(0);
            let blocks = (0..count).map(|first| {
                let stride = if stage > 0 && first == 0 { 2 } else { 1 };
                let drop_path = DropPath::of_block(self.stochastic_depth, index, total);
                let block = Block::new(self, input, self.width << stage, stride, drop_path, device);
                (input, index) = (block.channels, index + 1);
                block
            });
            blocks.collect()
        });
        let mut stage = || stages.next().expect("there are four");
        let [layer1, layer2, layer3, layer4] = [stage(), stage(), stage(), stage()];
        drop(stages);
        Ok(ResNet {
            conv1: conv([self.channels, self.width], kernel, stride, 1, device),
            bn1: norm(self.width, device),
            pool: Pool::new(self),
            layer1,
            layer2,
            layer3,
            layer4,
            fc: linear(input, self.num_classes, device),
        })
    }

    fn check(&self) -> Result<(), ModelError> {
        ModelError::check_sizes(&[
            ("num_classes", self.num_classes),
            ("channels", self.channels),
            ("width", self.width),
            ("widening", self.widening),
            ("groups", self.groups),
        ])?;
        ModelError::check_stochastic_depth(self.stochastic_depth)?;
        if self.block == ResNetBlock::Basic {
            for (argument, number) in [("widening", self.widening), ("groups", self.groups)] {
                if number != 1 {
                    let expected = "1 for basic blocks";
                    return Err(ModelError::argument(argument, number, expected));
                }
            }
        }
        if !(self.width * self.widening).is_multiple_of(self.groups) {
            let expected = format!("a divisor of {}", self.width * self.widening);
            return Err(ModelError::argument("groups", self.groups, expected));
        }
        if (1..=4).contains(&self.blocks.len()) && !self.blocks.contains(&0) {
            Ok(())
        } else {
            let value = format!("{:?}", self.blocks);
            let expected = "1 to 4 numbers of at least 1";
            Err(ModelError::argument("blocks", value, expected))
        }
    }
}

impl ResNet {
    /// The blocks of each stage.
    fn stages(&self) -> [&[Block]; 4] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4].map(Vec::as_slice)
    }

    /// Applies the layers in front of the blocks.
    fn enter(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.conv1.forward_norm_relu(images, &self.bn1);
        self.pool.forward(x)
    }
}

impl Classifier for ResNet {
    fn features(&self, images: Tensor<4>) -> Features {
        let blocks = self.stages().into_iter().flatten();
        let map = blocks.fold(self.enter(images), |x, block| block.forward(x));
        map.into()
    }

    fn pool(&self, features: Features) -> Tensor<2> {
        global_mean(features.map)
    }

    fn head(&self) -> &Linear {
        &self.fc
    }
}

network!(ResNet);

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
            for blur_pool in [false, true] {
                let config = config.clone().with_blur_pool(blur_pool);
                let model = config.init(&device).unwrap();
                let mut x = model.enter(Tensor::zeros([1, 3, size, size], &device));
                let blocks = model
                    .stages()
                    .into_iter()
                    .filter(|blocks| !blocks.is_empty());
                let mut found = Vec::new();
                for stage in blocks {
                    x = stage.iter().fold(x, |x, block| block.forward(x));
                    let [_, channels, height, width] = x.dims();
                    found.push([channels, height, width]);
                }
                assert_eq!(found, stages, "{config}");
            }
        }
    }
}
