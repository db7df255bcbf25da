//! Event files of TensorBoard.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use super::*;

/// Scalars of an event file by tag, as (step, value), and the steps at which a session starts.
type Events = (BTreeMap<String, Vec<(u64, f32)>>, Vec<u64>);

/// Reads what the description of the format says, and checks the checksums.
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

fn rename_first(file: &Path) {
    // Files of one second and one process have the same name.
    fs::rename(file, file.with_file_name("events.out.tfevents.1.cutmix.1")).unwrap();
}

fn steps(scalars: &[(u64, f32)]) -> Vec<u64> {
    scalars.iter().map(|point| point.0).collect()
}

#[test]
fn event_files_hold_every_scalar_with_its_checksum() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "7ba").fit().unwrap();
    let files = event_files(folder.path());
    assert_eq!(files.len(), 1);
    let (scalars, starts) = events(&files[0]);
    assert!(starts.is_empty());
    let tags: Vec<_> = scalars.keys().map(String::as_str).collect();
    let expected = [
        "cutmix/lambda",
        "learning_rate",
        "one-of/choice",
        "train/accuracy",
        "train/loss",
        "val/accuracy",
        "val/loss",
    ];
    assert_eq!(tags, expected);
    assert_eq!(steps(&scalars["train/loss"]), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(steps(&scalars["val/loss"]), [3, 6, 7]);
    let first = lines(folder.path())[0]["loss"].as_f64().unwrap();
    assert_eq!(scalars["train/loss"][0].1, first as f32);
}

#[test]
fn a_resumed_run_starts_a_file_that_replaces_what_came_after_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "7ba")
        .callback(kill_at(Event::BatchStart, 5))
        .fit()
        .unwrap_err();
    rename_first(&event_files(folder.path())[0]);
    run(folder.path(), "7ba")
        .resume(latest(folder.path()))
        .fit()
        .unwrap();
    let files = event_files(folder.path());
    assert_eq!(files.len(), 2);
    let (scalars, starts) = events(&files[1]);
    assert_eq!(starts, [5]);
    assert_eq!(steps(&scalars["train/loss"]), [5, 6, 7]);
}

#[test]
fn a_run_that_starts_anew_replaces_all_of_the_earlier_files() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("tensorboard");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("events.out.tfevents.1.cutmix.1"), "").unwrap();
    run(folder.path(), "7ba").fit().unwrap();
    let files = event_files(folder.path());
    assert_eq!(files.len(), 2);
    assert_eq!(events(&files[1]).1, [1]);
}

/// Run by the test below in a process of its own, which it aborts: nothing is flushed at its end.
#[test]
#[ignore = "aborts the process"]
fn is_killed_after_a_checkpoint() {
    let folder = PathBuf::from(std::env::var_os("CUTMIX_TEST_FOLDER").unwrap());
    let abort = |event: Event, state: &cutmix_train::State<Tiny>| {
        if event == Event::BatchStart && state.time().batch == 5 {
            // The checkpoint of batch 4 is written by a thread.
            let path = std::env::var_os("CUTMIX_TEST_FOLDER").unwrap();
            let saved = PathBuf::from(path).join("saved/batch-00000004.checkpoint");
            while !saved.exists() {
                std::thread::yield_now();
            }
            std::process::abort();
        }
        Ok(())
    };
    let _ = run(&folder, "7ba").callback(abort).fit();
}

#[test]
fn event_files_keep_every_batch_before_a_checkpoint_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "tensorboard::is_killed_after_a_checkpoint",
            "--exact",
            "--ignored",
        ])
        .env("CUTMIX_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let checkpoint = latest(folder.path());
    assert_eq!(checkpoint.batches(), 4);
    let (scalars, _) = events(&event_files(folder.path())[0]);
    assert_eq!(steps(&scalars["train/loss"])[..4], [1, 2, 3, 4]);
    assert_eq!(steps(&scalars["val/loss"]), [3]);
}

/// Needs Python with the package `tensorboard`: that of the environment variable `PYTHON`, or
/// `python3`. `CUTMIX_REQUIRE_TENSORBOARD` makes its absence a failure.
#[test]
fn tensorboard_reads_the_event_files() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "7ba").fit().unwrap();
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
