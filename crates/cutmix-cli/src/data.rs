//! Opens the data of a run.

use std::path::PathBuf;

use cutmix_vision::{FolderOptions, OnBadImage, Splits, fashion_mnist, open};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Which images, and how they are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DataOptions {
    /// The folder; without one, the embedded Fashion-MNIST.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// None for data that are only looked at, of which no part is kept apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_fraction: Option<f64>,
    #[serde(rename = "on-bad-image", with = "on_bad_image")]
    pub skip_bad_images: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The run's seed; stored once, by the run.
    #[serde(skip)]
    pub seed: u64,
}

/// Written as the option is.
mod on_bad_image {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(skip: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if *skip { "skip" } else { "fail" })
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "skip" => Ok(true),
            "fail" => Ok(false),
            other => Err(D::Error::custom(format!(
                "on-bad-image is \"{other}\", expected \"fail\" or \"skip\""
            ))),
        }
    }
}

impl DataOptions {
    /// Opens the data, and resolves these options to what was opened: an absolute path, and the
    /// size of the images.
    pub fn open(mut self) -> Result<(Self, Splits), Error> {
        let mut splits = match &self.data {
            None => {
                let (train, val) = fashion_mnist();
                Splits {
                    train,
                    val: Some(val),
                    skipped: Vec::new(),
                }
            }
            Some(dir) => open(dir, &self.folder_options(None))?,
        };
        let [_, height, width] = splits.train.shape();
        if let Some(size) = self.size
            && (height, width) != (size, size)
        {
            let expected = format!(
                "no size: {} has images of {height} x {width} pixels, and only photographs in \
                 folders are resized",
                self.name()
            );
            return Err(Error::option("size", size, expected));
        }
        if let Some(dir) = &mut self.data {
            if let Ok(absolute) = std::path::absolute(&*dir) {
                *dir = absolute;
            }
            self.size = (height == width).then_some(height);
        }
        if let Some(limit) = self.limit {
            splits.train = splits.train.truncate(limit);
            splits.val = splits.val.map(|val| val.truncate(limit));
        }
        Ok((self, splits))
    }

    /// How a folder of images is read, with so many channels where that is given.
    pub fn folder_options(&self, channels: Option<usize>) -> FolderOptions {
        FolderOptions {
            size: self.size.unwrap_or(FolderOptions::default().size),
            channels,
            val_fraction: self.val_fraction,
            seed: self.seed,
            on_bad_image: match self.skip_bad_images {
                true => OnBadImage::Skip,
                false => OnBadImage::Fail,
            },
        }
    }

    /// What to call the data.
    pub fn name(&self) -> String {
        match &self.data {
            None => "Fashion-MNIST (embedded)".into(),
            Some(dir) => dir.display().to_string(),
        }
    }
}
