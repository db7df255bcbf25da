//! How a network is trained well without further settings.

use serde::{Deserialize, Serialize};

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
