//! The layouts of data that are known, one file each. A new one is a file here and a line in
//! [`LAYOUTS`].

mod burn;
mod cifar;
mod class_names;
#[cfg(feature = "fashion-mnist")]
mod cluttered_fashion;
mod csv;
#[cfg(feature = "fashion-mnist")]
mod fashion_mnist;
mod folder;
mod forward;
mod idx;
mod labels;
#[cfg(feature = "parquet")]
mod parquet;
mod sets;
mod webdataset;

use std::path::Path;

use super::{DataConfig, DataError, Splits};

pub use burn::BurnSource;
pub use cifar::cifar;
#[cfg(feature = "fashion-mnist")]
pub use cluttered_fashion::cluttered_fashion;
pub use csv::csv;
#[cfg(feature = "fashion-mnist")]
pub use fashion_mnist::fashion_mnist;
pub(super) use folder::read_image;
pub use folder::{Reason, Unused, image_files, image_folder, unlabelled_folder};
pub use idx::idx;
#[cfg(feature = "parquet")]
pub use parquet::parquet;
pub use webdataset::webdataset;

/// Layouts in the order in which they are looked for. The last one is assumed of any folder that is
/// none of the others.
pub static LAYOUTS: &[Layout] = &[
    idx::LAYOUT,
    cifar::LAYOUT,
    webdataset::LAYOUT,
    #[cfg(feature = "parquet")]
    parquet::LAYOUT,
    csv::LAYOUT,
    folder::LAYOUT,
];

/// A way to store a data set in a folder.
#[derive(Debug)]
pub struct Layout {
    /// Name and files of the layout, such as "IDX files (train-images-idx3-ubyte)".
    pub about: &'static str,
    /// Whether a folder has this layout.
    found_in: fn(&Path) -> bool,
    /// Reads a folder that has this layout.
    read: fn(&Path, &DataConfig) -> Result<Splits, DataError>,
}

/// Opens the data set in the folder `dir`, whichever of the [`LAYOUTS`] it has.
///
/// Where the data have no validation set and [`DataConfig::val_fraction`] is given, that share of
/// the training images becomes one. The test set is never used for this.
///
/// # Errors
/// [`DataError::Argument`] where an option is out of range; [`DataError::NoClasses`] where the
/// folder has none of the layouts; otherwise what the reader of its layout returns, such as
/// [`image_folder`] or [`csv()`].
pub fn open(dir: impl AsRef<Path>, config: &DataConfig) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    config.check()?;
    let layout = LAYOUTS.iter().find(|layout| (layout.found_in)(dir));
    let layout = layout.unwrap_or(&folder::LAYOUT);
    let splits = (layout.read)(dir, config)?;
    let splits = config.apply(splits)?;
    match config.val_fraction {
        Some(fraction) => splits.split_val(fraction, config.seed),
        None => Ok(splits),
    }
}

/// The layouts in words, for a folder that has none of them.
pub(super) fn expected() -> String {
    // Folders of images, which are the most common, are named first.
    let about: Vec<_> = LAYOUTS.iter().rev().map(|layout| layout.about).collect();
    about.join(", or ")
}
