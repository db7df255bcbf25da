//! Checkpoints: a run that was stopped anywhere ends like one that was not, and nothing that another
//! run wrote is lost.
//!
//! The tests take turns: the CPU has one generator for dropout, which every run seeds.

#[path = "../common/mod.rs"]
mod common;

mod best;
mod extension;
mod files;
mod freeze;
mod not_finite;
mod patience;
mod resumption;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::optim::AdamWConfig;
use burn::tensor::Device;
use cutmix_train::algorithms::{CutMix, Ema};
use cutmix_train::{
    Checkpoint, CheckpointProblem, Checkpoints, Error, Event, Fit, Schedule, Trainer, TrainerConfig,
};

use common::*;

/// Held by each test.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run of 8 batches in epochs of 3, saved after each, that uses all there is to use.
fn run(folder: &Path) -> Trainer<Stateful> {
    let config = TrainerConfig::new(duration("8ba"))
        .with_eval_interval(duration("3ba"))
        .with_learning_rate(0.05)
        .with_schedule(Schedule::Cosine)
        .with_warmup(duration("2ba"))
        .with_best("val/loss")
        .with_seed(3);
    config
        .init(Stateful::new(&Device::default()), eleven().loader())
        .eval("val", Samples::new(5, 5).loader())
        .optimizer(AdamWConfig::new().init())
        .algorithm(CutMix::new())
        .algorithm(Ema::new(0.8))
        .checkpoints(
            Checkpoints::new(folder)
                .with_save_interval(duration("1ba"))
                .with_keep(20),
        )
        .logger(Quiet)
}

/// A run by plain gradient descent without anything that depends on its length.
fn plain(max_duration: &str, folder: &Path) -> Trainer<Tiny> {
    trainer(config(max_duration), eleven()).checkpoints(every_batch(folder))
}

fn every_batch(folder: &Path) -> Checkpoints {
    Checkpoints::new(folder)
        .with_save_interval(duration("1ba"))
        .with_keep(20)
}

/// Everything that comes out of a run but the time that it took.
#[allow(clippy::type_complexity)] // it is compared, not read
fn outcome(
    fit: &Fit<Stateful>,
) -> (
    Vec<f32>,
    Vec<f32>,
    Vec<(u64, f64, Vec<(String, f64)>)>,
    bool,
) {
    let model = &fit.model;
    (
        model.tiny.weights(),
        model.statistics(),
        scores(fit),
        fit.is_complete,
    )
}

/// Ends a run in the middle of batch `at`, as if the process had been killed there.
fn interrupted(folder: &Path, at: u64) {
    let killed = run(folder)
        .callback(kill_at(Event::BeforeForward, at))
        .fit();
    assert_eq!(argument(killed.unwrap_err()).0, "power");
}

fn latest(folder: &Path) -> Checkpoint {
    let latest = Checkpoint::latest(folder).unwrap();
    assert!(latest.damaged.is_empty(), "{:?}", latest.damaged);
    latest.checkpoint
}

fn path(folder: &Path, batch: u64) -> PathBuf {
    folder.join(format!("batch-{batch:08}.checkpoint"))
}

fn at(folder: &Path, batch: u64) -> Checkpoint {
    Checkpoint::read(&path(folder, batch)).unwrap()
}

/// The names of the files in a folder but the lock, in order.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
    names.sort();
    names
}

fn batches(batches: &[u64]) -> Vec<String> {
    let names = batches
        .iter()
        .map(|batch| format!("batch-{batch:08}.checkpoint"));
    names.collect()
}

#[track_caller]
fn problem(error: Error) -> (PathBuf, CheckpointProblem) {
    match error {
        Error::Checkpoint { path, problem } => (path, problem),
        other => panic!("{other:?}"),
    }
}
