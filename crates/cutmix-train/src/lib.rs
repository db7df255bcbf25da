//! A training loop for [Burn](https://burn.dev) with algorithms such as CutMix.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use cutmix_train::{Error, Loader, Network};
//! use cutmix_train::algorithms::CutMix;
//! use cutmix_train::TrainerConfig;
//!
//! # fn run(model: impl Network, train: Arc<dyn Loader>, val: Arc<dyn Loader>) -> Result<(), Error> {
//! let fit = TrainerConfig::new("10ep".parse()?)
//!     .init(model, train)
//!     .eval("val", val)
//!     .algorithm(CutMix::new())
//!     .fit()?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Trainer`] runs the loop, which lasts any [`Duration`], to the batch.
//! - [`Event`] names the moments of a run, and [`State`] is everything that a run changes. At each
//!   event [`Algorithm`](algorithms::Algorithm)s act on the state, then [`Callback`]s look at it.
//! - [`Network`], [`Loss`], [`Loader`] and Burn's metrics are what a user brings.
//! - [`Checkpoints`], [`Checkpoint`] and [`Trainer::resume`]: a run that was killed continues to the
//!   same weights, bit for bit on the CPU.
//! - [`Stop`] ends a run from outside, [`Patience`] when it no longer improves.
//! - [`loggers`] write the losses and scores of a run to files or a terminal.

#[macro_use]
mod setters;

pub mod algorithms;
pub mod loggers;

mod atomic;
mod callback;
mod checkpoint;
mod clock;
mod data;
mod error;
mod evaluate;
mod event;
mod fit;
mod frozen;
mod history;
mod loss;
mod metrics;
mod network;
mod parameters;
mod schedule;
mod state;
mod stop;
mod time;
mod trainer;
mod world;

pub use atomic::AtomicFile;
pub use callback::Callback;
pub use checkpoint::{Checkpoint, Checkpoints, FolderLock, Latest};
pub use data::{Batch, Batches, BurnLoader, Loader, LoaderError};
pub use error::{CheckpointProblem, Error};
pub use evaluate::Evaluator;
pub use event::Event;
pub use history::{History, Report, Score};
pub use loss::{Loss, LossFn, Reduction};
pub use metrics::{
    Calibration, CalibrationBin, ClassScores, ConfusionMatrix, LabelError, LabelScores,
    MeanAveragePrecision, Outputs, Prediction, label_errors,
};
pub use network::{Network, WithForward};
pub use parameters::{is_part_of, parameter_names};
pub use schedule::Schedule;
pub use state::{Interpolation, Logged, State};
pub use stop::Stop;
pub use time::{Duration, Time};
pub use trainer::{Fit, OnNan, Patience, Trainer, TrainerConfig};
#[cfg(feature = "mpi")]
pub use world::mpi;
pub use world::{Alone, Share, Sum, World, gather, sum_in_pairs};
