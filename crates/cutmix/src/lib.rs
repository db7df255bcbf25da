//! CutMix for [Burn](https://burn.dev): cut a region out of every image of a batch, fill it from
//! another image of the batch, and mix the labels by area (Yun et al., ICCV 2019).
//!
//! The crate also has the relatives of CutMix: MixUp, CutOut, FMix and ResizeMix, label smoothing,
//! and the losses that accept mixed labels. The trainer that runs them as algorithms is the crate
//! `cutmix-train`.
//!
//! # Example
//!
//! ```
//! use burn::tensor::{Device, Distribution, Int, Tensor};
//! use cutmix::functional::cutmix_batch;
//! use cutmix::loss::CrossEntropy;
//! use cutmix::plan::Stream;
//!
//! let device = Device::default();
//! let stream = Stream::new(42);
//! # let model = |x: Tensor<4>| x.flatten::<2>(1, 3).slice_dim(1, 0..10);
//! for step in 0..3 {
//!     let x = Tensor::<4>::random([4, 3, 32, 32], Distribution::Default, &device);
//!     let y = Tensor::<1, Int>::from_data([0, 1, 2, 3], &device);
//!
//!     let (x, y) = cutmix_batch(x, y, 10, 1.0, &mut stream.at(step))?;
//!
//!     let loss = CrossEntropy::new().forward(model(x), y)?;
//! }
//! # Ok::<(), cutmix::Error>(())
//! ```
//!
//! # Plans and operations
//!
//! The host decides and the device executes. A [`plan::Plan`] holds everything that is random about
//! one mixed batch: regions, partners and lambda. It consists of a few numbers and is a pure function
//! of the seed, the step and the shape of the batch. The functions of [`ops`] apply a plan on the
//! device of the batch; they read nothing back from it.
//!
//! # Features
//!
//! The backends are those of Burn: `flex` (the CPU, a default feature), `vulkan`, `wgpu`, `webgpu`,
//! `metal`, `cuda` and `rocm`. A program may include several and choose one at run time by its
//! `Device`. The default feature `autotune` makes a GPU try the kernels of an operation and keep the
//! fastest. The feature `host`, which `flex` enables, provides `ops::host`: the CPU kernels on plain
//! slices.

pub mod functional;
pub mod loss;
pub mod ops;
pub mod plan;

mod error;
mod targets;

pub use error::Error;
pub use targets::Targets;
