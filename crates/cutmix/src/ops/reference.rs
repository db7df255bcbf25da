//! The operations in plain tensor calls, which every backend has: what backends without kernels of
//! their own run, and the oracle that the kernels are tested against.
//!
//! Tensors are `[N, ..., spatial...]`, `partners` a permutation of `0..N`, `regions` one box for the
//! batch or one for each sample, `weights` likewise the shares of a sample's own pixels and of its
//! partner's.
//!
//! # Panics
//!
//! Arguments are not checked here, and these functions panic where one does not fit; those of
//! [`ops`](super) check them and return errors.

use burn::tensor::kind::{Basic, Numeric};
use burn::tensor::{Bool, Device, FloatDType, Int, IntDType, Tensor, TensorData};

use crate::plan::Region;

/// Inside a sample's region its partner's pixels.
pub fn paste<const R: usize, K: Basic>(
    images: Tensor<R, K>,
    partners: &[usize],
    regions: &[Region],
) -> Tensor<R, K> {
    let partners = upload(partners, &images.device());
    if let [region] = regions {
        let ranges = ranges(&images, region);
        let patch = images.clone().slice(ranges.as_slice()).select(0, partners);
        return images.slice_assign(ranges.as_slice(), patch);
    }
    let mask = mask(&images, regions);
    images.clone().mask_where(mask, images.select(0, partners))
}

/// Inside a sample's region the weighted sum of its own pixels and its partner's.
pub fn blend<const R: usize>(
    images: Tensor<R>,
    partners: &[usize],
    regions: &[Region],
    weights: &[[f64; 2]],
) -> Tensor<R> {
    let partners = upload(partners, &images.device());
    let [own, other] = [0, 1].map(|side| {
        let weights: Vec<_> = weights.iter().map(|weights| weights[side]).collect();
        let mut shape = [1; R];
        shape[0] = weights.len();
        let data = TensorData::new(weights, shape).convert_dtype(images.dtype());
        Tensor::<R>::from_data(data, (&images.device(), images.dtype()))
    });
    let sum = |images: Tensor<R>| images.clone() * own + images.select(0, partners) * other;
    if let [region] = regions {
        let ranges = ranges(&images, region);
        let patch = sum(images.clone().slice(ranges.as_slice()));
        return images.slice_assign(ranges.as_slice(), patch);
    }
    let mask = mask(&images, regions);
    images.clone().mask_where(mask, sum(images))
}

/// As [`blend`], in f32, rounded to the nearest integer, ties to even.
pub fn blend_int<const R: usize>(
    images: Tensor<R, Int>,
    partners: &[usize],
    regions: &[Region],
    weights: &[[f64; 2]],
) -> Tensor<R, Int> {
    let dtype = IntDType::from(images.dtype());
    let blended = blend(images.cast(FloatDType::F32), partners, regions, weights);
    blended.round().cast(dtype)
}

/// Inside a sample's region one value.
pub fn fill<const R: usize, K: Numeric>(
    images: Tensor<R, K>,
    regions: &[Region],
    value: f64,
) -> Tensor<R, K> {
    if let [region] = regions {
        let ranges = ranges(&images, region);
        return images.slice_fill(ranges.as_slice(), value);
    }
    let mask = mask(&images, regions);
    images.mask_fill(mask, value)
}

/// Class indices `[N]` to dense targets `[N, num_classes]`: the weighted sum of a sample's own
/// one-hot row and its partner's.
pub fn mix_classes(
    classes: Tensor<1, Int>,
    num_classes: usize,
    partners: &[usize],
    weights: &[[f64; 2]],
) -> Tensor<2> {
    let whole = Region::whole(&[num_classes]);
    blend(one_hot(classes, num_classes), partners, &[whole], weights)
}

/// One-hot rows; the row of a class out of range is NaN.
pub fn one_hot(classes: Tensor<1, Int>, num_classes: usize) -> Tensor<2> {
    let [batch] = classes.dims();
    let all = Tensor::<1, Int>::arange(0..num_classes as i64, &classes.device());
    // Backends compare like with like; labels come in any integer type.
    let classes = classes.cast(IntDType::from(all.dtype()));
    let hot = (classes.reshape([batch, 1]))
        .equal(all.reshape([1, num_classes]))
        .float();
    // Divides by 1, or by 0 where no class was hit.
    let hits = hot.clone().sum_dim(1);
    hot / hits
}

fn ranges<const R: usize, K: Basic>(
    images: &Tensor<R, K>,
    region: &Region,
) -> Vec<std::ops::Range<usize>> {
    let leading = images.dims()[..R - region.rank()].to_vec();
    (leading.into_iter().map(|size| 0..size))
        .chain(region.ranges().iter().cloned())
        .collect()
}

/// Where each sample's region is, of the images' shape.
fn mask<const R: usize, K: Basic>(images: &Tensor<R, K>, regions: &[Region]) -> Tensor<R, Bool> {
    let (dims, device) = (images.dims(), images.device());
    let rank = regions[0].rank();
    let mut mask = Tensor::<R, Bool>::full(dims, true, &device);
    for axis in 0..rank {
        let dim = R - rank + axis;
        let bounds = |bound: fn(&std::ops::Range<usize>) -> usize| {
            let bounds: Vec<_> = (regions.iter()).map(|r| bound(&r.ranges()[axis])).collect();
            let mut shape = [1; R];
            shape[0] = regions.len();
            upload(&bounds, &device).reshape(shape)
        };
        let mut shape = [1; R];
        shape[dim] = dims[dim];
        let positions = upload(&(0..dims[dim]).collect::<Vec<_>>(), &device).reshape(shape);
        let [start, end] = [bounds(|range| range.start), bounds(|range| range.end)];
        shape[0] = dims[0];
        let positions = positions.expand(shape);
        let inside = (positions.clone().greater_equal(start.expand(shape)))
            .bool_and(positions.lower(end.expand(shape)));
        mask = mask.bool_and(inside.expand(dims));
    }
    mask
}

/// Indices on a device; a copy to it, never from it.
pub fn upload(indices: &[usize], device: &Device) -> Tensor<1, Int> {
    let indices: Vec<_> = indices.iter().map(|&index| index as i64).collect();
    Tensor::from_data(TensorData::from(indices.as_slice()), device)
}
