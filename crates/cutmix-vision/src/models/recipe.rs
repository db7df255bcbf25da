//! How a network is trained well without further settings.

use burn::module::ParamGroup;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use flex_nn::Sgd;
use serde::{Deserialize, Serialize};

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
        let decay = weight_decay as f32;
        match self {
            Self::Sgd => {
                let sgd = |weight_decay| Sgd {
                    momentum: 0.9,
                    nesterov: true,
                    weight_decay,
                };
                let optimizer = ModuleOptimizer::from(sgd(decay));
                optimizer.with_group(without_decay(), sgd(0.0), None)
            }
            Self::AdamW => {
                let adamw = |decay| {
                    AdamWConfig::new()
                        .with_weight_decay(decay)
                        .with_epsilon(1e-8)
                };
                let optimizer = ModuleOptimizer::from(adamw(decay).build());
                optimizer.with_group(without_decay(), adamw(0.0).build(), None)
            }
        }
    }
}

/// Biases, the parameters of normalisations and of layer scale, and the embeddings of transformers.
fn without_decay() -> ParamGroup {
    ParamGroup::from_regex(r"(^|\.)(bias|gamma|beta|cls_token|pos_embed)$")
        .expect("the tests compile the pattern")
}

/// How the learning rate changes with the batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// The rate grows in proportion to the batch size: the rule for SGD in long runs (Goyal et al.,
    /// arXiv:1706.02677).
    Linear,
    /// The rate grows with the square root of the batch size: the rule for Adam (Malladi et al.,
    /// arXiv:2205.10287), and a safer one than [`Linear`](Self::Linear) where the rate is high.
    SquareRoot,
}

/// The learning rate and weight decay that suit a network and an optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Peak learning rate for batches of [`batch_size`](Self::batch_size).
    pub learning_rate: f64,
    /// Batch size to which the learning rate belongs.
    pub batch_size: usize,
    /// How the learning rate changes with the batch size.
    pub scaling: Scaling,
    /// Weight decay of everything but normalisations and biases.
    pub weight_decay: f64,
}

impl Recipe {
    /// Peak learning rate for batches of `batch_size` samples.
    pub fn learning_rate_for(&self, batch_size: usize) -> f64 {
        let ratio = batch_size as f64 / self.batch_size as f64;
        match self.scaling {
            Scaling::Linear => self.learning_rate * ratio,
            Scaling::SquareRoot => self.learning_rate * ratio.sqrt(),
        }
    }
}
