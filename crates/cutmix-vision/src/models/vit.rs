//! Vision Transformers.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, Linear};
use burn::tensor::module::attention;
use burn::tensor::{Device, Tensor, s};
use flex_nn::Conv2d;

use super::classifier::network;
use super::layers::{DropPath, draw};
use super::mlp::{Mlp, NORMAL, dense, layer_norm, patches};
use super::registry::{Build, IMAGENET, Names};
use super::{
    AnyNetwork, Architecture, Classifier, Features, ImageSizes, ModelConfig, ModelError, Optimizer,
    Recipe, Scaling,
};

/// The members of the family that have a name.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    architecture(
        "vit-tiny",
        "Vision Transformer of 6 million parameters, for images of about 224 pixels",
        |config, device| build(VisionTransformerConfig::tiny, config, device),
    ),
    architecture(
        "vit-small",
        "Vision Transformer of 22 million parameters, for images of about 224 pixels",
        |config, device| build(VisionTransformerConfig::small, config, device),
    ),
    architecture(
        "vit-base",
        "Vision Transformer of 87 million parameters, for images of about 224 pixels",
        |config, device| build(VisionTransformerConfig::base, config, device),
    ),
];

fn build(
    vit: fn(usize) -> VisionTransformerConfig,
    config: &ModelConfig,
    device: &Device,
) -> Result<AnyNetwork, ModelError> {
    let vit = vit(config.num_classes)
        .with_channels(config.channels)
        .with_stochastic_depth(config.stochastic_depth);
    Ok(vit.build(device)?.into())
}

const fn architecture(name: &'static str, about: &'static str, build: Build) -> Architecture {
    Architecture {
        name,
        about,
        head: "head",
        aliases: &[Names {
            library: "torchvision",
            ours: of_torchvision,
        }],
        colours: IMAGENET,
        sizes: ImageSizes::multiples_of(PATCH),
        optimizer: Optimizer::AdamW,
        // Dosovitskiy et al., table 4, for weights that are fine-tuned.
        sgd: Recipe {
            learning_rate: 0.03,
            batch_size: 512,
            scaling: Scaling::Linear,
            weight_decay: 0.0,
        },
        // Touvron et al., table 9, over 300 epochs. It goes with a stochastic depth of 0.1. They
        // scale in proportion, which for small batches leaves a rate that learns little in a short run.
        adamw: Recipe {
            learning_rate: 5e-4,
            batch_size: 512,
            scaling: Scaling::SquareRoot,
            weight_decay: 0.05,
        },
        build,
    }
}

/// The name of a parameter that torchvision's `vit_b_16` names so.
fn of_torchvision(name: &str) -> Option<String> {
    let parts: Vec<_> = name.split('.').collect();
    Some(match parts[..] {
        ["class_token"] => "cls_token".into(),
        ["encoder", "pos_embedding"] => "pos_embed".into(),
        ["conv_proj", part] => format!("patch_embed.proj.{part}"),
        ["encoder", "ln", part] => format!("norm.{part}"),
        ["heads", "head", part] => format!("head.{part}"),
        ["encoder", "layers", block, layer, ref rest @ ..] => {
            let block = block.strip_prefix("encoder_layer_")?;
            let layer = match (layer, rest) {
                ("ln_1", [part]) => format!("norm1.{part}"),
                ("self_attention", ["in_proj_weight"]) => "attn.qkv.weight".into(),
                ("self_attention", ["in_proj_bias"]) => "attn.qkv.bias".into(),
                ("self_attention", ["out_proj", part]) => format!("attn.proj.{part}"),
                ("ln_2", [part]) => format!("norm2.{part}"),
                // Versions up to 0.11 have other names.
                ("mlp", ["0" | "linear_1", part]) => format!("mlp.fc1.{part}"),
                ("mlp", ["3" | "linear_2", part]) => format!("mlp.fc2.{part}"),
                _ => return None,
            };
            format!("blocks.{block}.{layer}")
        }
        _ => return None,
    })
}

/// Height and width of a patch.
const PATCH: usize = 16;

/// Height and width of the grid of patches to which the position embeddings belong: that of images of
/// 224 pixels.
const GRID: usize = 14;

/// Configuration of a [`VisionTransformer`]. The constructors [`tiny`](Self::tiny),
/// [`small`](Self::small) and [`base`](Self::base) make the published ones.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::models::VisionTransformerConfig;
///
/// let device = Device::default();
/// device.seed(42);
/// let model = VisionTransformerConfig::tiny(10).with_depth(2).init(&device)?;
/// let logits = model.forward(Tensor::zeros([1, 3, 64, 96], &device));
/// assert_eq!(logits.dims(), [1, 10]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct VisionTransformerConfig {
    /// Number of classes.
    pub num_classes: usize,
    /// Number of channels of a token.
    pub width: usize,
    /// Number of attention heads in a block, a divisor of `width`.
    pub heads: usize,
    /// Number of blocks.
    #[config(default = 12)]
    pub depth: usize,
    /// Number of channels of the images: 1 for grey, 3 for RGB.
    #[config(default = 3)]
    pub channels: usize,
    /// Probability that a path of the last block is left out for a sample of training, 0 or more and
    /// below 1. The probabilities rise in equal steps from 0 at the first block (Huang et al.,
    /// arXiv:1603.09382). DeiT has 0.1.
    #[config(default = 0.0)]
    pub stochastic_depth: f64,
}

/// A transformer on patches of 16 x 16 pixels, made by a [`VisionTransformerConfig`]. It takes images
/// whose height and width are multiples of 16.
///
/// It is DeiT without the distillation token, and the Vision Transformer with a class token. The
/// position embeddings are those of images of 224 x 224 pixels; for images of another size they are
/// interpolated (bicubic, with antialiasing). Parameters have the names of timm.
///
/// Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", arXiv:2010.11929, and Touvron et al.,
/// "Training data-efficient image transformers & distillation through attention", arXiv:2012.12877.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl VisionTransformerConfig {
    /// 12 blocks of 192 channels: 5,717,416 parameters for 3 channels and 1000 classes.
    pub fn tiny(num_classes: usize) -> Self {
        Self::new(num_classes, 192, 3)
    }

    /// 12 blocks of 384 channels: 22,050,664 parameters for 3 channels and 1000 classes.
    pub fn small(num_classes: usize) -> Self {
        Self::new(num_classes, 384, 6)
    }

    /// 12 blocks of 768 channels: 86,567,656 parameters for 3 channels and 1000 classes.
    pub fn base(num_classes: usize) -> Self {
        Self::new(num_classes, 768, 12)
    }

    /// Makes the network with random weights from the random numbers of `device`: a call of
    /// `device.seed(seed)` before it makes them repeatable. Weights are drawn as by timm: normal with
    /// a standard deviation of 0.02, the convolution of the patches as PyTorch does.
    ///
    /// # Errors
    /// [`ModelError::Argument`] where a number is 0, the width is no multiple of the heads, or the
    /// stochastic depth is out of range.
    pub fn init(&self, device: &Device) -> Result<VisionTransformer, ModelError> {
        self.build(device).map(draw)
    }

    /// Makes the network, whose weights are drawn when they are first used.
    fn build(&self, device: &Device) -> Result<VisionTransformer, ModelError> {
        self.check()?;
        let blocks = (0..self.depth).map(|index| {
            let drop_path = DropPath::of_block(self.stochastic_depth, index, self.depth);
            Block::new(self, drop_path, device)
        });
        let class = Initializer::Normal {
            mean: 0.0,
            std: 1e-6,
        };
        Ok(VisionTransformer {
            cls_token: class.init([1, 1, self.width], device),
            pos_embed: NORMAL.init([1, 1 + GRID * GRID, self.width], device),
            patch_embed: PatchEmbedding {
                proj: patches([self.channels, self.width], PATCH, device),
            },
            blocks: blocks.collect(),
            norm: layer_norm(self.width, device),
            head: dense(self.width, self.num_classes, device),
        })
    }

    fn check(&self) -> Result<(), ModelError> {
        ModelError::check_sizes(&[
            ("num_classes", self.num_classes),
            ("width", self.width),
            ("heads", self.heads),
            ("depth", self.depth),
            ("channels", self.channels),
        ])?;
        ModelError::check_stochastic_depth(self.stochastic_depth)?;
        if self.width.is_multiple_of(self.heads) {
            Ok(())
        } else {
            let expected = format!("a divisor of the width, {}", self.width);
            Err(ModelError::argument("heads", self.heads, expected))
        }
    }
}

impl VisionTransformer {
    /// The embeddings `[1, 1 + h * w, C]` of the class token and of the positions in a grid of `h` rows
    /// and `w` columns.
    fn positions(&self, [height, width]: [usize; 2]) -> Tensor<3> {
        let embeddings = self.pos_embed.val();
        if [height, width] == [GRID, GRID] {
            return embeddings;
        }
        let channels = embeddings.dims()[2];
        let resample = |to| bicubic(GRID, to, &embeddings);
        let rows = embeddings.clone().slice(s![.., 1..]);
        let rows = rows.reshape([GRID, GRID * channels]);
        let columns = resample(height).matmul(rows);
        let columns = columns.reshape([height, GRID, channels]);
        let grid = resample(width).unsqueeze::<3>().matmul(columns);
        let class = embeddings.slice(s![.., ..1]);
        Tensor::cat(vec![class, grid.reshape([1, height * width, channels])], 1)
    }
}

impl Classifier for VisionTransformer {
    /// The tokens in front of the last block. Behind it only the class token counts.
    fn features(&self, images: Tensor<4>) -> Features {
        let [count, _, height, width] = images.dims();
        let grid = [height, width].map(|side| {
            assert!(side.is_multiple_of(PATCH), "sides are multiples of {PATCH}");
            side / PATCH
        });
        let patches = sequence(self.patch_embed.proj.forward(images));
        let class = self.cls_token.val().expand([count as i32, -1, -1]);
        let tokens = Tensor::cat(vec![class, patches], 1) + self.positions(grid);
        let blocks = &self.blocks[..self.blocks.len() - 1];
        let tokens = blocks.iter().fold(tokens, |x, block| block.forward(x));
        let [_, _, channels] = tokens.dims();
        let map = tokens.clone().slice(s![.., 1..]);
        let map = map.reshape([count, grid[0], grid[1], channels]);
        Features {
            map: map.permute([0, 3, 1, 2]),
            tokens: Some(tokens.slice(s![.., ..1])),
        }
    }

    fn pool(&self, features: Features) -> Tensor<2> {
        let class = features.tokens.expect("features have a class token");
        let tokens = Tensor::cat(vec![class, sequence(features.map)], 1);
        let last = self.blocks.last().expect("there is a block");
        let class = last.attend(tokens).slice(s![.., ..1]);
        self.norm.forward(last.feed_forward(class)).squeeze_dim(1)
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}

network!(VisionTransformer);

/// The positions of a map `[N, C, h, w]`, row by row: `[N, h * w, C]`.
fn sequence(map: Tensor<4>) -> Tensor<3> {
    let [count, channels, height, width] = map.dims();
    let map = map.permute([0, 2, 3, 1]);
    map.reshape([count, height * width, channels])
}

/// The matrix `[to, from]`, of the type of `like`, that resamples `from` numbers to `to`: PyTorch's
/// bicubic interpolation with antialiasing, as in timm.
fn bicubic(from: usize, to: usize, like: &Tensor<3>) -> Tensor<2> {
    // Keys, 1981, with a = -0.5.
    let cubic = |x: f64| match x.abs() {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    };
    let scale = from as f64 / to as f64;
    let row = |index: usize| {
        let center = scale * (index as f64 + 0.5);
        let weight = |place: usize| cubic((place as f64 + 0.5 - center) / scale.max(1.0));
        let weights: Vec<f64> = (0..from).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(move |weight| (weight / sum) as f32)
    };
    let matrix: Vec<f32> = (0..to).flat_map(row).collect();
    let matrix = Tensor::<1>::from_floats(matrix.as_slice(), &like.device());
    matrix.reshape([to, from]).cast(like.dtype())
}

/// The linear layer that makes a token of each patch.
#[derive(Module, Debug)]
struct PatchEmbedding {
    proj: Conv2d,
}

/// Attention and two linear layers, each with a shortcut around it.
#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    drop_path: Option<DropPath>,
}

impl Block {
    fn new(config: &VisionTransformerConfig, drop_path: Option<DropPath>, device: &Device) -> Self {
        let width = config.width;
        Self {
            norm1: layer_norm(width, device),
            attn: Attention {
                qkv: dense(width, 3 * width, device),
                proj: dense(width, width, device),
                heads: config.heads,
            },
            norm2: layer_norm(width, device),
            mlp: Mlp::new(width, device),
            drop_path,
        }
    }

    /// Changes tokens `[N, T, C]`.
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.feed_forward(self.attend(tokens))
    }

    /// Adds what each token takes from the others.
    fn attend(&self, tokens: Tensor<3>) -> Tensor<3> {
        let path = self.attn.forward(self.norm1.forward(tokens.clone()));
        tokens + DropPath::apply(&self.drop_path, path)
    }

    /// Adds what each token makes of itself.
    fn feed_forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let path = self.mlp.forward(self.norm2.forward(tokens.clone()));
        tokens + DropPath::apply(&self.drop_path, path)
    }
}

/// Self-attention with several heads.
#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl Attention {
    /// Changes tokens `[N, T, C]`.
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [count, length, channels] = tokens.dims();
        let of_head = channels / self.heads;
        let qkv = self.qkv.forward(tokens);
        let qkv = qkv.reshape([count, length, 3, self.heads, of_head]);
        let [query, key, value] = [0, 1, 2].map(|part| {
            let part = qkv.clone().narrow(2, part, 1).squeeze_dim::<4>(2);
            part.swap_dims(1, 2)
        });
        let result = attention(query, key, value, None, None, Default::default());
        let result = result.swap_dims(1, 2).reshape([count, length, channels]);
        self.proj.forward(result)
    }
}
