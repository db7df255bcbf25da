//! What a batch is trained towards.

use burn::tensor::{Int, Tensor};

/// The targets of a minibatch of `N` samples.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Class indices, shape `[N]`, each in `0..K`.
    Indices(Tensor<1, Int>),
    /// One row of `K` values per sample, shape `[N, K]`: a class distribution, several labels at
    /// once, or values to regress.
    Dense(Tensor<2>),
}

impl From<Tensor<1, Int>> for Targets {
    fn from(indices: Tensor<1, Int>) -> Self {
        Self::Indices(indices)
    }
}

impl From<Tensor<2>> for Targets {
    fn from(dense: Tensor<2>) -> Self {
        Self::Dense(dense)
    }
}
