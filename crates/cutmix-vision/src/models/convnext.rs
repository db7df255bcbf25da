//! ConvNeXt.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::conv::Conv2dConfig;
use burn::nn::{Initializer, LayerNorm, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use flex_nn::{Conv2d, global_mean};

use super::classifier::network;
use super::layers::{DropPath, draw};
use super::mlp::{Mlp, NORMAL, dense, layer_norm, patches};
use super::registry::{IMAGENET, Names};
use super::{
    AnyNetwork, Architecture, Classifier, Features, ImageSizes, ModelConfig, ModelError, Optimizer,
    Recipe, Scaling,
};

/// The members of the family that have a name.
pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    name: "convnext-tiny",
    about: "ConvNeXt of 18 blocks and 29 million parameters, for images of about 224 pixels",
    head: "head.fc",
    aliases: &[
        Names {
            library: "torchvision",
            ours: of_torchvision,
        },
        Names {
            library: "facebookresearch/ConvNeXt",
            ours: of_authors,
        },
    ],
    colours: IMAGENET,
    // The first layers divide height and width by 4, and three more by 2, without padding.
    sizes: ImageSizes::at_least(32),
    optimizer: Optimizer::AdamW,
    // Not published. That of the Vision Transformer, for weights that are fine-tuned.
    sgd: Recipe {
        learning_rate: 0.03,
        batch_size: 512,
        scaling: Scaling::Linear,
        weight_decay: 0.0,
    },
    // Liu et al., table 5, over 300 epochs. It goes with a stochastic depth of 0.1.
    adamw: Recipe {
        learning_rate: 4e-3,
        batch_size: 4096,
        scaling: Scaling::SquareRoot,
        weight_decay: 0.05,
    },
    build,
}];

fn build(config: &ModelConfig, device: &Device) -> Result<AnyNetwork, ModelError> {
    let convnext = ConvNeXtConfig::tiny(config.num_classes)
        .with_channels(config.channels)
        .with_stochastic_depth(config.stochastic_depth);
    Ok(convnext.build(device)?.into())
}

/// The name of a parameter that torchvision's `convnext_tiny` names so.
fn of_torchvision(name: &str) -> Option<String> {
    let parts: Vec<_> = name.split('.').collect();
    // Stages and what is between them take turns: 1 is the first stage.
    let stage = |number: &str| Some(number.parse::<usize>().ok()?.checked_sub(1)? / 2);
    Some(match parts[..] {
        ["features", "0", layer, part] => format!("stem.{layer}.{part}"),
        ["features", number, block, "layer_scale"] => {
            format!("stages.{}.blocks.{block}.gamma", stage(number)?)
        }
        ["features", number, layer, part] => {
            format!("stages.{}.downsample.{layer}.{part}", stage(number)? + 1)
        }
        ["features", number, block, "block", layer, part] => {
            let layer = match layer {
                "0" => "conv_dw",
                "2" => "norm",
                "3" => "mlp.fc1",
                "5" => "mlp.fc2",
                _ => return None,
            };
            format!("stages.{}.blocks.{block}.{layer}.{part}", stage(number)?)
        }
        ["classifier", "0", part] => format!("head.norm.{part}"),
        ["classifier", "2", part] => format!("head.fc.{part}"),
        _ => return None,
    })
}

/// The name of a parameter that the authors of the paper name so.
fn of_authors(name: &str) -> Option<String> {
    let parts: Vec<_> = name.split('.').collect();
    Some(match parts[..] {
        ["downsample_layers", "0", layer, part] => format!("stem.{layer}.{part}"),
        ["downsample_layers", stage, layer, part] => {
            format!("stages.{stage}.downsample.{layer}.{part}")
        }
        ["stages", stage, block, "gamma"] => format!("stages.{stage}.blocks.{block}.gamma"),
        ["stages", stage, block, layer, part] => {
            let layer = match layer {
                "dwconv" => "conv_dw",
                "norm" => "norm",
                "pwconv1" => "mlp.fc1",
                "pwconv2" => "mlp.fc2",
                _ => return None,
            };
            format!("stages.{stage}.blocks.{block}.{layer}.{part}")
        }
        ["norm", part] => format!("head.norm.{part}"),
        ["head", part] => format!("head.fc.{part}"),
        _ => return None,
    })
}

/// The largest number of stages.
const STAGES: usize = 8;

/// Configuration of a [`ConvNeXt`]. [`tiny`](Self::tiny) makes the published one.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::models::ConvNeXtConfig;
///
/// let device = Device::default();
/// device.seed(42);
/// let model = ConvNeXtConfig::new(10, vec![1, 1, 2, 1]).with_width(16).init(&device)?;
/// let logits = model.forward(Tensor::zeros([2, 3, 64, 64], &device));
/// assert_eq!(logits.dims(), [2, 10]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct ConvNeXtConfig {
    /// Number of classes.
    pub num_classes: usize,
    /// Number of blocks in each stage, at least one of each, for 1 to 8 stages. Each stage after the
    /// first one halves height and width and doubles the channels.
    pub blocks: Vec<usize>,
    /// Number of channels of the images: 1 for grey, 3 for RGB.
    #[config(default = 3)]
    pub channels: usize,
    /// Channels of the first stage.
    #[config(default = 96)]
    pub width: usize,
    /// Factor with which the output of each block starts, so that a block starts nearly as its
    /// shortcut.
    #[config(default = 1e-6)]
    pub layer_scale: f64,
    /// Probability that the last block is left out for a sample of training, 0 or more and below 1. The
    /// probabilities rise in equal steps from 0 at the first block (Huang et al., arXiv:1603.09382).
    /// The paper has 0.1 for ConvNeXt-Tiny.
    #[config(default = 0.0)]
    pub stochastic_depth: f64,
}

/// A convolutional network with blocks like those of a transformer, made by a [`ConvNeXtConfig`]. It
/// takes images whose height and width are at least 4, doubled for each stage after the first one.
///
/// Parameters have the names of timm.
///
/// Source: Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", arXiv:2201.03545.
#[derive(Module, Debug)]
pub struct ConvNeXt {
    stem: (Conv2d, LayerNorm),
    stages: Vec<Stage>,
    head: Head,
}

impl ConvNeXtConfig {
    /// 18 blocks, for photographs: 28,589,128 parameters for 3 channels and 1000 classes.
    pub fn tiny(num_classes: usize) -> Self {
        Self::new(num_classes, vec![3, 3, 9, 3])
    }

    /// Makes the network with random weights from the random numbers of `device`: a call of
    /// `device.seed(seed)` before it makes them repeatable. Weights are normal with a standard
    /// deviation of 0.02.
    ///
    /// # Errors
    /// [`ModelError::Argument`] where a number is 0, there are not 1 to 8 stages, or the stochastic depth
    /// is out of range.
    pub fn init(&self, device: &Device) -> Result<ConvNeXt, ModelError> {
        self.build(device).map(draw)
    }

    /// Makes the network, whose weights are drawn when they are first used.
    fn build(&self, device: &Device) -> Result<ConvNeXt, ModelError> {
        self.check()?;
        let count = self.blocks.iter().sum();
        let mut index = 0;
        let stages = self.blocks.iter().enumerate().map(|(stage, &blocks)| {
            let width = self.width << stage;
            let blocks = (0..blocks).map(|_| {
                let drop_path = DropPath::of_block(self.stochastic_depth, index, count);
                index += 1;
                Block::new(width, self.layer_scale, drop_path, device)
            });
            Stage {
                downsample: (stage > 0).then(|| {
                    let norm = layer_norm(width / 2, device);
                    (norm, drawn(patches([width / 2, width], 2, device), device))
                }),
                blocks: blocks.collect(),
            }
        });
        let stages: Vec<_> = stages.collect();
        let last = self.width << (stages.len() - 1);
        let stem = patches([self.channels, self.width], 4, device);
        Ok(ConvNeXt {
            stem: (drawn(stem, device), layer_norm(self.width, device)),
            stages,
            head: Head {
                norm: layer_norm(last, device),
                fc: dense(last, self.num_classes, device),
            },
        })
    }

    fn check(&self) -> Result<(), ModelError> {
        ModelError::check_sizes(&[
            ("num_classes", self.num_classes),
            ("channels", self.channels),
            ("width", self.width),
        ])?;
        ModelError::check_stochastic_depth(self.stochastic_depth)?;
        if (1..=STAGES).contains(&self.blocks.len()) && !self.blocks.contains(&0) {
            Ok(())
        } else {
            let value = format!("{:?}", self.blocks);
            let expected = format!("1 to {STAGES} numbers of at least 1");
            Err(ModelError::argument("blocks", value, expected))
        }
    }
}

/// The convolution with [`NORMAL`] weights and biases of 0.
fn drawn(conv: Conv2d, device: &Device) -> Conv2d {
    // `shape` would draw the weights that are replaced.
    let shape = conv.weight.lazy_shape();
    Conv2d {
        bias: Some(Initializer::Zeros.init([shape[0]], device)),
        weight: NORMAL.init(shape, device),
        ..conv
    }
}

impl Classifier for ConvNeXt {
    fn features(&self, images: Tensor<4>) -> Features {
        let (conv, norm) = &self.stem;
        let x = norm.forward(channels_last(conv.forward(images)));
        let x = self.stages.iter().fold(x, |x, stage| stage.forward(x));
        channels_first(x).into()
    }

    fn pool(&self, features: Features) -> Tensor<2> {
        self.head.norm.forward(global_mean(features.map))
    }

    fn head(&self) -> &Linear {
        &self.head.fc
    }
}

network!(ConvNeXt);

/// Images `[N, C, H, W]` as `[N, H, W, C]`, the shape that normalisations and linear layers take.
/// Convolutions put out images that lie in memory in this order, so that nothing is copied.
fn channels_last(images: Tensor<4>) -> Tensor<4> {
    images.permute([0, 2, 3, 1])
}

/// Images `[N, H, W, C]` as `[N, C, H, W]`.
fn channels_first(images: Tensor<4>) -> Tensor<4> {
    images.permute([0, 3, 1, 2])
}

/// The layers behind the last block.
#[derive(Module, Debug)]
struct Head {
    norm: LayerNorm,
    fc: Linear,
}

/// Blocks of one width, on images `[N, H, W, C]`.
#[derive(Module, Debug)]
struct Stage {
    downsample: Option<(LayerNorm, Conv2d)>,
    blocks: Vec<Block>,
}

impl Stage {
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let x = match &self.downsample {
            Some((norm, conv)) => channels_last(conv.forward(channels_first(norm.forward(images)))),
            None => images,
        };
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

/// A convolution of each channel by itself and two linear layers, and a shortcut around them.
#[derive(Module, Debug)]
struct Block {
    conv_dw: Conv2d,
    norm: LayerNorm,
    mlp: Mlp,
    /// A factor for each channel.
    gamma: Param<Tensor<1>>,
    drop_path: Option<DropPath>,
}

impl Block {
    fn new(width: usize, layer_scale: f64, drop_path: Option<DropPath>, device: &Device) -> Self {
        let conv: Conv2d = Conv2dConfig::new([width, width], [7, 7])
            .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
            .with_groups(width)
            .init(device)
            .into();
        Self {
            conv_dw: drawn(conv, device),
            norm: layer_norm(width, device),
            mlp: Mlp::new(width, device),
            gamma: Initializer::Constant { value: layer_scale }.init([width], device),
            drop_path,
        }
    }

    /// The output `[N, H, W, C]` for images of this shape.
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let x = channels_last(self.conv_dw.forward(channels_first(images.clone())));
        let x = self.mlp.forward(self.norm.forward(x)) * self.gamma.val().unsqueeze();
        images + DropPath::apply(&self.drop_path, x)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::{ConvNeXtConfig, channels_last};

    /// The sizes are those of table 9 of the paper for images of 224 pixels.
    #[test]
    fn stages_have_the_published_output_sizes() {
        let device = Device::default();
        let model = ConvNeXtConfig::tiny(10).init(&device).unwrap();
        let images = Tensor::zeros([1, 3, 224, 224], &device);
        let mut x = channels_last(model.stem.0.forward(images));
        let published = [[56, 56, 96], [28, 28, 192], [14, 14, 384], [7, 7, 768]];
        for (stage, [height, width, channels]) in model.stages.iter().zip(published) {
            x = stage.forward(x);
            assert_eq!(x.dims(), [1, height, width, channels]);
        }
    }
}
