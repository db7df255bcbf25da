//! Labelled images: where they come from, how they are decoded, augmented and put into batches.
//!
//! A [`Source`] knows the samples of a data set, a [`Dataset`] is a selection of them, and an
//! [`ImageLoader`] turns it into batches. [`open`] finds out what a folder
//! holds; [`sources`] lists the layouts that it knows.

mod augment;
mod config;
mod dataset;
mod decode;
mod error;
mod escape;
mod loader;
mod manifest;
mod normalize;
mod source;
pub mod sources;
mod splits;

pub use augment::Augment;
pub use config::{DataConfig, OnBadImage};
pub use dataset::Dataset;
pub use decode::load_image;
pub use error::DataError;
pub use loader::{ImageLoader, LoaderConfig};
pub use manifest::{Change, Changes, Manifest, Sample, Split};
pub use normalize::{IMAGENET_MEAN, IMAGENET_STD, Normalize, to_tensor};
pub use source::Source;
#[cfg(feature = "fashion-mnist")]
pub use sources::fashion_mnist;
pub use sources::open;
pub use splits::{SkippedImage, Splits};
