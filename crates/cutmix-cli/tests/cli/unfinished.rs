//! Runs that are read before they are finished.

use std::fs;
use std::io::BufRead;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use crate::runs::column;
use crate::{cutmix, error, fashion, output, scratch};

const TRAIN: &str = "train --limit 64 --batch-size 16 --model resnet8 --device cpu --eval-interval 1ba \
                     --save-interval 1ba --output run";

fn train(options: &str) -> Vec<&str> {
    TRAIN.split_whitespace().chain(options.split(' ')).collect()
}

/// What `cutmix predict` says of `a.png` in `folder`, and its standard error.
fn predict(folder: &Path, run: &str) -> (String, String) {
    let options = ["--format", "json", "--top", "10", "--device", "cpu"];
    let shown = cutmix(folder, &[&["predict", run, "a.png"], &options[..]].concat());
    let [stdout, stderr] =
        [shown.stdout, shown.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(shown.status.success(), "{stderr}");
    (stdout, stderr)
}

/// The batches of the checkpoints of a run.
fn checkpoints(run: &Path) -> Vec<String> {
    let files = fs::read_dir(run.join("checkpoints")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".checkpoint")).collect();
    names.sort();
    names
}

/// What a run returns at its end is what its checkpoints have before it.
#[test]
fn a_run_without_a_result_predicts_as_it_would_with_its_result() {
    let settings = [
        ("", "last checkpoint, after batch 6"),
        ("--precision bf16", "last checkpoint, after batch 6"),
        ("--algorithm ema:0.9", "last checkpoint, after batch 6"),
        (
            "--best val/loss --keep 1 --learning-rate 2 --algorithm none",
            "best checkpoint by val/loss, after batch 1",
        ),
    ];
    for (options, which) in settings {
        let folder = scratch();
        let path = folder.path();
        fashion(&path.join("a.png"), 0);
        let options = format!("--duration 6ba {options}");
        output(path, &train(options.trim()));
        let (finished, said) = predict(path, "run");
        assert_eq!(said, "");
        fs::remove_file(path.join("run/model.safetensors")).unwrap();
        let (unfinished, said) = predict(path, "run");
        assert_eq!(unfinished, finished, "{options}");
        let expected = format!("warning: the run in run is not finished; this is its {which}\n");
        assert_eq!(said, expected);
    }
}

#[test]
fn a_stopped_run_predicts_and_evaluates_with_its_last_checkpoint() {
    let folder = scratch();
    let path = folder.path();
    fashion(&path.join("a.png"), 0);
    let constant = "--schedule constant --warmup 0ba --keep 9 --duration";
    output(path, &train(&format!("{constant} 4ba")));
    fs::rename(path.join("run"), path.join("short")).unwrap();
    output(path, &train(&format!("{constant} 6ba")));
    let losses = column(&path.join("run"), "val/loss");
    for batch in [5, 6] {
        let checkpoint = format!("run/checkpoints/batch-{batch:08}.checkpoint");
        fs::remove_file(path.join(checkpoint)).unwrap();
    }
    fs::remove_file(path.join("run/model.safetensors")).unwrap();

    let (stopped, said) = predict(path, "run");
    assert_eq!(stopped, predict(path, "short").0);
    assert!(
        said.ends_with("its last checkpoint, after batch 4\n"),
        "{said}"
    );
    let eval = ["eval", "run", "--split", "val", "--device", "cpu"];
    let shown = cutmix(path, &eval);
    assert!(shown.status.success());
    assert_eq!(String::from_utf8(shown.stderr).unwrap(), said);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains(&format!("loss {:.4}, ", losses[3])),
        "{shown}"
    );
    // Where its newest checkpoint is damaged, it is the one before, and that is said.
    let newest = path.join("run/checkpoints/batch-00000004.checkpoint");
    fs::write(newest, "spoiled").unwrap();
    let (_, said) = predict(path, "run");
    let lines: Vec<_> = said.lines().collect();
    assert!(
        lines[0].contains("batch-00000004") && lines[1].ends_with("after batch 3"),
        "{said}"
    );
}

/// A process that ends with its test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A run that has reported twice: the second report comes after the first checkpoint. It trains on until it
/// is dropped, and the thread reads what it writes, as it would wait for a reader.
fn reported_twice(path: &Path, arguments: &[&str]) -> (Running, JoinHandle<usize>) {
    let run = Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(arguments)
        .current_dir(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut run = Running(run.unwrap());
    let lines = std::io::BufReader::new(run.0.stdout.take().unwrap()).lines();
    let mut reports = lines.filter(|line| line.as_ref().unwrap().contains("train loss"));
    reports.nth(1).unwrap().unwrap();
    (run, std::thread::spawn(move || reports.count()))
}

#[test]
fn a_finished_run_that_is_extended_predicts_with_its_checkpoints() {
    let folder = scratch();
    let path = folder.path();
    fashion(&path.join("a.png"), 0);
    output(path, &train("--duration 2ba"));
    output(path, &["eval", "run", "--device", "cpu"]);
    let refused = error(path, &["train", "--resume", "run", "--duration", "1ba"]);
    assert!(refused.contains("duration"), "{refused}");
    assert!(path.join("run/model.safetensors").exists());

    let (run, reader) = reported_twice(path, &["train", "--resume", "run", "--duration", "1h"]);
    assert!(!path.join("run/model.safetensors").exists());
    assert!(!path.join("run/eval").exists());
    drop(run);
    reader.join().unwrap();
    let (_, said) = predict(path, "run");
    assert!(
        said.starts_with("warning: the run in run is not finished; this is its last checkpoint"),
        "{said}"
    );
}

#[test]
fn a_run_in_progress_predicts_while_it_replaces_its_checkpoints() {
    let folder = scratch();
    let path = folder.path();
    fashion(&path.join("a.png"), 0);
    let (mut run, reader) = reported_twice(path, &train("--duration 1h --keep 1 --best val/loss"));
    for _ in 0..5 {
        let before = checkpoints(&path.join("run"));
        let (shown, said) = predict(path, "run");
        assert!(
            shown.starts_with("{\"path\":\"a.png\",\"predictions\":["),
            "{shown}"
        );
        assert!(
            said.starts_with("warning: the run in run is not finished; this is its ")
                && said.lines().count() == 1,
            "{said}"
        );
        while checkpoints(&path.join("run")) == before {
            assert!(run.0.try_wait().unwrap().is_none());
            std::thread::yield_now();
        }
    }
    let files = fs::read_dir(path.join("run")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    // One may be half written.
    let mut files: Vec<_> = files.filter(|name| !name.starts_with(".cutmix-")).collect();
    files.sort();
    let expected = [
        ".lock",
        "batch.png",
        "batches.csv",
        "card.json",
        "checkpoints",
        "config.toml",
        "given.toml",
        "manifest.json",
        "metrics.csv",
    ];
    assert_eq!(files, expected);
    drop(run);
    reader.join().unwrap();
}

#[test]
fn a_run_without_a_model_is_refused() {
    let folder = scratch();
    let path = folder.path();
    fashion(&path.join("a.png"), 0);
    output(path, &train("--duration 1ba"));
    fs::remove_file(path.join("run/model.safetensors")).unwrap();
    let commands = [&["predict", "run", "a.png"][..], &["eval", "run"]];
    let card = fs::read(path.join("run/card.json")).unwrap();
    for (damage, expected) in [
        (
            &card[..9],
            "run/card.json does not describe the model of a run, or is damaged: EOF ",
        ),
        (
            b"{}",
            "run/card.json does not describe the model of a run, or is damaged: missing field ",
        ),
    ] {
        fs::write(path.join("run/card.json"), damage).unwrap();
        for command in commands {
            let message = error(path, command);
            assert!(message.starts_with(expected), "{message}");
        }
    }
    let unfinished = "the run in run is not finished and has no model yet; if it was stopped, resume it with: \
                      cutmix train --resume run";
    fs::remove_file(path.join("run/card.json")).unwrap();
    assert_eq!(error(path, commands[0]), unfinished);
    fs::write(path.join("run/card.json"), card).unwrap();
    fs::remove_dir_all(path.join("run/checkpoints")).unwrap();
    for command in commands {
        assert_eq!(error(path, command), unfinished);
    }
}
