//! The sentences of errors and changes, all in one snapshot. Other tests look at variants.

use std::path::PathBuf;

use cutmix_vision::models::find;
use cutmix_vision::{Change, DataError, ModelConfig};

#[test]
fn messages_are_one_line_each() {
    let path = || PathBuf::from("data/pets");
    let names = |count| (1..=count).map(|at| format!("cat/{at}.png")).collect();
    let errors = [
        DataError::NotFound { path: path() },
        DataError::Io {
            path: path(),
            source: std::io::Error::other("permission denied"),
        },
        DataError::NotAFolder { path: path() },
        DataError::NoClasses { path: path() },
        DataError::OneClass {
            path: path(),
            class: "cat".into(),
        },
        DataError::UnknownClass {
            path: path(),
            class: "dogs".into(),
            near: vec!["dog".into(), "dove".into()],
        },
        DataError::NoGoodImage {
            count: 32,
            reason: "bad image a.png: the file is empty".into(),
        },
        DataError::TooLarge {
            path: path(),
            what: "a file of 3000000000 bytes".into(),
            memory: 1 << 30,
        },
        DataError::Image {
            path: path(),
            reason: "the file is empty".into(),
        },
        DataError::Format {
            path: path(),
            what: "IDX magic number",
            found: "missing".into(),
            expected: "0x00000803".into(),
        },
        DataError::Label {
            origin: "labels".into(),
            index: 3,
            label: 7,
            classes: 2,
        },
        DataError::Argument {
            argument: "batch_size",
            value: "0".into(),
            expected: "at least 1".into(),
        },
    ];
    let changes = [
        Change::RenamedClass {
            from: "cat".into(),
            to: "kitten".into(),
        },
        Change::AddedClasses(vec!["emu".into()]),
        Change::RemovedClasses(vec!["dog".into(), "fox".into()]),
        Change::Added(names(1)),
        Change::Removed(names(3)),
        Change::Relabelled(names(4)),
        Change::Resized(names(2)),
        Change::Moved(names(200)),
        Change::ReorderedClasses,
        Change::Reordered,
    ];
    let device = burn::tensor::Device::default();
    let mut lines: Vec<_> = errors.iter().map(DataError::to_string).collect();
    lines.extend(changes.iter().map(Change::to_string));
    lines.push(find("resnet19").unwrap_err().to_string());
    let error = ModelConfig::new("resnet8", 0).init(&device).unwrap_err();
    lines.push(error.to_string());
    assert!(lines.iter().all(|line| !line.contains('\n')));
    // A layout of data that only a build with the feature `parquet` has.
    let parquet = ", or parquet files of images and labels (train-00000-of-00001.parquet)";
    let all = lines.join("\n");
    assert_eq!(all.contains(parquet), cfg!(feature = "parquet"));
    insta::assert_snapshot!(all.replace(parquet, ""));
}
