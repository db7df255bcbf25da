//! The networks by name. A new family is a file with a module that implements [`Classifier`] and a
//! list `ARCHITECTURES`, and a line in the call of `families!` below.

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::classifier::network;
use super::layers::draw;
use super::{Classifier, Features, ImageSizes, ModelError, Optimizer, Recipe};
use crate::data::{IMAGENET_MEAN, IMAGENET_STD};

/// A network with a name, and how it is trained.
#[derive(Debug)]
pub struct Architecture {
    /// Name of the network, such as `resnet8`.
    pub name: &'static str,
    /// What the network is for, in a few words.
    pub about: &'static str,
    /// Name of the head: what the names of its parameters begin with.
    pub head: &'static str,
    /// What other libraries call the parameters, where they have the network under other names.
    pub aliases: &'static [Names],
    /// Heights and widths of images that the network takes.
    pub sizes: ImageSizes,
    /// Mean and standard deviation of red, green and blue of the images that its published weights were
    /// trained on, of pixels scaled to 0..=1, where nothing beside the weights says otherwise.
    pub colours: [[f32; 3]; 2],
    /// Optimizer that is used unless another is asked for.
    pub optimizer: Optimizer,
    /// Recipe for SGD.
    pub sgd: Recipe,
    /// Recipe for AdamW.
    pub adamw: Recipe,
    /// Makes the network; its weights are drawn when they are first used.
    pub(super) build: Build,
}

/// How another library names the parameters of a network.
#[derive(Debug)]
pub struct Names {
    /// Name of the library.
    pub library: &'static str,
    /// The name here of the parameter that the library names so; `None` where the library has no
    /// such parameter.
    pub ours: fn(&str) -> Option<String>,
}

/// The colours of ImageNet, in which most published weights were trained.
pub(super) const IMAGENET: [[f32; 3]; 2] = [IMAGENET_MEAN, IMAGENET_STD];

pub(super) type Build = fn(&ModelConfig, &Device) -> Result<AnyNetwork, ModelError>;

impl Architecture {
    /// The recipe for an optimizer.
    pub fn recipe(&self, optimizer: Optimizer) -> Recipe {
        match optimizer {
            Optimizer::Sgd => self.sgd,
            Optimizer::AdamW => self.adamw,
        }
    }
}

/// All architectures, family by family and from small to large.
pub fn architectures() -> impl Iterator<Item = &'static Architecture> {
    FAMILIES.iter().copied().flatten()
}

/// The names of all architectures.
pub fn names() -> impl Iterator<Item = &'static str> {
    architectures().map(|architecture| architecture.name)
}

/// The architecture with this name.
///
/// # Errors
/// [`ModelError::Unknown`] where there is none.
pub fn find(name: &str) -> Result<&'static Architecture, ModelError> {
    let mut all = architectures();
    let found = all.find(|architecture| architecture.name == name);
    found.ok_or_else(|| ModelError::Unknown {
        name: name.into(),
        known: names().collect(),
    })
}

/// A network by its name.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::ModelConfig;
///
/// let device = Device::default();
/// device.seed(42);
/// let model = ModelConfig::new("resnet8", 10).with_channels(1).init(&device)?;
/// let logits = model.forward(Tensor::zeros([2, 1, 28, 28], &device));
/// assert_eq!(logits.dims(), [2, 10]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelConfig {
    /// Name of the network, one of [`names`].
    pub name: String,
    /// Number of classes.
    pub num_classes: usize,
    /// Number of channels of the images: 1 for grey, 3 for RGB. Default 3.
    #[serde(default = "rgb")]
    pub channels: usize,
    /// Probability that the last block is left out for a sample of training, 0 or more and below 1:
    /// see [`ResNetConfig::stochastic_depth`](super::ResNetConfig::stochastic_depth). Default 0.
    #[serde(default)]
    pub stochastic_depth: f64,
    /// Whether a ResNet blurs images in front of layers with a stride: see
    /// [`ResNetConfig::blur_pool`](super::ResNetConfig::blur_pool). Default false.
    #[serde(default)]
    pub blur_pool: bool,
}

fn rgb() -> usize {
    3
}

impl ModelConfig {
    /// The network `name` for RGB images of `num_classes` classes.
    pub fn new(name: impl Into<String>, num_classes: usize) -> Self {
        Self {
            name: name.into(),
            num_classes,
            channels: rgb(),
            stochastic_depth: 0.0,
            blur_pool: false,
        }
    }

    /// Sets the number of channels of the images.
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// Sets the stochastic depth.
    pub fn with_stochastic_depth(self, stochastic_depth: f64) -> Self {
        Self {
            stochastic_depth,
            ..self
        }
    }

    /// Sets whether a ResNet blurs images in front of layers with a stride.
    pub fn with_blur_pool(self, blur_pool: bool) -> Self {
        Self { blur_pool, ..self }
    }

    /// Makes the network with random weights from the random numbers of `device`: a call of
    /// `device.seed(seed)` before it makes them repeatable.
    ///
    /// # Errors
    /// [`ModelError::Unknown`] where no network has this name, [`ModelError::Argument`] where a
    /// number is 0 or out of range, or the network does not have an option.
    pub fn init(&self, device: &Device) -> Result<AnyNetwork, ModelError> {
        self.build(device).map(draw)
    }

    /// Checks the name and the options, without making the network.
    ///
    /// # Errors
    /// Those of [`init`](Self::init).
    pub fn check(&self) -> Result<(), ModelError> {
        find(&self.name)?;
        ModelError::check_sizes(&[
            ("num_classes", self.num_classes),
            ("channels", self.channels),
        ])?;
        ModelError::check_stochastic_depth(self.stochastic_depth)?;
        let blurred = super::resnet::ARCHITECTURES;
        if !self.blur_pool || blurred.iter().any(|one| one.name == self.name) {
            return Ok(());
        }
        let names: Vec<_> = blurred.iter().map(|one| one.name).collect();
        let expected = format!(
            "false for {}: the networks that can blur are {}",
            self.name,
            names.join(", ")
        );
        Err(ModelError::argument("blur_pool", true, expected))
    }

    /// Makes the network, whose weights are drawn when they are first used: to look at its parameters,
    /// or to load them.
    pub(crate) fn build(&self, device: &Device) -> Result<AnyNetwork, ModelError> {
        self.check()?;
        (find(&self.name)?.build)(self, device)
    }
}

/// Declares [`AnyNetwork`], which holds a network of any of the families, and `FAMILIES`.
macro_rules! families {
    ($($file:ident::$network:ident,)+) => {
        /// A network of any family.
        ///
        /// Parameters have the names that they have in the family's own type.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        // A program has few of them, and their weights are elsewhere.
        #[allow(clippy::large_enum_variant)]
        pub enum AnyNetwork {
            $(
                #[doc = concat!("A network of the family [`", stringify!($network), "`](super::", stringify!($network), ").")]
                $network(super::$file::$network),
            )+
        }

        static FAMILIES: &[&[Architecture]] = &[$(super::$file::ARCHITECTURES,)+];

        $(
            impl From<super::$file::$network> for AnyNetwork {
                fn from(network: super::$file::$network) -> Self {
                    Self::$network(network)
                }
            }
        )+

        impl Classifier for AnyNetwork {
            fn features(&self, images: Tensor<4>) -> Features {
                match self {
                    $(Self::$network(network) => network.features(images),)+
                }
            }

            fn pool(&self, features: Features) -> Tensor<2> {
                match self {
                    $(Self::$network(network) => network.pool(features),)+
                }
            }

            fn head(&self) -> &Linear {
                match self {
                    $(Self::$network(network) => network.head(),)+
                }
            }
        }

        network!(AnyNetwork);

        // Burn's derive would put the name of the variant before the names of the parameters.
        impl Module for AnyNetwork {
            fn collect_devices(&self, devices: Devices) -> Devices {
                match self {
                    $(Self::$network(network) => network.collect_devices(devices),)+
                }
            }

            fn fork(self, device: &Device) -> Self {
                match self {
                    $(Self::$network(network) => Self::$network(network.fork(device)),)+
                }
            }

            fn to_device(self, device: &Device) -> Self {
                match self {
                    $(Self::$network(network) => Self::$network(network.to_device(device)),)+
                }
            }

            fn train(self) -> Self {
                match self {
                    $(Self::$network(network) => Self::$network(network.train()),)+
                }
            }

            fn valid(&self) -> Self {
                match self {
                    $(Self::$network(network) => Self::$network(network.valid()),)+
                }
            }

            fn materialize(self) -> Self {
                match self {
                    $(Self::$network(network) => Self::$network(network.materialize()),)+
                }
            }

            fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
                match self {
                    $(Self::$network(network) => network.visit(visitor),)+
                }
            }

            fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
                match self {
                    $(Self::$network(network) => Self::$network(network.map(mapper)),)+
                }
            }
        }

        impl ModuleDisplayDefault for AnyNetwork {
            fn content(&self, content: Content) -> Option<Content> {
                match self {
                    $(Self::$network(network) => network.content(content),)+
                }
            }

            fn num_params(&self) -> usize {
                Module::num_params(self)
            }
        }

        impl ModuleDisplay for AnyNetwork {}
    };
}

families! {
    resnet::ResNet,
    wide_resnet::WideResNet,
    efficientnet::EfficientNet,
    convnext::ConvNeXt,
    vit::VisionTransformer,
}
