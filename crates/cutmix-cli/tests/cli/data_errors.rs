//! Data that cannot be trained on.

use std::fs;
use std::path::Path;

use crate::{error, images, output, pets, scratch};

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let train = "train --data pets --size 16 --batch-size 8 --duration 1ba --output run";
    train.split(' ').chain(more.iter().copied()).collect()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

#[test]
fn folders_that_are_no_data_set_are_told() {
    let mut told = Vec::new();
    let mut tell = |prepare: &dyn Fn(&Path)| {
        let folder = scratch();
        let pets = folder.path().join("pets");
        prepare(&pets);
        told.push(error(folder.path(), &train(&[])));
        assert!(!folder.path().join("run").exists());
    };
    tell(&|_| ());
    tell(&|pets| fs::create_dir(pets).unwrap());
    tell(&|pets| write(pets, b""));
    tell(&|pets| images(&pets.join("cat"), 12));
    tell(&|pets| {
        images(&pets.join("cat"), 12);
        fs::create_dir(pets.join("dog")).unwrap();
    });
    tell(&|pets| {
        for class in ["train/cat", "train/dog", "val/cat", "val/dogs"] {
            images(&pets.join(class), 12);
        }
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn bad_images_fail_or_are_skipped_with_a_count() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    write(&pets.join("cat/a-zero.png"), b"");
    let mut told = vec![error(path, &train(&[]))];
    let good = fs::read(pets.join("cat/1.png")).unwrap();
    write(&pets.join("cat/a-zero.png"), &good[..good.len() / 2]);
    told.push(error(path, &train(&["--on-bad-image", "fail"])));
    told.push(error(path, &train(&["--on-bad-image", "skp"])));
    write(&pets.join("dog/text.jpg"), b"not an image");
    let shown = output(path, &train(&["--on-bad-image", "skip"]));
    let skipped = shown.lines().find(|line| line.contains("skipped"));
    told.push(skipped.unwrap().trim().into());
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn options_that_do_not_fit_the_data_are_told() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    let told = [
        &["--val-fraction", "0"][..],
        &["--val-fraction", "1"],
        &["--val-fraction", "-0.5"],
        &["--batch-size", "100"],
        &["--batch-size", "0"],
        &["--size", "0"],
        &["--limit", "0"],
    ]
    .map(|options| {
        // Given twice, clap would refuse it.
        let plain = "train --data pets --duration 1ba --output run".split(' ');
        error(
            path,
            &plain.chain(options.iter().copied()).collect::<Vec<_>>(),
        )
    });
    let embedded = error(path, &["train", "--size", "32"]);
    insta::assert_snapshot!([told.join("\n"), embedded].join("\n"));
}
