//! What a data loader hands to the trainer.

use burn::tensor::Tensor;

use crate::Targets;

/// One minibatch of `N` samples; `D` is the rank of the image tensor (4 for `[N, C, H, W]`).
#[derive(Clone, Debug)]
pub struct Batch<const D: usize = 4> {
    /// Shape `[N, C, spatial...]`.
    pub images: Tensor<D>,
    /// The targets of the `N` samples.
    pub targets: Targets,
}
