//! CutMix for [Burn](https://burn.dev): cut a box out of every image of a batch, fill it from
//! another image of the batch, and mix the labels by area (Yun et al., ICCV 2019).
//!
//! # One line in a loop of your own
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
//! # Or an algorithm that a trainer runs
//!
//! See [`trainer::Trainer`] and [`algorithms`].
//!
//! # The idea: decide on the host, execute on the device
//!
//! A [`plan::Plan`] is everything random about one mixed batch: region, partners, lambda. It is a
//! few numbers, a pure function of (seed, step, shape). [`ops`] executes it on whatever device the
//! batch lives on; nothing is read back.
//!
//! # Features
//!
//! The backends are Burn's: `flex` (the CPU, the default), `vulkan`, `wgpu`, `webgpu`, `metal`,
//! `cuda`, `rocm`; several may be compiled into one program, which picks at run time by its
//! `Device`. `autotune`, also a default, lets a GPU try the kernels for an operation and keep the
//! fastest. `remote` adds devices of other machines, to train on: `docs/DEVICES.md`.

pub mod algorithms;
pub mod functional;
pub mod loss;
pub mod ops;
pub mod plan;
pub mod time;
pub mod trainer;

mod batch;
mod error;
mod targets;

pub use batch::Batch;
pub use error::Error;
pub use targets::Targets;
pub use trainer::Classifier;
