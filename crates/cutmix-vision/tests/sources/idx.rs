//! IDX files under other names.

use std::fs;
use std::path::Path;

use cutmix_vision::data::sources::idx;
use cutmix_vision::data::{DataConfig, DataError, open};
use tempfile::tempdir;

use super::{assert_says, classes, odd};

/// Writes images of one pixel and their labels.
fn write(dir: &Path, images: &str, labels: &str, values: &[u8]) {
    let count = (values.len() as u32).to_be_bytes();
    let one = 1u32.to_be_bytes();
    let image_file = [&[0, 0, 8, 3], &count[..], &one, &one, values].concat();
    let label_file = [&[0, 0, 8, 1], &count[..], values].concat();
    for (path, bytes) in [(images, image_file), (labels, label_file)] {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn names_may_have_a_dot_and_files_may_be_in_a_folder_of_their_name() {
    let dir = tempdir().unwrap();
    write(
        dir.path(),
        "train-images.idx3-ubyte",
        "train-labels.idx1-ubyte",
        &[0, 1, 2],
    );
    let (images, labels) = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");
    let (images, labels) = (format!("{images}/{images}"), format!("{labels}/{labels}"));
    write(dir.path(), &images, &labels, &[2, 1]);
    let splits = open(dir.path(), &DataConfig::new()).unwrap();
    assert_eq!((splits.train.len(), splits.test.unwrap().len()), (3, 2));
}

#[test]
fn images_of_emnist_are_upright_and_its_classes_have_names() {
    let splits = open(odd("emnist/emnist-letters"), &DataConfig::new()).unwrap();
    let (train, test) = (splits.train, splits.test.unwrap());
    assert_eq!((train.len(), test.len()), (4, 2));
    assert_eq!(train.classes().len(), 26);
    assert_eq!(classes(&train), ["Aa", "Bb", "Cc", "Aa"]);
    assert_eq!(classes(&test), ["Aa", "Bb"]);
    assert_eq!(train.shape(), [1, 5, 4]);
    let upright: Vec<_> = (40..60).collect();
    assert_eq!(train.image(1).unwrap().pixels(), upright);
}

#[test]
fn of_several_data_sets_one_is_chosen_by_its_prefix() {
    assert_says(
        open(odd("emnist"), &DataConfig::new()),
        &[
            "emnist-digits, emnist-letters",
            "such as",
            "emnist/emnist-digits",
        ],
    );
    let digits = idx(odd("emnist/emnist-digits")).unwrap().train;
    assert_eq!(digits.classes(), ["0", "1", "2", "3"]);
    let dir = tempdir().unwrap();
    for part in ["train", "test"] {
        for kind in ["images-idx3", "labels-idx1"] {
            let name = format!("emnist-digits-{part}-{kind}-ubyte.gz");
            fs::copy(odd("emnist").join(&name), dir.path().join(&name)).unwrap();
        }
    }
    assert_eq!(open(dir.path(), &DataConfig::new()).unwrap().train.len(), 4);
    let result = open(odd("emnist/emnist-other"), &DataConfig::new());
    assert!(matches!(result, Err(DataError::NotFound { .. })));
}

#[test]
fn a_wrong_mapping_is_an_error_with_its_line() {
    let dir = tempdir().unwrap();
    let prefix = "emnist-letters-train";
    let names = ["images-idx3", "labels-idx1"].map(|kind| format!("{prefix}-{kind}-ubyte"));
    write(dir.path(), &names[0], &names[1], &[1, 2, 3]);
    let mapping = dir.path().join("emnist-letters-mapping.txt");
    for (text, parts) in [
        (
            "1 65\n2 66\n",
            ["label is 3 of sample 2", "mapping.txt"].as_slice(),
        ),
        ("1 65\n1 66\n", &["`1 66` in line 2"]),
        ("1 65\n2\n", &["`2` in line 2"]),
        ("1 65\n300 66\n", &["line 2", "0 to 255"]),
        ("1 55296\n", &["line 1"]),
    ] {
        fs::write(&mapping, text).unwrap();
        assert_says(idx(dir.path()), parts);
    }
    fs::remove_file(mapping).unwrap();
    assert_eq!(
        idx(dir.path()).unwrap().train.classes(),
        ["0", "1", "2", "3"]
    );
}
