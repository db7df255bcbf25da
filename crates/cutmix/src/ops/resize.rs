//! The operation of ResizeMix.

use burn::tensor::kind::{Basic, Numeric};
use burn::tensor::{DType, FloatDType, Int, IntDType, Tensor, TensorData};

use super::check::check_plan;
use super::reference::upload;
use crate::Error;
use crate::plan::Plan;

/// Replaces the plan's box of each sample by the whole image of its partner, resized to the box. It is
/// the operation of ResizeMix (Qin et al., 2020).
///
/// `tensor` has the shape `[N, ..., spatial...]`, floats or integers, and the plan one box for the
/// batch. The result has the same shape, type and device; outside of the box it equals the input.
///
/// The resizing is linear along each spatial dimension (bilinear for images) between the centres of
/// the two nearest pixels, without a filter against aliasing, as PyTorch's `interpolate` with its
/// default settings. It computes in f32, or in f64 for that type; integers are rounded to the nearest,
/// ties to even.
///
/// # Errors
///
/// [`Error::Argument`] if the tensor is not of the plan's batch size and spatial shape, and if the
/// plan has a mask or a box for each sample.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix::{ops, plan::{Plan, Region}};
///
/// let device = Device::default();
/// let images = Tensor::<3>::from_data([[[0.0, 0.0, 0.0, 0.0]], [[1.0, 3.0, 5.0, 7.0]]], &device);
/// let plan = Plan::new(vec![1, 0], Region::new([2..4]), vec![4])?;
/// let mixed = ops::paste_resized(images, &plan)?;
/// assert_eq!(mixed.slice([0..1]).into_data().iter::<f32>().collect::<Vec<_>>(), [0.0, 0.0, 2.0, 6.0]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn paste_resized<const R: usize, K: Numeric>(
    tensor: Tensor<R, K>,
    plan: &Plan,
) -> Result<Tensor<R, K>, Error> {
    resize_argument("tensor", tensor, plan)
}

/// [`paste_resized`] with the name that the tensor has as an argument of the caller.
pub(crate) fn resize_argument<const R: usize, K: Numeric>(
    argument: &'static str,
    tensor: Tensor<R, K>,
    plan: &Plan,
) -> Result<Tensor<R, K>, Error> {
    let dims = tensor.dims();
    check_plan(argument, &dims, plan)?;
    let ([region], Some(ranges)) = (plan.regions(), plan.region(0).as_box()) else {
        let value = match plan.regions() {
            [region] => format!("one with a {region}"),
            regions => format!("one with {} regions", regions.len()),
        };
        return Err(Error::argument("plan", value, "one box for the batch"));
    };
    // Not `Plan::is_identity`: a sample that is its own partner takes its own image, smaller.
    if region.is_empty() || dims.contains(&0) {
        return Ok(tensor);
    }
    let dtype = tensor.dtype();
    let partners = upload(plan.partners(), &tensor.device());
    let patch = to_float(tensor.clone());
    let rank = ranges.len();
    let patch = ranges
        .iter()
        .enumerate()
        .fold(patch, |patch, (axis, range)| {
            resize(patch, R - rank + axis, range.len())
        });
    let patch = from_float(patch.select(0, partners), dtype);
    let mut place: Vec<_> = dims.iter().map(|&size| 0..size).collect();
    place[R - rank..].clone_from_slice(ranges);
    Ok(tensor.slice_assign(place.as_slice(), patch))
}

/// Resizes one dimension to this number of pixels.
fn resize<const R: usize>(images: Tensor<R>, dim: usize, length: usize) -> Tensor<R> {
    let size = images.dims()[dim];
    if size == length {
        return images;
    }
    let device = images.device();
    // The centres of the new pixels, in the old ones.
    let scale = size as f64 / length as f64;
    let centre = |pixel| ((pixel as f64 + 0.5) * scale - 0.5).clamp(0.0, size as f64 - 1.0);
    let before: Vec<_> = (0..length).map(|pixel| centre(pixel) as usize).collect();
    let after: Vec<_> = before
        .iter()
        .map(|pixel| (pixel + 1).min(size - 1))
        .collect();
    let distances = before.iter().enumerate();
    let distances = distances.map(|(pixel, before)| centre(pixel) - *before as f64);
    let mut shape = [1; R];
    shape[dim] = length;
    let data = TensorData::new(distances.collect::<Vec<_>>(), shape);
    let data = data.convert_dtype(images.dtype());
    let share = Tensor::<R>::from_data(data, (&device, images.dtype()));
    let before = images.clone().select(dim, upload(&before, &device));
    let after = images.select(dim, upload(&after, &device));
    before * (share.clone().neg() + 1.0) + after * share
}

/// Converts a tensor to f64 where it has that type, and else to f32.
fn to_float<const R: usize, K: Basic>(tensor: Tensor<R, K>) -> Tensor<R> {
    let dtype = tensor.dtype();
    let tensor = tensor.into_dispatch();
    if !dtype.is_float() {
        return Tensor::<R, Int>::from_dispatch(tensor).cast(FloatDType::F32);
    }
    let tensor = Tensor::<R>::from_dispatch(tensor);
    match dtype {
        DType::F32 | DType::F64 => tensor,
        _ => tensor.cast(FloatDType::F32),
    }
}

/// Converts a tensor of floats to the type, for integers to the nearest ones.
fn from_float<const R: usize, K: Basic>(tensor: Tensor<R>, dtype: DType) -> Tensor<R, K> {
    let tensor = if !dtype.is_float() {
        tensor.round().cast(IntDType::from(dtype)).into_dispatch()
    } else if dtype == tensor.dtype() {
        tensor.into_dispatch()
    } else {
        tensor.cast(FloatDType::from(dtype)).into_dispatch()
    };
    Tensor::from_dispatch(tensor)
}
