//! CutMix, MixUp, CutOut, FMix, ResizeMix and label smoothing as functions, for training loops of your
//! own.
//!
//! [`cutmix_batch`], [`mixup_batch`], [`cutout_batch`], [`fmix_batch`] and [`resizemix_batch`] do
//! everything in one call. Their two halves are public too: a [`PlanSampler`] draws a plan, and an
//! operation applies it ([`cutmix_apply`], [`mixup_apply`], [`resizemix_apply`], [`ops::fill`]).
//! [`smooth_labels`] draws nothing.

use burn::tensor::Tensor;
use burn::tensor::kind::{Basic, Numeric};
use rand::Rng;

use crate::plan::{Length, Mixture, Mode, Plan, PlanSampler, Region, RegionSampler};
use crate::{Error, Targets, ops};

/// Mixes a minibatch with CutMix (Yun et al., ICCV 2019).
///
/// It draws lambda from Beta(alpha, alpha), one box for the whole minibatch and a random permutation as
/// partners. It pastes the box of the partner into each sample, and mixes the targets by the exact
/// share of pixels that remained.
///
/// - `images`: `[N, C, spatial...]`, of any rank from 3, kind and element type: `[N, C, L]`,
///   `[N, C, H, W]`, `[N, C, D, H, W]`.
/// - `targets`: class indices `[N]` in `0..num_classes`, or dense `[N, num_classes]` (smoothed or
///   multi-label distributions, values to regress), which are mixed as they are.
/// - `alpha`: finite and above 0; 1, the usual choice, makes lambda uniform.
///
/// It returns the mixed images, of the same shape, and the dense targets `[N, num_classes]`. The batch
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
/// // In a loop, each step has a generator of its own: `stream.at(step)`.
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
    let plan = cutmix_plan(&PlanSampler::new(alpha), &images, rng)?;
    cutmix_apply(images, targets, num_classes, &plan)
}

/// Draws the plan of a batch of images `[N, C, spatial...]`.
///
/// # Errors
///
/// As [`PlanSampler::draw`], and [`Error::Argument`] for images without a spatial dimension.
pub fn cutmix_plan<const D: usize, K: Basic>(
    sampler: &PlanSampler,
    images: &Tensor<D, K>,
    rng: &mut impl Rng,
) -> Result<Plan, Error> {
    let dims = image_dims(images)?;
    sampler.draw(dims[0], &dims[2..], rng)
}

/// Mixes a minibatch as a plan says. Arguments and result are those of [`cutmix_batch`].
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

/// Mixes a minibatch for segmentation: the per-pixel class maps are cut and pasted as the images are.
///
/// `images` is `[N, C, spatial...]` and `maps` is `[N, spatial...]` or `[N, C', spatial...]`. It
/// returns both in their shapes, and the plan that was drawn.
///
/// # Errors
///
/// As [`cutmix_batch`], and [`Error::Argument`] if the maps are not of the spatial shape of the images.
pub fn cutmix_segmentation<const D: usize, const M: usize, K: Basic, L: Basic>(
    images: Tensor<D, K>,
    maps: Tensor<M, L>,
    alpha: f64,
    rng: &mut impl Rng,
) -> Result<(Tensor<D, K>, Tensor<M, L>, Plan), Error> {
    let plan = cutmix_plan(&PlanSampler::new(alpha), &images, rng)?;
    let maps = ops::paste_argument("maps", maps, &plan)?;
    Ok((ops::paste(images, &plan)?, maps, plan))
}

/// Mixes a minibatch with FMix (Harris et al., 2020).
///
/// It draws lambda from Beta(alpha, alpha), one mask for the whole minibatch and a random permutation
/// as partners. The mask is the highest part of low-frequency noise, so that its form is irregular and
/// its border smooth. It pastes the pixels of the partner inside the mask into each sample, and mixes
/// the targets by the exact share of pixels that remained.
///
/// - `images`: `[N, C, spatial...]` with one to three spatial dimensions, of any kind and element type.
/// - `targets`: as for [`cutmix_batch`].
/// - `alpha`: finite and above 0; 1 in the paper.
/// - `decay_power`: finite and at least 0; 3 in the paper. A larger power makes smoother borders.
///
/// It returns the mixed images, of the same shape, and the dense targets `[N, num_classes]`. The mask
/// is drawn on the host, and nothing is read back. On the CPU the images change in place; to a GPU the
/// mask is uploaded, one byte for each pixel of one image.
///
/// # Errors
///
/// As [`cutmix_batch`], and [`Error::Argument`] for a `decay_power` out of range and for more than
/// three spatial dimensions.
///
/// ```
/// use burn::tensor::{Device, Distribution, Int, Tensor};
/// use cutmix::functional::fmix_batch;
/// use cutmix::plan::Stream;
///
/// let device = Device::default();
/// let images = Tensor::<4>::random([4, 3, 32, 32], Distribution::Default, &device);
/// let labels = Tensor::<1, Int>::from_data([3, 1, 4, 1], &device);
///
/// let stream = Stream::new(42);
/// let (images, targets) = fmix_batch(images, labels, 10, 1.0, 3.0, &mut stream.at(0))?;
/// assert_eq!(images.dims(), [4, 3, 32, 32]);
/// assert_eq!(targets.dims(), [4, 10]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn fmix_batch<const D: usize, K: Basic>(
    images: Tensor<D, K>,
    targets: impl Into<Targets>,
    num_classes: usize,
    alpha: f64,
    decay_power: f64,
    rng: &mut impl Rng,
) -> Result<(Tensor<D, K>, Tensor<2>), Error> {
    let masks = RegionSampler::LowFrequency { decay_power };
    let sampler = PlanSampler::new(alpha).with_region_sampler(masks);
    let plan = cutmix_plan(&sampler, &images, rng)?;
    cutmix_apply(images, targets, num_classes, &plan)
}

/// Mixes a minibatch with ResizeMix (Qin et al., 2020).
///
/// It draws a scale that is uniform in 0.1 to 0.8, one box with sides of this scale at a uniform place
/// inside the image, and a random permutation as partners. It pastes the whole image of the partner,
/// resized to the box, into each sample, and mixes the targets by the exact share of pixels that
/// remained. So the object of the partner is never cut off.
///
/// - `images`: `[N, C, spatial...]`, of any rank from 3, floats or integers. They are resized linearly
///   in each dimension; see [`ops::paste_resized`].
/// - `targets`: as for [`cutmix_batch`].
///
/// It returns the mixed images, of the same shape, and the dense targets `[N, num_classes]`. The
/// batch stays on its device; nothing is read back. For another scale draw a plan with
/// [`RegionSampler::Scale`], for a fixed box with [`PlanSampler::with_region`], and apply it by
/// [`resizemix_apply`].
///
/// # Errors
///
/// [`Error::Argument`] for an empty batch, images without a spatial dimension, targets for another
/// number of samples or classes, or a class out of range (see [`Targets::into_dense`] for indices on a
/// GPU).
///
/// ```
/// use burn::tensor::{Device, Distribution, Int, Tensor};
/// use cutmix::functional::resizemix_batch;
/// use cutmix::plan::Stream;
///
/// let device = Device::default();
/// let images = Tensor::<4>::random([4, 3, 32, 32], Distribution::Default, &device);
/// let labels = Tensor::<1, Int>::from_data([3, 1, 4, 1], &device);
///
/// let stream = Stream::new(42);
/// let (images, targets) = resizemix_batch(images, labels, 10, &mut stream.at(0))?;
/// assert_eq!(images.dims(), [4, 3, 32, 32]);
/// assert_eq!(targets.dims(), [4, 10]);
/// # Ok::<(), cutmix::Error>(())
/// ```
pub fn resizemix_batch<const D: usize, K: Numeric>(
    images: Tensor<D, K>,
    targets: impl Into<Targets>,
    num_classes: usize,
    rng: &mut impl Rng,
) -> Result<(Tensor<D, K>, Tensor<2>), Error> {
    let scale = RegionSampler::Scale { min: 0.1, max: 0.8 };
    let sampler = PlanSampler::new(1.0).with_region_sampler(scale);
    let plan = cutmix_plan(&sampler, &images, rng)?;
    resizemix_apply(images, targets, num_classes, &plan)
}

/// Mixes a minibatch with ResizeMix as a plan says. Arguments and result are those of
/// [`resizemix_batch`].
///
/// # Errors
///
/// [`Error::Argument`] if images or targets do not fit the plan or `num_classes`, and for a plan that
/// has a mask or a box for each sample.
pub fn resizemix_apply<const D: usize, K: Numeric>(
    images: Tensor<D, K>,
    targets: impl Into<Targets>,
    num_classes: usize,
    plan: &Plan,
) -> Result<(Tensor<D, K>, Tensor<2>), Error> {
    let targets = targets.into().mix(num_classes, plan)?;
    Ok((ops::resize_argument("images", images, plan)?, targets))
}

/// Mixes a minibatch with MixUp (Zhang et al., ICLR 2018).
///
/// It draws lambda from Beta(alpha, alpha) and a random permutation as partners. It blends each sample
/// with its partner, and their targets by the same numbers: `lambda` times the sample plus `1 - lambda`
/// times the partner.
///
/// - `images`: `[N, ...]`, of any rank from 2, floats or integers. Integers are blended in f32 and
///   rounded to the nearest, ties to even.
/// - `targets`: as for [`cutmix_batch`].
/// - `alpha`: finite and above 0; 0.1 to 0.4 for ImageNet in the paper, 1 for CIFAR.
///
/// It returns the mixed images, of the same shape, and the dense targets `[N, num_classes]`. The batch
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
    let mixture = PlanSampler::new(alpha).draw_mixture(images.dims()[0], rng)?;
    mixup_apply(images, targets, num_classes, &mixture)
}

/// Mixes a minibatch as a mixture says; [`PlanSampler::draw_mixture`] draws mixtures. Arguments and
/// result are those of [`mixup_batch`].
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

/// Fills a square of each image of a minibatch (CutOut; DeVries and Taylor, 2017).
///
/// It draws for each sample a centre that is uniform over the pixels, and fills the square with sides of
/// `length` around it, clipped by the border, with `value`. Targets do not change.
///
/// - `images`: `[N, C, spatial...]`, of any rank from 3, floats or integers.
/// - `length`: pixels (`16`) or a share of the smallest side of the image (`0.5`); see [`Length`]. It is
///   the same in each spatial dimension.
/// - `value`: finite; 0 is the mean of images that have been normalised.
///
/// It returns images of the same shape. The batch stays on its device; nothing is read back.
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
    let regions = cutout_regions(length, Mode::Sample, &images, rng)?;
    ops::fill(images, &regions, value)
}

/// Draws the squares that CutOut fills in a batch of images `[N, C, spatial...]`: one for each sample,
/// or one for all in [`Mode::Batch`]. [`ops::fill`] fills them.
///
/// # Errors
///
/// As [`cutout_batch`], and [`Error::Argument`] for [`Mode::Pair`].
pub fn cutout_regions<const D: usize, K: Basic>(
    length: impl Into<Length>,
    mode: Mode,
    images: &Tensor<D, K>,
    rng: &mut impl Rng,
) -> Result<Vec<Region>, Error> {
    let dims = image_dims(images)?;
    let side = length.into().pixels(&dims[2..])?;
    let sampler = PlanSampler::new(1.0).with_mode(mode).with_side(side);
    sampler.draw_regions(dims[0], &dims[2..], rng)
}

/// Moves the share `smoothing` of each target evenly to all classes (Szegedy et al., CVPR 2016,
/// section 7): `(1 - smoothing) * target + smoothing / num_classes`.
///
/// `targets` are class indices `[N]` in `0..num_classes` or distributions `[N, num_classes]`, mixed ones
/// for example. `smoothing` is from 0 to below 1; 0.1 is the usual choice. It returns distributions
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
    if D < 3 {
        return Err(Error::argument(
            "images",
            format!("of rank {D}"),
            "rank 3 or more: [N, C, spatial...]",
        ));
    }
    Ok(images.dims())
}

/// Checks a value that CutOut fills squares with.
///
/// # Errors
///
/// [`Error::Argument`] unless `value` is finite.
pub fn check_value(value: f64) -> Result<(), Error> {
    if !value.is_finite() {
        return Err(Error::argument("value", value, "a finite number"));
    }
    Ok(())
}

/// Checks a share for [`smooth_labels`].
///
/// # Errors
///
/// [`Error::Argument`] unless `smoothing` is from 0 to below 1.
pub fn check_smoothing(smoothing: f64) -> Result<(), Error> {
    if !(0.0..1.0).contains(&smoothing) {
        return Err(Error::argument(
            "smoothing",
            smoothing,
            "a number from 0 to below 1 (0.1 is the usual choice)",
        ));
    }
    Ok(())
}
