//! Executes plans on the device that the batch lives on.
//!
//! Nothing here is random and nothing is read back from the device. `reference` holds the
//! operations in plain Burn tensor calls, which every backend has.

mod reference;

pub(crate) use reference::upload;

use burn::tensor::Tensor;
use burn::tensor::kind::Basic;

use crate::Error;
use crate::plan::Plan;

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
    if plan.is_identity() {
        return Ok(tensor);
    }
    Ok(reference::paste(tensor, plan.region(), plan.partners()))
}
