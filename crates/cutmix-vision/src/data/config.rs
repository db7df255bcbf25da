//! How data are opened.

use serde::{Deserialize, Serialize};

use super::DataError;
use super::decode::check_target;

/// What happens to an image that cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum OnBadImage {
    /// The first bad image in path order is an error.
    #[default]
    Fail,
    /// Bad images are left out and listed.
    Skip,
}

/// How [`open`](crate::open) reads a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataConfig {
    /// Side in pixels, in 1..=4096, of the squares that photographs are resized to. Images that all
    /// have the same size already, those of IDX and CIFAR files, keep it. Default 64.
    pub size: usize,
    /// Number of channels: 1 for grey, 3 for RGB, `None` for RGB unless all images are grey.
    /// Default `None`.
    pub channels: Option<usize>,
    /// Share of the training images, inside (0, 1), that becomes the validation set where the data
    /// have none of their own. Default `None`: no validation set.
    pub val_fraction: Option<f64>,
    /// Seed by which validation images are chosen. Default 0.
    pub seed: u64,
    /// What happens to bad images. Default [`OnBadImage::Fail`].
    pub on_bad_image: OnBadImage,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            size: 64,
            channels: None,
            val_fraction: None,
            seed: 0,
            on_bad_image: OnBadImage::Fail,
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
        Self { size, ..self }
    }

    /// Sets the number of channels; `None` is RGB unless all images are grey.
    pub fn with_channels(self, channels: Option<usize>) -> Self {
        Self { channels, ..self }
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

    /// Sets what happens to bad images.
    pub fn with_on_bad_image(self, on_bad_image: OnBadImage) -> Self {
        Self {
            on_bad_image,
            ..self
        }
    }

    /// Checks that every option is in range.
    ///
    /// # Errors
    /// [`DataError::Argument`] for the first one that is not.
    pub fn check(&self) -> Result<(), DataError> {
        check_target(self.size, self.channels)?;
        match self.val_fraction {
            Some(fraction) => check_fraction(fraction),
            None => Ok(()),
        }
    }
}

pub(crate) fn check_fraction(fraction: f64) -> Result<(), DataError> {
    if fraction > 0.0 && fraction < 1.0 {
        Ok(())
    } else {
        let expected = "a number above 0 and below 1";
        Err(DataError::argument("val_fraction", fraction, expected))
    }
}
