//! The operations in plain tensor calls, which every backend has: backends without kernels of their
//! own run them, and the kernels are tested against them.
//!
//! Tensors are `[N, ..., spatial...]` and `partners` is a permutation of `0..N`. `regions` is one
//! region for the batch or one for each sample. `weights` are likewise the shares of a sample and of
//! its partner.
//!
//! # Panics
//!
//! Arguments are not checked here, and these functions panic where one does not fit. The functions of
//! [`ops`](super) check them and return errors.

use std::ops::Range;

use burn::tensor::kind::{Basic, Numeric};
use burn::tensor::{Bool, Device, FloatDType, Int, IntDType, Tensor, TensorData};

use crate::plan::Region;

/// Replaces the region of each sample by that of its partner.
pub fn paste<const R: usize, K: Basic>(
    images: Tensor<R, K>,
    partners: &[usize],
    regions: &[Region],
) -> Tensor<R, K> {
    let partners = upload(partners, &images.device());
    if let [Region::Box(region)] = regions {
        let ranges = ranges(&images, region);
        let patch = images.clone().slice(ranges.as_slice()).select(0, partners);
        return images.slice_assign(ranges.as_slice(), patch);
    }
    let mask = mask(&images, regions);
    images.clone().mask_where(mask, images.select(0, partners))
}

/// Replaces the region of each sample by its weighted sum with that of the partner.
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
    if let [Region::Box(region)] = regions {
        let ranges = ranges(&images, region);
        let patch = sum(images.clone().slice(ranges.as_slice()));
        return images.slice_assign(ranges.as_slice(), patch);
    }
    let mask = mask(&images, regions);
    images.clone().mask_where(mask, sum(images))
}

/// Blends integers as [`blend`] does floats: in f32, rounded to the nearest, ties to even.
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

/// Fills the region of each sample with a value.
pub fn fill<const R: usize, K: Numeric>(
    images: Tensor<R, K>,
    regions: &[Region],
    value: f64,
) -> Tensor<R, K> {
    if let [Region::Box(region)] = regions {
        let ranges = ranges(&images, region);
        return images.slice_fill(ranges.as_slice(), value);
    }
    let mask = mask(&images, regions);
    images.mask_fill(mask, value)
}

/// Mixes class indices `[N]` into dense targets `[N, num_classes]`: the weighted sum of the one-hot
/// rows of a sample and of its partner.
pub fn mix_classes(
    classes: Tensor<1, Int>,
    num_classes: usize,
    partners: &[usize],
    weights: &[[f64; 2]],
) -> Tensor<2> {
    let whole = Region::whole(&[num_classes]);
    blend(one_hot(classes, num_classes), partners, &[whole], weights)
}

/// Returns the one-hot rows of class indices. The row of a class out of range is NaN.
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

/// The ranges of a box along all dimensions.
fn ranges<const R: usize, K: Basic>(
    images: &Tensor<R, K>,
    region: &[Range<usize>],
) -> Vec<Range<usize>> {
    let leading = images.dims()[..R - region.len()].to_vec();
    (leading.into_iter().map(|size| 0..size))
        .chain(region.iter().cloned())
        .collect()
}

/// Whether each element is in the region of its sample; of the shape of the images.
fn mask<const R: usize, K: Basic>(images: &Tensor<R, K>, regions: &[Region]) -> Tensor<R, Bool> {
    let boxes: Option<Vec<_>> = regions.iter().map(Region::as_box).collect();
    match boxes {
        Some(boxes) => mask_of_boxes(images, &boxes),
        None => mask_of_pixels(images, regions),
    }
}

/// Compares the index along each dimension with the bounds of the boxes, which are few numbers to
/// upload.
fn mask_of_boxes<const R: usize, K: Basic>(
    images: &Tensor<R, K>,
    boxes: &[&[Range<usize>]],
) -> Tensor<R, Bool> {
    let (dims, device) = (images.dims(), images.device());
    let rank = boxes[0].len();
    let mut mask = Tensor::<R, Bool>::full(dims, true, &device);
    for axis in 0..rank {
        let dim = R - rank + axis;
        let bounds = |bound: fn(&Range<usize>) -> usize| {
            let bounds: Vec<_> = boxes.iter().map(|ranges| bound(&ranges[axis])).collect();
            let mut shape = [1; R];
            shape[0] = boxes.len();
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

/// Uploads a value for each pixel of each region.
fn mask_of_pixels<const R: usize, K: Basic>(
    images: &Tensor<R, K>,
    regions: &[Region],
) -> Tensor<R, Bool> {
    let dims = images.dims();
    let rank = regions[0].rank();
    let spatial = &dims[R - rank..];
    let pixels = (regions.iter()).flat_map(|region| region.to_mask(spatial).to_pixels());
    let mut shape = [1; R];
    shape[0] = regions.len();
    shape[R - rank..].copy_from_slice(spatial);
    let data = TensorData::new(pixels.collect::<Vec<_>>(), shape);
    Tensor::<R, Bool>::from_data(data, &images.device()).expand(dims)
}

/// Copies indices to a device.
pub fn upload(indices: &[usize], device: &Device) -> Tensor<1, Int> {
    let indices: Vec<_> = indices.iter().map(|&index| index as i64).collect();
    Tensor::from_data(TensorData::from(indices.as_slice()), device)
}
