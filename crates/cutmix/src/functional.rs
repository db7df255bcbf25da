//! CutMix, MixUp, CutOut and label smoothing as functions, for a training loop of your own.
//!
//! [`cutmix_batch`], [`mixup_batch`] and [`cutout_batch`] do everything in one call. Their two halves
//! are public too: a [`Drawer`] draws what is random, and an operation executes it
//! ([`cutmix_apply`], [`mixup_apply`], [`ops::fill`]). [`smooth_labels`] draws nothing.

use burn::tensor::Tensor;
use burn::tensor::kind::{Basic, Numeric};
use rand::Rng;

use crate::plan::{Drawer, Length, Mixture, Mode, Plan, Region};
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
    let dims = image_dims(images)?;
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

/// Mixes a minibatch with MixUp (Zhang et al., ICLR 2018).
///
/// Draws lambda from Beta(alpha, alpha) and a random permutation as partners; blends each sample
/// with its partner, and their targets by the same numbers:
/// `lambda * own + (1 - lambda) * partner's`.
///
/// - `images`: `[N, ...]`, of any rank from 2, floats or integers; integers are blended in f32 and
///   rounded to the nearest, ties to even.
/// - `targets`: as for [`cutmix_batch`].
/// - `alpha`: finite and above 0; 0.1 to 0.4 for ImageNet in the paper, 1 for CIFAR.
///
/// Gives the mixed images, of the same shape, and the dense targets `[N, num_classes]`. The batch
/// stays on its device; nothing is read back.
///
/// # Errors
///
/// [`Error::Argument`] for an `alpha` out of range, an empty batch, images of rank 1, targets for
/// another number of samples or classes, or a class out of range (see [`Targets::into_dense`] for
/// indices on a GPU).
///
/// ```
/// use burn::tensor::{Device, Distribution, Int, Tensor};
/// use cutmix::functional::mixup_batch;
/// use cutmix::plan::Stream;
///
/// let device = Device::default();
/// let images = Tensor::<4>::random([4, 3, 32, 32], Distribution::Default, &device);
/// let labels = Tensor::<1, Int>::from_data([3, 1, 4, 1], &device);
///
/// let stream = Stream::new(42);
/// let (images, targets) = mixup_batch(images, labels, 10, 0.2, &mut stream.at(0))?;
/// assert_eq!(images.dims(), [4, 3, 32, 32]);
/// assert_eq!(targets.dims(), [4, 10]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn mixup_batch<const D: usize, K: Numeric>(
    images: Tensor<D, K>,
    targets: impl Into<Targets>,
    num_classes: usize,
    alpha: f64,
    rng: &mut impl Rng,
) -> Result<(Tensor<D, K>, Tensor<2>), Error> {
    let mixture = Drawer::new(alpha).draw_mixture(images.dims()[0], rng)?;
    mixup_apply(images, targets, num_classes, &mixture)
}

/// Mixes a minibatch as a mixture says ([`Drawer::draw_mixture`] draws them); arguments and result
/// as for [`mixup_batch`].
///
/// # Errors
///
/// [`Error::Argument`] if images or targets do not fit the mixture or `num_classes`.
pub fn mixup_apply<const D: usize, K: Numeric>(
    images: Tensor<D, K>,
    targets: impl Into<Targets>,
    num_classes: usize,
    mixture: &Mixture,
) -> Result<(Tensor<D, K>, Tensor<2>), Error> {
    let targets = targets.into().mix(num_classes, mixture)?;
    Ok((ops::mix(images, mixture)?, targets))
}

/// Cuts a square out of each image of a minibatch (CutOut; DeVries and Taylor, 2017).
///
/// Draws for each sample a centre, uniform over the pixels, and fills the square of the side
/// `length` around it, clipped by the border, with `value`. Targets do not change.
///
/// - `images`: `[N, C, spatial...]`, of any rank from 3, floats or integers.
/// - `length`: pixels (`16`) or a share of the image's smallest side (`0.5`); see [`Length`]. The
///   same in each spatial dimension.
/// - `value`: finite; 0 is the mean of images that have been normalised.
///
/// Gives images of the same shape; the batch stays on its device, nothing is read back.
///
/// # Errors
///
/// [`Error::Argument`] for a `length` or a `value` out of range, an empty batch, or images without
/// a spatial dimension.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix::functional::cutout_batch;
/// use cutmix::plan::Stream;
///
/// let images = Tensor::<4>::ones([8, 3, 32, 32], &Device::default());
/// let images = cutout_batch(images, 16, 0.0, &mut Stream::new(42).at(0))?;
/// assert_eq!(images.dims(), [8, 3, 32, 32]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn cutout_batch<const D: usize, K: Numeric>(
    images: Tensor<D, K>,
    length: impl Into<Length>,
    value: f64,
    rng: &mut impl Rng,
) -> Result<Tensor<D, K>, Error> {
    check_value(value)?;
    let regions = cutout_plan(length, Mode::Sample, &images, rng)?;
    ops::fill(images, &regions, value)
}

/// Draws the squares that CutOut fills in a batch of images `[N, C, spatial...]`: one for each
/// sample, or in [`Mode::Batch`] one for all. [`ops::fill`] fills them.
///
/// # Errors
///
/// As [`cutout_batch`], and [`Error::Argument`] for [`Mode::Pair`].
pub fn cutout_plan<const D: usize, K: Basic>(
    length: impl Into<Length>,
    mode: Mode,
    images: &Tensor<D, K>,
    rng: &mut impl Rng,
) -> Result<Vec<Region>, Error> {
    let dims = image_dims(images)?;
    let side = length.into().pixels(&dims[2..])?;
    let drawer = Drawer::new(1.0).mode(mode).side(side);
    drawer.draw_regions(dims[0], &dims[2..], rng)
}

/// Moves the share `smoothing` of each target evenly to all classes (Szegedy et al., CVPR 2016,
/// section 7): `(1 - smoothing) * target + smoothing / num_classes`.
///
/// `targets` are class indices `[N]` in `0..num_classes` or distributions `[N, num_classes]`, mixed
/// ones for example; `smoothing` is from 0 to below 1, 0.1 the usual choice. Gives distributions
/// `[N, num_classes]`.
///
/// # Errors
///
/// [`Error::Argument`] for a `smoothing` out of range, and those of [`Targets::into_dense`].
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use cutmix::functional::smooth_labels;
///
/// let labels = Tensor::<1, Int>::from_data([0], &Device::default());
/// let smooth = smooth_labels(labels, 2, 0.5)?;
/// assert_eq!(smooth.into_data().iter::<f32>().collect::<Vec<_>>(), [0.75, 0.25]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn smooth_labels(
    targets: impl Into<Targets>,
    num_classes: usize,
    smoothing: f64,
) -> Result<Tensor<2>, Error> {
    check_smoothing(smoothing)?;
    let dense = targets.into().into_dense(num_classes)?;
    Ok(dense * (1.0 - smoothing) + smoothing / num_classes as f64)
}

/// The shape of a batch of images.
fn image_dims<const D: usize, K: Basic>(images: &Tensor<D, K>) -> Result<[usize; D], Error> {
    match D {
        3.. => Ok(images.dims()),
        _ => Err(Error::argument(
            "images",
            format!("of rank {D}"),
            "rank 3 or more: [N, C, spatial...]",
        )),
    }
}

pub(crate) fn check_value(value: f64) -> Result<(), Error> {
    match value.is_finite() {
        true => Ok(()),
        false => Err(Error::argument("value", value, "a finite number")),
    }
}

pub(crate) fn check_smoothing(smoothing: f64) -> Result<(), Error> {
    match (0.0..1.0).contains(&smoothing) {
        true => Ok(()),
        false => Err(Error::argument(
            "smoothing",
            smoothing,
            "a number from 0 to below 1 (0.1 is the usual choice)",
        )),
    }
}
