//! What the program says of a feature that it was built without. CI runs this in the build that has only
//! a CPU and a GPU.

use std::path::Path;

use tempfile::tempdir;

/// The message of a command that must fail, where `launched` processes were started together.
#[allow(dead_code)] // A build may have all features.
fn error(folder: &Path, arguments: &[&str], launched: &str) -> String {
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(arguments)
        .current_dir(folder)
        .env("OMPI_COMM_WORLD_SIZE", launched)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_is_refused_with_those_that_are_there() {
    let folder = tempdir().unwrap();
    let message = error(folder.path(), &["train", "--device", "cuda"], "1");
    assert!(message.contains("available here: "), "{message}");
    assert!(
        message.ends_with("--features cuda to add it\n"),
        "{message}"
    );
}

#[cfg(not(feature = "dashboard"))]
#[test]
fn the_dashboard_is_refused() {
    let folder = tempdir().unwrap();
    let message = error(folder.path(), &["train", "--dashboard"], "1");
    assert!(
        message.ends_with("--features dashboard to add it\n"),
        "{message}"
    );
}

#[cfg(not(feature = "hub"))]
#[test]
fn a_repository_of_weights_is_refused() {
    let folder = tempdir().unwrap();
    let arguments = ["train", "--weights", "timm/resnet18.a1_in1k"];
    let message = error(folder.path(), &arguments, "1");
    assert!(
        message.ends_with("--features hub to download weights\n"),
        "{message}"
    );
}

#[cfg(not(feature = "mpi"))]
#[test]
fn one_of_several_processes_is_refused() {
    let folder = tempdir().unwrap();
    let message = error(folder.path(), &["train"], "2");
    assert!(message.contains("2 processes were started"), "{message}");
    assert!(message.contains("--features mpi"), "{message}");
}

#[cfg(not(feature = "onnx"))]
#[test]
fn an_onnx_model_is_refused() {
    let folder = tempdir().unwrap();
    let train = "train --device cpu --limit 64 --duration 1ba --output run";
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(train.split(' '))
        .current_dir(folder.path())
        .assert()
        .success();
    let export = ["export", "run", "--format", "onnx"];
    let message = error(folder.path(), &export, "1");
    assert!(
        message.ends_with("--features onnx to add it\n"),
        "{message}"
    );
}
