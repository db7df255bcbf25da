//! The binary version of CIFAR-10 and CIFAR-100.

use std::path::Path;

use super::{Dataset, Source, Splits, check_labels};
use crate::DataError;

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// Where the files of a variant are and what a record of theirs looks like.
struct Layout {
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
    classes: usize,
    /// Bytes before the pixels of a record; the last of them is the label.
    labels: usize,
}

const CIFAR10: Layout = Layout {
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

const CIFAR100: Layout = Layout {
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    classes: 100,
    labels: 2,
};

/// Reads CIFAR-10 (`data_batch_1.bin` to `data_batch_5.bin`) or CIFAR-100 with its fine labels
/// (`train.bin`) from the folder `dir`, in the binary version of
/// <https://www.cs.toronto.edu/~kriz/cifar.html>. The validation set is `test_batch.bin` or
/// `test.bin` where it is there. Class names come from `batches.meta.txt` or
/// `fine_label_names.txt`; without that file they are numbers.
///
/// # Errors
/// [`DataError::NotFound`] and [`DataError::Io`]; [`DataError::Format`] where a file has the wrong
/// length or number of names; [`DataError::Label`].
pub fn cifar(dir: impl AsRef<Path>) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    let layout = match dir.join(CIFAR100.train[0]).exists() {
        true => &CIFAR100,
        false => &CIFAR10,
    };
    let train = read(dir, layout.train, layout)?;
    let val = match dir.join(layout.test).exists() {
        true => Some(read(dir, &[layout.test], layout)?),
        false => None,
    };
    Ok(Splits {
        train,
        val,
        skipped: Vec::new(),
    })
}

pub(super) fn found_in(dir: &Path) -> bool {
    [&CIFAR10, &CIFAR100]
        .iter()
        .any(|layout| dir.join(layout.train[0]).is_file())
}

fn read(dir: &Path, files: &[&str], layout: &Layout) -> Result<Dataset, DataError> {
    let record = layout.labels + PIXELS;
    let (mut labels, mut pixels) = (Vec::new(), Vec::new());
    for file in files {
        let path = dir.join(file);
        let bytes = std::fs::read(&path).map_err(|error| DataError::io(&path, error))?;
        if bytes.is_empty() || bytes.len() % record != 0 {
            let found = format!("{} bytes", bytes.len());
            let expected = format!("one or more records of {record} bytes");
            return Err(DataError::format(&path, "length", found, expected));
        }
        let records = bytes.chunks_exact(record);
        let of_file: Vec<usize> = records
            .clone()
            .map(|r| r[layout.labels - 1].into())
            .collect();
        check_labels(&of_file, layout.classes, || path.display().to_string())?;
        labels.extend(of_file);
        records.for_each(|r| pixels.extend_from_slice(&r[layout.labels..]));
    }
    Ok(Dataset::whole(Source {
        classes: names(&dir.join(layout.names), layout.classes)?,
        labels,
        shape: SHAPE,
        pixels: Some(pixels),
        paths: Vec::new(),
    }))
}

fn names(path: &Path, classes: usize) -> Result<Vec<String>, DataError> {
    if !path.exists() {
        return Ok((0..classes).map(|class| class.to_string()).collect());
    }
    let text = std::fs::read_to_string(path).map_err(|error| DataError::io(path, error))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<String> = lines.map(String::from).collect();
    if names.len() != classes {
        return Err(DataError::format(
            path,
            "number of class names",
            names.len(),
            classes,
        ));
    }
    Ok(names)
}
