//! Options and configuration files that make no sense, and the help.

use std::fs;

use crate::{cutmix, error, scratch};

#[test]
fn wrong_options_are_told() {
    let folder = scratch();
    let told = [
        ["--model", "resnet-8"],
        ["--model", "vgg"],
        ["--algorithm", "mixcut"],
        ["--algorithm", "cutmix:alpha=0"],
        ["--algorithm", "cutmix:alpha=NaN"],
        ["--algorithm", "cutmix:alpha=-1"],
        ["--algorithm", "cutmix:until=0.9"],
        ["--algorithm", "label-smoothing:1"],
        ["--duration", "8"],
        ["--duration", "0ep"],
        ["--duration", "8epochs"],
        ["--learning-rate", "-1"],
        ["--learning-rate", "inf"],
        ["--weight-decay", "NaN"],
        ["--duration", "0.5dur"],
        ["--warmup", "1"],
        ["--eval-interval", "0ba"],
        ["--save-interval", "often"],
        ["--schedule", "cosin"],
        ["--schedule", "step"],
        ["--schedule", "step:every=0ep"],
        ["--schedule", "step:every=1ep,factor=2"],
        ["--schedule", "cosine:every=1ep"],
        ["--accumulate", "0"],
        ["--accumulate", "5"],
        ["--keep", "0"],
        ["--log", "tensorbord"],
        ["--patience", "0"],
        ["--best", "eval-los"],
        ["--average", "1"],
        ["--clip-norm", "0"],
        ["--precision", "fp16"],
        ["--on-nan", "ignore"],
        ["--val-fraction", "7"],
        ["--seed", "9223372036854775808"],
        ["--device", "gpu"],
        ["--device", "cpu:1"],
        ["--device", "cpu:one"],
        ["--device", "auto:1"],
        ["--algorithm", "cutout:length=29"],
        ["--algorithm", "one-of(cutmix|cutout:length=29)"],
    ]
    .map(|options| {
        error(
            folder.path(),
            &[&["train", "--limit", "200"], &options[..]].concat(),
        )
    });
    let together = ["cutmix:interpolate-loss", "label-smoothing:0.1"];
    let together = together
        .map(|algorithm| ["--algorithm", algorithm])
        .concat();
    let together = error(folder.path(), &[&["train"], &together[..]].concat());
    insta::assert_snapshot!([&told[..], &[together]].concat().join("\n"));
    // Nothing was begun.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_is_not_in_the_build_lists_those_that_are() {
    let told = error(scratch().path(), &["train", "--device", "cuda"]);
    assert!(
        told.starts_with("device \"cuda\" is not in this build; available here: "),
        "{told}"
    );
    assert!(
        told.ends_with(". Build with --features cuda to add it"),
        "{told}"
    );
}

#[test]
fn wrong_configuration_files_are_told() {
    let folder = scratch();
    let path = folder.path();
    let mut told = vec![error(path, &["train", "--config", "gone.toml"])];
    for text in [
        "seed = 1\nmodle = \"resnet8\"\n",
        "batch-size = \"many\"",
        "= 3",
        "model = \"r\"",
    ] {
        fs::write(path.join("run.toml"), text).unwrap();
        told.push(error(path, &["train", "--config", "run.toml"]));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn mistyped_commands_are_usage_errors() {
    let folder = scratch();
    for arguments in [
        &["trian"][..],
        &["train", "--batchsize", "3"],
        &["predict", "run"],
        &[],
    ] {
        assert_eq!(
            cutmix(folder.path(), arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
}

#[test]
fn help_tells_options_with_ranges_and_defaults() {
    let folder = scratch();
    for command in ["", "train", "eval", "predict", "preview", "bench", "serve"] {
        let arguments: Vec<_> = [command, "--help"]
            .into_iter()
            .filter(|a| !a.is_empty())
            .collect();
        let help = crate::output(folder.path(), &arguments);
        insta::assert_snapshot!(format!("help-{command}"), help);
    }
}

#[cfg(not(feature = "dashboard"))]
#[test]
fn a_dashboard_that_is_not_in_the_build_is_told() {
    let folder = scratch();
    assert_eq!(
        error(folder.path(), &["train", "--dashboard"]),
        "--dashboard is not in this build; build with --features dashboard to add it"
    );
}
