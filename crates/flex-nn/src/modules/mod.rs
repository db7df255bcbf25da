//! Modules with the parameters of Burn's.

mod conv;
mod norm;
mod pool;

pub use conv::{Conv2d, conv2d};
pub use norm::BatchNorm;
pub use pool::{MaxPool2d, global_mean, subsample};

use burn::nn::PaddingConfig2d;
#[cfg(feature = "flex")]
use burn::{
    backend::DispatchTensorKind,
    tensor::{DType, Tensor},
};

/// The positions around images of this size, before and after, as Burn has them.
fn padding(
    config: &PaddingConfig2d,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
) -> [(usize, usize); 2] {
    match *config {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => [0, 1].map(|axis| {
            let steps = size[axis].div_ceil(stride[axis]).saturating_sub(1);
            let total = (steps * stride[axis] + kernel[axis]).saturating_sub(size[axis]);
            (total / 2, total - total / 2)
        }),
    }
}

/// Whether no gradient flows through a tensor.
#[cfg(feature = "flex")]
fn is_untracked<const D: usize>(tensor: &Tensor<D>) -> bool {
    !tensor.is_tracked()
}

/// Computes on images without autodiff, and gives the result the autodiff of the images. An operation
/// of autodiff would keep the images, whose memory can be used again where no gradient needs them.
#[cfg(feature = "flex")]
fn without_autodiff<const D: usize>(
    images: Tensor<4>,
    compute: impl FnOnce(Tensor<4>) -> Tensor<D>,
) -> Tensor<D> {
    match images.gradient_checkpointing_strategy() {
        None => compute(images),
        Some(strategy) => compute(images.without_autodiff())
            .autodiff()
            .with_gradient_checkpointing_strategy(strategy),
    }
}

/// Whether the kernels of this crate can run on a tensor.
#[cfg(feature = "flex")]
pub(crate) fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    fn is_flex(kind: &DispatchTensorKind) -> bool {
        match kind {
            DispatchTensorKind::Flex(_) => true,
            DispatchTensorKind::Autodiff(inner) => is_flex(inner),
            #[allow(unreachable_patterns)] // depends on the backends that are compiled in
            _ => false,
        }
    }

    tensor.dtype() == DType::F32
        && !tensor.dims().contains(&0)
        && crate::host::is_available()
        && is_flex(&tensor.clone().into_dispatch().kind)
}
