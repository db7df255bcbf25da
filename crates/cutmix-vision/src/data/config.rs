//! How data are opened.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::augment::Fit;
use super::decode::DecodeConfig;
use super::source::{Content, Source};
use super::view::{MAX_SIDE, View};
use super::{DataError, Dataset, Splits};

/// What happens to an image that cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum OnBadImage {
    /// A bad image is an error.
    #[default]
    Fail,
    /// Bad images are left out and counted.
    Skip,
}

/// How [`open`](crate::open) reads data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataConfig {
    /// Side in pixels, in 1..=4096, of the squares that images become. Default `None`: 64 for
    /// photographs; images that all have the same size already, those of IDX and CIFAR files, keep it.
    pub size: Option<usize>,
    /// Number of channels: 1 for grey, 3 for RGB, `None` for RGB unless the first 1,000 images that
    /// are spread over the data are all grey. Default `None`.
    pub channels: Option<usize>,
    /// What happens to images of another aspect ratio. Default [`Fit::Crop`].
    pub fit: Fit,
    /// Share of the sides that [`Fit::Crop`] keeps, in (0, 1]. Default 1.
    pub crop_share: f64,
    /// How files are decoded.
    pub decoding: DecodeConfig,
    /// Names of the classes, where they are known, such as those of a network. Data may then have
    /// fewer classes, also a single one. Default `None`: those of the data.
    pub classes: Option<Vec<String>>,
    /// Whether images have any number of classes each, where that is known, such as those of a
    /// network. A CSV list whose rows all have one label is then one of several classes as well.
    /// Default `false`: as the rows say.
    pub multi_label: bool,
    /// Share of the training images, inside (0, 1), that becomes the validation set where the data
    /// have none of their own. Default `None`: no validation set.
    pub val_fraction: Option<f64>,
    /// Seed by which validation images are chosen. Default 0.
    pub seed: u64,
}

/// Side of photographs, unless another is asked for.
const SIZE: usize = 64;
/// Number of images and bytes that are looked at to find out whether all are grey.
const PROBES: usize = 1_000;
const PROBED_BYTES: u64 = 256 << 20;

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            size: None,
            channels: None,
            fit: Fit::Crop,
            crop_share: 1.0,
            decoding: DecodeConfig::new(),
            classes: None,
            multi_label: false,
            val_fraction: None,
            seed: 0,
        }
    }
}

impl DataConfig {
    /// Creates the configuration with the default of every option.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the side of the images in pixels.
    pub fn with_size(self, size: usize) -> Self {
        Self {
            size: Some(size),
            ..self
        }
    }

    /// Sets the number of channels; `None` is RGB unless all images are grey.
    pub fn with_channels(self, channels: Option<usize>) -> Self {
        Self { channels, ..self }
    }

    /// Sets what happens to images of another aspect ratio.
    pub fn with_fit(self, fit: Fit) -> Self {
        Self { fit, ..self }
    }

    /// Sets the share of the sides that [`Fit::Crop`] keeps.
    pub fn with_crop_share(self, crop_share: f64) -> Self {
        Self { crop_share, ..self }
    }

    /// Sets how files are decoded.
    pub fn with_decoding(self, decoding: DecodeConfig) -> Self {
        Self { decoding, ..self }
    }

    /// Sets the names of the classes; `None` takes those of the data.
    pub fn with_classes(self, classes: Option<Vec<String>>) -> Self {
        Self { classes, ..self }
    }

    /// Sets whether images are known to have any number of classes each.
    pub fn with_multi_label(self, multi_label: bool) -> Self {
        Self {
            multi_label,
            ..self
        }
    }

    /// Sets the share of the training images that becomes the validation set.
    pub fn with_val_fraction(self, val_fraction: Option<f64>) -> Self {
        Self {
            val_fraction,
            ..self
        }
    }

    /// Sets the seed by which validation images are chosen.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Checks that every option is in range.
    ///
    /// # Errors
    /// [`DataError::Argument`] for the first one that is not.
    pub fn check(&self) -> Result<(), DataError> {
        if let Some(channels) = self.channels
            && !matches!(channels, 1 | 3)
        {
            let expected = "1 (grey) or 3 (RGB)";
            return Err(DataError::argument("channels", channels, expected));
        }
        if let Some(size) = self.size
            && !(1..=MAX_SIDE).contains(&size)
        {
            return Err(DataError::argument("size", size, "1 to 4096 pixels"));
        }
        self.view([3, SIZE, SIZE]).check()?;
        match self.val_fraction {
            Some(fraction) => check_fraction(fraction),
            None => Ok(()),
        }
    }

    /// The view of images whose own shape is `[C, H, W]`.
    pub(crate) fn view(&self, [channels, height, width]: [usize; 3]) -> View {
        let channels = self.channels.unwrap_or(channels);
        let (height, width) = self.size.map_or((height, width), |size| (size, size));
        View::new([channels, height, width])
            .with_fit(self.fit)
            .with_crop_share(self.crop_share)
    }

    /// The same sets as images of the size, channels and fit of this configuration.
    ///
    /// # Errors
    /// [`DataError::Argument`] where an option is out of range.
    pub fn apply(&self, splits: Splits) -> Result<Splits, DataError> {
        self.check()?;
        splits.try_map(|set| {
            let view = self.view(set.shape());
            set.with_view(view)
        })
    }

    /// The set of a source of image files.
    pub(crate) fn dataset(
        &self,
        classes: Vec<String>,
        source: Arc<dyn Source>,
    ) -> Result<Dataset, DataError> {
        let set = Dataset::from_source(classes, self.view([3, SIZE, SIZE]), source)?;
        let set = set.with_decoding(self.decoding.clone());
        if self.channels.is_none() && is_grey(&set) {
            return set.with_view(self.view([1, SIZE, SIZE]));
        }
        Ok(set)
    }
}

/// Whether the images of a set are grey, as far as they are looked at. Bad ones are passed over.
fn is_grey(set: &Dataset) -> bool {
    let some = set.truncate(PROBES);
    let (mut left, mut has_grey) = (PROBED_BYTES, false);
    for index in 0..some.len() {
        let Ok((content, _reserved)) = some.content(index) else {
            continue;
        };
        match some.open(index, &content).map(|opened| opened.channels()) {
            Ok(1) => has_grey = true,
            Ok(_) => return false,
            Err(_) => {}
        }
        if let Content::File(bytes) = &content {
            left = left.saturating_sub(bytes.len() as u64);
        }
        if left == 0 {
            break;
        }
    }
    has_grey
}

pub(crate) fn check_fraction(fraction: f64) -> Result<(), DataError> {
    if fraction > 0.0 && fraction < 1.0 {
        Ok(())
    } else {
        let expected = "a number above 0 and below 1";
        Err(DataError::argument("val_fraction", fraction, expected))
    }
}
