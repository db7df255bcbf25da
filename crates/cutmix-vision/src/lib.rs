//! Image data sets, batches and networks for [`cutmix_train`].
//!
//! - [`data`]: [`open`] and [`load_image`] read images, a [`Dataset`] holds labelled ones, and
//!   [`Splits`] are the training, validation and test set of one folder.
//! - [`ImageLoader`] makes normalised and augmented batches, ahead of time and on its own thread.
//!   [`FileBatches`] does so of image files without labels, for inference.
//! - [`Manifest`] records what a run was trained on and names what has changed since.
//! - [`models`] makes a network from its name ([`ModelConfig`]) or from its own configuration
//!   ([`ResNetConfig`]).
//! - [`measures`] tells more of a trained network than its accuracy: occlusion, misleading changes, images
//!   unlike those of the classes, and where objects are.
//! - [`weights`] reads and writes what a network has learnt, with the names of PyTorch.
//!
//! Everything random is a function of a seed that the caller gives. Everything wrong with the data
//! is a [`DataError`] that names the file or argument and what is accepted.
//!
//! The feature `fashion-mnist` adds `fashion_mnist()`, 20,000 embedded images, and
//! `cluttered_fashion()`, which is made of them; `hub` adds
//! `weights::hub`, which downloads weights; `onnx` adds `weights::onnx`, which writes a network as an
//! ONNX model, and `models::multiplies`.

#[cfg(all(doctest, feature = "fashion-mnist"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "fashion-mnist"))]
#[doc = include_str!("../../../docs/TRAINER.md")]
struct TrainerGuide;

pub mod data;
pub mod measures;
pub mod models;
pub mod weights;

pub use data::{
    Augment, Change, Changes, ClassMap, Content, DataConfig, DataError, Dataset, DecodeConfig,
    Depth, FeatureLoader, FileBatch, FileBatches, FileBatchesConfig, Fit, Image, ImageFile,
    ImageLoader, Label, LoaderConfig, Manifest, Normalize, OnBadImage, Rect, Sampler, Size,
    SkippedImage, Source, Split, Splits, View, image_files, load_image, open, to_targets,
    to_tensor,
};
#[cfg(feature = "fashion-mnist")]
pub use data::{cluttered_fashion, fashion_mnist};
pub use models::{AnyNetwork, Classifier, ModelConfig, ModelError, ResNet, ResNetConfig};
