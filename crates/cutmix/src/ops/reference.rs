//! The operations in plain tensor calls: the fallback for every backend, and the oracle that
//! faster ones are tested against.

use burn::tensor::kind::Basic;
use burn::tensor::{Int, Tensor, TensorData};

use crate::plan::Region;

/// `tensor` is `[N, ..., spatial...]` with the region inside the spatial dimensions and `partners`
/// a permutation of `0..N`.
pub(super) fn paste<const R: usize, K: Basic>(
    tensor: Tensor<R, K>,
    region: &Region,
    partners: &[usize],
) -> Tensor<R, K> {
    let leading = tensor.dims()[..R - region.rank()].to_vec();
    let ranges: Vec<_> = (leading.into_iter().map(|size| 0..size))
        .chain(region.ranges().iter().cloned())
        .collect();
    let partners = upload(partners, &tensor);
    let patch = tensor.clone().slice(ranges.as_slice()).select(0, partners);
    tensor.slice_assign(ranges.as_slice(), patch)
}

/// Indices on the device of `like`; a copy to the device, never from it.
pub(crate) fn upload<const R: usize, K: Basic>(
    indices: &[usize],
    like: &Tensor<R, K>,
) -> Tensor<1, Int> {
    let indices: Vec<_> = indices.iter().map(|&index| index as i64).collect();
    Tensor::from_data(TensorData::from(indices.as_slice()), &like.device())
}
