//! Signals, and two processes for one run.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use crate::common::obey_signals;
use crate::{error, scratch, tiny};

/// The options of a run of an hour, in epochs of a fraction of a second.
const HOUR: &str = "train --limit 64 --batch-size 16 --model resnet8 --device cpu --duration 1h \
                    --output run";

fn hour() -> Vec<&'static str> {
    HOUR.split_whitespace().collect()
}

/// Waits until a training process has reported an epoch; returns its output from then on.
fn wait_for_report(mut command: Command, folder: &Path) -> (Child, BufReader<ChildStdout>) {
    obey_signals();
    let mut child = command
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    next_report(&mut lines);
    (child, lines)
}

fn next_report(lines: &mut BufReader<ChildStdout>) {
    let mut line = String::new();
    while !line.starts_with("epoch ") {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "the run ended early"
        );
    }
}

fn start(folder: &Path, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutmix"));
    command.args(arguments);
    wait_for_report(command, folder)
}

fn finish(mut child: Child, mut lines: BufReader<ChildStdout>) -> Output {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    lines.read_to_end(&mut stdout).unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_end(&mut stderr)
        .unwrap();
    Output {
        status: child.wait().unwrap(),
        stdout,
        stderr,
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn ctrl_c_saves_the_run_and_shows_how_to_resume_it() {
    for name in ["INT", "TERM", "HUP"] {
        let folder = scratch();
        let mut options = hour();
        let output = options.iter().rposition(|option| *option == "run").unwrap();
        options[output] = "my run [1]";
        let (child, lines) = start(folder.path(), &options);
        signal(&child, name);
        let output = finish(child, lines);
        assert_eq!(output.status.code(), Some(130));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            stderr,
            "stopping after this batch or evaluation; Ctrl-C again stops at once\n"
        );
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(
            shown.ends_with("resume with: cutmix train --resume 'my run [1]'\n"),
            "{shown}"
        );
        let run = folder.path().join("my run [1]");
        assert!(!run.join("model.safetensors").exists());
    }
}

/// `nohup` ignores SIGHUP, and a shell without job control SIGINT for what runs in the background.
#[cfg(target_os = "linux")]
#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored() {
    let folder = scratch();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap '' HUP INT; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_cutmix"),
    ]);
    command.args(hour());
    let (child, mut lines) = wait_for_report(command, folder.path());
    for name in ["HUP", "INT"] {
        signal(&child, name);
        // A run that was stopped would finish its batch and report no other epoch.
        next_report(&mut lines);
        next_report(&mut lines);
    }
    signal(&child, "TERM");
    assert_eq!(finish(child, lines).status.code(), Some(130));
}

#[test]
fn two_processes_cannot_write_one_run() {
    let folder = scratch();
    let (child, lines) = start(folder.path(), &hour());
    let resume = ["train", "--resume", "run"];
    let message = error(folder.path(), &resume);
    assert_eq!(message, "run folder run is in use by another process");
    let message = error(folder.path(), &tiny(&["--output", "run"]));
    assert!(
        message.starts_with("output folder run exists and is not empty"),
        "{message}"
    );
    signal(&child, "KILL");
    finish(child, lines);
    // The lock ended with the process.
    let (child, lines) = start(folder.path(), &resume);
    signal(&child, "INT");
    assert_eq!(finish(child, lines).status.code(), Some(130));
}

/// The settings are what makes a folder that of a run, so they come last.
#[test]
fn a_run_whose_manifest_cannot_be_written_has_not_started() {
    let folder = scratch();
    let path = folder.path();
    fs::create_dir_all(path.join("run/manifest.json/taken")).unwrap();
    let message = error(path, &tiny(&["--output", "run"]));
    assert!(message.contains("manifest.json"), "{message}");
    assert!(!path.join("run/config.toml").exists());
}

#[test]
fn a_folder_that_was_left_before_a_run_started_can_be_used_again() {
    let folder = scratch();
    let path = folder.path();
    fs::create_dir(path.join("run")).unwrap();
    for file in [".lock", "manifest.json", ".cutmix-abc.tmp"] {
        fs::write(path.join("run").join(file), "").unwrap();
    }
    let message = error(path, &["train", "--resume", "run"]);
    assert!(
        message.contains("was stopped before it started"),
        "{message}"
    );
    assert!(message.ends_with("cutmix train --output run"), "{message}");
    crate::output(path, &tiny(&["--output", "run"]));
    assert!(path.join("run/model.safetensors").is_file());
    assert!(!path.join("run/.cutmix-abc.tmp").exists());
}
