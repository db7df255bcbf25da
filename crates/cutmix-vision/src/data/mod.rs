//! Labelled images: where they come from, how they are decoded, augmented and put into batches.
//!
//! A [`Source`] knows the samples of a data set, a [`Dataset`] is a selection of them, brought to
//! one shape by a [`View`], and an [`ImageLoader`] turns it into batches. [`open`] finds out what a
//! folder holds; [`sources`] lists the layouts that it knows. [`augment`] has random changes to
//! images.

pub mod augment;
mod check;
mod config;
mod dataset;
mod decode;
mod error;
mod escape;
mod loader;
mod manifest;
mod normalize;
mod pixels;
mod source;
pub mod sources;
mod splits;
mod view;

pub use augment::{Augment, Fit, Rect};
pub use check::{Check, Place, SetCheck, check};
pub use config::{DataConfig, OnBadImage};
pub use dataset::Dataset;
pub use decode::{DecodeConfig, Depth, load_class_map, load_image};
pub use error::DataError;
pub use loader::{
    FeatureLoader, FileBatch, FileBatches, FileBatchesConfig, ImageFile, ImageLoader, LoaderConfig,
    Sampler,
};
pub use manifest::{Change, Changes, Manifest, Sample, Split};
pub use normalize::{
    IMAGENET_MEAN, IMAGENET_STD, Normalize, maps_to_tensor, to_targets, to_tensor,
};
pub use pixels::{ClassMap, Image, Size};
pub use source::{Content, Label, Source};
#[cfg(feature = "fashion-mnist")]
pub use sources::{cluttered_fashion, fashion_mnist};
pub use sources::{image_files, open};
pub use splits::{SkippedImage, Splits};
pub use view::View;
