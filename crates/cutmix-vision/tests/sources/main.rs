//! Sources of data: CSV files, tar shards, parquet files and IDX files.

mod csv;
mod idx;
mod odd_bytes;
#[cfg(feature = "parquet")]
mod parquet;
mod webdataset;

use std::fs;
use std::path::{Path, PathBuf};

use cutmix_vision::data::{DataError, Dataset, Label};
use image::{Rgb, RgbImage};

/// A file or folder that `scripts/make_odd_files.py` makes.
fn odd(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/odd_files")
        .join(path)
}

/// Saves an image of one colour.
fn save(dir: &Path, path: &str, color: [u8; 3]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(4, 4, Rgb(color)).save(path).unwrap();
}

fn names(set: &Dataset) -> Vec<String> {
    (0..set.len()).map(|index| set.name(index)).collect()
}

/// The names of the class of each sample.
fn classes(set: &Dataset) -> Vec<&str> {
    let class = |label: Label| set.classes()[label.class().unwrap()].as_str();
    set.labels().map(class).collect()
}

/// The names of the classes of each sample, joined by `+`.
fn several(set: &Dataset) -> Vec<String> {
    let name = |class: &usize| set.classes()[*class].as_str();
    let labels = set.labels();
    labels
        .map(|label| {
            label
                .classes()
                .iter()
                .map(name)
                .collect::<Vec<_>>()
                .join("+")
        })
        .collect()
}

/// The first red, green and blue value of a sample.
fn color(set: &Dataset, index: usize) -> [u8; 3] {
    let image = set.original(index).unwrap();
    [image.pixels()[0], image.pixels()[1], image.pixels()[2]]
}

/// The colour of a tile of the odd files.
fn tile(number: usize) -> [u8; 3] {
    [
        (number * 37 % 256) as u8,
        (number * 91 % 256) as u8,
        (number % 256) as u8,
    ]
}

/// Checks that the message of an error is one line with all of these parts.
#[track_caller]
fn assert_says<T>(result: Result<T, DataError>, parts: &[&str]) {
    let error = result.err().expect("an error").to_string();
    assert!(!error.contains('\n'), "{error}");
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}
