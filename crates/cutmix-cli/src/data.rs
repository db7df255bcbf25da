//! The data of a run.

use std::path::Path;

use cutmix_vision::{DataConfig, Dataset, Splits, fashion_mnist, open};

use crate::error::Error;
use crate::settings::Settings;

impl Settings {
    /// How a folder of images is read.
    pub fn data_config(&self) -> DataConfig {
        let config = DataConfig::new()
            .with_val_fraction(Some(self.val_fraction))
            .with_seed(self.seed)
            .with_on_bad_image(self.on_bad_image);
        match self.size {
            Some(size) => config.with_size(size),
            None => config,
        }
    }

    /// Opens the data of a new run.
    pub fn open_data(&mut self) -> Result<Splits, Error> {
        let splits = self
            .open_whole_data()?
            .split_val(self.val_fraction, self.seed)?;
        Ok(match self.limit {
            Some(limit) => splits.truncate(limit),
            None => splits,
        })
    }

    /// Opens the data, all of them, with the sets that they have by themselves. Resolves the settings
    /// to what was opened: an absolute path, and the size of the images.
    pub fn open_whole_data(&mut self) -> Result<Splits, Error> {
        let splits = match &self.data {
            None => fashion_mnist(),
            Some(dir) => open(dir, &self.data_config().with_val_fraction(None))?,
        };
        let [_, height, width] = splits.train.shape();
        if let Some(size) = self.size
            && (height, width) != (size, size)
        {
            let expected = format!(
                "no size: {} has images of {height} x {width} pixels, and only photographs in \
                 folders are resized",
                self.data_name()
            );
            return Err(Error::option("size", size, expected));
        }
        if let Some(dir) = &mut self.data {
            if let Ok(absolute) = std::path::absolute(&*dir) {
                *dir = absolute;
            }
            self.size = (height == width).then_some(height);
        }
        Ok(splits)
    }

    /// The name of the data in messages.
    pub fn data_name(&self) -> String {
        name(self.data.as_deref())
    }
}

/// The name of the data in a folder, or of the embedded data, in messages.
pub fn name(data: Option<&Path>) -> String {
    match data {
        None => "Fashion-MNIST (embedded)".into(),
        Some(dir) => dir.display().to_string(),
    }
}

/// The batch size of evaluation. It changes speed and memory, and no score.
pub fn eval_batch_size(data: &Dataset) -> usize {
    // The activations of a network grow with the pixels.
    const PIXELS: usize = 256 * 64 * 64;
    let [_, height, width] = data.shape();
    (PIXELS / (height * width)).clamp(1, 256)
}
