//! Convolution and batch normalisation for training on Burn's CPU backend.
//!
//! [`Conv2d`] and [`BatchNorm`] stand in for Burn's modules of these names. They have the same
//! parameters under the same names, so that records of either can be read by the other. On Burn's
//! backend Flex, in f32 and where the processor has vector instructions, they run the kernels of this
//! crate; everywhere else, and for groups of fewer than eight output channels, they run Burn's own
//! operations.
//!
//! The images that they return have the usual shape `[N, C, H, W]`, but lie in memory with the channels
//! of a position side by side. Every operation of Burn takes them; its element-wise ones are faster on
//! other images, so a rectifier and a sum belong into [`BatchNorm::forward_add_relu`].
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::BatchNormConfig;
//! use burn::nn::conv::Conv2dConfig;
//! use burn::tensor::{Device, Tensor};
//! use flex_nn::{BatchNorm, Conv2d};
//!
//! #[derive(Module, Debug)]
//! struct Layer {
//!     conv: Conv2d,
//!     norm: BatchNorm,
//! }
//!
//! impl Layer {
//!     fn new(device: &Device) -> Self {
//!         Self {
//!             conv: Conv2dConfig::new([3, 16], [3, 3]).init(device).into(),
//!             norm: BatchNormConfig::new(16).init(device).into(),
//!         }
//!     }
//!
//!     fn forward(&self, images: Tensor<4>) -> Tensor<4> {
//!         self.norm.forward_relu(self.conv.forward(images))
//!     }
//! }
//!
//! let device = Device::default();
//! let output = Layer::new(&device).forward(Tensor::zeros([2, 3, 8, 8], &device));
//! assert_eq!(output.dims(), [2, 16, 6, 6]);
//! ```

#[cfg(feature = "flex")]
mod autodiff;
#[cfg(feature = "flex")]
mod backend;
#[cfg(feature = "flex")]
mod flex;
mod modules;
mod sgd;

pub mod host;

#[cfg(feature = "flex")]
pub use backend::{ConvState, Maybe, NnGradients, NnOps, NormState};
pub use modules::{BatchNorm, Conv2d, MaxPool2d, global_mean, subsample};
pub use sgd::{Sgd, SgdState};
