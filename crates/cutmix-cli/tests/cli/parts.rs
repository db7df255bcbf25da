//! Parts of a network that are trained in their own way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

use crate::runs::{column, metrics};
use crate::{output, scratch};

/// The tensors of a run's model.
fn tensors(run: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(run.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    let tensors = tensors.iter().map(|(name, tensor)| {
        let numbers = tensor.data().chunks_exact(4).map(number).collect();
        (name.to_string(), numbers)
    });
    tensors.collect()
}

/// Trains for some batches, and returns the tensors.
fn trained(
    folder: &Path,
    name: &str,
    duration: &str,
    options: &[&str],
) -> BTreeMap<String, Vec<f32>> {
    let tiny = "train --limit 64 --batch-size 16 --model resnet8 --device cpu";
    let tiny: Vec<_> = tiny.split(' ').collect();
    let own = ["--output", name, "--duration", duration];
    output(folder, &[&tiny[..], &own, options].concat());
    tensors(&folder.join(name))
}

/// The settings in the config.toml of a run.
pub fn config(run: &Path) -> toml::Table {
    let text = fs::read_to_string(run.join("config.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

#[test]
fn a_frozen_backbone_keeps_its_weights_and_statistics() {
    let folder = scratch();
    let frozen = ["--freeze", "backbone"];
    let first = trained(folder.path(), "short", "1ba", &frozen);
    let then = trained(folder.path(), "long", "6ba", &frozen);
    let has_statistics = first.keys().any(|name| name.contains("running_mean"));
    assert!(has_statistics, "{:?}", first.keys());
    for (name, values) in &first {
        assert_eq!(*values == then[name], !name.starts_with("fc."), "{name}");
    }
}

#[test]
fn stages_are_frozen_for_a_part_of_the_run() {
    let folder = scratch();
    let frozen = ["--freeze", "conv1,bn1,layer1:2ba"];
    let first = trained(folder.path(), "short", "2ba", &frozen);
    let then = trained(folder.path(), "long", "6ba", &frozen);
    for name in ["conv1.weight", "bn1.running_var"] {
        assert_eq!(first[name], then[name], "{name}");
    }
    for name in [
        "layer1.0.conv1.weight",
        "layer1.0.bn1.running_mean",
        "layer2.0.bn1.weight",
    ] {
        assert_ne!(first[name], then[name], "{name}");
    }
    let parts = config(&folder.path().join("long"))["freeze"].clone();
    assert_eq!(parts, vec!["conv1", "bn1", "layer1:2ba"].into());
}

#[test]
fn layers_have_rates_of_their_own() {
    let folder = scratch();
    let train = |name: &str, options: &[&str]| {
        let constant = ["--schedule", "constant", "--warmup", "0ba"];
        trained(folder.path(), name, "1ba", &[&constant, options].concat())
    };
    // A straight line from one rate to the other leads to every rate.
    let slow = train("slow", &["--learning-rate", "0.1"]);
    let fast = train("fast", &["--learning-rate", "0.2"]);
    let rates = ["--head-rate", "3x", "--layer-decay", "0.5"];
    let rated = train("rated", &[&["--learning-rate", "0.1"], &rates[..]].concat());
    for (name, factor) in [
        ("fc.bias", 3.0),
        ("layer3.0.bn2.bias", 0.5),
        ("conv1.weight", 0.0625),
    ] {
        let pairs = slow[name].iter().zip(&fast[name]);
        for ((one, other), found) in pairs.zip(&rated[name]) {
            let expected = one + (other - one) * (factor - 1.0);
            assert!(
                (expected - found).abs() < 1e-4,
                "{name}: {expected}, {found}"
            );
        }
        assert_ne!(rated[name], slow[name], "{name}");
    }
}

#[test]
fn the_head_alone_ends_as_with_a_frozen_backbone() {
    let folder = scratch();
    let frozen = ["--freeze", "backbone", "--algorithm", "none"];
    let frozen = trained(folder.path(), "frozen", "6ba", &frozen);
    let head = trained(folder.path(), "head", "6ba", &["--train", "head"]);
    assert!(head.keys().eq(frozen.keys()));
    for (name, values) in &head {
        for (found, expected) in values.iter().zip(&frozen[name]) {
            let is_close = (found - expected).abs() <= 1e-4 * expected.abs().max(1.0);
            assert!(is_close, "{name}: {found}, {expected}");
        }
    }
    let losses = ["frozen", "head"].map(|run| column(&folder.path().join(run), "val/loss"));
    for (found, expected) in losses[1].iter().zip(&losses[0]) {
        assert!((found - expected).abs() < 1e-4, "{losses:?}");
    }
    // The last validation was of the features, this one is of the images.
    let eval = ["eval", "head", "--split", "val", "--device", "cpu"];
    let text = output(folder.path(), &eval);
    let loss = format!("{:.4}", losses[1].last().unwrap());
    assert!(text.contains(&loss), "{text}, {loss}");
}

#[test]
fn a_run_of_the_head_is_extended_by_resuming_it() {
    let folder = scratch();
    let path = folder.path();
    let first = trained(path, "run", "6ba", &["--train", "head"]);
    let before = metrics(&path.join("run"));
    output(path, &["train", "--resume", "run", "--duration", "9ba"]);
    let then = tensors(&path.join("run"));
    for (name, values) in &first {
        assert_eq!(*values == then[name], !name.starts_with("fc."), "{name}");
    }
    let after = metrics(&path.join("run"));
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.last().unwrap()[1], "9");
}
