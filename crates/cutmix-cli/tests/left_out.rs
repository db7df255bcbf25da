//! A program without a feature names the feature that is missing. CI runs this in the build for a CPU and a
//! GPU, which lacks the most.
#![allow(dead_code, unused_imports)] // A build may have all features.

use std::path::Path;

use assert_cmd::Command;
use tempfile::tempdir;

/// The program in a folder.
fn cutmix(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutmix"));
    command.current_dir(folder);
    command
}

/// The message of a command that must fail.
fn error(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_is_refused_with_those_that_are_there() {
    let folder = tempdir().unwrap();
    let message = error(cutmix(folder.path()).args(["train", "--device", "cuda"]));
    assert!(message.contains("available here: "), "{message}");
    let end = "--features cuda to add it\n";
    assert!(message.ends_with(end), "{message}");
}

#[cfg(not(feature = "dashboard"))]
#[test]
fn the_dashboard_is_refused() {
    let folder = tempdir().unwrap();
    let message = error(cutmix(folder.path()).args(["train", "--dashboard"]));
    let end = "--features dashboard to add it\n";
    assert!(message.ends_with(end), "{message}");
}

#[cfg(not(feature = "hub"))]
#[test]
fn a_repository_of_weights_is_refused() {
    let folder = tempdir().unwrap();
    let weights = ["train", "--weights", "timm/resnet18.a1_in1k"];
    let message = error(cutmix(folder.path()).args(weights));
    let end = "--features hub to download weights\n";
    assert!(message.ends_with(end), "{message}");
}

#[cfg(not(feature = "mpi"))]
#[test]
fn one_of_several_processes_is_refused() {
    let folder = tempdir().unwrap();
    // As `mpirun -n 2` sets them.
    let launched = [("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "2")];
    let message = error(cutmix(folder.path()).arg("train").envs(launched));
    assert!(message.contains("2 processes were started"), "{message}");
    assert!(message.contains("--features mpi"), "{message}");
}

#[cfg(not(feature = "onnx"))]
#[test]
fn an_onnx_model_is_refused() {
    let folder = tempdir().unwrap();
    let train = "train --device cpu --limit 64 --duration 1ba --output run";
    let mut command = cutmix(folder.path());
    command.args(train.split(' ')).assert().success();
    let message = error(cutmix(folder.path()).args(["export", "run", "--format", "onnx"]));
    let end = "--features onnx to add it\n";
    assert!(message.ends_with(end), "{message}");
}
