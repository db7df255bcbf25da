//! Parquet files.

use std::fs;

use cutmix_vision::data::sources::parquet;
use cutmix_vision::data::{DataConfig, DataError, open};
use tempfile::tempdir;

use super::{assert_says, classes, color, names, odd, several, tile};

#[test]
fn files_of_a_hub_are_sets_by_their_names() {
    let splits = open(odd("hf"), &DataConfig::new()).unwrap();
    let (train, val) = (splits.train, splits.val.unwrap());
    assert_eq!((train.len(), val.len()), (15, 3));
    assert_eq!(train.classes(), ["cat", "dog", "owl"]);
    assert_eq!(classes(&val), ["dog", "owl", "cat"]);
    assert_eq!(train.name(0), "data/train-00000-of-00002.parquet#0");
    assert_eq!(train.name(11), "data/train-00001-of-00002.parquet#1");
    // Its labels are all -1.
    assert!(splits.test.is_none());
    assert!(
        splits
            .unlabelled
            .unwrap()
            .ends_with("test-00000-of-00001.parquet")
    );
}

#[test]
fn images_are_read_in_any_order() {
    let train = open(odd("hf"), &DataConfig::new()).unwrap().train;
    for index in [0, 14, 5, 4, 6, 6, 9, 2, 13] {
        assert_eq!(color(&train, index), tile(index), "{index}");
    }
    std::thread::scope(|scope| {
        for order in [[0, 3, 6, 9], [6, 9, 8, 11], [14, 10, 7, 6]] {
            let train = &train;
            scope.spawn(move || {
                for index in order {
                    assert_eq!(color(train, index), tile(index));
                }
            });
        }
    });
}

#[test]
fn a_column_of_lists_makes_samples_of_several_classes() {
    let set = open(odd("odd_parquet/several.parquet"), &DataConfig::new())
        .unwrap()
        .train;
    assert_eq!(set.classes(), ["0", "1", "2"]);
    let expected = ["", "0", "0+1", "0+1+2", "", "0", "0+1", "0+1+2", ""];
    assert_eq!(several(&set), expected);
    assert_eq!([8, 3].map(|at| color(&set, at)), [8, 3].map(tile));
}

#[test]
fn a_column_of_text_has_the_names_of_the_classes() {
    let set = open(odd("odd_parquet/names.parquet"), &DataConfig::new())
        .unwrap()
        .train;
    assert_eq!(set.classes(), ["cat", "dog", "owl"]);
    assert_eq!(classes(&set)[..4], ["cat", "dog", "owl", "cat"]);
    assert_eq!(names(&set)[8], "names.parquet#8");
    assert_eq!([7, 1].map(|at| color(&set, at)), [7, 1].map(tile));
    let known = ["owl", "cat"].map(String::from).to_vec();
    let config = DataConfig::new().with_classes(Some(known));
    let result = parquet(odd("odd_parquet/names.parquet"), &config);
    assert!(matches!(result, Err(DataError::UnknownClass { class, .. }) if class == "dog"));
}

#[test]
fn an_image_without_bytes_is_a_bad_image_among_good_ones() {
    let path = odd("odd_parquet/one_image_missing.parquet");
    let set = open(path, &DataConfig::new()).unwrap().train;
    for index in [0, 1, 3, 5, 4] {
        assert_eq!(color(&set, index), tile(index));
    }
    assert_says(set.image(2), &["one_image_missing.parquet#2", "no bytes"]);
    assert!(set.image(2).unwrap_err().is_of_image());
}

#[test]
fn wrong_files_are_errors_that_name_the_column() {
    for (name, parts) in [
        (
            "no_images",
            [
                "column of images",
                "missing among text, label",
                "image, img",
            ]
            .as_slice(),
        ),
        (
            "no_labels",
            &["column of labels", "missing among image, width", "label"],
        ),
        ("one_label_missing", &["label is missing in row 2"]),
        ("brotli", &["BROTLI", "image", "SNAPPY"]),
    ] {
        let path = odd(&format!("odd_parquet/{name}.parquet"));
        assert_says(open(path, &DataConfig::new()), &[&[name], parts].concat());
    }
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let whole = fs::read(odd("hf/data/train-00000-of-00002.parquet")).unwrap();
    fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    assert_says(
        open(&path, &DataConfig::new()),
        &["a.parquet", "unreadable in its metadata"],
    );
    fs::write(&path, "").unwrap();
    assert_says(
        open(&path, &DataConfig::new()),
        &["a.parquet", "unreadable"],
    );
    let result = parquet(dir.path().join("none.parquet"), &DataConfig::new());
    assert!(matches!(result, Err(DataError::NotFound { .. })));
    fs::remove_file(&path).unwrap();
    let result = parquet(dir.path(), &DataConfig::new());
    assert!(matches!(result, Err(DataError::NoClasses { .. })));
}

#[test]
fn a_page_larger_than_the_memory_is_refused() {
    let config = DataConfig::new();
    let decoding = config.decoding.clone().with_memory(200);
    let config = config.with_decoding(decoding);
    for name in [
        "odd_parquet/several.parquet",
        "odd_parquet/names.parquet",
        "hf",
    ] {
        let set = parquet(odd(name), &config).map(|splits| splits.train);
        assert_says(
            set.and_then(|set| set.image(0)),
            &["a page has more than 200 bytes"],
        );
    }
}
