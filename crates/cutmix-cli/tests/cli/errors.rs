//! Every message of an error, in one snapshot.

use std::fs;
use std::path::Path;

use crate::{cutmix, error, images, output, pets, scratch, tiny, trained, usage_error};

/// The messages under their headings.
#[derive(Default)]
struct Messages(Vec<String>);

impl Messages {
    fn section(&mut self, heading: &str, messages: impl IntoIterator<Item = String>) {
        self.0.push(format!("# {heading}"));
        self.0.extend(messages);
    }
}

#[test]
fn every_error_is_one_sentence_that_says_what_is_accepted() {
    let mut messages = Messages::default();
    options(&mut messages);
    settings(&mut messages);
    configuration_files(&mut messages);
    data(&mut messages);
    runs(&mut messages);
    pictures(&mut messages);
    // A layout of data that only a build with the feature `parquet` has.
    let parquet = ", or parquet files of images and labels (train-00000-of-00001.parquet)";
    let all = messages.0.join("\n");
    assert_eq!(all.contains(parquet), cfg!(feature = "parquet"));
    insta::assert_snapshot!(all.replace(parquet, ""));
}

fn train<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--limit", "200"], options].concat()
}

/// Texts that the command line refuses.
fn options(messages: &mut Messages) {
    let folder = scratch();
    let refused = [
        ["--model", "resnet-8"],
        ["--algorithm", "mixcut"],
        ["--algorithm", "cutmix:alpha=0"],
        ["--algorithm", "cutmix:alpha=NaN"],
        ["--algorithm", "cutmix:aplha=1"],
        ["--algorithm", "cutmix:alpha"],
        ["--algorithm", "cutmix:alpha=1,alpha=2"],
        ["--algorithm", "cutmix:mode=pairs"],
        ["--algorithm", "cutmix:until=0.9"],
        ["--algorithm", "cutmix:from=0.5dur,until=0.2dur"],
        ["--algorithm", "label-smoothing:1"],
        ["--algorithm", "gradient-clipping:0"],
        ["--algorithm", "one-of"],
        ["--algorithm", "one-of(cutmix"],
        ["--algorithm", "one-of(cutmix|none)"],
        ["--algorithm", "one-of(cutmix:weight=much|mixup)"],
        ["--algorithm", "one-of(cutmix|one-of(mixup))"],
        ["--algorithm", "none:alpha=1"],
        ["--duration", "8"],
        ["--warmup", "1"],
        ["--save-interval", "often"],
        ["--freeze", "backbone:"],
        ["--freeze", "backbone:2"],
        ["--freeze", ":2ep"],
        ["--freeze", "backbone:0ep"],
        ["--head-rate", "0.01"],
        ["--head-rate", "0x"],
        ["--train", "neck"],
        ["--recipe", "hot"],
        ["--schedule", "cosin"],
        ["--schedule", "step:every=0ep"],
        ["--optimizer", "adam"],
        ["--log", "tensorbord"],
        ["--metric", "top6"],
        ["--precision", "fp16"],
        ["--on-nan", "ignore"],
        ["--on-bad-image", "skp"],
        ["--seed", "9223372036854775808"],
    ];
    let refused = refused.map(|options| usage_error(folder.path(), &train(&options)));
    messages.section("options", refused);
    let bench = usage_error(folder.path(), &["bench", "--dtype", "f23"]);
    let eval = usage_error(folder.path(), &["eval", "run", "--split", "all"]);
    let export = usage_error(folder.path(), &["export", "run", "--format", "onxx"]);
    messages.section("options of other commands", [bench, eval, export]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Values of the right kind that are not accepted.
fn settings(messages: &mut Messages) {
    let folder = scratch();
    let refused = [
        &["--duration", "0ep"][..],
        &["--duration", "0.5dur"],
        &["--learning-rate", "-1"],
        &["--learning-rate", "inf"],
        &["--weight-decay", "NaN"],
        &["--eval-interval", "0ba"],
        &["--save-interval", "0ba"],
        &["--accumulate", "0"],
        &["--accumulate", "5"],
        &["--keep", "0"],
        &["--patience", "0"],
        &["--best", "val/los"],
        &["--best", "val/f-score"],
        &["--val-fraction", "7"],
        &["--batch-size", "0"],
        &["--device", "gpu"],
        &["--device", "cpu:1"],
        &["--device", "cpu:one"],
        &["--device", "auto:1"],
        &["--algorithm", "cutout:length=29"],
        &["--algorithm", "one-of(cutmix|cutout:length=29)"],
        &[
            "--algorithm",
            "cutmix:interpolate-loss",
            "--algorithm",
            "label-smoothing",
        ],
        &["--algorithm", "ema", "--algorithm", "ema:0.9"],
        &["--algorithm", "ema", "--precision", "bf16"],
        &["--metric", "f-score", "--precision", "bf16"],
        &["--size", "0"],
        &["--eval-size", "5000"],
        &["--crop-share", "1.5"],
        &["--model", "vit-tiny"],
        &["--model", "convnext-tiny"],
        &["--model", "vit-tiny", "--size", "32", "--eval-size", "40"],
        &[
            "--model",
            "vit-tiny",
            "--size",
            "32",
            "--algorithm",
            "progressive-resizing",
        ],
        &["--layer-decay", "0"],
        &["--layer-decay", "1.1"],
        &["--freeze", "layer5"],
        &["--freeze", "layer2.1"],
        &["--freeze", "backbone,fc:1ep"],
        &["--train", "head", "--augment", "light"],
        &["--train", "head", "--algorithm", "cutmix"],
        &["--train", "head", "--freeze", "layer1"],
        &["--train", "head", "--stochastic-depth", "0.5"],
        &["--train", "head", "--layer-decay", "0.5"],
    ];
    let refused = refused.map(|options| error(folder.path(), &train(options)));
    messages.section("settings", refused);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let bench = [
        ["--shape", "64x3x224"],
        ["--shape", "64x3x0x224"],
        ["--shape", "1000000x3x100000x100000"],
    ];
    let bench = bench.map(|options| error(folder.path(), &[&["bench"], &options[..]].concat()));
    messages.section("settings of bench", bench);
}

fn configuration_files(messages: &mut Messages) {
    let folder = scratch();
    let path = folder.path();
    let mut refused = vec![error(path, &["train", "--config", "gone.toml"])];
    for text in [
        "seed = 1\nmodle = \"resnet8\"\n",
        "batch-size = \"many\"",
        "duration = \"8\"",
        "algorithm = [\"cutmx\"]",
        "on-nan = \"ignore\"",
        "= 3",
        "model = \"r\"",
    ] {
        fs::write(path.join("run.toml"), text).unwrap();
        refused.push(error(path, &["train", "--config", "run.toml"]));
    }
    messages.section("configuration files", refused);
}

fn data(messages: &mut Messages) {
    let options = "train --data pets --size 16 --batch-size 1 --duration 1ba --output run";
    let options: Vec<_> = options.split(' ').collect();
    let mut refused = Vec::new();
    let mut refuse = |prepare: &dyn Fn(&Path)| {
        let folder = scratch();
        let pets = folder.path().join("pets");
        prepare(&pets);
        refused.push(error(folder.path(), &options));
        assert!(!folder.path().join("run").exists());
    };
    refuse(&|_| ());
    refuse(&|pets| fs::create_dir(pets).unwrap());
    refuse(&|pets| fs::write(pets, b"").unwrap());
    refuse(&|pets| images(&pets.join("cat"), 12));
    refuse(&|pets| {
        images(&pets.join("cat"), 12);
        fs::create_dir(pets.join("dog")).unwrap();
    });
    refuse(&|pets| {
        for class in ["train/cat", "train/dog", "val/cat", "val/dogs"] {
            images(&pets.join(class), 12);
        }
    });
    let folder = scratch();
    let path = folder.path();
    let cat = pets(path).join("cat");
    // Met when it is read, in the first epoch.
    fs::write(cat.join("5.png"), b"").unwrap();
    let epoch = options
        .iter()
        .map(|&word| if word == "1ba" { "1ep" } else { word });
    refused.push(error(path, &epoch.collect::<Vec<_>>()));
    fs::remove_dir_all(path.join("run")).unwrap();
    let tight = ["--decode-memory", "1KiB"];
    refused.push(error(path, &[&options[..], &tight].concat()));
    messages.section("data", refused);

    let folder = scratch();
    let path = folder.path();
    pets(path);
    let plain = "train --data pets --duration 1ba --output run";
    let options = [
        &["--val-fraction", "0"][..],
        &["--val-fraction", "-0.5"],
        &["--batch-size", "100", "--accumulate", "50"],
        &["--size", "0"],
        &["--limit", "0"],
        &["--batch-size", "8", "--metric", "top5"],
    ];
    let refused = options.map(|options| {
        let plain = plain.split(' ').chain(options.iter().copied());
        error(path, &plain.collect::<Vec<_>>())
    });
    messages.section("options that do not fit the data", refused);
}

fn runs(messages: &mut Messages) {
    let folder = scratch();
    let path = folder.path();
    let run = trained().join("run");
    fs::create_dir(path.join("empty")).unwrap();
    fs::create_dir(path.join("taken")).unwrap();
    fs::create_dir(path.join("run")).unwrap();
    fs::create_dir(path.join("killed [1]")).unwrap();
    fs::write(path.join("killed [1]/.lock"), "").unwrap();
    fs::write(path.join("taken/notes.txt"), "").unwrap();
    fs::write(path.join("file"), "").unwrap();
    for file in ["config.toml", "manifest.json"] {
        fs::copy(run.join(file), path.join("run").join(file)).unwrap();
    }
    let mut refused = vec![
        error(path, &["eval", "gone"]),
        error(path, &["predict", "empty", "a.png"]),
        error(path, &["train", "--resume", "killed [1]"]),
        error(path, &["eval", "run"]),
        error(path, &tiny(&["--output", "taken"])),
        error(path, &tiny(&["--output", "file/run"])),
        error(path, &["train", "--resume", "run", "--seed", "1"]),
    ];
    assert_eq!(fs::read_dir(path.join("taken")).unwrap().count(), 1);
    let model = fs::read(run.join("model.safetensors")).unwrap();
    for damage in [
        &model[..0],
        &model[..100],
        &model[..model.len() - 8],
        b"not a model at all",
    ] {
        fs::write(path.join("run/model.safetensors"), damage).unwrap();
        refused.push(error(path, &["eval", "run"]));
    }
    fs::write(path.join("run/model.safetensors"), &model).unwrap();
    let export = ["export", "run", "--output", "run/model.safetensors"];
    refused.push(error(path, &export));
    fs::write(path.join("run/manifest.json"), "{}").unwrap();
    refused.push(error(path, &["eval", "run"]));
    fs::write(path.join("run/config.toml"), "model = 3").unwrap();
    refused.push(error(path, &["eval", "run"]));
    messages.section("runs", refused);

    output(path, &tiny(&["--output", "own"]));
    let wild = [
        "--learning-rate",
        "1e30",
        "--save-interval",
        "1ba",
        "--warmup",
        "0ba",
    ];
    let mut refused = vec![
        error(path, &tiny(&[&wild[..], &["--output", "wild"]].concat())),
        error(path, &["train", "--resume", "own", "--duration", "3ba"]),
        error(path, &["eval", "own", "--split", "val", "--data", "gone"]),
    ];
    fs::rename(path.join("wild"), path.join("wild [1]")).unwrap();
    fs::remove_dir_all(path.join("wild [1]/checkpoints")).unwrap();
    refused.push(error(path, &["eval", "wild [1]"]));
    images(&path.join("pets/cat"), 1);
    images(&path.join("pets/dog"), 1);
    refused.push(error(path, &["eval", "own", "--data", "pets"]));
    images(&path.join("clothes/Coat"), 1);
    images(&path.join("clothes/Bag"), 1);
    let split = ["eval", "own", "--data", "clothes", "--split", "test"];
    refused.push(error(path, &split));
    fs::write(path.join("bad.png"), "no image").unwrap();
    let predicted = cutmix(path, &["predict", "own", "bad.png", "gone.png"]);
    assert_eq!(predicted.status.code(), Some(1));
    let predicted = String::from_utf8(predicted.stderr).unwrap();
    refused.extend(predicted.lines().map(String::from));
    messages.section("finished runs", refused);
}

fn pictures(messages: &mut Messages) {
    let folder = scratch();
    let refused = [
        ["--output", "gone/preview.png"],
        ["--output", "preview.jpg"],
        ["--algorithm", "label-smoothing"],
        ["--algorithm", "cutout:length=29"],
    ];
    let refused =
        refused.map(|options| error(folder.path(), &[&["preview"], &options[..]].concat()));
    messages.section("pictures", refused);
}
