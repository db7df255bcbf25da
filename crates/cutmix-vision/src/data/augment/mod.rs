//! Random changes to the images of a training set.
//!
//! What is random is drawn first, as a list of [`Transform`]s, which are plain data; then they are
//! applied, to an [`Image`](super::Image) of `u8` values and to its [`ClassMap`](super::ClassMap) where
//! there is one. [`Augment`] is the list of augmentations that draw, with a text form such as
//! `random-resized-crop:scale=0.35..1|flip`; [`AUGMENTATIONS`] describes those that have a name. [`Fit`]
//! gives images of any size the size that a network takes, with nothing random.

mod apply;
mod centre_crop;
mod color;
mod color_jitter;
mod fit;
mod flip;
mod geometry;
mod grayscale;
mod hue;
mod interval;
mod list;
mod operation;
mod rand_augment;
mod random_box;
mod random_erasing;
mod random_resized_crop;
mod rect;
mod registry;
mod resize;
mod rotate;
mod sharpness;
mod shift;
mod text;
mod transform;
mod trivial_augment;

use std::fmt::Debug;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub use centre_crop::CentreCrop;
pub use color_jitter::ColorJitter;
pub use fit::Fit;
pub use flip::Flip;
pub use grayscale::Grayscale;
pub use interval::Interval;
pub use list::Augment;
pub use rand_augment::RandAugment;
pub use random_erasing::RandomErasing;
pub use random_resized_crop::RandomResizedCrop;
pub use rect::Rect;
pub use registry::{AUGMENTATIONS, AugmentationConfig, AugmentationInfo, Setting};
pub(super) use resize::part as resize_part;
pub use rotate::Rotate;
pub use shift::Shift;
pub use text::LISTS;
pub use transform::Transform;
pub use trivial_augment::TrivialAugment;

use super::{DataError, Size};

/// A random change to the images of a training set, drawn for each image.
///
/// Everything that is random comes from the generator that [`draw`](Self::draw) is given, so that the
/// same state of the generator draws the same transforms.
///
/// ```
/// use cutmix_vision::data::augment::{Augment, Augmentation, Transform, Flip, Frame};
/// use rand::RngExt;
/// use rand_chacha::ChaCha8Rng;
///
/// /// Inverts half of the images.
/// #[derive(Debug)]
/// struct Negative;
///
/// impl Augmentation for Negative {
///     fn draw(&self, _frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
///         if rng.random() {
///             transforms.push(Transform::Invert);
///         }
///     }
/// }
///
/// let augment = Augment::new().with(Flip::new()).with_own(Negative);
/// ```
pub trait Augmentation: Debug + Send + Sync {
    /// Appends what is done to an image.
    fn draw(&self, frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>);

    /// Whether all images have the size [`Frame::target`] afterwards.
    fn resizes(&self) -> bool {
        false
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] for a setting out of range.
    fn check(&self) -> Result<(), DataError> {
        Ok(())
    }
}

/// The image that a transform is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Size of the image at this point, with sides of at least 1 pixel.
    pub size: Size,
    /// Size of the images that the network takes.
    pub target: Size,
    /// Mean colour of the data: red, green and blue in 0..=255. It fills what a transform uncovers.
    pub mean: [u8; 3],
}

/// Builder methods, each of which sets one field.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident $field:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}
use setters;

/// Whether something of this probability happens.
fn happens(probability: f64, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f64>() < probability
}

/// [`DataError::Argument`] unless the value is accepted.
fn ensure(
    is_accepted: bool,
    argument: &'static str,
    value: impl ToString,
    expected: impl ToString,
) -> Result<(), DataError> {
    if is_accepted {
        Ok(())
    } else {
        Err(DataError::argument(argument, value, expected))
    }
}

/// [`DataError::Argument`] unless the value is in 0..=1.
fn ensure_probability(argument: &'static str, value: f64) -> Result<(), DataError> {
    let is_accepted = (0.0..=1.0).contains(&value);
    ensure(is_accepted, argument, value, "a number in 0..=1")
}
