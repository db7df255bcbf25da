//! The optimizers, with their groups of parameters.

use burn::module::{ParamGroup, ParamId};
use burn::optim::{AdamWConfig, LearningRate, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use flex_nn::Sgd;
use serde::{Deserialize, Serialize};

use super::{Layer, ModelError};

/// The optimizer, which updates the weights by their gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "clap", value(rename_all = "lower"))]
pub enum Optimizer {
    /// Stochastic gradient descent with Nesterov momentum of 0.9. Weight decay is added to the
    /// gradient.
    #[default]
    Sgd,
    /// AdamW with betas 0.9 and 0.999 (Loshchilov and Hutter, arXiv:1711.05101). Weight decay is
    /// separate from the gradient, so usual values are 100 times those of SGD.
    #[serde(rename = "adamw")]
    AdamW,
}

impl std::fmt::Display for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Sgd => "sgd",
            Self::AdamW => "adamw",
        })
    }
}

impl Optimizer {
    /// Both optimizers.
    pub const ALL: [Self; 2] = [Self::Sgd, Self::AdamW];

    /// Makes the optimizer. `weight_decay` applies to the weights of convolutions and linear
    /// layers; biases, the parameters of normalisations and of layer scale, and the class token and
    /// position embeddings of transformers do not decay.
    pub fn init(self, weight_decay: f64) -> ModuleOptimizer {
        self.init_layers(weight_decay, &[], LayerRates::new())
    }

    /// Makes the optimizer as [`init`](Self::init), with rates of their own for the
    /// [`layers`](super::layers()) of a network, of which the last one is the head. The rates are in
    /// range, as [`LayerRates::check`] tells.
    pub fn init_layers(
        self,
        weight_decay: f64,
        layers: &[Layer],
        rates: LayerRates,
    ) -> ModuleOptimizer {
        let depths = (0..layers.len()).rev();
        let layers = layers.iter().zip(depths.map(|depth| rates.factor(depth)));
        match self {
            Self::Sgd => in_groups(weight_decay as f32, layers, |weight_decay| Sgd {
                momentum: 0.9,
                nesterov: true,
                weight_decay,
            }),
            Self::AdamW => in_groups(weight_decay as f32, layers, |decay| {
                let adamw = AdamWConfig::new().with_weight_decay(decay);
                adamw.with_epsilon(1e-8).build()
            }),
        }
    }
}

/// An optimizer in which each parameter has the weight decay of its name and the factor of its layer.
fn in_groups<'a, O: burn::optim::Optimizer>(
    weight_decay: f32,
    layers: impl Iterator<Item = (&'a Layer, f64)>,
    optimizer: impl Fn(f32) -> O,
) -> ModuleOptimizer {
    let all = ModuleOptimizer::from(optimizer(weight_decay));
    let all = all.with_group(without_decay(), optimizer(0.0), None);
    let (without_decay, any) = (without_decay(), ParamId::new());
    // The last group that matches is the one that counts.
    (layers.filter(|(_, factor)| *factor != 1.0)).fold(all, |groups, (layer, factor)| {
        let is_plain = |name: &&String| without_decay.matches(&any, Some(name));
        let (plain, decayed) = layer.parameters.iter().partition(is_plain);
        let scaled = |weight_decay| Scaled {
            optimizer: optimizer(weight_decay),
            factor,
        };
        let group = |names: Vec<&String>| ParamGroup::from_paths(names);
        let groups = groups.with_group(group(decayed), scaled(weight_decay), None);
        groups.with_group(group(plain), scaled(0.0), None)
    })
}

/// Biases, the parameters of normalisations and of layer scale, and the embeddings of transformers.
fn without_decay() -> ParamGroup {
    ParamGroup::from_regex(r"(^|\.)(bias|gamma|beta|cls_token|pos_embed)$")
        .expect("the tests compile the pattern")
}

/// An optimizer at a multiple of the learning rate.
#[derive(Clone)]
struct Scaled<O> {
    optimizer: O,
    factor: f64,
}

impl<O: burn::optim::Optimizer> burn::optim::Optimizer for Scaled<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<O::State<D>>,
    ) -> (Tensor<D>, Option<O::State<D>>) {
        let rate = rate * self.factor;
        self.optimizer.step(rate, parameter, gradient, state)
    }

    fn to_device<const D: usize>(state: O::State<D>, device: &Device) -> O::State<D> {
        O::to_device(state, device)
    }
}

/// How the learning rates of the layers of a network differ.
///
/// ```
/// use cutmix_vision::models::LayerRates;
///
/// let rates = LayerRates::new().with_head(10.0).with_decay(0.5);
/// assert_eq!([0, 1, 2].map(|depth| rates.factor(depth)), [10.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerRates {
    head: f64,
    decay: f64,
}

impl Default for LayerRates {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerRates {
    /// One rate for all layers.
    pub fn new() -> Self {
        Self {
            head: 1.0,
            decay: 1.0,
        }
    }

    /// Multiplies the rate of the head, which starts anew where the other layers do not, by a finite
    /// number above 0.
    pub fn with_head(self, head: f64) -> Self {
        Self { head, ..self }
    }

    /// Multiplies the rate from each layer to the one in front of it, so that layers learn the slower
    /// the farther they are from the head; above 0 and up to 1.
    ///
    /// Source: Clark, Luong, Le, Manning, ELECTRA, arXiv:2003.10555; for images Bao, Dong, Piao, Wei,
    /// BEiT, arXiv:2106.08254.
    pub fn with_decay(self, decay: f64) -> Self {
        Self { decay, ..self }
    }

    /// Checks both numbers.
    ///
    /// # Errors
    /// [`ModelError::Argument`] for one out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        let Self { head, decay } = *self;
        if !(head.is_finite() && head > 0.0) {
            return Err(ModelError::argument(
                "head_rate",
                head,
                "a finite number above 0",
            ));
        }
        if !(decay > 0.0 && decay <= 1.0) {
            return Err(ModelError::argument(
                "layer_decay",
                decay,
                "a number above 0 and up to 1",
            ));
        }
        Ok(())
    }

    /// The multiple of the learning rate for the layer that is `depth` layers in front of the head,
    /// which itself is 0.
    pub fn factor(&self, depth: usize) -> f64 {
        match depth {
            0 => self.head,
            _ => self.decay.powf(depth as f64),
        }
    }
}
