//! The operations as a backend extension of Burn: which backend runs which code.

use std::sync::Arc;

use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Backend, FloatDType, backend_extension};

use crate::plan::Region;

/// Which sample each one takes its pixels from.
pub type Partners = Arc<[usize]>;
/// One region for the batch or one for each sample.
pub type Regions = Arc<[Region]>;
/// For each region the shares of a sample's own pixels and of its partner's.
pub type Weights = Arc<[[f64; 2]]>;

/// What the kernels do. Tensors are `[N, ..., spatial...]`; arguments have been checked.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube"),
)]
pub trait MixOps: Backend {
    /// Inside a sample's region its partner's pixels.
    #[fusion(dtype = images, shape = images)]
    fn float_paste(
        images: FloatTensor<Self>,
        partners: Partners,
        regions: Regions,
    ) -> FloatTensor<Self>;

    /// As `float_paste`.
    #[fusion(dtype = images, shape = images)]
    fn int_paste(images: IntTensor<Self>, partners: Partners, regions: Regions) -> IntTensor<Self>;

    /// As `float_paste`.
    #[fusion(dtype = images, shape = images)]
    fn bool_paste(
        images: BoolTensor<Self>,
        partners: Partners,
        regions: Regions,
    ) -> BoolTensor<Self>;

    /// Inside a sample's region the weighted sum of its own pixels and its partner's.
    #[fusion(dtype = images, shape = images)]
    fn float_blend(
        images: FloatTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> FloatTensor<Self>;

    /// As `float_blend`, in f32, rounded to the nearest integer, ties to even.
    #[fusion(dtype = images, shape = images)]
    fn int_blend(
        images: IntTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> IntTensor<Self>;

    /// Inside a sample's region one value.
    #[fusion(dtype = images, shape = images)]
    fn float_fill(images: FloatTensor<Self>, regions: Regions, value: f64) -> FloatTensor<Self>;

    /// As `float_fill`.
    #[fusion(dtype = images, shape = images)]
    fn int_fill(images: IntTensor<Self>, regions: Regions, value: f64) -> IntTensor<Self>;

    /// Class indices `[N]` to dense targets `[N, num_classes]`: the weighted sum of a sample's own
    /// one-hot row and its partner's. The row of a class out of range is NaN.
    #[fusion(dtype = (*dtype).into(), shape = [classes[0], *num_classes].into())]
    fn mix_classes(
        classes: IntTensor<Self>,
        num_classes: usize,
        partners: Partners,
        weights: Weights,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;
}
