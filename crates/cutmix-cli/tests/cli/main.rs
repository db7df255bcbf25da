//! The program, end to end.

mod bars;
mod bench;
#[cfg(unix)]
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod data;
mod embedded;
mod errors;
mod eval;
mod eval_files;
mod explain;
mod export;
mod extend;
mod guide;
mod help;
mod kill;
mod measures;
mod parts;
mod photos;
mod pictures;
mod predict;
mod recipes;
mod report;
mod runs;
mod signals;
mod unfinished;
mod weights;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use image::{GrayImage, Rgb, RgbImage};
use tempfile::TempDir;

/// Runs the program in `folder`.
fn cutmix(folder: &Path, arguments: &[&str]) -> Output {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("COLUMNS")
        .output()
        .unwrap()
}

/// The standard output of a command that must succeed.
fn output(folder: &Path, arguments: &[&str]) -> String {
    let output = cutmix(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    assert_eq!(error, "");
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that must fail, one line after `error: `.
fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = cutmix(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    let line = error.strip_prefix("error: ").unwrap().strip_suffix('\n');
    let line = line.unwrap();
    assert!(!line.contains('\n'), "{arguments:?}: {line}");
    line.into()
}

/// The first paragraph of a command that is used wrongly, after `error: `.
fn usage_error(folder: &Path, arguments: &[&str]) -> String {
    let output = cutmix(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(!error.contains("panicked"), "{error}");
    let paragraph = error
        .strip_prefix("error: ")
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A training command that takes a second or two.
fn tiny<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let tiny = "train --limit 64 --duration 6ba --batch-size 16 --model resnet8 --device cpu";
    tiny.split(' ').chain(more.iter().copied()).collect()
}

/// A folder with a run in `run`, shared by the tests that only read it.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        output(folder.path(), &tiny(&["--output", "run"]));
        folder
    });
    folder.path()
}

/// A folder of its own that a test may change.
fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes `count` coloured images of a class.
fn images(class: &Path, count: u8) {
    std::fs::create_dir_all(class).unwrap();
    for index in 0..count {
        let pixel = |x, y| Rgb([10 * index, (8 * x) as u8, (8 * y) as u8]);
        let image = RgbImage::from_fn(20, 16, pixel);
        image.save(class.join(format!("{index}.png"))).unwrap();
    }
}

/// A folder `pets` of cats and dogs in `folder`.
fn pets(folder: &Path) -> PathBuf {
    let pets = folder.join("pets");
    images(&pets.join("cat"), 12);
    images(&pets.join("dog"), 12);
    pets
}

/// Writes sample `index` of the embedded test set to a file.
fn fashion(path: &Path, index: usize) {
    let test = cutmix_vision::fashion_mnist().test.unwrap();
    let pixels = test.image(index).unwrap().into_pixels();
    GrayImage::from_raw(28, 28, pixels)
        .unwrap()
        .save(path)
        .unwrap();
}
