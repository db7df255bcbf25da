//! Executes plans on the device that the batch lives on.
//!
//! Nothing here is random and nothing is read back from the device.
//!
//! The operations are an extension of Burn's backends. A tensor that is owned alone is changed
//! where it is; of a shared one a changed copy is written in a single pass. The caller sees a pure
//! function either way.
//!
//! - On the CPU (Burn's Flex backend) rows are copied along the cycles of the permutation: every
//!   element of a patch is read once and written once, and the extra memory is a tile of at most 8192
//!   elements for each thread. Any strides are handled where they are; only elements that share
//!   memory (an expanded tensor) or interleave, and a shared tensor with gaps, are copied first.
//! - On every GPU (CUDA, ROCm, Metal, Vulkan, WebGPU) one kernel launch does an operation, after
//!   one upload of a few numbers; it works under Burn's fusion. Where a GPU's compiler fuses
//!   products and sums, the last bit of a blend may differ from that of plain tensor calls.
//! - Under autodiff the images' gradient goes the way back through the same kernels where a sample
//!   and its partner have the same region, and otherwise through a few plain tensor calls.
//! - Other backends of Burn fall back to plain tensor calls.

mod autodiff;
#[cfg(any(feature = "flex", feature = "cube"))]
mod axes;
mod backend;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
pub mod reference;

use std::sync::Arc;

use burn::backend::{Dispatch, DispatchTensor, DispatchTensorKind};
use burn::tensor::kind::{Basic, Numeric};
use burn::tensor::{DType, Int, Tensor, bf16, f16};

use self::backend::{MixOps, Partners, Regions, Weights};
use crate::Error;
use crate::plan::{Mixture, Plan, Region, check_batch, check_partners};

/// Pastes the plan's region of each sample's partner into the sample.
///
/// `tensor` has the shape `[N, ..., spatial...]`: images `[N, C, H, W]`, volumes `[N, C, D, H, W]`,
/// sequences `[N, C, L]`, or per-pixel class maps `[N, H, W]`; any kind and element type. The
/// result has the same shape, type and device; outside the region it equals the input, inside
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

/// [`paste`] for a caller to whom the tensor is the argument of this name.
pub(crate) fn paste_argument<const R: usize, K: Basic>(
    argument: &'static str,
    tensor: Tensor<R, K>,
    plan: &Plan,
) -> Result<Tensor<R, K>, Error> {
    let dims = tensor.dims();
    let fits = R > plan.spatial().len()
        && dims[0] == plan.batch()
        && dims[R - plan.spatial().len()..] == *plan.spatial();
    if !fits {
        return Err(Error::argument(
            argument,
            format!("of shape {dims:?}"),
            format!(
                "a batch of {} with the spatial shape {:?}, as in the plan",
                plan.batch(),
                plan.spatial()
            ),
        ));
    }
    if plan.is_identity() || dims.contains(&0) {
        return Ok(tensor);
    }
    let (kind, tensor) = dispatch(tensor);
    let (partners, regions) = (plan.shared_partners(), plan.shared_regions());
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

/// Blends each sample with its partner: `lambda` times its own pixels plus `1 - lambda` times the
/// partner's, inside the regions; the operation of MixUp (Zhang et al., ICLR 2018).
///
/// `tensor` has the shape `[N, ..., spatial...]`, floats or integers; integers are blended in f32
/// and rounded to the nearest, ties to even. `partners` is a permutation of `0..N`. `regions` is
/// one box for the batch or one for each sample ([`Region::whole`] for MixUp), `lambdas` one
/// number in `0..=1` for the batch or one for each sample. Outside the regions the result equals
/// the input.
///
/// # Errors
///
/// [`Error::Argument`] for anything else, an empty batch among it.
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
    check_batch(dims[0])?;
    check_partners(partners)?;
    if partners.len() != dims[0] {
        return Err(Error::argument(
            "partners",
            format!("{partners:?}"),
            format!("one for each of the batch's {} samples", dims[0]),
        ));
    }
    check_regions(&dims, regions)?;
    check_count("lambdas", lambdas.len(), dims[0])?;
    if let Some(lambda) = lambdas.iter().find(|lambda| !(0.0..=1.0).contains(*lambda)) {
        return Err(Error::argument("lambdas", lambda, "numbers in 0..=1"));
    }
    if dims.contains(&0) || regions.iter().all(Region::is_empty) {
        return Ok(tensor);
    }
    Ok(blend_checked(
        tensor,
        partners.into(),
        regions.into(),
        weights(lambdas),
    ))
}

/// [`blend`] of what has been checked.
fn blend_checked<const R: usize, K: Basic>(
    tensor: Tensor<R, K>,
    partners: Partners,
    regions: Regions,
    weights: Weights,
) -> Tensor<R, K> {
    let is_float = tensor.dtype().is_float();
    let (kind, tensor) = dispatch(tensor);
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

/// Blends whole samples as a mixture says: [`blend`] without regions.
///
/// `images` has the shape `[N, ...]`, of rank 2 or more, floats or integers; the result has the same.
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

/// Fills the regions with a value; the operation of CutOut (DeVries and Taylor, 2017).
///
/// `tensor` has the shape `[N, ..., spatial...]`, floats or integers; `regions` is one box for the
/// batch or one for each sample. `value` is rounded to the tensor's element type; integers become
/// the nearest in range towards 0, and NaN becomes 0.
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
    check_batch(dims[0])?;
    check_regions(&dims, regions)?;
    if dims.contains(&0) || regions.iter().all(Region::is_empty) {
        return Ok(tensor);
    }
    let value = nearest(value, tensor.dtype());
    let (kind, tensor) = dispatch(tensor);
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

/// The value that becomes `value` in this type, on every backend.
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

/// Class indices `[N]` to mixed targets `[N, num_classes]`.
pub(crate) fn mix_classes(
    classes: Tensor<1, Int>,
    num_classes: usize,
    mixture: &Mixture,
) -> Tensor<2> {
    let device = classes.device();
    let weights = weights(mixture.lambdas());
    let (kind, classes) = dispatch(classes);
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

/// A batch of whole samples `[N, ...]` mixed.
pub(crate) fn mix_whole<const R: usize, K: Numeric>(
    samples: Tensor<R, K>,
    mixture: &Mixture,
) -> Tensor<R, K> {
    let whole = Region::whole(&samples.dims()[1..]);
    blend_checked(
        samples,
        mixture.shared_partners(),
        Arc::new([whole]),
        weights(mixture.lambdas()),
    )
}

fn weights(lambdas: &[f64]) -> Weights {
    lambdas
        .iter()
        .map(|lambda| [*lambda, 1.0 - lambda])
        .collect()
}

/// The kernels for a tensor.
#[derive(Clone, Copy, Debug)]
enum Kernel {
    Float,
    Int,
    Bool,
    /// The backend has none, or the tensor is quantized.
    None,
}

fn dispatch<const R: usize, K: Basic>(tensor: Tensor<R, K>) -> (Kernel, DispatchTensor) {
    let dtype = tensor.dtype();
    let tensor = tensor.into_dispatch();
    let kernel = match dtype {
        _ if !has_kernels(&tensor.kind) => Kernel::None,
        _ if dtype.is_float() => Kernel::Float,
        _ if dtype.is_int() || dtype.is_uint() => Kernel::Int,
        _ if dtype.is_bool() => Kernel::Bool,
        _ => Kernel::None,
    };
    (kernel, tensor)
}

/// Other backends than these may have been compiled in through Burn's own features.
fn has_kernels(kind: &DispatchTensorKind) -> bool {
    match kind {
        #[cfg(feature = "flex")]
        DispatchTensorKind::Flex(_) => true,
        #[cfg(feature = "cube")]
        DispatchTensorKind::Cube(_) => true,
        DispatchTensorKind::Autodiff(inner) => has_kernels(inner),
        #[allow(unreachable_patterns)] // depends on the backends that are compiled in
        _ => false,
    }
}

fn check_regions(dims: &[usize], regions: &[Region]) -> Result<(), Error> {
    check_count("regions", regions.len(), dims[0])?;
    let rank = regions[0].rank();
    if !(1..dims.len()).contains(&rank) {
        return Err(Error::argument(
            "regions",
            format!("with {rank} dimensions"),
            format!("1 to {} dimensions, for the shape {dims:?}", dims.len() - 1),
        ));
    }
    let spatial = &dims[dims.len() - rank..];
    regions.iter().try_for_each(|region| region.check(spatial))
}

fn check_count(argument: &'static str, count: usize, batch: usize) -> Result<(), Error> {
    if count == 0 || (count != 1 && count != batch) {
        return Err(Error::argument(
            argument,
            format!("{count} of them"),
            format!("one for the batch or one for each of its {batch} samples"),
        ));
    }
    Ok(())
}
