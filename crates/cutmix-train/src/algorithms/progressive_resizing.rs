//! Progressive resizing.

use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Algorithm;
use super::registry::Describe;
use crate::{Error, Event, State};

/// The way in which images become smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// The whole image is shrunk, with bilinear interpolation.
    #[default]
    Resize,
    /// A part of the image is cut out, at a random place that is the same for the whole batch.
    Crop,
}

/// Starts a run on small images, which grow to their full size.
///
/// # What it does
///
/// Images have the share `initial_scale` of their sides until the share `delay_fraction` of the run
/// has elapsed. From then on they grow linearly, and for the last `finetune_fraction` of the run they
/// have their full size. Each side is rounded to the nearest multiple of `size_increment`. Targets
/// stay. Evaluation sees images of full size. The sizes are logged as `progressive-resizing/height`
/// and `progressive-resizing/width`.
///
/// Add it **before** the algorithms that mix images, so that they mix images of the final size of the
/// batch: the lambda of CutMix is then the exact share of the pixels that the network sees, and less is
/// copied. The network has to accept all sizes, which [`sides`](Self::sides) lists: one that ends in
/// global average pooling usually does, a Vision Transformer needs a `size_increment` of its patches.
///
/// # Starting hyper-parameters
///
/// `initial_scale = 0.5`, `delay_fraction = 0.5`, `finetune_fraction = 0.2`, `size_increment = 4`, the
/// defaults of Composer. For networks that halve their input several times, a `size_increment` of the
/// product of their strides avoids odd sizes. Too small an `initial_scale` costs accuracy.
///
/// # Cost
///
/// It saves time: half of the side is a quarter of the pixels, for convolutions about a quarter of the
/// computation. Shrinking reads four pixels for each pixel that is left; nothing is read back. On a
/// GPU each new size may compile or tune kernels anew, which a larger `size_increment` makes rarer.
///
/// # Source
///
/// Known from fastai (Howard and Gugger) and from Composer's algorithm of this name, whose settings
/// these are. Composer sizes both sides by the width; here each side is rounded by itself.
///
/// ```
/// use cutmix_train::algorithms::ProgressiveResizing;
///
/// let resizing = ProgressiveResizing::new().with_initial_scale(0.5);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProgressiveResizing {
    /// The way in which images become smaller.
    pub mode: ResizeMode,
    /// The share of their sides that images have at first, above 0 and at most 1.
    pub initial_scale: f64,
    /// The share of the run before images start to grow, in `0.0..=1.0`.
    pub delay_fraction: f64,
    /// The share of the run, at its end, in which images have their full size; at most
    /// `1 - delay_fraction`.
    pub finetune_fraction: f64,
    /// The step in which sides grow: they are rounded to multiples of this number, at least 1, while
    /// they are smaller than the image's.
    pub size_increment: usize,
}

impl Default for ProgressiveResizing {
    fn default() -> Self {
        Self {
            mode: ResizeMode::default(),
            initial_scale: 0.5,
            delay_fraction: 0.5,
            finetune_fraction: 0.2,
            size_increment: 4,
        }
    }
}

impl ProgressiveResizing {
    /// Half of the sides for half of the run, and the full size in its last fifth.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the way in which images become smaller.
        with_mode mode: ResizeMode;
        /// Sets the share of their sides that images have at first, above 0 and at most 1.
        with_initial_scale initial_scale: f64;
        /// Sets the share of the run before images start to grow.
        with_delay_fraction delay_fraction: f64;
        /// Sets the share of the run, at its end, in which images have their full size.
        with_finetune_fraction finetune_fraction: f64;
        /// Rounds sides to multiples of this number.
        with_size_increment size_increment: usize;
    }

    /// The lengths that a side of this length has in the course of a run.
    pub fn sides(&self, side: usize) -> impl Iterator<Item = usize> {
        let first = self.side(side, self.initial_scale);
        (first..side)
            .step_by(self.size_increment.max(1))
            .chain([side])
    }

    /// The share of their sides that images have when this share of the run has elapsed.
    fn scale(&self, progress: f64) -> f64 {
        let growth = 1.0 - self.finetune_fraction - self.delay_fraction;
        let grown = if progress < self.delay_fraction {
            0.0
        } else if progress - self.delay_fraction >= growth {
            1.0
        } else {
            (progress - self.delay_fraction) / growth
        };
        self.initial_scale + (1.0 - self.initial_scale) * grown
    }

    /// The length of a side at this scale.
    fn side(&self, side: usize, scale: f64) -> usize {
        let increments = (side as f64 * scale / self.size_increment as f64).round() as usize;
        let smallest = self.size_increment.min(side);
        (increments * self.size_increment).clamp(smallest, side)
    }
}

/// Shrinks images `[N, C, H, W]` to the height and width `size`.
fn shrink(images: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let options = InterpolateOptions::new(InterpolateMode::Bilinear)
        .with_align_corners(false)
        .with_output_size(size);
    interpolate(images, options)
}

/// Cuts a box of the height and width `size` out of images `[N, C, H, W]`, at a random place.
fn crop(images: Tensor<4>, size: [usize; 2], rng: &mut impl Rng) -> Tensor<4> {
    let [batch, channels, height, width] = images.dims();
    let top = rng.random_range(0..=height - size[0]);
    let left = rng.random_range(0..=width - size[1]);
    images.slice([
        0..batch,
        0..channels,
        top..top + size[0],
        left..left + size[1],
    ])
}

impl Describe for ProgressiveResizing {
    const SUMMARY: &'static str = "starts with small images, which grow to their full size";
    const EVENT: Event = Event::BeforeForward;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "mode",
            "resize or crop: shrinks the images, or cuts out a part",
        ),
        (
            "initial-scale",
            "a number above 0 and up to 1: the share of the sides at first",
        ),
        (
            "delay-fraction",
            "a number in 0..=1: the share of the run before the images grow",
        ),
        (
            "finetune-fraction",
            "a number in 0..=1: the share of the run, at its end, at full size",
        ),
        (
            "size-increment",
            "a whole number of at least 1: sides are multiples of it",
        ),
    ];
}

impl<M> Algorithm<M> for ProgressiveResizing {
    fn name(&self) -> String {
        "progressive-resizing".into()
    }

    fn check(&self) -> Result<(), Error> {
        let (scale, finetune) = (self.initial_scale, self.finetune_fraction);
        let accepted = "a number above 0 and up to 1";
        Error::ensure(
            scale > 0.0 && scale <= 1.0,
            "initial_scale",
            scale,
            accepted,
        )?;
        Error::ensure_share("delay_fraction", self.delay_fraction)?;
        Error::ensure_share("finetune_fraction", finetune)?;
        let delay = self.delay_fraction;
        let accepted = format!("at most 1 - delay_fraction, which is {delay}");
        Error::ensure(
            delay + finetune <= 1.0,
            "finetune_fraction",
            finetune,
            accepted,
        )?;
        let accepted = "a whole number of at least 1";
        Error::ensure(self.size_increment > 0, "size_increment", 0, accepted)
    }

    fn apply(&mut self, event: Event, state: &mut State<M>) -> Result<(), Error> {
        if event != Event::BeforeForward {
            return Ok(());
        }
        let [_, _, height, width] = state.images()?.dims();
        let scale = self.scale(state.time().progress);
        let size = [height, width].map(|side| self.side(side, scale));
        state.log("progressive-resizing/height", size[0] as f64);
        state.log("progressive-resizing/width", size[1] as f64);
        if size == [height, width] {
            return Ok(());
        }
        let mut rng = state.rng();
        state.map_images(|images| {
            Ok::<_, Error>(match self.mode {
                ResizeMode::Resize => shrink(images, size),
                ResizeMode::Crop => crop(images, size, &mut rng),
            })
        })
    }
}
