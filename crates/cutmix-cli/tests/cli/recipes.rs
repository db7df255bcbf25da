//! `--recipe`: published settings.

use std::fs;

use crate::parts::config;
use crate::report::{report, section};
use crate::runs::metrics;
use crate::{error, output, scratch, tiny, trained};

/// Options that make a recipe for ImageNet a matter of seconds.
const SMALL: &[&str] = &["--size", "32", "--eval-size", "32", "--warmup", "0ba"];

#[test]
fn a_recipe_has_the_settings_that_are_not_given() {
    let folder = scratch();
    let path = folder.path();
    fs::write(
        path.join("own.toml"),
        "recipe = \"cifar\"\nmodel = \"resnet8\"\nlearning-rate = 0.05\nweight-decay = 0.001\n",
    )
    .unwrap();
    let own = ["--config", "own.toml", "--weight-decay", "0.002"];
    let options = [
        &own[..],
        &["--limit", "64", "--duration", "2ba", "--output", "run"],
    ]
    .concat();
    output(
        path,
        &[
            &["train", "--batch-size", "16", "--device", "cpu"],
            &options[..],
        ]
        .concat(),
    );
    let config = config(&path.join("run"));
    for (key, value) in [
        ("weight-decay", "0.002"),
        ("learning-rate", "0.05"),
        ("schedule", "\"step:every=60ep,factor=0.2\""),
        ("duration", "\"2ba\""),
        ("batch-size", "16"),
        ("seed", "0"),
    ] {
        assert_eq!(config[key].to_string(), value, "{key}");
    }
    let algorithm = config["algorithm"].to_string();
    assert!(algorithm.contains("probability=0.5"), "{algorithm}");
    let text = fs::read_to_string(path.join("run/config.toml")).unwrap();
    let source = text.lines().nth(1).unwrap();
    assert!(source.starts_with("# With the recipe cifar: Wide Residual Networks, "));
    assert!(!config.contains_key("recipe"));

    let again = ["train", "--config", "run/config.toml", "--output", "again"];
    output(path, &again);
    assert_eq!(metrics(&path.join("again")), metrics(&path.join("run")));
    assert_eq!(config, crate::parts::config(&path.join("again")));
}

#[test]
fn a_recipe_is_refused_beside_a_file_that_has_every_setting() {
    let folder = scratch();
    let file = trained().join("run/config.toml");
    let file = file.to_str().unwrap();
    let train = ["train", "--config", file, "--recipe", "finetune"];
    assert_eq!(
        error(folder.path(), &train),
        format!(
            "--recipe is finetune, expected none with --config {file}, which has all settings of a run; \
             leave one of them out, or list only what differs from the recipe in a file of your own"
        )
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_run_of_the_head_keeps_what_does_not_change_images_of_a_recipe() {
    let folder = scratch();
    let path = folder.path();
    let head = [
        &["--recipe", "medium", "--train", "head", "--output", "run"],
        SMALL,
    ]
    .concat();
    output(path, &tiny(&head));
    let config = config(&path.join("run"));
    assert_eq!(config["augment"], "none".into());
    let algorithms = config["algorithm"].as_array().unwrap().iter();
    let names = algorithms.map(|one| one.as_str().unwrap().split(':').next().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["label-smoothing", "sam", "ema"]);

    let mixing = [&["--recipe", "cifar", "--train", "head", "--output", "none"][..]];
    output(path, &tiny(&mixing.concat()));
    let config = crate::parts::config(&path.join("none"));
    assert_eq!(config["algorithm"], vec!["none"].into());
}

#[test]
fn weights_decide_the_network_where_a_recipe_has_another_one() {
    let folder = scratch();
    let path = folder.path();
    let run = trained().join("run");
    let start =
        "train --recipe mild --limit 64 --duration 2ba --batch-size 16 --device cpu --output run";
    let start: Vec<_> = start.split(' ').collect();
    let weights = ["--weights", run.to_str().unwrap()];
    output(path, &[&start[..], &weights, SMALL].concat());
    let config = config(&path.join("run"));
    assert_eq!(config["model"], "resnet8".into());
    assert_eq!(config["blur-pool"], false.into());
    assert_eq!(config["weight-decay"], 2.44e-5.into());
}

#[test]
fn header_and_report_tell_what_a_run_has_from_a_recipe() {
    let folder = scratch();
    let path = folder.path();
    let text = output(path, &tiny(&["--recipe", "cifar", "--output", "run"]));
    let named =
        "recipe     cifar: Wide Residual Networks, Zagoruyko and Komodakis, arXiv:1605.07146";
    assert!(text.contains(named), "{text}");
    let groups = || {
        let report = report(&path.join("run"));
        let settings = section(&report, "Settings");
        let groups = settings.split("<h3>").skip(1);
        groups.map(String::from).collect::<Vec<_>>()
    };
    let [given, of_recipe, filled] = &groups()[..] else {
        panic!("{:?}", groups());
    };
    assert!(given.starts_with("Given on the command line or in a configuration file"));
    assert!(of_recipe.starts_with("From the recipe cifar: Wide Residual Networks"));
    assert!(filled.starts_with("Filled in"));
    // The recipe has a model and a size of batches, too.
    for (group, settings) in [
        (given, ["model</dt><dd>resnet8", "batch-size</dt><dd>16"]),
        (
            of_recipe,
            ["learning-rate</dt><dd>0.1", "algorithm</dt><dd>cutmix:"],
        ),
        (filled, ["seed</dt><dd>0", "crop-share</dt><dd>1"]),
    ] {
        for setting in settings {
            assert!(group.contains(&format!("<dt>{setting}")), "{group}");
            let everywhere = groups().concat();
            let name = setting.split("</dt>").next().unwrap();
            assert_eq!(everywhere.matches(&format!("<dt>{name}<")).count(), 1);
        }
    }

    // A run that is extended is still one of the recipe.
    let comment = || {
        let text = fs::read_to_string(path.join("run/config.toml")).unwrap();
        text.lines().nth(1).unwrap().to_string()
    };
    let before = comment();
    assert!(before.starts_with("# With the recipe cifar"), "{before}");
    let text = output(path, &["train", "--resume", "run", "--duration", "8ba"]);
    assert!(text.contains(named), "{text}");
    assert_eq!(comment(), before);
    assert_eq!(groups()[1], *of_recipe);
}

#[test]
fn a_setting_of_a_recipe_that_the_data_change_is_filled_in() {
    let folder = scratch();
    let path = folder.path();
    let train = "train --recipe finetune --limit 40 --duration 2ba --model resnet8 --device cpu --output run";
    let train: Vec<_> = train.split(' ').collect();
    assert!(crate::cutmix(path, &train).status.success());
    let report = report(&path.join("run"));
    let settings = section(&report, "Settings");
    let (_, filled) = settings.split_once("Filled in").unwrap();
    assert!(filled.contains("<dt>batch-size</dt><dd>40"), "{filled}");
}
