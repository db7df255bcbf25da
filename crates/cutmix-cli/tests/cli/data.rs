//! The data of a run: its sets, its manifest, and names that come from outside.

use std::fs;
use std::path::Path;

use crate::{error, images, output, pets, scratch};

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let train = "train --data pets --size 16 --batch-size 8 --duration 2ba --val-fraction 0.25 \
                 --device cpu --output run";
    train
        .split_whitespace()
        .chain(more.iter().copied())
        .collect()
}

#[test]
fn bad_images_are_skipped_with_a_count() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    fs::write(pets.join("cat/a.png"), b"").unwrap();
    fs::write(pets.join("dog/text.jpg"), b"not an image").unwrap();
    let options = train(&["--on-bad-image", "skip"]);
    let epochs = options
        .iter()
        .map(|&word| if word == "2ba" { "4ep" } else { word });
    let shown = output(path, &epochs.collect::<Vec<_>>());
    assert!(
        shown.contains("2 bad images skipped, the first: bad image ")
            && shown.contains("a.png: the file is empty"),
        "{shown}"
    );
}

#[test]
fn the_test_set_is_measured_once_and_apart() {
    let folder = scratch();
    let path = folder.path();
    for (set, count) in [("train", 12), ("val", 4), ("test", 5)] {
        for class in ["cat", "dog"] {
            images(&path.join("pets").join(set).join(class), count);
        }
    }
    let shown = output(path, &train(&["--best", "val/accuracy"]));
    assert!(
        shown.contains("24 images to train, 8 to validate, 10 to test"),
        "{shown}"
    );
    let test = shown
        .lines()
        .find(|line| line.starts_with("test       loss "))
        .unwrap();
    assert!(test.ends_with("(best model)"), "{test}");
    let table = fs::read_to_string(path.join("run/metrics.csv")).unwrap();
    assert!(
        table.contains("val/accuracy") && !table.contains("test"),
        "{table}"
    );

    // `eval` measures the same set, and others where it is asked to.
    let measured = output(path, &["eval", "run", "--device", "cpu"]);
    assert!(measured.contains("pets, test set: 10 images"), "{measured}");
    let scores = measured.lines().nth(1).unwrap();
    assert!(test.contains(scores), "{test}: {scores}");
    let measured = output(path, &["eval", "run", "--split", "val"]);
    assert!(
        measured.contains("pets, validation set: 8 images"),
        "{measured}"
    );
}

/// Starts a run that is stopped after its first batch.
fn stopped(path: &Path) {
    pets(path);
    output(path, &train(&[]));
    // A longer run continues where this one has ended.
    let config = fs::read_to_string(path.join("run/config.toml")).unwrap();
    let config = config.replace("duration = \"2ba\"", "duration = \"3ba\"");
    fs::write(path.join("run/config.toml"), config).unwrap();
}

fn image(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn changed_data_are_refused_and_the_change_is_named() {
    type Change = fn(&Path);
    let changes: [(Change, &str); 5] = [
        (
            |pets| fs::remove_file(pets.join("cat/1.png")).unwrap(),
            "1 image removed (cat/1.png)",
        ),
        (
            |pets| fs::write(pets.join("cat/new.png"), image(&pets.join("cat/1.png"))).unwrap(),
            "1 image added (cat/new.png)",
        ),
        (
            |pets| fs::rename(pets.join("cat/1.png"), pets.join("dog/moved.png")).unwrap(),
            "image",
        ),
        (
            |pets| fs::rename(pets.join("cat"), pets.join("lion")).unwrap(),
            "class `cat` renamed to `lion`",
        ),
        (
            |pets| fs::write(pets.join("cat/1.png"), image(&pets.join("../big.png"))).unwrap(),
            "1 image of another size (cat/1.png)",
        ),
    ];
    for (change, named) in changes {
        let folder = scratch();
        let path = folder.path();
        stopped(path);
        ::image::RgbImage::new(40, 40)
            .save(path.join("big.png"))
            .unwrap();
        change(&path.join("pets"));
        for command in [&["train", "--resume", "run"][..], &["eval", "run"]] {
            let message = error(path, command);
            assert!(
                message.contains("have changed since the run started"),
                "{message}"
            );
            assert!(message.contains(named), "{named}: {message}");
        }
    }
}

#[test]
fn unchanged_data_are_resumed_in_the_sets_of_the_run() {
    let folder = scratch();
    let path = folder.path();
    stopped(path);
    let shown = output(path, &["train", "--resume", "run"]);
    assert!(
        shown.contains("18 images to train, 6 to validate, none to test"),
        "{shown}"
    );
}

#[test]
fn data_that_were_moved_are_resumed_and_measured() {
    let folder = scratch();
    let path = folder.path();
    stopped(path);
    fs::rename(path.join("pets"), path.join("moved")).unwrap();
    let message = error(path, &["train", "--resume", "run"]);
    let advice =
        "pets does not exist; give the place where the data of the run are now with --data";
    assert!(message.ends_with(advice), "{message}");
    let shown = output(path, &["train", "--resume", "run", "--data", "moved"]);
    assert!(
        shown.contains("moved\n") && shown.contains("18 images to train, 6 to validate"),
        "{shown}"
    );
    // The run has kept the place.
    let measured = output(path, &["eval", "run"]);
    assert!(
        measured.contains("moved, validation set: 6 images"),
        "{measured}"
    );
    fs::rename(path.join("moved"), path.join("again")).unwrap();
    let again = output(path, &["eval", "run", "--data", "again"]);
    assert!(
        again.starts_with("again, validation set: 6 images\n"),
        "{again}"
    );
    assert!(
        again.lines().skip(1).eq(measured.lines().skip(1)),
        "{again}"
    );

    images(&path.join("others/cat"), 3);
    images(&path.join("others/dog"), 14);
    let resume = [
        "train",
        "--resume",
        "run",
        "--duration",
        "5ba",
        "--data",
        "others",
    ];
    let message = error(path, &resume);
    for part in [
        "others have changed since the run started: 2 images added (dog/12.png, dog/13.png); 9 images \
         removed (cat/",
        "; restore them, or give --data the place where those of the run are now",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn a_limit_keeps_its_images_when_the_run_is_resumed_and_evaluated() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    output(path, &train(&["--limit", "10"]));
    let shown = output(path, &["train", "--resume", "run", "--duration", "3ba"]);
    assert!(
        shown.contains("10 images to train, 6 to validate"),
        "{shown}"
    );
    let shown = output(path, &["eval", "run", "--split", "train"]);
    assert!(shown.contains("training set: 10 images"), "{shown}");
}

#[cfg(unix)]
#[test]
fn names_that_act_on_a_terminal_are_escaped() {
    let folder = scratch();
    let path = folder.path();
    images(&path.join("pets/cat\x1b[2J\n猫"), 12);
    images(&path.join("pets/dog\u{202e}"), 12);
    let shown = output(path, &train(&[]));
    assert!(!shown.contains('\x1b'), "{shown:?}");
    let shown = output(path, &["eval", "run"]);
    for escaped in ["cat\\x1B[2J\\x0A猫", "dog\\u{202e}"] {
        assert!(shown.contains(escaped), "{shown}");
    }
    // The columns are aligned, wide characters included.
    let rows: Vec<_> = shown.lines().skip(3).collect();
    let column = rows[0].find("images").unwrap();
    let before = |row: &str| row.find("  ").map(|at| row[..at].to_string()).unwrap();
    assert_eq!(
        column,
        before(rows[1]).replace('猫', "xx").len() + 2,
        "{shown}"
    );

    let file = "cat\x1b[2J.png";
    image::GrayImage::new(4, 4).save(path.join(file)).unwrap();
    let shown = output(path, &["predict", "run", file]);
    assert!(shown.starts_with("cat\\u{1b}[2J.png"), "{shown}");
    assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown:?}");
    assert!(shown.contains("dog\\u{202e}"), "{shown}");

    fs::write(path.join("\x1b[31m.png"), "no image").unwrap();
    let message = error(path, &["eval", "run", "--data", "\x1b[31m.png"]);
    assert!(
        message.starts_with("\\u{1b}[31m.png is a file"),
        "{message}"
    );
}
