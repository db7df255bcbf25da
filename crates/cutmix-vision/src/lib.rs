//! Image data sets, batches and residual networks for [`cutmix`].
//!
//! - [`fashion_mnist`], [`idx`], [`cifar`], [`image_folder`] and [`open`] give a [`Dataset`], or two of them as [`Splits`];
//! - [`Loader`] makes normalised and augmented batches of one, ahead of time and on threads of its own;
//! - [`ResNet`] is the network family of He et al., for small images and for ImageNet's.
//!
//! Everything random is a function of a seed that the caller gives; everything wrong with the data
//! is a [`DataError`] that says which file or argument and what is accepted.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/TRAINER.md")]
struct TrainersGuide;

mod dataset;
mod error;
mod loader;
mod resnet;
mod transform;

pub use dataset::{
    CACHE_LIMIT, Dataset, FolderOptions, OnBadImage, SkippedImage, Splits, cifar, fashion_mnist,
    idx, image_folder, load_image, open,
};
pub use error::DataError;
pub use loader::{Loader, LoaderOptions};
pub use resnet::{Architecture, ResNet, ResNetConfig, UnknownArchitecture};
pub use transform::{Augment, IMAGENET_MEAN, IMAGENET_STD, Normalize, to_tensor};
