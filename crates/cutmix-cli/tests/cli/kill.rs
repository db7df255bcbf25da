//! Processes that are killed, and runs that are resumed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use safetensors::SafeTensors;

use crate::runs::metrics;
use crate::{cutmix, error, output, scratch, tiny};

/// A run of some seconds with a checkpoint after each batch.
const LONG: &str = "train --limit 64 --duration 40ba --batch-size 16 --model resnet8 --device cpu \
                    --eval-interval 7ba --save-interval 1ba --keep 1 --output run";

/// Settings whose state has to come back, each with the number of runs that are killed.
const SETTINGS: [(&str, usize); 4] = [
    (
        "--algorithm mixup-or-cutmix --algorithm label-smoothing:until=0.5dur --algorithm ema:0.9 \
         --best val/loss --accumulate 2",
        12,
    ),
    (
        "--algorithm fmix --algorithm sam:interval=2 --algorithm gradient-clipping:0.5",
        4,
    ),
    (
        "--algorithm resizemix --algorithm progressive-resizing --metric auroc --optimizer adamw",
        4,
    ),
    (
        "--algorithm cutmix --precision bf16 --on-nan skip --patience 9 --schedule one-cycle",
        4,
    ),
];

fn arguments(settings: &'static str) -> Vec<&'static str> {
    LONG.split_whitespace()
        .chain(settings.split_whitespace())
        .collect()
}

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
pub fn weights(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(run.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors.tensors().into_iter();
    tensors
        .map(|(name, tensor)| (name, tensor.data().to_vec()))
        .collect()
}

/// The batches before the last checkpoint of a run.
fn saved(run: &Path) -> u64 {
    let files = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let batches = files.flatten().filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let number = name.strip_prefix("batch-")?.strip_suffix(".checkpoint")?;
        number.parse().ok()
    });
    batches.max().unwrap_or(0)
}

/// Kills a process some time, up to a tenth of a second, after its run has saved `batches` batches.
fn kill(mut child: Child, run: &Path, batches: u64, moments: &mut StdRng) {
    while saved(run) < batches && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    // The moment is what is random here.
    let wait = Duration::from_micros(moments.random_range(0..100_000));
    let start = Instant::now();
    while start.elapsed() < wait {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_weights() {
    let mut moments = StdRng::seed_from_u64(4);
    let (mut killed, mut total) = (0, 0);
    for (settings, count) in SETTINGS {
        let arguments = arguments(settings);
        let whole = scratch();
        output(whole.path(), &arguments);
        let whole = whole.path().join("run");
        let (weights_of_whole, metrics_of_whole) = (weights(&whole), metrics(&whole));
        assert!(weights_of_whole.len() > 20);

        let resume = ["train", "--resume", "run"];
        for number in 0..count {
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
            total += 1;
            if run.join("config.toml").exists() {
                output(folder.path(), &resume);
            } else {
                // A run that had not started starts in the folder that was left.
                output(folder.path(), &arguments);
            }
            let when = format!("{settings}: killed after batch {first} and a bit");
            assert!(weights(&run) == weights_of_whole, "{when}");
            assert_eq!(metrics(&run), metrics_of_whole, "{when}");
        }
    }
    // A busy machine may be late to kill one.
    assert!(4 * killed >= 3 * total, "{killed} of {total}");
}

fn checkpoint(path: &Path, batch: u64) -> std::path::PathBuf {
    path.join(format!("run/checkpoints/batch-{batch:08}.checkpoint"))
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_is_used() {
    let folder = scratch();
    let path = folder.path();
    let resume = ["train", "--resume", "run"];
    output(path, &tiny(&["--output", "run", "--save-interval", "2ba"]));
    // A finished run has nothing left to do.
    let rows = metrics(&path.join("run"));
    let before = weights(&path.join("run"));
    output(path, &resume);
    assert_eq!(metrics(&path.join("run")), rows);
    assert!(weights(&path.join("run")) == before);

    let spoil = |batch| {
        let mut bytes = fs::read(checkpoint(path, batch)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(checkpoint(path, batch), bytes).unwrap();
    };
    spoil(6);
    let resumed = cutmix(path, &resume);
    assert!(resumed.status.success());
    let warning = String::from_utf8(resumed.stderr).unwrap();
    assert!(
        warning.starts_with("warning: ") && warning.contains("batch-00000006"),
        "{warning}"
    );
    assert!(weights(&path.join("run")) == before);
    spoil(4);
    spoil(6);
    let message = error(path, &resume);
    assert!(
        message.contains("batch-00000006") && message.contains("damaged"),
        "{message}"
    );
    assert!(checkpoint(path, 6).exists() && checkpoint(path, 4).exists());
}

#[test]
fn a_loss_that_is_not_finite_names_the_command_that_resumes_the_run() {
    let folder = scratch();
    let path = folder.path();
    let wild = [
        "--learning-rate",
        "1e30",
        "--save-interval",
        "1ba",
        "--warmup",
        "0ba",
    ];
    let message = error(path, &tiny(&[&wild[..], &["--output", "my run"]].concat()));
    assert!(message.contains("not finite"), "{message}");
    assert!(!path.join("my run/model.safetensors").exists());
    let command = "cutmix train --resume 'my run' --on-nan skip";
    let has_checkpoint = saved(&path.join("my run")) > 0;
    assert_eq!(message.ends_with(command), has_checkpoint, "{message}");
}

/// Durations are checked against the clock by the library's tests; this one is accepted.
#[test]
fn a_run_by_the_clock_ends_by_itself() {
    let folder = scratch();
    let start = Instant::now();
    let arguments = "train --limit 64 --batch-size 16 --model resnet8 --device cpu --duration 1s \
                     --output run";
    output(
        folder.path(),
        &arguments.split_whitespace().collect::<Vec<_>>(),
    );
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(folder.path().join("run/model.safetensors").is_file());
}
