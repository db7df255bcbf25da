//! Fast convolution, normalisation, pooling and SGD for training on Burn's CPU backend.
//!
//! [`Conv2d`], [`BatchNorm`] and [`MaxPool2d`] stand in for Burn's modules of these names, and [`Sgd`]
//! for its optimizer. Their parameters and states have the same names, so that records of either can be
//! read by the other. On Burn's backend Flex, in f32 and where the processor has vector instructions,
//! they run the kernels of this crate. Everywhere else they run Burn's own operations, and so they do for
//! convolutions in small groups (of fewer than eight output channels, unless each channel is convolved
//! by itself).
//!
//! The images that they return have the usual shape `[N, C, H, W]`, but lie in memory with the channels
//! of a position side by side. Every operation of Burn takes them; its element-wise ones are faster on
//! other images, so a rectifier and a sum belong in [`Conv2d::forward_norm_add_relu`], which for
//! inference is one pass, and the mean over positions in [`global_mean`].
//!
//! Each operation shares its work with the threads of rayon's global pool. A program that trains on a
//! thread of its own is faster where this thread is one of the pool's, as
//! `rayon::ThreadPoolBuilder::new().use_current_thread().build_global()` makes it.
//! With a pool of one thread do not do so: the pool would no longer do the work of other threads.
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
pub use modules::{BatchNorm, Conv2d, MaxPool2d, conv2d, global_mean, subsample};
pub use sgd::{Sgd, SgdState};
