//! The data of a run.

use std::path::Path;

use cutmix_vision::{DataConfig, Dataset, DecodeConfig, Splits, fashion_mnist, open};

use crate::class_weights::BALANCED;
use crate::error::Error;
use crate::progress::patiently;
use crate::settings::Settings;

impl Settings {
    /// How data are read, without a validation set of their own images.
    pub fn data_config(&self) -> DataConfig {
        DataConfig {
            size: self.size,
            fit: self.fit,
            decoding: self.decoding(),
            ..DataConfig::new()
        }
    }

    /// How image files are decoded.
    pub fn decoding(&self) -> DecodeConfig {
        DecodeConfig::new()
            .with_background(self.background.0)
            .with_depth(self.depth)
            .with_memory(self.decode_memory.0)
    }

    /// Makes the paths of files absolute, so that the run can be resumed from another folder.
    pub fn make_paths_absolute(&mut self) {
        if let Some(weights) = &mut self.weights
            && Path::new(weights).exists()
            && let Ok(absolute) = std::path::absolute(&*weights)
        {
            *weights = absolute.to_string_lossy().into_owned();
        }
        if let Some(file) = &mut self.class_weights
            && file != Path::new(BALANCED)
            && let Ok(absolute) = std::path::absolute(&*file)
        {
            *file = absolute;
        }
    }

    /// Opens the data of a new run. `usual_size` is the side of photographs where none was asked for.
    pub fn open_data(&mut self, usual_size: Option<usize>) -> Result<Splits, Error> {
        let config = self.data_config();
        let mut splits = self.open_whole_data()?;
        if let (None, Some(size)) = (config.size, usual_size)
            && splits.train.is_of_files()
        {
            splits = config.with_size(size).apply(splits)?;
            self.size = Some(size);
        }
        let splits = splits.split_val(self.val_fraction, self.seed)?;
        Ok(match self.limit {
            Some(limit) => splits.truncate(limit),
            None => splits,
        })
    }

    /// Opens the data, all of them, with the sets that they have by themselves. Resolves the settings
    /// to what was opened: an absolute path, and the size of the images.
    pub fn open_whole_data(&mut self) -> Result<Splits, Error> {
        let config = self.data_config();
        let splits = match &self.data {
            None => config.apply(fashion_mnist())?,
            Some(data) => patiently(&format!("listing {}", data.display()), || {
                open(data, &config)
            })?,
        };
        if let Some(data) = &mut self.data
            && let Ok(absolute) = std::path::absolute(&*data)
        {
            *data = absolute;
        }
        let [_, height, width] = splits.train.shape();
        if self.data.is_some() {
            self.size = (height == width).then_some(height);
        }
        Ok(splits)
    }

    /// The name of the data in messages.
    pub fn data_name(&self) -> String {
        name(self.data.as_deref())
    }
}

/// The name of data, or of the embedded ones, in messages.
pub fn name(data: Option<&Path>) -> String {
    match data {
        None => "Fashion-MNIST (embedded)".into(),
        Some(data) => data.display().to_string(),
    }
}

/// The batch size of evaluation. It changes speed and memory, and no score.
pub fn eval_batch_size(data: &Dataset) -> usize {
    batch_size_of(data.shape())
}

/// The number of images of a shape `[C, H, W]` that a network takes at once without training.
pub fn batch_size_of([_, height, width]: [usize; 3]) -> usize {
    // The activations of a network grow with the pixels.
    const PIXELS: usize = 256 * 64 * 64;
    (PIXELS / (height * width)).clamp(1, 256)
}
