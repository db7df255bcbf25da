//! Training.

use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use crate::{cutmix, output, scratch, tiny, trained};

const FILES: [&str; 13] = [
    ".lock",
    "batch.png",
    "batches.csv",
    "card.json",
    "checkpoints",
    "config.toml",
    "curves.png",
    "eval",
    "given.toml",
    "manifest.json",
    "metrics.csv",
    "model.safetensors",
    "report.html",
];

/// The rows of a run's table.
fn rows(run: &Path) -> Vec<Vec<String>> {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    table
        .lines()
        .map(|row| row.split(',').map(String::from).collect())
        .collect()
}

/// The rows of a run's table without the time, which no seed repeats.
pub fn metrics(run: &Path) -> Vec<Vec<String>> {
    let mut rows = rows(run);
    let seconds = rows[0].iter().position(|name| name == "seconds").unwrap();
    rows.iter_mut().for_each(|row| drop(row.remove(seconds)));
    rows
}

/// A column of a run's table.
pub fn column(run: &Path, name: &str) -> Vec<f64> {
    let rows = rows(run);
    let at = rows[0].iter().position(|column| column == name).unwrap();
    rows[1..]
        .iter()
        .map(|row| row[at].parse().unwrap())
        .collect()
}

#[test]
fn a_run_leaves_its_files() {
    let run = trained().join("run");
    let files = fs::read_dir(&run).unwrap();
    let mut files: Vec<_> = files
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, FILES);

    let rows = metrics(&run);
    let header =
        "epoch,batches,samples,learning_rate,train/loss,train/accuracy,val/loss,val/accuracy";
    assert_eq!(rows[0].join(","), header);
    // Six batches are one epoch of four and half of a second one.
    assert_eq!(rows[1][..3], ["1", "4", "64"]);
    assert_eq!(rows[2][..3], ["1.5", "6", "96"]);
    let cells = rows[1..].iter().flatten();
    assert!(
        cells
            .clone()
            .all(|cell| cell.parse::<f64>().unwrap().is_finite()),
        "{rows:?}"
    );

    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let mut lines = config.lines();
    assert!(lines.next().unwrap().starts_with("# Written by cutmix "));
    let lines: Vec<_> = lines.collect();
    for setting in [
        "batch-size = 16",
        "device = \"cpu\"",
        "duration = \"6ba\"",
        // What follows from the network and the data is written down.
        "augment = \"none\"",
        "crop-share = 1.0",
        "learning-rate = 0.141",
        "model = \"resnet8\"",
        "optimizer = \"sgd\"",
        "weight-decay = 0.0005",
    ] {
        assert!(lines.contains(&setting), "{setting}: {config}");
    }
}

#[test]
fn two_equal_runs_write_the_same_model_file() {
    let folder = scratch();
    let digest = |run: &Path| Sha256::digest(fs::read(run.join("model.safetensors")).unwrap());
    let first = digest(&trained().join("run"));
    for run in ["second", "third"] {
        output(folder.path(), &tiny(&["--output", run]));
        assert_eq!(digest(&folder.path().join(run)), first);
    }
    // The order of several keys would be random, and now and then the same.
    let bytes = fs::read(trained().join("run/model.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap().len(), 1);
}

#[test]
fn config_toml_repeats_the_run_and_options_win_over_it() {
    let folder = scratch();
    let config = trained().join("run/config.toml");
    let config = config.to_str().unwrap();
    let repeat = ["train", "--config", config, "--output", "again"];
    let shown = output(folder.path(), &repeat);
    assert!(shown.contains("mixed accuracy"));
    assert_eq!(
        metrics(&folder.path().join("again")),
        metrics(&trained().join("run"))
    );

    let other = [
        "train",
        "--config",
        config,
        "--seed",
        "1",
        "--algorithm",
        "none",
    ];
    let shown = output(folder.path(), &other);
    assert!(!shown.contains("mixed accuracy"));
    assert!(shown.contains("cutmix eval runs/001"), "{shown}");
    let resolved = fs::read_to_string(folder.path().join("runs/001/config.toml")).unwrap();
    assert!(resolved.contains("seed = 1\n") && resolved.contains("algorithm = [\"none\"]"));
    assert_ne!(
        metrics(&folder.path().join("runs/001")),
        metrics(&trained().join("run"))
    );
}

/// The option is given, although its value is the default.
#[test]
fn an_option_with_its_default_value_wins_over_the_file() {
    let folder = scratch();
    let path = folder.path();
    fs::write(path.join("run.toml"), "keep = 7\nseed = 3\n").unwrap();
    let more = ["--config", "run.toml", "--keep", "2", "--output", "run"];
    output(path, &tiny(&more));
    let config = fs::read_to_string(path.join("run/config.toml")).unwrap();
    assert!(
        config.contains("keep = 2\n") && config.contains("seed = 3\n"),
        "{config}"
    );
}

#[test]
fn several_algorithms_act_in_the_order_that_is_shown_from_options_or_a_file() {
    let folder = scratch();
    let path = folder.path();
    let algorithms = [
        "label-smoothing:0.1",
        "mixup-or-cutmix:until=0.5dur",
        "cutout:length=8,probability=0.5",
    ];
    let options = algorithms.map(|algorithm| ["--algorithm", algorithm]);
    let options = [&options.concat()[..], &["--output", "options"]].concat();
    let shown = output(path, &tiny(&options));
    let lines = shown
        .lines()
        .skip_while(|line| !line.starts_with("algorithm  "));
    let starts = [
        "algorithm  mixup-or-cutmix:",
        "           then cutout:",
        "           then label-smoothing:smoothing=0.1",
    ];
    for (line, start) in lines.zip(starts) {
        assert!(line.starts_with(start), "{start}: {line}");
    }

    let file = algorithms.map(|algorithm| format!("\"{algorithm}\""));
    let file = format!("algorithm = [{}]\n", file.join(", "));
    fs::write(path.join("run.toml"), file).unwrap();
    output(path, &tiny(&["--config", "run.toml", "--output", "file"]));
    assert_eq!(metrics(&path.join("file")), metrics(&path.join("options")));
    output(
        path,
        &[
            "train",
            "--config",
            "options/config.toml",
            "--output",
            "again",
        ],
    );
    assert_eq!(metrics(&path.join("again")), metrics(&path.join("options")));
}

#[test]
fn every_setting_is_kept_in_the_configuration_and_repeats_the_run() {
    let folder = scratch();
    let path = folder.path();
    let settings = [
        ("--schedule", "step:every=2ba,factor=0.5"),
        ("--warmup", "1ba"),
        ("--accumulate", "2"),
        ("--algorithm", "gradient-clipping:0.5"),
        ("--algorithm", "ema:0.9"),
        ("--optimizer", "adamw"),
        ("--weight-decay", "0.25"),
        ("--on-nan", "skip"),
        ("--eval-interval", "0.5dur"),
        ("--save-interval", "32sp"),
        ("--keep", "1"),
        ("--metric", "recall,precision"),
        ("--best", "val/recall"),
        ("--patience", "9"),
        ("--log", "jsonl,tensorboard"),
        ("--output", "run"),
    ];
    let options: Vec<_> = settings
        .iter()
        .flat_map(|&(name, value)| [name, value])
        .collect();
    let shown = output(path, &tiny(&options));
    assert!(shown.contains(" (kept: val/recall "), "{shown}");
    assert!(
        shown.contains("checkpoints/  eval/  log.jsonl  tensorboard/\n"),
        "{shown}"
    );
    let config = fs::read_to_string(path.join("run/config.toml")).unwrap();
    for line in [
        "schedule = \"step:every=2ba,factor=0.5\"",
        "warmup = \"1ba\"",
        "accumulate = 2",
        "optimizer = \"adamw\"",
        "weight-decay = 0.25",
        "precision = \"f32\"",
        "on-nan = \"skip\"",
        "eval-interval = \"0.5dur\"",
        "save-interval = \"32sp\"",
        "keep = 1",
        "metric = [\"recall\", \"precision\"]",
        "log = [\"jsonl\", \"tensorboard\"]",
        "best = \"val/recall\"",
        "patience = 9",
    ] {
        assert!(
            config.lines().any(|given| given == line),
            "{line}: {config}"
        );
    }
    let repeat = ["train", "--config", "run/config.toml", "--output", "again"];
    output(path, &repeat);
    assert_eq!(metrics(&path.join("again")), metrics(&path.join("run")));
    let log = fs::read_to_string(path.join("run/log.jsonl")).unwrap();
    assert_eq!(log.matches("\"kind\":\"batch\"").count(), 6);
    assert_eq!(
        fs::read_dir(path.join("run/tensorboard")).unwrap().count(),
        1
    );
}

#[test]
fn the_model_file_is_in_f32_whatever_the_precision() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--precision", "bf16", "--output", "half"]));
    let bytes = fs::read(path.join("half/model.safetensors")).unwrap();
    let model = SafeTensors::deserialize(&bytes).unwrap();
    assert!(
        model
            .tensors()
            .into_iter()
            .all(|(_, tensor)| tensor.dtype() == Dtype::F32)
    );
}

#[test]
fn runs_are_numbered() {
    let folder = scratch();
    let short = ["train", "--duration", "16sp", "--config", "short.toml"];
    fs::write(
        folder.path().join("short.toml"),
        "limit = 16\nbatch-size = 16\n",
    )
    .unwrap();
    for _ in 0..2 {
        output(folder.path(), &short);
    }
    for run in ["runs/001", "runs/002"] {
        assert!(folder.path().join(run).join("model.safetensors").is_file());
    }
}

#[test]
fn pictures_that_cannot_be_written_are_warnings_and_the_model_is_written() {
    let folder = scratch();
    let path = folder.path();
    let start = || {
        for picture in ["batch.png", "curves.png"] {
            fs::create_dir_all(path.join("run").join(picture)).unwrap();
        }
    };
    // The first run makes the folder; pictures of the second one meet folders of their names.
    output(path, &tiny(&["--output", "run", "--save-interval", "1ba"]));
    for file in ["batch.png", "curves.png", "model.safetensors"] {
        fs::remove_file(path.join("run").join(file)).unwrap();
    }
    fs::remove_dir_all(path.join("run/checkpoints")).unwrap();
    fs::remove_file(path.join("run/metrics.csv")).unwrap();
    start();
    for _ in 0..2 {
        let resumed = cutmix(path, &["train", "--resume", "run"]);
        assert!(
            resumed.status.success(),
            "{:?}",
            String::from_utf8(resumed.stderr)
        );
        let warnings = String::from_utf8(resumed.stderr).unwrap();
        assert!(
            warnings.contains("warning: cannot write run/curves.png: "),
            "{warnings}"
        );
        assert!(path.join("run/model.safetensors").is_file());
    }
}

/// A limit on the size of files is like a disk that fills up in the middle of a run.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_ends_the_run_with_one_line() {
    let folder = scratch();
    // The list of a few images is no large file, unlike a checkpoint.
    crate::pets(folder.path());
    let train = "train --data pets --size 16 --batch-size 8 --duration 2ba --output run";
    // An ignored signal makes the write fail instead of ending the process.
    let script = "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_cutmix")])
        .args(train.split(' '))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.starts_with("error: cannot write run/checkpoints/batch-"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
    // Nothing is left half written.
    let is_temporary = |entry: fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".tmp");
    for folder in [
        folder.path().join("run"),
        folder.path().join("run/checkpoints"),
    ] {
        assert!(
            !fs::read_dir(folder)
                .unwrap()
                .any(|entry| is_temporary(entry.unwrap()))
        );
    }
}
