//! Augmentations one after another.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::{
    Augmentation, AugmentationConfig, Flip, Frame, RandomErasing, RandomResizedCrop, Shift,
    Transform, TrivialAugment,
};

/// The augmentations of a training set, in the order in which they act on each image.
///
/// The text form, which files store too, is `none`, or the names of augmentations with settings that
/// differ from the defaults, joined by `|`. It may contain the names of [`LISTS`](super::LISTS). `{:#}`
/// writes all settings, so that the text means the same when defaults have changed; files have it so.
/// An augmentation of one's own appears as its `Debug` text, which cannot be parsed.
///
/// Two lists are equal if their named augmentations have the same settings and their own ones are
/// clones of each other.
///
/// ```
/// use cutmix_vision::data::Size;
/// use cutmix_vision::data::augment::{Augment, Flip, Frame, RandomResizedCrop};
/// use rand::SeedableRng;
/// use rand_chacha::ChaCha8Rng;
///
/// let augment: Augment = "random-resized-crop:scale=0.35..1|flip".parse()?;
/// let crop = RandomResizedCrop::new().with_scale(0.35..=1.0);
/// assert_eq!(augment, Augment::new().with(crop).with(Flip::new()));
///
/// let frame = Frame { size: Size::new(480, 640), target: Size::new(224, 224), mean: [124, 116, 104] };
/// for transform in augment.draw(frame, &mut ChaCha8Rng::seed_from_u64(0)) {
///     println!("{transform:?}");
/// }
/// # Ok::<(), cutmix_vision::data::DataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Augment {
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Named(AugmentationConfig),
    Own(Arc<dyn Augmentation>),
}

impl Augment {
    /// Images are left as they are: `none`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Mirrors and shifts, for small images: `light`.
    ///
    /// Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.
    pub fn light() -> Self {
        Self::new().with(Flip::new()).with(Shift::new())
    }

    /// Random crops and mirrors, for photographs: `standard`.
    ///
    /// Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.
    pub fn standard() -> Self {
        Self::new().with(RandomResizedCrop::new()).with(Flip::new())
    }

    /// Random crops, mirrors, [`TrivialAugment`] and [`RandomErasing`], for long runs: `strong`.
    ///
    /// Source: Vryniotis, "How to Train State-Of-The-Art Models Using TorchVision's Latest Primitives",
    /// PyTorch blog, 2021.
    pub fn strong() -> Self {
        Self::standard()
            .with(TrivialAugment::new())
            .with(RandomErasing::new().with_probability(0.1))
    }

    /// Appends an augmentation that has a name.
    pub fn with(mut self, augmentation: impl Into<AugmentationConfig>) -> Self {
        self.steps.push(Step::Named(augmentation.into()));
        self
    }

    /// Appends an augmentation of one's own.
    pub fn with_own(mut self, augmentation: impl Augmentation + 'static) -> Self {
        self.steps.push(Step::Own(Arc::new(augmentation)));
        self
    }

    /// Whether images are left as they are.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether all images have the size [`Frame::target`] afterwards, whatever their size before.
    /// Otherwise they keep it, unless an augmentation of one's own changes it.
    pub fn resizes(&self) -> bool {
        self.augmentations().any(Augmentation::resizes)
    }

    /// Checks the settings of all augmentations.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] for a setting out of range.
    pub fn check(&self) -> Result<(), DataError> {
        self.augmentations().try_for_each(Augmentation::check)
    }

    /// Draws what is done to an image, as a function of the image's size and the state of `rng` alone.
    /// Each augmentation sees the size that the image has after those before it.
    pub fn draw(&self, mut frame: Frame, rng: &mut ChaCha8Rng) -> Vec<Transform> {
        let mut transforms = Vec::new();
        for augmentation in self.augmentations() {
            let first = transforms.len();
            augmentation.draw(&frame, rng, &mut transforms);
            for transform in &transforms[first..] {
                frame.size = transform.output_size(frame.size);
            }
        }
        transforms
    }

    fn augmentations(&self) -> impl Iterator<Item = &dyn Augmentation> {
        self.steps.iter().map(|step| match step {
            Step::Named(config) => config as &dyn Augmentation,
            Step::Own(own) => own.as_ref(),
        })
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(config), Self::Named(other)) => config == other,
            (Self::Own(own), Self::Own(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}
