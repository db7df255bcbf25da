//! ResizeMix.

use cutmix::ops;
use cutmix::plan::{PlanSampler, RegionSampler};
use serde::{Deserialize, Serialize};

use super::labels;
use super::registry::{Describe, INTERPOLATE_LOSS};
use super::{Algorithm, Effects};
use crate::{Error, Event, State};

/// Shrinks every image of a batch, pastes it into another image of the batch, and mixes the labels
/// by area.
///
/// # What it does
///
/// For each minibatch it draws one scale, uniform between `min_scale` and `max_scale`, a place, and a
/// permutation of the batch. The box at that place has the scale's share of each side of the image.
/// Sample `partners[i]`, whole and shrunk to the box, replaces the pixels of the box in sample `i`,
/// whose target becomes `lambda * own + (1 - lambda) * partner's` with the exact share of pixels
/// outside the box. Unlike CutMix, which may paste a patch of background under the label of an
/// object, the pasted patch shows all of its image.
///
/// # Starting hyper-parameters
///
/// Scales from 0.1 to 0.8, the values of the paper, on every batch.
///
/// # Cost
///
/// Every image is shrunk to the box by plain tensor operations on the device, and the box is written
/// once ([`ops::paste_resized`]): more than CutMix. A few numbers are uploaded, nothing is read back.
///
/// # Source
///
/// Qin, Fang, Zhang, Liu, Wang, Wang: ResizeMix: Mixing Data with Preserved Object Information and
/// True Labels. arXiv:2012.11101, 2020.
///
/// ```
/// use cutmix_train::algorithms::ResizeMix;
///
/// let resizemix = ResizeMix::new().with_scale(0.1, 0.8);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResizeMix {
    /// The smallest side of the box as a share of the side of the image, above 0.
    pub min_scale: f64,
    /// The largest side of the box as a share of the side of the image, from `min_scale` to 1.
    pub max_scale: f64,
    /// Whether two losses are mixed instead of the targets.
    pub interpolate_loss: bool,
}

impl Default for ResizeMix {
    fn default() -> Self {
        Self {
            min_scale: 0.1,
            max_scale: 0.8,
            interpolate_loss: false,
        }
    }
}

impl ResizeMix {
    /// ResizeMix with scales from 0.1 to 0.8 and one box for each batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Draws the scale between these two shares of the side of the image, with
    /// `0 < min_scale <= max_scale <= 1`.
    pub fn with_scale(mut self, min_scale: f64, max_scale: f64) -> Self {
        (self.min_scale, self.max_scale) = (min_scale, max_scale);
        self
    }

    setters! {
        /// Keeps the targets as they are and mixes the losses instead:
        /// `lambda * loss(own) + (1 - lambda) * loss(partner's)`. For losses that only take class
        /// indices; see [`loss::interpolate`](cutmix::loss::interpolate) for when the two are equal.
        with_interpolate_loss interpolate_loss: bool;
    }

    fn sampler(&self) -> PlanSampler {
        let (min, max) = (self.min_scale, self.max_scale);
        // Lambda follows from the box, so that alpha has no effect.
        PlanSampler::new(1.0).with_region_sampler(RegionSampler::Scale { min, max })
    }
}

impl Describe for ResizeMix {
    const SUMMARY: &'static str = "pastes another image, shrunk, into each image";
    const EVENT: Event = Event::BeforeForward;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        (
            "min-scale",
            "a number above 0: the smallest side of the box, as a share of the image's",
        ),
        (
            "max-scale",
            "a number from min-scale to 1: the largest side of the box",
        ),
        INTERPOLATE_LOSS,
    ];
}

impl<M, const D: usize> Algorithm<M, D> for ResizeMix {
    fn name(&self) -> String {
        "resizemix".into()
    }

    fn check(&self) -> Result<(), Error> {
        let (min, max) = (self.min_scale, self.max_scale);
        let accepted = "a number above 0 and up to 1";
        Error::ensure(min > 0.0 && min <= 1.0, "min_scale", min, accepted)?;
        let accepted = format!("a number from min_scale, {min}, to 1");
        Error::ensure((min..=1.0).contains(&max), "max_scale", max, accepted)
    }

    fn effects(&self) -> Effects {
        labels::effects(self.interpolate_loss)
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        if event == Event::BeforeForward {
            let (name, sampler) = ("resizemix/lambda", self.sampler());
            labels::cut(
                state,
                name,
                &sampler,
                self.interpolate_loss,
                ops::paste_resized,
            )?;
        }
        Ok(())
    }
}
