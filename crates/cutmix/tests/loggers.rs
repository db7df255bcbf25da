//! What loggers write, also of a run that was stopped and went on.

#[allow(dead_code)] // other tests use the rest of it
#[path = "trainer/setting.rs"]
mod setting;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::Device;
use cutmix::Error;
use cutmix::algorithms::{CutMix, OneOf};
use cutmix::trainer::{
    Checkpoint, Checkpoints, Csv, Event, JsonLines, Schedule, TensorBoard, Trainer,
};
use serde_json::Value;
use setting::*;

/// A run of 7 batches, in epochs of 3, of which each is of two parts.
fn run(folder: &Path) -> Trainer<Tiny> {
    let device = Device::default();
    Trainer::new(Tiny::new(&device), Batches::new(11, 2, &device).loader())
        .eval_loader(Batches::new(5, 5, &device).loader())
        .max_duration("7ba".parse().unwrap())
        .accumulate(2)
        .learning_rate(0.5)
        .schedule(Schedule::constant())
        .algorithm(
            OneOf::new()
                .add(1.0, CutMix::new(CLASSES))
                .add(1.0, CutMix::new(CLASSES)),
        )
        .checkpoints(Checkpoints::new(folder.join("saved")).every("2ba".parse().unwrap()))
        .logger(Csv::new(folder.join("metrics.csv")))
        .logger(JsonLines::new(folder.join("log.jsonl")))
        .logger(TensorBoard::new(folder.join("tensorboard")))
}

/// The same, stopped before batch 5, after the checkpoint of batch 4, and resumed.
fn resumed(folder: &Path) {
    run(folder)
        .callback(|event: Event<'_>| match event {
            Event::BatchStart(step) if step.time().batch == 5 => {
                Err(Error::argument("power", "off", "on"))
            }
            _ => Ok(()),
        })
        .fit()
        .unwrap_err();
    // A process that is killed may leave half a line.
    let log = folder.join("log.jsonl");
    let mut text = fs::read_to_string(&log).unwrap();
    assert!(text.lines().any(|line| line.contains("\"batch\":4,")));
    text.push_str("{\"kind\":\"batch\",\"batch\":3");
    fs::write(&log, text).unwrap();
    let latest = Checkpoint::latest(&folder.join("saved")).unwrap();
    run(folder).resume(latest.checkpoint).fit().unwrap();
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            // Times differ from run to run.
            for time in ["elapsed", "seconds", "train_seconds"] {
                value.as_object_mut().unwrap().remove(time);
            }
            value
        })
        .collect()
}

#[test]
fn json_lines_hold_every_batch_and_report_once() {
    let [whole, stopped] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    run(whole.path()).fit().unwrap();
    resumed(stopped.path());
    let lines_of_whole = lines(whole.path());
    assert_eq!(lines(stopped.path()), lines_of_whole);
    let kinds: Vec<_> = lines_of_whole.iter().map(|line| &line["kind"]).collect();
    let expected = [
        "batch", "batch", "batch", "report", "batch", "batch", "batch", "report", "batch", "report",
    ];
    assert_eq!(kinds, expected);
    let fourth = &lines_of_whole[4];
    assert_eq!(fourth["batch"], 3);
    assert_eq!(fourth["samples"], 11);
    assert_eq!(fourth["epoch"], 1.0);
    assert_eq!(fourth["learning_rate"], 0.5);
    let notes = &fourth["notes"];
    assert!((0.0..=1.0).contains(&notes["cutmix/lambda"].as_f64().unwrap()));
    // The mean over two parts.
    assert!([0.0, 0.5, 1.0].contains(&notes["one-of/choice"].as_f64().unwrap()));
    assert_eq!(lines_of_whole[3]["batches"], 3);
    assert!(lines_of_whole[3]["eval"]["loss"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_table_holds_every_report_once() {
    let [whole, stopped] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    run(whole.path()).fit().unwrap();
    resumed(stopped.path());
    let rows = |folder: &Path| {
        let text = fs::read_to_string(folder.join("metrics.csv")).unwrap();
        let rows = text.lines().map(|row| row.rsplit_once(',').unwrap().0);
        rows.map(String::from).collect::<Vec<_>>()
    };
    let rows_of_whole = rows(whole.path());
    assert_eq!(rows(stopped.path()), rows_of_whole);
    assert_eq!(rows_of_whole.len(), 4);
    let starts: Vec<_> = (rows_of_whole[1..].iter())
        .map(|row| row.split(",0.5").next().unwrap())
        .collect();
    assert_eq!(starts, ["1,3,11", "2,6,22", "2.3636,7,26"]);
}

/// Scalars of an event file by tag, as (step, value), and the steps at which a session starts.
type Events = (BTreeMap<String, Vec<(u64, f32)>>, Vec<u64>);

/// A reader of what the format's description says, checksums included.
fn events(path: &Path) -> Events {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let (mut scalars, mut starts) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    let mut number = 0;
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
        let data = &rest[12..12 + length];
        assert_eq!(rest[12 + length..16 + length], masked(data).to_le_bytes());
        rest = &rest[16 + length..];

        let event = fields(data);
        let step = event.get(&2).map_or(0, |step| number_of(step));
        if number == 0 {
            assert_eq!(event[&3], b"brain.Event:2");
        }
        if let Some(summary) = event.get(&5) {
            for (_, value) in all_fields(summary) {
                let value = fields(&value);
                let tag = String::from_utf8(value[&1].clone()).unwrap();
                let scalar = f32::from_le_bytes(value[&2].as_slice().try_into().unwrap());
                scalars.entry(tag).or_default().push((step, scalar));
            }
        }
        if let Some(session) = event.get(&7) {
            assert_eq!(number_of(&fields(session)[&1]), 1);
            starts.push(step);
        }
        number += 1;
    }
    (scalars, starts)
}

/// CRC-32C bit by bit, rotated and shifted as the format has it.
fn masked(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    ((!crc).rotate_right(15)).wrapping_add(0xa282_ead8)
}

fn number_of(varint: &[u8]) -> u64 {
    let sevens = varint.iter().rev();
    sevens.fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f))
}

fn fields(message: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    all_fields(message).into_iter().collect()
}

/// The fields of a protocol-buffer message.
fn all_fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    fn varint<'a>(message: &mut &'a [u8]) -> &'a [u8] {
        let end = message.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let (varint, rest) = message.split_at(end + 1);
        *message = rest;
        varint
    }
    while !message.is_empty() {
        let key = number_of(varint(&mut message));
        let length = match key & 7 {
            0 => {
                let value = varint(&mut message).to_vec();
                found.push((key >> 3, value));
                continue;
            }
            1 => 8,
            2 => number_of(varint(&mut message)) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = message.split_at(length);
        message = rest;
        found.push((key >> 3, value.to_vec()));
    }
    found
}

fn event_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("tensorboard")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn event_files_hold_every_scalar_with_its_checksum() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path()).fit().unwrap();
    let files = event_files(folder.path());
    assert_eq!(files.len(), 1);
    let (scalars, starts) = events(&files[0]);
    assert!(starts.is_empty());
    let tags: Vec<_> = scalars.keys().map(String::as_str).collect();
    let expected = [
        "cutmix/lambda",
        "eval/accuracy",
        "eval/loss",
        "learning_rate",
        "one-of/choice",
        "train/accuracy",
        "train/loss",
    ];
    assert_eq!(tags, expected);
    let steps = |tag: &str| scalars[tag].iter().map(|point| point.0).collect::<Vec<_>>();
    assert_eq!(steps("train/loss"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(steps("eval/loss"), [3, 6, 7]);
    let log = lines(folder.path());
    assert_eq!(
        scalars["train/loss"][0].1,
        log[0]["loss"].as_f64().unwrap() as f32
    );

    // A run that goes on tells what is no longer true. Files of one second are told by the process.
    let folder = tempfile::tempdir().unwrap();
    run(folder.path())
        .max_duration("4ba".parse().unwrap())
        .fit()
        .unwrap();
    let first = event_files(folder.path());
    fs::rename(
        &first[0],
        first[0].with_file_name("events.out.tfevents.1.cutmix.1"),
    )
    .unwrap();
    let latest = Checkpoint::latest(&folder.path().join("saved")).unwrap();
    run(folder.path()).resume(latest.checkpoint).fit().unwrap();
    let files = event_files(folder.path());
    assert_eq!(files.len(), 2);
    let (scalars, starts) = events(&files[1]);
    assert_eq!(starts, [5]);
    let steps: Vec<_> = scalars["train/loss"].iter().map(|point| point.0).collect();
    assert_eq!(steps, [5, 6, 7]);

    // So does one that begins anew, because it was killed before it had saved itself.
    fs::remove_dir_all(folder.path().join("tensorboard")).unwrap();
    fs::remove_dir_all(folder.path().join("saved")).unwrap();
    fs::create_dir(folder.path().join("tensorboard")).unwrap();
    fs::write(
        first[0].with_file_name("events.out.tfevents.1.cutmix.1"),
        "",
    )
    .unwrap();
    run(folder.path()).fit().unwrap();
    let files = event_files(folder.path());
    assert_eq!(files.len(), 2);
    let (_, starts) = events(&files[1]);
    assert_eq!(starts, [1]);
}

/// Needs Python with the package `tensorboard`: that of the environment variable `PYTHON`, or
/// `python3`. `CUTMIX_REQUIRE_TENSORBOARD` makes its absence a failure.
#[test]
fn tensorboard_reads_the_event_files() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path()).fit().unwrap();
    let script = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
tags = events.Tags()['scalars']
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags}))
";
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let output = Command::new(python)
        .args(["-c", script])
        .arg(folder.path().join("tensorboard"))
        .output();
    let required = std::env::var_os("CUTMIX_REQUIRE_TENSORBOARD").is_some();
    let output = match output {
        Ok(output) if output.status.success() => output,
        other => {
            assert!(!required, "{other:?}");
            println!("SKIPPED: no Python with tensorboard here");
            return;
        }
    };
    let read: BTreeMap<String, Vec<(u64, f32)>> = serde_json::from_slice(&output.stdout).unwrap();
    let (scalars, _) = events(&event_files(folder.path())[0]);
    assert_eq!(read, scalars);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_with_the_path() {
    let device = Device::default();
    let trainer = || Trainer::new(Tiny::new(&device), Batches::new(4, 4, &device).loader());
    let full = "cannot write `/dev/full`: No space left on device (os error 28)";
    let errors = [
        trainer().logger(Csv::new("/dev/full")).fit(),
        trainer().logger(JsonLines::new("/dev/full")).fit(),
    ];
    for error in errors {
        assert_eq!(error.unwrap_err().to_string(), full);
    }
    let error = trainer().logger(TensorBoard::new("/dev/full")).fit();
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("cannot write `/dev/full`: "), "{error}");
}
