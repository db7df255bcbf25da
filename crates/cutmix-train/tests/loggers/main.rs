//! What loggers write, also of a run that was killed and resumed.

#[path = "../common/mod.rs"]
mod common;

mod files;
mod renderer;
mod tensorboard;

use std::fs;
use std::path::Path;

use cutmix_train::algorithms::{CutMix, OneOf};
use cutmix_train::loggers::{Csv, JsonLines, TensorBoard};
use cutmix_train::{Checkpoint, Checkpoints, Event, Trainer};
use serde_json::Value;

use common::*;

/// A run of batches of two parts, in epochs of 3.
fn run(folder: &Path, max_duration: &str) -> Trainer<Tiny> {
    trainer(
        config(max_duration)
            .with_accumulate(2)
            .with_learning_rate(0.5),
        Samples::new(11, 2).fixed(),
    )
    .eval("val", Samples::new(5, 5).loader())
    .algorithm(
        OneOf::new()
            .with(1.0, CutMix::new())
            .with(1.0, CutMix::new()),
    )
    .checkpoints(Checkpoints::new(folder.join("saved")).with_save_interval(duration("2ba")))
    .logger(Csv::new(folder.join("metrics.csv")))
    .logger(JsonLines::new(folder.join("log.jsonl")))
    .logger(TensorBoard::new(folder.join("tensorboard")))
}

/// The same, killed at batch 5, after the checkpoint of batch 4, and resumed.
fn resumed(folder: &Path) {
    let killed = run(folder, "7ba")
        .callback(kill_at(Event::BatchStart, 5))
        .fit();
    assert_eq!(argument(killed.unwrap_err()).0, "power");
    // A process that is killed may leave half a line.
    let log = folder.join("log.jsonl");
    let mut text = fs::read_to_string(&log).unwrap();
    assert!(text.lines().any(|line| line.contains("\"batch\":3,")));
    text.push_str("{\"kind\":\"batch\",\"batch\":3");
    fs::write(&log, text).unwrap();
    run(folder, "7ba").resume(latest(folder)).fit().unwrap();
}

fn latest(folder: &Path) -> Checkpoint {
    Checkpoint::latest(&folder.join("saved"))
        .unwrap()
        .checkpoint
}

/// The lines of the log without the times, which differ from run to run.
fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            for time in ["elapsed", "seconds", "train_seconds", "data_seconds"] {
                value.as_object_mut().unwrap().remove(time);
            }
            value
        })
        .collect()
}
