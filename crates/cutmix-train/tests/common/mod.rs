//! A tiny network, data in memory, and algorithms and loggers that record what happens.

// Each of the test programs uses a part.
#![allow(dead_code)]

mod data;
mod network;
mod recorders;

use std::sync::{Arc, Mutex};

use burn::optim::SgdConfig;
use burn::tensor::{Device, Tensor};
use cutmix::plan::Stream;
use cutmix_train::{Duration, Error, Fit, Schedule, Trainer, TrainerConfig};
use rand::RngExt;

pub use data::*;
pub use network::*;
pub use recorders::*;

pub const CLASSES: usize = 3;

/// A list that a recorder fills and a test reads.
pub type Shared<T> = Arc<Mutex<Vec<T>>>;

/// What has been recorded.
pub fn read<T: Clone>(shared: &Shared<T>) -> Vec<T> {
    shared.lock().unwrap().clone()
}

pub fn duration(text: &str) -> Duration {
    text.parse().unwrap()
}

/// A constant learning rate of 0.1.
pub fn config(max_duration: &str) -> TrainerConfig {
    TrainerConfig::new(duration(max_duration))
        .with_learning_rate(0.1)
        .with_schedule(Schedule::Constant)
        .with_warmup(Duration::Batches(0))
}

/// A trainer by plain gradient descent, which prints nothing.
pub fn trainer(config: TrainerConfig, train: Samples) -> Trainer<Tiny> {
    let model = Tiny::new(&Device::default());
    config
        .init(model, train.loader())
        .optimizer(SgdConfig::new().init())
        .logger(Quiet)
}

/// Eleven samples in batches of 4, 4 and 3.
pub fn eleven() -> Samples {
    Samples::new(11, 4)
}

/// The argument and the value of an error, also of one inside an algorithm's.
#[track_caller]
pub fn argument(error: Error) -> (&'static str, String) {
    match error {
        Error::Argument {
            argument, value, ..
        }
        | Error::Mix(cutmix::Error::Argument {
            argument, value, ..
        }) => (argument, value),
        Error::Algorithm { source, .. } => argument(*source),
        other => panic!("{other:?}"),
    }
}

/// The argument of the error of a run that has not trained a batch.
#[track_caller]
pub fn refused(
    config: TrainerConfig,
    change: impl FnOnce(Trainer<Tiny>) -> Trainer<Tiny>,
) -> (&'static str, String) {
    let log = Shared::default();
    let trainer = trainer(config, eleven()).algorithm(Recorder::new(&log));
    let error = change(trainer).fit().unwrap_err();
    assert!(!read(&log).iter().any(|entry| entry.starts_with("BatchEnd")));
    argument(error)
}

/// Elapsed batches, the learning rate and the named scores of a report.
pub type ReportScores = (u64, f64, Vec<(String, f64)>);

/// Everything of a run's reports but the time that it took.
pub fn scores<M>(fit: &Fit<M>) -> Vec<ReportScores> {
    let reports = fit.history.reports.iter();
    reports
        .map(|report| {
            let scores = report
                .scores
                .iter()
                .map(|score| (score.name.clone(), score.value));
            (report.batches, report.learning_rate, scores.collect())
        })
        .collect()
}

#[track_caller]
pub fn assert_close(values: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(values.len(), expected.len());
    let is_close = |(value, expected): (&f64, &f64)| (value - expected).abs() <= tolerance;
    assert!(
        values.iter().zip(expected).all(is_close),
        "{values:?}, not {expected:?}"
    );
}

/// Uniform numbers from a seed alone, as the generator of the device is shared by the tests.
pub fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut rng = Stream::new(seed).at(0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random()).collect();
    Tensor::<1>::from_floats(values.as_slice(), device).reshape(shape)
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
