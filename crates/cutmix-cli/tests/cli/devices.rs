//! Several devices; here it is the CPU more than once. Workers are in tests/remote.rs.

use std::fs;

use crate::runs::metrics;
use crate::{error, output, scratch, tiny};

#[test]
fn two_devices_train_as_one_does() {
    let folder = scratch();
    let path = folder.path();
    let shown = output(path, &tiny_on("cpu,cpu", &["--output", "two"]));
    assert!(shown.contains("device     cpu, cpu\n"), "{shown}");
    output(
        path,
        &tiny_on("cpu", &["--accumulate", "2", "--output", "one"]),
    );
    // All but the evaluation: the one device has normalisation statistics of every part.
    let trained = |run: &str| {
        let rows = metrics(&path.join(run));
        let row = |row: &String| row.split(',').take(6).map(String::from).collect::<Vec<_>>();
        rows.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(trained("two"), trained("one"));

    let config = fs::read_to_string(path.join("two/config.toml")).unwrap();
    assert!(config.contains("accumulate = 2\n"), "{config}");
    assert!(config.contains("device = \"cpu,cpu\"\n"), "{config}");
    let again = ["train", "--config", "two/config.toml", "--output", "again"];
    output(path, &again);
    assert_eq!(metrics(&path.join("again")), metrics(&path.join("two")));
    let told = error(
        path,
        &["train", "--resume", "two", "--device", "cpu,cpu,cpu"],
    );
    assert_eq!(
        told,
        "--devices is cpu,cpu,cpu, expected at most 2, one for each part of a batch (--accumulate)"
    );
}

/// A tiny run on these devices.
fn tiny_on<'a>(devices: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = tiny(more);
    let place = arguments.iter().position(|argument| *argument == "cpu");
    arguments[place.unwrap()] = devices;
    arguments
}

#[test]
fn lists_of_devices_that_make_no_sense_are_told() {
    let folder = scratch();
    let told = |devices, more: &[&str]| {
        let options = ["train", "--limit", "64", "--devices", devices];
        error(folder.path(), &[&options[..], more].concat())
    };
    let told = [
        told("cpu,cpu,cpu", &["--batch-size", "16"]),
        told("cpu,cpu", &["--accumulate", "1"]),
        told("cpu,remote:host:1,remote:host:1", &[]),
        told("cpu,cpu", &["--batch-size", "100"]),
        told("cpu,cpu", &["--precision", "bf16"]),
        told("cpu,", &[]),
        error(
            folder.path(),
            &["bench", "--device", "remote:127.0.0.1:7001"],
        ),
    ];
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(not(feature = "remote"))]
#[test]
fn workers_that_are_not_in_the_build_are_told() {
    let folder = scratch();
    for arguments in [
        &["serve"][..],
        &["train", "--devices", "cpu,remote:127.0.0.1:7001"],
    ] {
        let told = error(folder.path(), arguments);
        assert_eq!(
            told,
            "workers are not in this build; build with --features remote to add them"
        );
    }
}
