//! The algorithms: what each does to a batch, when it acts, and several of them together.

#[path = "../common/mod.rs"]
mod common;
// The trainer's tests use all of it.
#[allow(dead_code)]
#[path = "../trainer/setting.rs"]
mod setting;

mod combinators;
mod properties;
mod refusals;
mod steps;
mod together;

use std::sync::{Arc, Mutex};

use burn::optim::SgdConfig;
use burn::tensor::Device;
use cutmix::algorithms::{Algorithm, Step};
use cutmix::trainer::{Fit, Schedule, Trainer};
use cutmix::{Batch, Error};
use setting::{Batches, CLASSES, Quiet, Tiny, values};

const SEED: u64 = 7;
const BATCH: usize = 4;

/// What a training step has come to.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    images: Vec<f32>,
    targets: Vec<f32>,
    loss_targets: Option<Vec<f32>>,
    /// Lambda and the targets of the partners.
    interpolation: Option<(f64, Vec<f32>)>,
    notes: Vec<(String, f64)>,
}

impl Seen {
    fn note(&self, name: &str) -> Option<f64> {
        let note = self.notes.iter().find(|(noted, _)| noted == name);
        note.map(|(_, value)| *value)
    }
}

/// Keeps what it sees of each step; added last, what all algorithms have made of it.
struct Probe(Arc<Mutex<Vec<Seen>>>);

impl Algorithm for Probe {
    fn name(&self) -> String {
        "probe".into()
    }

    fn before_backward(&self, step: &mut Step) -> Result<(), Error> {
        let dense = |targets: &cutmix::Targets| targets.clone().into_dense(CLASSES).map(values);
        let seen = Seen {
            images: values(step.images().clone()),
            targets: dense(&step.targets)?,
            loss_targets: step.loss_targets.as_ref().map(dense).transpose()?,
            interpolation: (step.interpolation.as_ref())
                .map(|partners| Ok::<_, Error>((partners.lambda, dense(&partners.targets)?)))
                .transpose()?,
            notes: (step.notes().iter())
                .map(|note| (note.name.to_string(), note.value))
                .collect(),
        };
        self.0.lock().unwrap().push(seen);
        Ok(())
    }
}

/// Batches that never repeat.
fn data(batches: usize) -> Batches {
    Batches::new(BATCH * batches, BATCH, &Device::default())
}

fn trainer(batches: usize) -> Trainer<Tiny> {
    Trainer::new(Tiny::new(&Device::default()), data(batches).loader())
        .optimizer(SgdConfig::new().init())
        .learning_rate(0.1)
        .schedule(Schedule::constant())
        .seed(SEED)
        .logger(Quiet)
}

fn fit(batches: usize, algorithms: Vec<Box<dyn Algorithm>>) -> Result<Fit<Tiny>, Error> {
    (algorithms.into_iter())
        .fold(trainer(batches), Trainer::algorithm)
        .fit()
}

/// Every step of a run of one epoch of so many batches.
fn steps(batches: usize, mut algorithms: Vec<Box<dyn Algorithm>>) -> Vec<Seen> {
    let seen = Arc::default();
    algorithms.push(Box::new(Probe(Arc::clone(&seen))));
    fit(batches, algorithms).unwrap();
    seen.lock().unwrap().clone()
}

/// A batch of `data(batches)`, as the data have it.
fn batch(batches: usize, step: usize) -> Batch {
    data(batches).batch(step)
}

/// Shorter to write in lists.
fn boxed(algorithm: impl Algorithm + 'static) -> Box<dyn Algorithm> {
    Box::new(algorithm)
}
