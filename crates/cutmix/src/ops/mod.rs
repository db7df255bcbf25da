//! The operations that apply plans, on the device of the batch.
//!
//! Nothing here is random and nothing is read back from the device.
//!
//! The operations extend Burn's backends. A tensor that is owned alone is changed in place; of a
//! shared tensor a changed copy is written in a single pass. The caller sees a pure function either
//! way.
//!
//! - On the CPU (Burn's Flex backend) the kernels of `host` copy rows along the cycles of the
//!   permutation: every element of a region is read once and written once, and the extra memory is a
//!   tile of at most 8192 elements for each thread. Any strides are handled in place. Only elements
//!   that share memory (an expanded tensor) or interleave, and a shared tensor with gaps, are copied
//!   first.
//! - On every GPU (CUDA, ROCm, Metal, Vulkan, WebGPU) one kernel launch does an operation on boxes,
//!   after one upload of a few numbers. It works under Burn's fusion. Where the compiler of a GPU fuses
//!   products and sums, the last bit of a blend may differ from that of plain tensor calls. Masks are
//!   uploaded once and applied by plain tensor calls.
//! - Under autodiff the gradient of the images passes back through the same kernels where a sample and
//!   its partner have the same region, and otherwise through a few plain tensor calls.
//! - Other backends of Burn run plain tensor calls.

mod autodiff;
#[cfg(any(feature = "host", feature = "cube"))]
mod axes;
mod backend;
mod check;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "host")]
pub mod host;
pub mod reference;
mod resize;

use std::sync::Arc;

use burn::backend::{Dispatch, DispatchTensor, DispatchTensorKind};
use burn::tensor::kind::{Basic, Numeric};
use burn::tensor::{DType, Int, Tensor, bf16, f16};

use self::backend::{MixOps, Partners, Regions, Weights};
use self::check::{check_blend, check_plan, check_regions, weights};
use crate::Error;
use crate::plan::{Mixture, Plan, Region};

pub use self::resize::paste_resized;
pub(crate) use self::resize::resize_argument;

/// Replaces the plan's region of each sample by that of its partner.
///
/// `tensor` has the shape `[N, ..., spatial...]`: images `[N, C, H, W]`, volumes `[N, C, D, H, W]`,
/// sequences `[N, C, L]`, or per-pixel class maps `[N, H, W]`, of any kind and element type. The
/// result has the same shape, type and device. Outside of the region it equals the input; inside,
/// `result[i] = tensor[partners[i]]`.
///
/// # Errors
///
/// [`Error::Argument`] if the tensor is not of the plan's batch size and spatial shape.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use cutmix::{ops, plan::{Plan, Region}};
///
/// let device = Device::default();
/// let maps = Tensor::<2, Int>::from_data([[0, 0, 0], [1, 1, 1]], &device);
/// let plan = Plan::new(vec![1, 0], Region::new([1..3]), vec![3])?;
/// let mixed = ops::paste(maps, &plan)?;
/// assert_eq!(mixed.dims(), [2, 3]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn paste<const R: usize, K: Basic>(
    tensor: Tensor<R, K>,
    plan: &Plan,
) -> Result<Tensor<R, K>, Error> {
    paste_argument("tensor", tensor, plan)
}

/// [`paste`] with the name that the tensor has as an argument of the caller.
pub(crate) fn paste_argument<const R: usize, K: Basic>(
    argument: &'static str,
    tensor: Tensor<R, K>,
    plan: &Plan,
) -> Result<Tensor<R, K>, Error> {
    let dims = tensor.dims();
    check_plan(argument, &dims, plan)?;
    if plan.is_identity() || dims.contains(&0) {
        return Ok(tensor);
    }
    let (partners, regions) = (plan.shared_partners(), plan.shared_regions());
    let (kind, tensor) = dispatch(tensor, &regions);
    Ok(Tensor::from_dispatch(match kind {
        Kernel::Float => Dispatch::float_paste(tensor, partners, regions),
        Kernel::Int => Dispatch::int_paste(tensor, partners, regions),
        Kernel::Bool => Dispatch::bool_paste(tensor, partners, regions),
        Kernel::None => {
            let tensor = Tensor::<R, K>::from_dispatch(tensor);
            return Ok(reference::paste(tensor, &partners, &regions));
        }
    }))
}

/// Blends each sample with its partner inside the regions: `lambda` times the pixels of the sample
/// plus `1 - lambda` times those of the partner. It is the operation of MixUp (Zhang et al., ICLR
/// 2018).
///
/// `tensor` has the shape `[N, ..., spatial...]`, floats or integers. Integers are blended in f32 and
/// rounded to the nearest, ties to even. `partners` is a permutation of `0..N`. `regions` is one
/// region for the batch or one for each sample ([`Region::whole`] for MixUp). `lambdas` is one number
/// in `0..=1` for the batch or one for each sample. Outside of the regions the result equals the
/// input.
///
/// # Errors
///
/// [`Error::Argument`] for an empty batch, and for partners, regions or lambdas that do not fit it.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix::{ops, plan::Region};
///
/// let device = Device::default();
/// let images = Tensor::<3>::from_data([[[0.0, 4.0]], [[8.0, 0.0]]], &device);
/// let mixed = ops::blend(images, &[1, 0], &[Region::whole(&[2])], &[0.75])?;
/// assert_eq!(mixed.into_data().iter::<f32>().collect::<Vec<_>>(), [2.0, 3.0, 6.0, 1.0]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn blend<const R: usize, K: Numeric>(
    tensor: Tensor<R, K>,
    partners: &[usize],
    regions: &[Region],
    lambdas: &[f64],
) -> Result<Tensor<R, K>, Error> {
    let dims = tensor.dims();
    check_blend(&dims, partners, regions, lambdas)?;
    if dims.contains(&0) || regions.iter().all(Region::is_empty) {
        return Ok(tensor);
    }
    Ok(blend_checked(
        tensor,
        partners.into(),
        regions.into(),
        weights(lambdas).collect(),
    ))
}

/// [`blend`] of arguments that have been checked.
fn blend_checked<const R: usize, K: Basic>(
    tensor: Tensor<R, K>,
    partners: Partners,
    regions: Regions,
    weights: Weights,
) -> Tensor<R, K> {
    let is_float = tensor.dtype().is_float();
    let (kind, tensor) = dispatch(tensor, &regions);
    Tensor::from_dispatch(match kind {
        Kernel::Float => Dispatch::float_blend(tensor, partners, regions, weights),
        Kernel::Int => Dispatch::int_blend(tensor, partners, regions, weights),
        Kernel::None if is_float => {
            let tensor = Tensor::<R>::from_dispatch(tensor);
            reference::blend(tensor, &partners, &regions, &weights).into_dispatch()
        }
        Kernel::None => {
            let tensor = Tensor::<R, Int>::from_dispatch(tensor);
            reference::blend_int(tensor, &partners, &regions, &weights).into_dispatch()
        }
        Kernel::Bool => unreachable!("booleans are not numeric"),
    })
}

/// Blends whole samples as a mixture says: [`blend`] with [`Region::whole`].
///
/// `images` has the shape `[N, ...]`, of rank 2 or more, and contains floats or integers. The result
/// has the same shape and type.
///
/// # Errors
///
/// [`Error::Argument`] if the batch is not of the mixture's size.
pub fn mix<const R: usize, K: Numeric>(
    images: Tensor<R, K>,
    mixture: &Mixture,
) -> Result<Tensor<R, K>, Error> {
    let dims = images.dims();
    if R < 2 || dims[0] != mixture.batch() {
        return Err(Error::argument(
            "images",
            format!("of shape {dims:?}"),
            format!(
                "a batch of {}, as in the mixture: [N, ...]",
                mixture.batch()
            ),
        ));
    }
    if mixture.is_identity() || dims.contains(&0) {
        return Ok(images);
    }
    Ok(mix_whole(images, mixture))
}

/// Fills the regions with a value. It is the operation of CutOut (DeVries and Taylor, 2017).
///
/// `tensor` has the shape `[N, ..., spatial...]`, floats or integers. `regions` is one region for the
/// batch or one for each sample. `value` is rounded to the element type of the tensor: for integers to
/// the nearest in range towards 0, and NaN to 0.
///
/// # Errors
///
/// [`Error::Argument`] for an empty batch and for regions that do not fit the tensor.
pub fn fill<const R: usize, K: Numeric>(
    tensor: Tensor<R, K>,
    regions: &[Region],
    value: f64,
) -> Result<Tensor<R, K>, Error> {
    let dims = tensor.dims();
    check_regions(&dims, regions)?;
    if dims.contains(&0) || regions.iter().all(Region::is_empty) {
        return Ok(tensor);
    }
    let value = nearest(value, tensor.dtype());
    let (kind, tensor) = dispatch(tensor, regions);
    Ok(Tensor::from_dispatch(match kind {
        Kernel::Float => Dispatch::float_fill(tensor, regions.into(), value),
        Kernel::Int => Dispatch::int_fill(tensor, regions.into(), value),
        Kernel::None => {
            let tensor = Tensor::<R, K>::from_dispatch(tensor);
            return Ok(reference::fill(tensor, regions, value));
        }
        Kernel::Bool => unreachable!("booleans are not numeric"),
    }))
}

/// Rounds `value` to a number that has the type on every backend.
fn nearest(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F64 => value,
        DType::F16 => f16::from_f32(value as f32).to_f64(),
        DType::BF16 => bf16::from_f32(value as f32).to_f64(),
        // The largest numbers below 2^63 and 2^64 that are f64 as well.
        DType::I64 => (value as i64 as f64).min(9_223_372_036_854_774_784.0),
        DType::U64 => (value as u64 as f64).min(18_446_744_073_709_549_568.0),
        DType::I32 => value as i32 as f64,
        DType::I16 => value as i16 as f64,
        DType::I8 => value as i8 as f64,
        DType::U32 => value as u32 as f64,
        DType::U16 => value as u16 as f64,
        DType::U8 => value as u8 as f64,
        _ => value as f32 as f64,
    }
}

/// Mixes class indices `[N]` into dense targets `[N, num_classes]`.
pub(crate) fn mix_classes(
    classes: Tensor<1, Int>,
    num_classes: usize,
    mixture: &Mixture,
) -> Tensor<2> {
    let device = classes.device();
    let weights: Weights = weights(mixture.lambdas()).collect();
    let (kind, classes) = dispatch(classes, &[]);
    let partners = mixture.shared_partners();
    match kind {
        Kernel::None => {
            let classes = Tensor::<1, Int>::from_dispatch(classes);
            reference::mix_classes(classes, num_classes, &partners, &weights)
        }
        _ => {
            let dtype = device.settings().float_dtype;
            let targets = Dispatch::mix_classes(classes, num_classes, partners, weights, dtype);
            Tensor::from_dispatch(targets)
        }
    }
}

/// Mixes a batch of whole samples `[N, ...]`.
pub(crate) fn mix_whole<const R: usize, K: Numeric>(
    samples: Tensor<R, K>,
    mixture: &Mixture,
) -> Tensor<R, K> {
    let whole = Region::whole(&samples.dims()[1..]);
    blend_checked(
        samples,
        mixture.shared_partners(),
        Arc::new([whole]),
        weights(mixture.lambdas()).collect(),
    )
}

/// The kernels that a tensor has.
#[derive(Clone, Copy, Debug)]
enum Kernel {
    Float,
    Int,
    Bool,
    /// The backend has none for these regions, or the tensor is quantized.
    None,
}

fn dispatch<const R: usize, K: Basic>(
    tensor: Tensor<R, K>,
    regions: &[Region],
) -> (Kernel, DispatchTensor) {
    let dtype = tensor.dtype();
    let tensor = tensor.into_dispatch();
    let has_mask = regions.iter().any(|region| region.as_mask().is_some());
    let kernel = match dtype {
        _ if !has_kernels(&tensor.kind, has_mask) => Kernel::None,
        _ if dtype.is_float() => Kernel::Float,
        _ if dtype.is_int() || dtype.is_uint() => Kernel::Int,
        _ if dtype.is_bool() => Kernel::Bool,
        _ => Kernel::None,
    };
    (kernel, tensor)
}

/// Whether a backend has kernels. Burn's own features may have compiled in other backends than those
/// of this crate.
#[cfg_attr(not(feature = "cube"), allow(clippy::only_used_in_recursion))] // GPUs have none for masks
fn has_kernels(kind: &DispatchTensorKind, has_mask: bool) -> bool {
    match kind {
        #[cfg(feature = "flex")]
        DispatchTensorKind::Flex(_) => true,
        #[cfg(feature = "cube")]
        DispatchTensorKind::Cube(_) => !has_mask,
        DispatchTensorKind::Autodiff(inner) => has_kernels(inner, has_mask),
        #[allow(unreachable_patterns)] // depends on the backends that are compiled in
        _ => false,
    }
}
