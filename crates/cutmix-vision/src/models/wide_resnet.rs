//! Wide residual networks.

use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use flex_nn::{BatchNorm, Conv2d, global_mean};

use super::classifier::network;
use super::layers::{DropPath, conv, draw, linear, norm};
use super::registry::{Build, IMAGENET};
use super::{
    AnyNetwork, Architecture, Classifier, Features, ImageSizes, ModelConfig, ModelError, Optimizer,
    Recipe, Scaling,
};

/// The members of the family that have a name.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    architecture(
        "wrn10-2",
        "10 layers, twice as wide as resnet8, 304 thousand parameters, for images of 28 to 64 pixels",
        |config, device| build(WideResNetConfig::wrn10_2, config, device),
    ),
    architecture(
        "wrn16-4",
        "16 layers, wide, 2.7 million parameters, for images of 28 to 64 pixels",
        |config, device| build(WideResNetConfig::wrn16_4, config, device),
    ),
    architecture(
        "wrn28-10",
        "28 layers, wide, 37 million parameters, for images of 28 to 64 pixels",
        |config, device| build(WideResNetConfig::wrn28_10, config, device),
    ),
];

fn build(
    network: fn(usize) -> WideResNetConfig,
    config: &ModelConfig,
    device: &Device,
) -> Result<AnyNetwork, ModelError> {
    let network = network(config.num_classes)
        .with_channels(config.channels)
        .with_stochastic_depth(config.stochastic_depth);
    Ok(network.build(device)?.into())
}

const fn architecture(name: &'static str, about: &'static str, build: Build) -> Architecture {
    Architecture {
        name,
        about,
        head: "fc",
        aliases: &[],
        colours: IMAGENET,
        sizes: ImageSizes::ANY,
        optimizer: Optimizer::Sgd,
        // Section 3 of the paper.
        sgd: Recipe {
            learning_rate: 0.1,
            batch_size: 128,
            scaling: Scaling::Linear,
            weight_decay: 5e-4,
        },
        // As for the ResNets for photographs, at the batch size of the paper.
        adamw: Recipe {
            learning_rate: 1e-3,
            batch_size: 128,
            scaling: Scaling::SquareRoot,
            weight_decay: 0.05,
        },
        build,
    }
}

/// Configuration of a [`WideResNet`]. The constructors make the published ones.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::models::WideResNetConfig;
///
/// let device = Device::default();
/// device.seed(42);
/// let model = WideResNetConfig::wrn16_4(10).init(&device)?;
/// let logits = model.forward(Tensor::zeros([2, 3, 32, 32], &device));
/// assert_eq!(logits.dims(), [2, 10]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct WideResNetConfig {
    /// Number of classes.
    pub num_classes: usize,
    /// Number of blocks in each of the three stages: a network of `6 n + 4` layers has `n`.
    pub blocks: usize,
    /// How many times as wide as 16, 32 and 64 channels the stages are.
    pub widening: usize,
    /// Number of channels of the images: 1 for grey, 3 for RGB.
    #[config(default = 3)]
    pub channels: usize,
    /// Probability that the last block is left out for a sample of training, 0 or more and below 1. The
    /// probabilities rise in equal steps from 0 at the first block (Huang et al., arXiv:1603.09382).
    #[config(default = 0.0)]
    pub stochastic_depth: f64,
}

/// A wide residual network for images of 28 to 64 pixels, made by a [`WideResNetConfig`]. It takes
/// images of any height and width. Normalisations and activations are in front of the convolutions.
///
/// Source: Zagoruyko, Komodakis, "Wide Residual Networks", arXiv:1605.07146, without its dropout.
#[derive(Module, Debug)]
pub struct WideResNet {
    conv1: Conv2d,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    bn1: BatchNorm,
    fc: Linear,
}

/// Channels of the first convolution.
const STEM: usize = 16;

impl WideResNetConfig {
    /// 10 layers, twice as wide: 303,706 parameters for 3 channels and 10 classes.
    pub fn wrn10_2(num_classes: usize) -> Self {
        Self::new(num_classes, 1, 2)
    }

    /// 16 layers, 4 times as wide: 2,748,890 parameters for 3 channels and 10 classes.
    pub fn wrn16_4(num_classes: usize) -> Self {
        Self::new(num_classes, 2, 4)
    }

    /// 28 layers, 10 times as wide: 36,479,194 parameters for 3 channels and 10 classes.
    pub fn wrn28_10(num_classes: usize) -> Self {
        Self::new(num_classes, 4, 10)
    }

    /// Makes the network with random weights from the random numbers of `device`: a call of
    /// `device.seed(seed)` before it makes them repeatable. Convolutions are drawn as by He et al.
    /// (normal, fan out).
    ///
    /// # Errors
    /// [`ModelError::Argument`] where a number is 0 or the stochastic depth is out of range.
    pub fn init(&self, device: &Device) -> Result<WideResNet, ModelError> {
        self.build(device).map(draw)
    }

    /// Makes the network, whose weights are drawn when they are first used.
    fn build(&self, device: &Device) -> Result<WideResNet, ModelError> {
        ModelError::check_sizes(&[
            ("num_classes", self.num_classes),
            ("blocks", self.blocks),
            ("widening", self.widening),
            ("channels", self.channels),
        ])?;
        ModelError::check_stochastic_depth(self.stochastic_depth)?;
        let width = |stage: usize| (STEM * self.widening) << stage;
        let stage = |stage: usize| {
            let blocks = (0..self.blocks).map(|index| {
                let (input, stride) = match (stage, index) {
                    (0, 0) => (STEM, 1),
                    (_, 0) => (width(stage - 1), 2),
                    _ => (width(stage), 1),
                };
                let [index, count] = [stage * self.blocks + index, 3 * self.blocks];
                let drop_path = DropPath::of_block(self.stochastic_depth, index, count);
                Block::new(input, width(stage), stride, drop_path, device)
            });
            blocks.collect()
        };
        Ok(WideResNet {
            conv1: conv([self.channels, STEM], 3, 1, 1, device),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            bn1: norm(width(2), device),
            fc: linear(width(2), self.num_classes, device),
        })
    }
}

impl Classifier for WideResNet {
    fn features(&self, images: Tensor<4>) -> Features {
        let blocks = [&self.layer1, &self.layer2, &self.layer3];
        let x = (blocks.into_iter().flatten())
            .fold(self.conv1.forward(images), |x, block| block.forward(x));
        self.bn1.forward_relu(x).into()
    }

    fn pool(&self, features: Features) -> Tensor<2> {
        global_mean(features.map)
    }

    fn head(&self) -> &Linear {
        &self.fc
    }
}

network!(WideResNet);

/// Two convolutions, each behind a normalisation, and a shortcut around them.
#[derive(Module, Debug)]
struct Block {
    bn1: BatchNorm,
    conv1: Conv2d,
    bn2: BatchNorm,
    conv2: Conv2d,
    /// The layer of the shortcut of a block that changes the shape; it takes the normalised input.
    downsample: Option<Conv2d>,
    drop_path: Option<DropPath>,
}

impl Block {
    fn new(
        input: usize,
        output: usize,
        stride: usize,
        drop_path: Option<DropPath>,
        device: &Device,
    ) -> Self {
        let changes_shape = input != output || stride != 1;
        Self {
            bn1: norm(input, device),
            conv1: conv([input, output], 3, stride, 1, device),
            bn2: norm(output, device),
            conv2: conv([output, output], 3, 1, 1, device),
            downsample: changes_shape.then(|| conv([input, output], 1, stride, 1, device)),
            drop_path,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = self.bn1.forward_relu(input.clone());
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.forward(x.clone()),
            None => input,
        };
        let x = self.conv1.forward_norm_relu(x, &self.bn2);
        DropPath::apply(&self.drop_path, self.conv2.forward(x)) + shortcut
    }
}
