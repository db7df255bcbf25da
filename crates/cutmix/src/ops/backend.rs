//! The operations as an extension of Burn's backends.

use std::sync::Arc;

use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Backend, FloatDType, backend_extension};

use crate::plan::Region;

/// The sample that each sample takes its pixels from.
pub type Partners = Arc<[usize]>;
/// One region for the batch or one for each sample.
pub type Regions = Arc<[Region]>;
/// The shares of a sample and of its partner: one pair for the batch or one for each sample.
pub type Weights = Arc<[[f64; 2]]>;

/// The kernels of a backend. Tensors are `[N, ..., spatial...]`, and arguments have been checked.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube"),
)]
pub trait MixOps: Backend {
    /// Replaces the region of each sample by that of its partner.
    #[fusion(dtype = images, shape = images)]
    fn float_paste(
        images: FloatTensor<Self>,
        partners: Partners,
        regions: Regions,
    ) -> FloatTensor<Self>;

    /// Does to its kind of tensor what `float_paste` does to floats.
    #[fusion(dtype = images, shape = images)]
    fn int_paste(images: IntTensor<Self>, partners: Partners, regions: Regions) -> IntTensor<Self>;

    /// Does to its kind of tensor what `float_paste` does to floats.
    #[fusion(dtype = images, shape = images)]
    fn bool_paste(
        images: BoolTensor<Self>,
        partners: Partners,
        regions: Regions,
    ) -> BoolTensor<Self>;

    /// Replaces the region of each sample by its weighted sum with that of the partner.
    #[fusion(dtype = images, shape = images)]
    fn float_blend(
        images: FloatTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> FloatTensor<Self>;

    /// Blends integers as `float_blend` does floats: in f32, rounded to the nearest, ties to even.
    #[fusion(dtype = images, shape = images)]
    fn int_blend(
        images: IntTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> IntTensor<Self>;

    /// Fills the region of each sample with a value.
    #[fusion(dtype = images, shape = images)]
    fn float_fill(images: FloatTensor<Self>, regions: Regions, value: f64) -> FloatTensor<Self>;

    /// Does to integers what `float_fill` does to floats.
    #[fusion(dtype = images, shape = images)]
    fn int_fill(images: IntTensor<Self>, regions: Regions, value: f64) -> IntTensor<Self>;

    /// Mixes class indices `[N]` into dense targets `[N, num_classes]`: the weighted sum of the one-hot
    /// rows of a sample and of its partner. The row of a class out of range is NaN.
    #[fusion(dtype = (*dtype).into(), shape = [classes[0], *num_classes].into())]
    fn mix_classes(
        classes: IntTensor<Self>,
        num_classes: usize,
        partners: Partners,
        weights: Weights,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;
}
