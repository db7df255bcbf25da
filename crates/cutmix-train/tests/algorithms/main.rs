//! The algorithms: what each does to a run, when it acts, and several of them together.

#[path = "../common/mod.rs"]
mod common;

mod combinators;
mod ema;
mod fixtures;
mod freeze;
mod gradients;
mod mixers;
mod progressive_resizing;
mod refusals;
mod registry;
mod steps;
mod together;

use burn::optim::SgdConfig;
use burn::tensor::Device;
use common::{CLASSES, Quiet, Samples, Shared, Tiny, read, values};
use cutmix::Targets;
use cutmix_train::algorithms::Algorithm;
use cutmix_train::{Batch, Error, Event, Fit, Network, State, Trainer, TrainerConfig};
use fixtures::images_of_size;

const SEED: u64 = 7;
const BATCH: usize = 4;

/// What a batch has become before its backward pass.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    images: Vec<f32>,
    spatial: [usize; 2],
    targets: Vec<f32>,
    loss_targets: Option<Vec<f32>>,
    /// Lambda and the targets of the partners.
    interpolation: Option<(f64, Vec<f32>)>,
    logged: Vec<(String, f64)>,
}

impl Seen {
    fn logged(&self, name: &str) -> Option<f64> {
        let logged = self.logged.iter().find(|(logged, _)| logged == name);
        logged.map(|(_, value)| *value)
    }
}

/// Keeps what each batch has become; added last.
#[derive(Clone, Default)]
struct Probe(Shared<Seen>);

impl Probe {
    fn seen(&self) -> Vec<Seen> {
        read(&self.0)
    }
}

impl<M> Algorithm<M> for Probe {
    fn name(&self) -> String {
        "probe".into()
    }

    fn apply(&mut self, event: Event, state: &mut State<M>) -> Result<(), Error> {
        if event == Event::BeforeBackward {
            self.0.lock().unwrap().push(seen(state)?);
        }
        Ok(())
    }
}

fn seen<M>(state: &State<M>) -> Result<Seen, Error> {
    let dense = |targets: &Targets| targets.clone().into_dense(CLASSES).map(values);
    let [_, _, height, width] = state.images()?.dims();
    Ok(Seen {
        images: values(state.images()?.clone()),
        spatial: [height, width],
        targets: dense(&state.targets)?,
        loss_targets: state.loss_targets.as_ref().map(dense).transpose()?,
        interpolation: (state.interpolation.as_ref())
            .map(|partners| Ok::<_, Error>((partners.lambda, dense(&partners.targets)?)))
            .transpose()?,
        logged: (state.logged().iter())
            .map(|logged| (logged.name.to_string(), logged.value))
            .collect(),
    })
}

/// Batches that never repeat.
fn data(batches: usize) -> Samples {
    images_of_size(BATCH * batches, BATCH, [4, 4])
}

fn config(max_duration: &str) -> TrainerConfig {
    common::config(max_duration).with_seed(SEED)
}

/// A trainer of this network on `batches` batches an epoch.
fn trainer_of<M: Network>(config: TrainerConfig, model: M, batches: usize) -> Trainer<M> {
    (config.init(model, data(batches).loader()))
        .optimizer(SgdConfig::new().init())
        .logger(Quiet)
}

fn trainer(batches: usize) -> Trainer<Tiny> {
    trainer_of(config("1ep"), Tiny::new(&Device::default()), batches)
}

fn fit(batches: usize, algorithms: Vec<Box<dyn Algorithm<Tiny>>>) -> Result<Fit<Tiny>, Error> {
    (algorithms.into_iter())
        .fold(trainer(batches), Trainer::algorithm)
        .fit()
}

/// Every batch of a run of one epoch of `batches` batches.
fn steps(batches: usize, mut algorithms: Vec<Box<dyn Algorithm<Tiny>>>) -> Vec<Seen> {
    let probe = Probe::default();
    algorithms.push(Box::new(probe.clone()));
    fit(batches, algorithms).unwrap();
    probe.seen()
}

/// A batch of `data(batches)`, as the data have it.
fn batch(batches: usize, step: usize) -> Batch {
    data(batches).batch(step)
}

/// Shorter to write in lists.
fn boxed<M>(algorithm: impl Algorithm<M> + 'static) -> Box<dyn Algorithm<M>> {
    Box::new(algorithm)
}

/// The argument that an error is about.
#[track_caller]
fn argument(error: &Error) -> &'static str {
    match error {
        Error::Argument { argument, .. } => argument,
        Error::Mix(cutmix::Error::Argument { argument, .. }) => argument,
        other => panic!("not about an argument: {other}"),
    }
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance,
            "number {index}: {found}, not {expected}"
        );
    }
}
