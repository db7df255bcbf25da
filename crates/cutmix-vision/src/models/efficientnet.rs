//! EfficientNet, EfficientNet-Lite and MobileNetV2: networks of inverted residual blocks.

mod block;
mod names;

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use flex_nn::{BatchNorm, Conv2d, global_mean};
use serde::{Deserialize, Serialize};

use self::block::{Block, BlockConfig, Layers};
use super::classifier::network;
use super::layers::{DropPath, draw, linear};
use super::registry::{Build, IMAGENET, Names};
use super::{
    AnyNetwork, Architecture, Classifier, Features, ImageSizes, ModelConfig, ModelError, Optimizer,
    Recipe, Scaling,
};

/// The members of the family that have a name.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    architecture(
        "mobilenetv2",
        "3.5 million parameters and fast without a GPU, for images of 96 to 224 pixels",
        names::OF_MOBILENET_V2,
        |config, device| build(EfficientNetConfig::mobilenet_v2, config, device),
    ),
    architecture(
        "efficientnet-lite0",
        "EfficientNet-B0 for small devices: ReLU6 and no squeeze-excitation, 4.7 million parameters",
        &[],
        |config, device| build(EfficientNetConfig::efficientnet_lite0, config, device),
    ),
    architecture(
        "efficientnet-b0",
        "5.3 million parameters, for images of about 224 pixels",
        names::OF_EFFICIENTNET_B0,
        |config, device| build(EfficientNetConfig::efficientnet_b0, config, device),
    ),
    Architecture {
        // As in timm's configuration of these weights.
        colours: [[0.5; 3]; 2],
        ..architecture(
            "tf-efficientnet-lite0",
            "efficientnet-lite0 as TensorFlow computes it, for weights that were trained there",
            names::OF_TF_EFFICIENTNET,
            |config, device| build(tf_efficientnet_lite0, config, device),
        )
    },
    architecture(
        "tf-efficientnet-b0",
        "efficientnet-b0 as TensorFlow computes it, for weights that were trained there",
        names::OF_TF_EFFICIENTNET,
        |config, device| build(tf_efficientnet_b0, config, device),
    ),
];

fn tf_efficientnet_lite0(num_classes: usize) -> EfficientNetConfig {
    EfficientNetConfig::efficientnet_lite0(num_classes).with_tensorflow(true)
}

fn tf_efficientnet_b0(num_classes: usize) -> EfficientNetConfig {
    EfficientNetConfig::efficientnet_b0(num_classes).with_tensorflow(true)
}

fn build(
    network: fn(usize) -> EfficientNetConfig,
    config: &ModelConfig,
    device: &Device,
) -> Result<AnyNetwork, ModelError> {
    let network = network(config.num_classes)
        .with_channels(config.channels)
        .with_stochastic_depth(config.stochastic_depth);
    Ok(network.build(device)?.into())
}

const fn architecture(
    name: &'static str,
    about: &'static str,
    aliases: &'static [Names],
    build: Build,
) -> Architecture {
    Architecture {
        name,
        about,
        head: "classifier",
        aliases,
        colours: IMAGENET,
        sizes: ImageSizes::ANY,
        optimizer: Optimizer::Sgd,
        // torchvision's reference for MobileNetV2. The papers use RMSProp, whose rates do not carry
        // over.
        sgd: Recipe {
            learning_rate: 0.045,
            batch_size: 256,
            scaling: Scaling::Linear,
            weight_decay: 4e-5,
        },
        // As for the ResNets.
        adamw: Recipe {
            learning_rate: 1e-3,
            batch_size: 256,
            scaling: Scaling::SquareRoot,
            weight_decay: 0.05,
        },
        build,
    }
}

/// The function between the layers of an [`EfficientNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EfficientNetActivation {
    /// The number, limited to 0..=6.
    Relu6,
    /// The number times its sigmoid, also called Swish.
    Silu,
}

/// A stage of an [`EfficientNet`]: blocks with the same number of output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EfficientNetStage {
    /// Number of blocks.
    pub blocks: usize,
    /// Height and width of the kernel of the depthwise convolutions.
    pub kernel: usize,
    /// Stride of the first block.
    pub stride: usize,
    /// How many times as many channels a block has inside as go into it. At 1 it has no layer that
    /// widens it.
    pub expansion: usize,
    /// Number of channels that come out.
    pub channels: usize,
}

/// Configuration of an [`EfficientNet`]. The constructors make the published ones.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::models::EfficientNetConfig;
///
/// let device = Device::default();
/// device.seed(42);
/// let model = EfficientNetConfig::mobilenet_v2(10).init(&device)?;
/// let logits = model.forward(Tensor::zeros([2, 3, 96, 96], &device));
/// assert_eq!(logits.dims(), [2, 10]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct EfficientNetConfig {
    /// Number of classes.
    pub num_classes: usize,
    /// Stages, at least one.
    pub stages: Vec<EfficientNetStage>,
    /// Number of channels of the images: 1 for grey, 3 for RGB.
    #[config(default = 3)]
    pub channels: usize,
    /// The function between the layers.
    #[config(default = "EfficientNetActivation::Silu")]
    pub activation: EfficientNetActivation,
    /// Whether blocks scale their channels by what the whole image has in them (Hu et al.,
    /// arXiv:1709.01507).
    #[config(default = true)]
    pub squeeze_excite: bool,
    /// Whether padding and normalisation are those of TensorFlow, for weights that were trained there:
    /// a convolution with a stride pads images of even size at the bottom and right alone, and
    /// normalisations add 1e-3 to the variance instead of 1e-5.
    #[config(default = false)]
    pub tensorflow: bool,
    /// Probability that the last block is left out for a sample of training, 0 or more and below 1. The
    /// probabilities rise in equal steps from 0 at the first block (Huang et al., arXiv:1603.09382).
    #[config(default = 0.0)]
    pub stochastic_depth: f64,
}

/// A network of inverted residual blocks, made by an [`EfficientNetConfig`]. It takes images of any
/// height and width. Parameters have the names of timm.
///
/// Sources: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
/// arXiv:1801.04381; Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
/// Networks", arXiv:1905.11946.
#[derive(Module, Debug)]
pub struct EfficientNet {
    conv_stem: Conv2d,
    bn1: BatchNorm,
    blocks: Vec<Vec<Block>>,
    conv_head: Conv2d,
    bn2: BatchNorm,
    dropout: Dropout,
    classifier: Linear,
    #[module(skip)]
    activation: EfficientNetActivation,
}

/// The stages of MobileNetV2, table 2 of its paper: blocks, kernel, stride, expansion, channels.
const MOBILENET_V2: &[[usize; 5]] = &[
    [1, 3, 1, 1, 16],
    [2, 3, 2, 6, 24],
    [3, 3, 2, 6, 32],
    [4, 3, 2, 6, 64],
    [3, 3, 1, 6, 96],
    [3, 3, 2, 6, 160],
    [1, 3, 1, 6, 320],
];

/// The stages of EfficientNet-B0, table 1 of its paper.
const EFFICIENTNET_B0: &[[usize; 5]] = &[
    [1, 3, 1, 1, 16],
    [2, 3, 2, 6, 24],
    [2, 5, 2, 6, 40],
    [3, 3, 2, 6, 80],
    [3, 5, 1, 6, 112],
    [4, 5, 2, 6, 192],
    [1, 3, 1, 6, 320],
];

/// Channels in front of the first block, and behind the last one.
const STEM: usize = 32;
const HEAD: usize = 1280;

/// Probability that a number in front of the last layer is left out in training.
const DROPOUT: f64 = 0.2;

impl EfficientNetConfig {
    /// MobileNetV2: 3,504,872 parameters for 3 channels and 1000 classes.
    pub fn mobilenet_v2(num_classes: usize) -> Self {
        Self::table(num_classes, MOBILENET_V2)
            .with_activation(EfficientNetActivation::Relu6)
            .with_squeeze_excite(false)
    }

    /// EfficientNet-B0: 5,288,548 parameters for 3 channels and 1000 classes.
    pub fn efficientnet_b0(num_classes: usize) -> Self {
        Self::table(num_classes, EFFICIENTNET_B0)
    }

    /// EfficientNet-Lite0, which Google published without a paper: 4,652,008 parameters for 3 channels
    /// and 1000 classes.
    pub fn efficientnet_lite0(num_classes: usize) -> Self {
        Self::efficientnet_b0(num_classes)
            .with_activation(EfficientNetActivation::Relu6)
            .with_squeeze_excite(false)
    }

    fn table(num_classes: usize, stages: &[[usize; 5]]) -> Self {
        let stage =
            |&[blocks, kernel, stride, expansion, channels]: &[usize; 5]| EfficientNetStage {
                blocks,
                kernel,
                stride,
                expansion,
                channels,
            };
        Self::new(num_classes, stages.iter().map(stage).collect())
    }

    /// Makes the network with random weights from the random numbers of `device`: a call of
    /// `device.seed(seed)` before it makes them repeatable. Convolutions are drawn as by He et al.
    /// (normal, fan out), as published.
    ///
    /// # Errors
    /// [`ModelError::Argument`] where a number is 0, there is no stage, a kernel is even, or the
    /// stochastic depth is out of range.
    pub fn init(&self, device: &Device) -> Result<EfficientNet, ModelError> {
        self.build(device).map(draw)
    }

    /// Makes the network, whose weights are drawn when they are first used.
    fn build(&self, device: &Device) -> Result<EfficientNet, ModelError> {
        self.check()?;
        let layers = Layers {
            tensorflow: self.tensorflow,
            device,
        };
        let total = self.stages.iter().map(|stage| stage.blocks).sum();
        let (mut input, mut index) = (STEM, 0);
        let stages = self.stages.iter().map(|stage| {
            let blocks = (0..stage.blocks).map(|first| {
                let config = BlockConfig {
                    input,
                    inner: input * stage.expansion,
                    output: stage.channels,
                    kernel: stage.kernel,
                    stride: if first == 0 { stage.stride } else { 1 },
                    activation: self.activation,
                    squeeze_excite: self.squeeze_excite,
                };
                let drop_path = DropPath::of_block(self.stochastic_depth, index, total);
                (input, index) = (stage.channels, index + 1);
                Block::new(&config, drop_path, &layers)
            });
            blocks.collect()
        });
        let blocks = stages.collect();
        Ok(EfficientNet {
            conv_stem: layers.conv([self.channels, STEM], 3, 2, 1),
            bn1: layers.norm(STEM),
            blocks,
            conv_head: layers.conv([input, HEAD], 1, 1, 1),
            bn2: layers.norm(HEAD),
            dropout: DropoutConfig::new(DROPOUT).init(),
            // The published range, 1 / sqrt(classes), is about that of PyTorch for 1000 classes, and
            // too wide for a few.
            classifier: linear(HEAD, self.num_classes, device),
            activation: self.activation,
        })
    }

    fn check(&self) -> Result<(), ModelError> {
        ModelError::check_sizes(&[
            ("num_classes", self.num_classes),
            ("channels", self.channels),
            ("stages", self.stages.len()),
        ])?;
        for stage in &self.stages {
            ModelError::check_sizes(&[
                ("blocks", stage.blocks),
                ("kernel", stage.kernel),
                ("stride", stage.stride),
                ("expansion", stage.expansion),
                ("channels", stage.channels),
            ])?;
            if stage.kernel.is_multiple_of(2) {
                return Err(ModelError::argument(
                    "kernel",
                    stage.kernel,
                    "an odd number",
                ));
            }
        }
        ModelError::check_stochastic_depth(self.stochastic_depth)
    }
}

impl Classifier for EfficientNet {
    fn features(&self, images: Tensor<4>) -> Features {
        let layer = |x, conv, norm| self.activation.forward_layer(x, conv, norm);
        let x = layer(images, &self.conv_stem, &self.bn1);
        let x = (self.blocks.iter().flatten()).fold(x, |x, block| block.forward(x));
        layer(x, &self.conv_head, &self.bn2).into()
    }

    fn pool(&self, features: Features) -> Tensor<2> {
        self.dropout.forward(global_mean(features.map))
    }

    fn head(&self) -> &Linear {
        &self.classifier
    }
}

network!(EfficientNet);
