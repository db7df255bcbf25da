//! CutMix as functions, for a training loop of your own.
//!
//! [`cutmix_batch`] does everything in one call. Its two halves are public too: a
//! [`Drawer`] draws the plan, [`cutmix_apply`] executes it.

use burn::tensor::Tensor;
use burn::tensor::kind::Basic;
use rand::Rng;

use crate::plan::{Drawer, Plan};
use crate::{Error, Targets, ops};

/// Mixes a minibatch with CutMix (Yun et al., ICCV 2019).
///
/// Draws lambda from Beta(alpha, alpha), one region for the whole minibatch and a random
/// permutation as partners; pastes the region of each sample's partner into the sample; mixes the
/// targets by the exact share of pixels that remained.
///
/// - `images`: `[N, C, spatial...]`, of any rank from 3, kind and element type: `[N, C, L]`,
///   `[N, C, H, W]`, `[N, C, D, H, W]`.
/// - `targets`: class indices `[N]` in `0..num_classes`, or dense `[N, num_classes]`
///   (smoothed or multi-label distributions, values to regress), which are mixed as they are.
/// - `alpha`: finite and above 0; 1, the usual choice, makes lambda uniform.
///
/// Gives the mixed images, of the same shape, and the dense targets `[N, num_classes]`. The batch
/// stays on its device; nothing is read back.
///
/// # Errors
///
/// [`Error::Argument`] for an `alpha` out of range, an empty batch, images without a spatial
/// dimension, targets for another number of samples or classes, or a class out of range (see
/// [`Targets::into_dense`] for indices on a GPU).
///
/// ```
/// use burn::tensor::{Device, Distribution, Int, Tensor};
/// use cutmix::functional::cutmix_batch;
/// use cutmix::plan::Stream;
///
/// let device = Device::default();
/// let images = Tensor::<4>::random([8, 3, 32, 32], Distribution::Default, &device);
/// let labels = Tensor::<1, Int>::from_data([3, 1, 4, 1, 5, 9, 2, 6], &device);
///
/// // In a loop, a generator of its own for each step: `stream.at(step)`.
/// let stream = Stream::new(42);
/// let (images, targets) = cutmix_batch(images, labels, 10, 1.0, &mut stream.at(0))?;
/// assert_eq!(images.dims(), [8, 3, 32, 32]);
/// assert_eq!(targets.dims(), [8, 10]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn cutmix_batch<const D: usize, K: Basic>(
    images: Tensor<D, K>,
    targets: impl Into<Targets>,
    num_classes: usize,
    alpha: f64,
    rng: &mut impl Rng,
) -> Result<(Tensor<D, K>, Tensor<2>), Error> {
    let plan = cutmix_plan(&Drawer::new(alpha), &images, rng)?;
    cutmix_apply(images, targets, num_classes, &plan)
}

/// Draws the plan for a batch of images `[N, C, spatial...]`.
///
/// # Errors
///
/// As [`Drawer::draw`], and [`Error::Argument`] for images without a spatial dimension.
pub fn cutmix_plan<const D: usize, K: Basic>(
    drawer: &Drawer,
    images: &Tensor<D, K>,
    rng: &mut impl Rng,
) -> Result<Plan, Error> {
    if D < 3 {
        return Err(Error::argument(
            "images",
            format!("of rank {D}"),
            "rank 3 or more: [N, C, spatial...]",
        ));
    }
    let dims = images.dims();
    drawer.draw(dims[0], &dims[2..], rng)
}

/// Mixes a minibatch as a plan says; arguments and result as for [`cutmix_batch`].
///
/// # Errors
///
/// [`Error::Argument`] if images or targets do not fit the plan or `num_classes`.
pub fn cutmix_apply<const D: usize, K: Basic>(
    images: Tensor<D, K>,
    targets: impl Into<Targets>,
    num_classes: usize,
    plan: &Plan,
) -> Result<(Tensor<D, K>, Tensor<2>), Error> {
    // The targets first: they can fail without having touched the images.
    let targets = targets.into().mix(num_classes, plan)?;
    Ok((ops::paste_argument("images", images, plan)?, targets))
}

/// Mixes a minibatch for segmentation: the per-pixel class maps are cut and pasted like the
/// images.
///
/// `images` is `[N, C, spatial...]`, `maps` `[N, spatial...]` or `[N, C', spatial...]`; both come
/// back in their shapes, with the plan that was drawn.
///
/// # Errors
///
/// As [`cutmix_batch`], and [`Error::Argument`] if the maps are not of the images' spatial shape.
pub fn cutmix_segmentation<const D: usize, const M: usize, K: Basic, L: Basic>(
    images: Tensor<D, K>,
    maps: Tensor<M, L>,
    alpha: f64,
    rng: &mut impl Rng,
) -> Result<(Tensor<D, K>, Tensor<M, L>, Plan), Error> {
    let plan = cutmix_plan(&Drawer::new(alpha), &images, rng)?;
    let maps = ops::paste_argument("maps", maps, &plan)?;
    Ok((ops::paste(images, &plan)?, maps, plan))
}
