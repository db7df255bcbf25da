//! Processes that are killed or stopped, and runs that go on.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use safetensors::SafeTensors;

use crate::runs::metrics;
use crate::{cutmix, error, output, scratch, tiny};

/// A run of some seconds that uses all that has to come back: several algorithms, a moving average,
/// the best model, parts of batches, and a checkpoint after each batch.
const LONG: &str = "train --limit 64 --duration 40ba --batch-size 16 --model resnet8 --device cpu \
                    --algorithm mixup-or-cutmix --algorithm label-smoothing:until=0.5dur \
                    --average 0.9 --best eval-loss --accumulate 2 --eval-interval 7ba \
                    --save-interval 1ba --keep 1 --output run";

/// Starts a command whose output nobody reads.
fn start(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The weights of a finished run, by name, as bytes.
fn weights(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(run.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors.tensors().into_iter();
    tensors
        .map(|(name, tensor)| (name, tensor.data().to_vec()))
        .collect()
}

/// Batches before the last checkpoint of a run.
fn saved(run: &Path) -> u64 {
    let files = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let batches = files.flatten().filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let number = name.strip_prefix("batch-")?.strip_suffix(".checkpoint")?;
        number.parse().ok()
    });
    batches.max().unwrap_or(0)
}

/// Kills a process some time, up to a tenth of a second, after its run has saved so many batches.
fn kill(mut child: Child, run: &Path, batches: u64, moments: &mut StdRng) {
    while saved(run) < batches && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    // The moment is what is random here, so the wait is what it takes.
    let wait = Duration::from_micros(moments.random_range(0..100_000));
    let begin = Instant::now();
    while begin.elapsed() < wait {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_weights() {
    let arguments: Vec<_> = LONG.split_whitespace().collect();
    let whole = scratch();
    output(whole.path(), &arguments);
    let whole = whole.path().join("run");
    let (weights_of_whole, metrics_of_whole) = (weights(&whole), metrics(&whole));
    assert!(weights_of_whole.len() > 20);

    let mut moments = StdRng::seed_from_u64(4);
    let resume = ["train", "--resume", "run"];
    let mut killed = 0;
    for number in 0..20 {
        let folder = scratch();
        let run = folder.path().join("run");
        let first = moments.random_range(0..30);
        kill(start(folder.path(), &arguments), &run, first, &mut moments);
        // Every second one is killed once more.
        if number % 2 == 1 && run.join("config.toml").exists() {
            let second = moments.random_range(first..32);
            kill(start(folder.path(), &resume), &run, second, &mut moments);
        }
        killed += usize::from(!run.join("model.safetensors").exists());
        if run.join("config.toml").exists() {
            output(folder.path(), &resume);
        } else {
            // Killed before there was a run.
            let _ = fs::remove_dir_all(&run);
            output(folder.path(), &arguments);
        }
        let when = format!("killed after batch {first} and a bit");
        assert!(weights(&run) == weights_of_whole, "{when}");
        assert_eq!(metrics(&run), metrics_of_whole, "{when}");
    }
    // A busy machine may be late to kill one.
    assert!(killed >= 15, "{killed} of 20");
}

/// A run of an hour, in epochs of a fraction of a second.
const HOUR: &str = "train --limit 64 --batch-size 16 --model resnet8 --device cpu --duration 1h \
                    --output run";

fn hour() -> Vec<&'static str> {
    HOUR.split_whitespace().collect()
}

/// A training process that has told of an epoch, and what it says from then on.
fn begun(folder: &Path, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("epoch ") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended early");
    }
    (child, lines)
}

fn finish(mut child: Child, mut lines: BufReader<ChildStdout>) -> Output {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    lines.read_to_end(&mut stdout).unwrap();
    let mut errors = child.stderr.take().unwrap();
    errors.read_to_end(&mut stderr).unwrap();
    Output {
        status: child.wait().unwrap(),
        stdout,
        stderr,
    }
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status();
    assert!(sent.unwrap().success());
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_the_run_and_says_how_to_go_on() {
    for name in ["INT", "TERM"] {
        let folder = scratch();
        let (child, lines) = begun(folder.path(), &hour());
        signal(&child, name);
        let output = finish(child, lines);
        assert_eq!(output.status.code(), Some(130));
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            told,
            "stopping after this batch or evaluation; Ctrl-C again stops at once\n"
        );
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(
            shown.ends_with("\nstopped and saved; go on with: cutmix train --resume run\n"),
            "{shown}"
        );
        let run = folder.path().join("run");
        assert!(!run.join("model.safetensors").exists());
        let saved = fs::read_dir(run.join("checkpoints")).unwrap().count();
        assert!((1..=2).contains(&saved));
    }
}

#[cfg(unix)]
#[test]
fn two_processes_cannot_write_one_run() {
    let folder = scratch();
    let (child, lines) = begun(folder.path(), &hour());
    let resume = ["train", "--resume", "run"];
    assert_eq!(
        error(folder.path(), &resume),
        "run folder run is in use by another process"
    );
    assert_eq!(
        error(folder.path(), &tiny(&["--output", "run"])),
        "output folder run exists and is not empty; choose another with --output, or remove it"
    );
    signal(&child, "KILL");
    finish(child, lines);
    // The lock went with the process.
    let (child, lines) = begun(folder.path(), &resume);
    signal(&child, "INT");
    assert_eq!(finish(child, lines).status.code(), Some(130));
}

#[test]
fn a_run_that_cannot_go_on_says_why() {
    let folder = scratch();
    let path = folder.path();
    let resume = ["train", "--resume", "run"];
    assert_eq!(
        error(path, &resume),
        "run is not a run folder: there is no config.toml in it; `cutmix train` makes one"
    );
    output(path, &tiny(&["--output", "run", "--save-interval", "2ba"]));
    assert_eq!(
        error(path, &[&resume[..], &["--seed", "1"]].concat()),
        "--resume goes on with the settings of the run; of the other options only --device, --on-nan \
         and --dashboard can be given"
    );
    // A run that is over has nothing left to do.
    let rows = metrics(&path.join("run"));
    let before = weights(&path.join("run"));
    output(path, &resume);
    assert_eq!(metrics(&path.join("run")), rows);
    assert!(weights(&path.join("run")) == before);

    let checkpoint = |batch| path.join(format!("run/checkpoints/batch-{batch:08}.checkpoint"));
    let spoil = |batch| {
        let mut bytes = fs::read(checkpoint(batch)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(checkpoint(batch), bytes).unwrap();
    };
    spoil(6);
    let resumed = cutmix(path, &resume);
    assert!(resumed.status.success());
    assert_eq!(
        String::from_utf8(resumed.stderr).unwrap(),
        "warning: checkpoint `run/checkpoints/batch-00000006.checkpoint`: the file is damaged: its \
         digest is not that of its content; it is not used\n"
    );
    assert!(weights(&path.join("run")) == before);
    spoil(4);
    spoil(6);
    assert_eq!(
        error(path, &resume),
        "checkpoint `run/checkpoints`: no checkpoint in this folder is whole; checkpoint \
         `run/checkpoints/batch-00000006.checkpoint`: the file is damaged: its digest is not that \
         of its content"
    );
}

#[test]
fn a_loss_that_is_not_a_number_says_how_to_go_on() {
    let folder = scratch();
    let path = folder.path();
    let wild = tiny(&[
        "--output",
        "run",
        "--learning-rate",
        "1e30",
        "--save-interval",
        "1ba",
        "--warmup",
        "0ba",
    ]);
    let told = "the loss of batch 1 is NaN; a lower --learning-rate helps, or --on-nan skip: cutmix \
                train --resume run --on-nan skip goes on from batch 1";
    assert_eq!(error(path, &wild), told);
    // The first step has made the weights so large that no batch can be used: no reason to go on.
    let resumed = error(path, &["train", "--resume", "run", "--on-nan", "skip"]);
    assert!(resumed.starts_with("the loss of batch "), "{resumed}");
    assert!(!path.join("run/model.safetensors").exists());
}

/// Durations are checked against the clock by the library's tests; here, that one is accepted.
#[test]
fn a_run_by_the_clock_ends_by_itself() {
    let folder = scratch();
    let begin = Instant::now();
    let arguments = "train --limit 64 --batch-size 16 --model resnet8 --device cpu --duration 1s \
                     --output run";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    output(folder.path(), &arguments);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert!(folder.path().join("run/model.safetensors").is_file());
}
