//! The data of a run.

use std::path::Path;

use cutmix_vision::{
    Change, Changes, DataConfig, DataError, Dataset, DecodeConfig, Manifest, OnBadImage, Splits,
};

use crate::class_weights::BALANCED;
use crate::embedded::Origin;
use crate::error::Error;
use crate::progress::patiently;
use crate::settings::Settings;
use crate::terminal::warning;

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
    /// to what was opened: an absolute path, unless the data are embedded, and the size of the images.
    pub fn open_whole_data(&mut self) -> Result<Splits, Error> {
        let config = self.data_config();
        let splits = patiently(&format!("listing {}", self.data_name()), || {
            open(self.data.as_deref(), &config)
        })?;
        if let Some(data) = &mut self.data
            && let Origin::Path(_) = Origin::of(Some(data))
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

/// The data of a run in its own sets. Data that have changed since are refused, with `instead` as what
/// can be done with them. Where bad images are skipped, those that are gone are skipped as well.
pub fn own_splits(
    settings: &mut Settings,
    manifest: &Manifest,
    instead: &'static str,
) -> Result<Splits, Error> {
    let opened = settings.open_whole_data().map_err(|error| match error {
        Error::Data(DataError::NotFound { path }) if Some(&path) == settings.data.as_ref() => {
            Error::NoData(path)
        }
        error => error,
    })?;
    let (splits, changes) = manifest.apply(&opened);
    if changes.is_empty() {
        return Ok(splits);
    }
    if settings.on_bad_image == OnBadImage::Skip
        && let Some((splits, changes)) = manifest.apply_with_gone(&opened)
    {
        warning(format!(
            "the data in {} have changed since the run started: {changes}; left out like bad images",
            settings.data_name()
        ));
        return Ok(splits);
    }
    Err(Error::ChangedData {
        data: settings.data_name(),
        advice: advice(&changes, &opened, instead),
        changes,
    })
}

/// What to do about data that have changed.
fn advice(changes: &Changes, opened: &Splits, instead: &str) -> String {
    if opened.sets().any(Dataset::is_read_in_order) {
        return format!("restore them, or {instead}");
    }
    let is_gone = |change: &Change| matches!(change, Change::Removed(_));
    let is_replaced = |change: &Change| matches!(change, Change::Resized(_));
    if changes.iter().all(is_gone) {
        format!(
            "restore them, or leave out those that are gone with --on-bad-image skip, which keeps the order \
             of the others, or {instead}"
        )
    } else if changes
        .iter()
        .all(|change| is_gone(change) || is_replaced(change))
    {
        format!(
            "a run needs the images that it started with: restore them, or move repaired ones elsewhere \
             and leave them out with --on-bad-image skip, or {instead}"
        )
    } else {
        format!("restore them, or {instead}")
    }
}

/// Opens embedded data, or those at a path.
pub fn open(data: Option<&Path>, config: &DataConfig) -> Result<Splits, DataError> {
    match Origin::of(data) {
        Origin::Embedded(embedded) => config.apply((embedded.open)()),
        Origin::Path(path) => cutmix_vision::open(path, config),
    }
}

/// The name of data in messages: their path, or the title of embedded ones.
pub fn name(data: Option<&Path>) -> String {
    match Origin::of(data) {
        Origin::Embedded(embedded) => embedded.title.into(),
        Origin::Path(path) => path.display().to_string(),
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
