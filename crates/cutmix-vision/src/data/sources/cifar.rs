//! The binary version of CIFAR-10 and CIFAR-100.

use std::path::Path;

use super::Layout;
use crate::data::dataset::check_label;
use crate::data::escape::escape;
use crate::data::source::{Label, Memory, Samples};
use crate::data::{DataError, Splits};

pub(super) const LAYOUT: Layout = Layout {
    about: "CIFAR batches (data_batch_1.bin, train.bin)",
    found_in: |dir| {
        let variants = [&CIFAR10, &CIFAR100];
        (variants.iter()).any(|variant| dir.join(variant.train[0]).is_file())
    },
    read: |dir, _| cifar(dir),
};

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// Where the files of a variant are and what a record of theirs looks like.
struct Variant {
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
    classes: usize,
    /// Bytes before the pixels of a record; the last of them is the label.
    labels: usize,
}

const CIFAR10: Variant = Variant {
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    classes: 10,
    labels: 1,
};

const CIFAR100: Variant = Variant {
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    classes: 100,
    labels: 2,
};

/// Reads CIFAR-10 (`data_batch_1.bin` to `data_batch_5.bin`) or CIFAR-100 with its fine labels
/// (`train.bin`) from the folder `dir`, in the binary version of
/// <https://www.cs.toronto.edu/~kriz/cifar.html>. The test set is `test_batch.bin` or `test.bin`
/// where it exists; there is no validation set. Class names come from `batches.meta.txt` or
/// `fine_label_names.txt`; without that file they are numbers.
///
/// # Errors
/// [`DataError::NotFound`] and [`DataError::Io`]; [`DataError::Format`] where a file has the wrong
/// length or number of names; [`DataError::Label`].
pub fn cifar(dir: impl AsRef<Path>) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    let variant = if dir.join(CIFAR100.train[0]).exists() {
        &CIFAR100
    } else {
        &CIFAR10
    };
    let train = read(dir, variant.train, variant)?;
    let test = if dir.join(variant.test).exists() {
        Some(read(dir, &[variant.test], variant)?)
    } else {
        None
    };
    let classes = names(&dir.join(variant.names), variant.classes)?;
    Memory::of(classes, SHAPE, train, test)
}

fn read(dir: &Path, files: &[&str], variant: &Variant) -> Result<Samples, DataError> {
    let record = variant.labels + PIXELS;
    let mut samples = Samples::default();
    for file in files {
        let path = dir.join(file);
        let bytes = std::fs::read(&path).map_err(|error| DataError::io(&path, error))?;
        if bytes.is_empty() || bytes.len() % record != 0 {
            let found = format!("{} bytes", bytes.len());
            let expected = format!("one or more records of {record} bytes");
            return Err(DataError::format(&path, "length", found, expected));
        }
        let records = bytes.chunks_exact(record);
        for (index, record) in records.enumerate() {
            let (labels, planes) = record.split_at(variant.labels);
            let label = usize::from(labels[variant.labels - 1]);
            check_label(index, &Label::Class(label), variant.classes, || {
                path.display().to_string()
            })?;
            samples.labels.push(label);
            // A file has the red, the green and the blue values of an image.
            let plane = PIXELS / 3;
            let pixel = |at: usize| [planes[at], planes[plane + at], planes[2 * plane + at]];
            samples.pixels.extend((0..plane).flat_map(pixel));
        }
    }
    Ok(samples)
}

fn names(path: &Path, classes: usize) -> Result<Vec<String>, DataError> {
    if !path.exists() {
        return Ok((0..classes).map(|class| class.to_string()).collect());
    }
    let text = std::fs::read_to_string(path).map_err(|error| DataError::io(path, error))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<String> = lines.map(escape).collect();
    if names.len() == classes {
        Ok(names)
    } else {
        let what = "number of class names";
        Err(DataError::format(path, what, names.len(), classes))
    }
}
