//! `--weights`: runs that start from files, other runs and the hub, and weights that cannot be used.

use std::fs;
use std::path::Path;
#[cfg(feature = "hub")]
use std::process::Output;

use crate::{error, output, pets, scratch, trained};

#[cfg(feature = "hub")]
#[path = "../../../cutmix-vision/tests/hub/server.rs"]
mod server;

/// A hub with `timm/resnet18.a1_in1k`, which has weights for two classes.
#[cfg(feature = "hub")]
pub struct Published {
    server: server::Server,
    cache: tempfile::TempDir,
}

#[cfg(feature = "hub")]
impl Published {
    const ID: &str = "timm/resnet18.a1_in1k";

    /// The weights are made in a folder that has a folder `photos`.
    pub fn new(folder: &Path) -> Self {
        let train = "train --data photos --model resnet18 --size 32 --duration 1ba --batch-size 4 \
                     --device cpu --output made";
        output(folder, &train.split_whitespace().collect::<Vec<_>>());
        let weights = fs::read(folder.join("made/model.safetensors")).unwrap();
        let config = br#"{
            "architecture": "resnet18",
            "num_classes": 2,
            "pretrained_cfg": { "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.3], "input_size": [3, 40, 40] }
        }"#;
        let files: [(&str, &[u8]); 2] = [("config.json", config), ("model.safetensors", &weights)];
        Self {
            server: server::Server::start(Self::ID, &files),
            cache: scratch(),
        }
    }

    /// Runs the program with this hub.
    pub fn cutmix(&self, folder: &Path, arguments: &[&str]) -> Output {
        assert_cmd::Command::new(env!("CARGO_BIN_EXE_cutmix"))
            .args(arguments)
            .current_dir(folder)
            .env("HF_ENDPOINT", self.server.endpoint())
            .env("HF_HOME", self.cache.path())
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_TOKEN")
            .output()
            .unwrap()
    }

    fn error(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.cutmix(folder, arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        let line = error.strip_prefix("error: ").unwrap().trim_end();
        assert!(!line.contains('\n'), "{line}");
        line.into()
    }
}

/// A run for a batch or two from these weights.
fn start<'a>(weights: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let start = "train --limit 64 --duration 2ba --batch-size 4 --device cpu --weights";
    let start = start.split(' ').chain([weights]);
    start.chain(more.iter().copied()).collect()
}

/// The first row of the table of a run: its losses.
fn first_row(run: &Path) -> String {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    table.lines().nth(1).unwrap().into()
}

#[test]
fn a_run_starts_from_the_weights_of_another_run() {
    let folder = scratch();
    let path = folder.path();
    std::fs::create_dir(path.join("run")).unwrap();
    for file in ["config.toml", "model.safetensors", "manifest.json"] {
        fs::copy(
            trained().join("run").join(file),
            path.join("run").join(file),
        )
        .unwrap();
    }
    let run = "run";
    let text = output(path, &start(run, &["--output", "tuned"]));
    assert!(text.contains("model      resnet8"), "{text}");
    assert!(text.contains("tensors, with its head"), "{text}");

    // Without training, the copy predicts what the other run does.
    let file = trained().join("run/model.safetensors");
    let file = file.to_str().unwrap();
    let still = [
        "--learning-rate",
        "1e-30",
        "--algorithm",
        "none",
        "--weight-decay",
        "0",
    ];
    let still = [&still[..], &["--freeze", "backbone", "--output", "still"]].concat();
    output(path, &start(file, &still));
    let scores = |run: &str| {
        let eval = "--split test --format json --device cpu".split(' ');
        let text = output(
            path,
            &["eval", run].into_iter().chain(eval).collect::<Vec<_>>(),
        );
        let measured: serde_json::Value = serde_json::from_str(&text).unwrap();
        measured["scores"].clone()
    };
    assert_eq!(scores("still"), scores(run));
}

#[test]
fn config_toml_repeats_a_run_from_weights() {
    let folder = scratch();
    let path = folder.path();
    let run = trained().join("run");
    output(path, &start(run.to_str().unwrap(), &["--output", "one"]));
    output(
        path,
        &["train", "--config", "one/config.toml", "--output", "two"],
    );
    let model = |run: &str| fs::read(path.join(run).join("model.safetensors")).unwrap();
    assert_eq!(model("one"), model("two"));
}

#[test]
fn a_head_for_other_classes_is_replaced() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    let run = trained().join("run");
    let text = output(path, &start(run.to_str().unwrap(), &["--data", "pets"]));
    assert!(
        text.contains("a new head for 2 classes in place of that for 10"),
        "{text}"
    );
    // As many classes, but others.
    let to_birds = [("cat", "eagle"), ("dog", "owl")];
    output(
        path,
        &start(
            run.to_str().unwrap(),
            &["--data", "pets", "--output", "cats"],
        ),
    );
    for set in ["train", "val", "test"] {
        for (from, to) in to_birds {
            let class = |name: &str| path.join("pets").join(set).join(name);
            if class(from).exists() {
                fs::rename(class(from), class(to)).unwrap();
            }
        }
    }
    for (from, to) in to_birds {
        let class = |name: &str| path.join("pets").join(name);
        if class(from).exists() {
            fs::rename(class(from), class(to)).unwrap();
        }
    }
    let text = output(path, &start("cats", &["--data", "pets"]));
    assert!(
        text.contains("a new head for 2 classes in place of that for 2 others"),
        "{text}"
    );
}

#[test]
fn weights_of_a_network_that_blurs_make_one() {
    let folder = scratch();
    let path = folder.path();
    let blurred =
        "train --limit 64 --duration 1ba --batch-size 4 --device cpu --blur-pool --output one";
    output(path, &blurred.split(' ').collect::<Vec<_>>());
    output(path, &start("one", &["--output", "two"]));
    let config = fs::read_to_string(path.join("two/config.toml")).unwrap();
    assert!(config.contains("blur-pool = true"), "{config}");
}

#[test]
fn weights_that_cannot_be_used_are_one_line_and_leave_no_run() {
    let folder = scratch();
    let path = folder.path();
    fs::write(path.join("notes.pth"), "no weights").unwrap();
    let whole = fs::read(trained().join("run/model.safetensors")).unwrap();
    fs::write(path.join("half.safetensors"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path.join("whole.safetensors"), &whole).unwrap();
    fs::create_dir(path.join("empty")).unwrap();
    for (weights, more, expected) in [
        (
            "notes.pth",
            &[][..],
            "notes.pth: its first bytes are those of another kind of file; expected",
        ),
        ("half.safetensors", &[], "half.safetensors: "),
        (
            "missing.pth",
            &[],
            "cannot read missing.pth: No such file or directory",
        ),
        (
            "weights/missing.pt",
            &[],
            "cannot read weights/missing.pt: No such file or directory",
        ),
        ("empty", &[], "empty is not a run folder: "),
        (
            "whole.safetensors",
            &["--model", "resnet18"],
            "whole.safetensors are not those of resnet18: ",
        ),
    ] {
        let found = error(path, &start(weights, more));
        assert!(found.contains(expected), "{weights}: {found}");
        assert!(!path.join("runs").exists(), "{weights}");
    }
    let found = error(path, &start("whole.safetensors", &["--model", "resnet18"]));
    assert!(found.ends_with("they are those of resnet8"), "{found}");
}

/// The rows of the first run and of one that resumes after it was extended, though the weights are gone.
#[test]
fn a_resumed_run_does_not_need_the_weights_again() {
    let folder = scratch();
    let path = folder.path();
    fs::copy(
        trained().join("run/model.safetensors"),
        path.join("w.safetensors"),
    )
    .unwrap();
    output(path, &start("w.safetensors", &["--output", "run"]));
    let before = first_row(&path.join("run"));
    fs::remove_file(path.join("w.safetensors")).unwrap();
    output(path, &["train", "--resume", "run", "--duration", "4ba"]);
    assert_eq!(first_row(&path.join("run")), before);
}

/// The features are those of the network in the checkpoint.
#[test]
fn a_resumed_head_does_not_need_the_weights_again() {
    let folder = scratch();
    let path = folder.path();
    let w = path.join("w.safetensors");
    fs::copy(trained().join("run/model.safetensors"), &w).unwrap();
    let head = [
        "--train",
        "head",
        "--eval-interval",
        "1ba",
        "--schedule",
        "constant",
    ];
    let head = |output: &'static str, duration: &'static str| {
        let more = [
            "--warmup",
            "0ba",
            "--output",
            output,
            "--duration",
            duration,
        ];
        [&head[..], &more].concat()
    };
    let shown = "train --limit 64 --batch-size 4 --device cpu --weights w.safetensors";
    let run = |more: Vec<&str>| {
        output(path, &shown.split(' ').chain(more).collect::<Vec<_>>());
    };
    run(head("whole", "4ba"));
    run(head("run", "2ba"));
    // The weights of another network of this kind.
    let other =
        "train --limit 64 --batch-size 4 --device cpu --duration 1ba --seed 9 --output other";
    output(path, &other.split(' ').collect::<Vec<_>>());
    fs::copy(path.join("other/model.safetensors"), &w).unwrap();
    output(path, &["train", "--resume", "run", "--duration", "4ba"]);
    let losses = |run: &str| crate::runs::column(&path.join(run), "val/loss");
    assert_eq!(losses("run"), losses("whole"));
}

#[cfg(feature = "hub")]
#[test]
fn weights_of_the_hub_are_downloaded_once_with_their_colours_and_size() {
    let folder = scratch();
    let path = folder.path();
    fs::rename(pets(path), path.join("photos")).unwrap();
    let hub = Published::new(path);
    let run = |name: &str| {
        let more = ["--data", "photos", "--output", name];
        let output = hub.cutmix(path, &start(Published::ID, &more));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    // The connection breaks once in the middle, and the download continues.
    hub.server.state().drops = 1;
    let text = run("one");
    assert!(text.contains("model      resnet18"), "{text}");
    assert!(text.contains("3 x 40 x 40"), "{text}");
    let card = || fs::read_to_string(path.join("one/card.json")).unwrap();
    let before = card();
    assert!(before.contains(r#""mean":[0.4,0.5,0.6]"#), "{before}");
    output(path, &["train", "--resume", "one", "--duration", "4ba"]);
    assert_eq!(card(), before);
    let downloads = hub.server.state().downloads().len();
    run("two");
    assert_eq!(hub.server.state().downloads().len(), downloads);
}

#[cfg(feature = "hub")]
#[test]
fn a_hub_without_the_repository_is_one_line() {
    let folder = scratch();
    let path = folder.path();
    fs::rename(pets(path), path.join("photos")).unwrap();
    let hub = Published::new(path);
    let found = hub.error(path, &start("timm/resnet19", &["--data", "photos"]));
    assert!(found.contains("has no repository timm/resnet19"), "{found}");
    assert!(!path.join("runs").exists());
}
