//! Sets in memory: the embedded one, subsets and splits, IDX and CIFAR files.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::Path;

use cutmix_vision::data::Split;
use cutmix_vision::data::sources::{cifar, idx};
use cutmix_vision::{DataConfig, DataError, Dataset, Label, Manifest, Splits, fashion_mnist, open};
use proptest::prelude::*;
use tempfile::tempdir;

/// `count` grey images of 2 x 2 in `classes` classes that take turns; pixels count up.
fn small(count: usize, classes: usize) -> Dataset {
    let names = (0..classes).map(|class| format!("c{class}")).collect();
    let pixels = (0..4 * count).map(|pixel| pixel as u8).collect();
    let labels = (0..count).map(|sample| sample % classes).collect();
    Dataset::new(names, [1, 2, 2], pixels, labels).unwrap()
}

fn names(set: &Dataset) -> Vec<String> {
    (0..set.len()).map(|index| set.name(index)).collect()
}

/// The classes of all samples, which have one each.
fn classes(set: &Dataset) -> Vec<usize> {
    set.labels().filter_map(|label| label.class()).collect()
}

#[test]
fn fashion_mnist_is_as_published() {
    let Splits { train, test, .. } = fashion_mnist();
    let test = test.unwrap();
    for set in [&train, &test] {
        assert_eq!((set.len(), set.shape()), (10_000, [1, 28, 28]));
        assert_eq!(set.classes()[9], "Ankle boot");
    }
    // The test set has 1,000 images of each class.
    assert_eq!(test.class_counts(), [1000; 10]);
    assert_eq!(
        train.class_counts(),
        [942, 1027, 1016, 1019, 974, 989, 1021, 1022, 990, 1000]
    );
    let first = &classes(&train)[..10];
    assert_eq!(first, [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
    let first = &classes(&test)[..10];
    assert_eq!(first, [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]);
    assert_eq!(fletcher(&train), TRAIN_SUM);
    assert_eq!(fletcher(&test), TEST_SUM);
}

// Of the pixels in the files that the embedded data are made from.
const TRAIN_SUM: (u64, u64) = (572_388_787, 2_236_476_649_775_444);
const TEST_SUM: (u64, u64) = (573_469_082, 2_248_185_613_242_169);

/// The sum of all pixels, and the sum of its partial sums: a checksum that sees order.
fn fletcher(set: &Dataset) -> (u64, u64) {
    let mut sums = (0u64, 0u64);
    for index in 0..set.len() {
        for value in set.image(index).unwrap().into_pixels() {
            sums.0 += u64::from(value);
            sums.1 = sums.1.wrapping_add(sums.0);
        }
    }
    sums
}

#[test]
fn fashion_mnist_is_validated_on_training_images() {
    let whole = fashion_mnist();
    assert!(whole.val.is_none());
    let splits = whole.clone().split_val(0.1, 3).unwrap();
    let (val, test) = (splits.val.as_ref().unwrap(), splits.test.as_ref().unwrap());
    assert_eq!((splits.train.len(), val.len()), (9_000, 1_000));
    assert_eq!(names(test), names(whole.test.as_ref().unwrap()));
    let all: HashSet<_> = [names(&splits.train), names(val)]
        .concat()
        .into_iter()
        .collect();
    assert_eq!(all, names(&whole.train).into_iter().collect());
    assert_eq!(test.name(7), "test#7");
}

#[test]
fn bad_sets_are_errors() {
    let names = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
    let new = |classes, shape, pixels, labels| {
        Dataset::new(names(classes), shape, vec![0; pixels], labels).unwrap_err()
    };
    assert_argument(&new(2, [1, 2, 2], 7, vec![0, 1]), "pixels");
    assert_argument(&new(2, [2, 2, 2], 8, vec![0]), "shape");
    assert_argument(&new(2, [1, 0, 2], 0, vec![]), "shape");
    assert_argument(&new(0, [1, 2, 2], 4, vec![0]), "classes");
    assert!(matches!(
        new(2, [1, 2, 2], 8, vec![0, 2]),
        DataError::Label {
            index: 1,
            label: 2,
            classes: 2,
            ..
        }
    ));
    assert_argument(&small(4, 2).image(4).unwrap_err(), "index");
    assert_argument(&small(4, 2).subset(&[0, 9]).unwrap_err(), "index");
    for fraction in [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = small(4, 2).split(fraction, 0).unwrap_err();
        assert_argument(&error, "val_fraction");
    }
    assert_argument(&small(2, 2).split(0.5, 0).unwrap_err(), "val_fraction");
}

fn assert_argument(error: &DataError, expected: &str) {
    match error {
        DataError::Argument { argument, .. } => assert_eq!(*argument, expected),
        other => panic!("expected an error about `{expected}`, found: {other}"),
    }
}

#[test]
fn subsets_share_order_and_names() {
    let set = small(6, 2).subset(&[5, 0, 5]).unwrap();
    assert_eq!(classes(&set), [1, 0, 1]);
    assert_eq!(set.image(0).unwrap().into_pixels(), [20, 21, 22, 23]);
    assert_eq!(set.name(0), "#5");
    let set = small(10, 2).truncate(4);
    assert_eq!(names(&set), ["#0", "#2", "#5", "#7"]);
    assert_eq!(small(3, 2).truncate(9).len(), 3);
    assert!(small(3, 2).truncate(0).is_empty());
}

proptest! {
    #[test]
    fn splits_are_stratified_and_repeatable(
        count in 2usize..200, classes in 2usize..8, fraction in 0.01f64..0.99, seed: u64,
    ) {
        let set = small(count, classes);
        let Ok((train, val)) = set.split(fraction, seed) else {
            prop_assert!(set.class_counts().iter().all(|&count| count < 2));
            return Ok(());
        };
        let counts = set.class_counts().into_iter().zip(train.class_counts().into_iter().zip(val.class_counts()));
        for (all, (train, val)) in counts {
            prop_assert_eq!(train + val, all);
            prop_assert!((val as f64 - fraction * all as f64).abs() <= 1.0 + 1e-9);
            prop_assert!(all < 2 || train > 0 && val > 0);
        }
        let again = set.split(fraction, seed).unwrap();
        prop_assert_eq!((names(&train), names(&val)), (names(&again.0), names(&again.1)));
        let mut all = [names(&train), names(&val)].concat();
        all.sort();
        let mut expected = names(&set);
        expected.sort();
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        images in proptest::collection::vec(any::<u8>(), 0..64),
        labels in proptest::collection::vec(any::<u8>(), 0..16),
        sizes in (0u8..4, 0u8..4, 0u8..4),
        keep in (0usize..=64, 0usize..=16),
        gz: bool,
    ) {
        let dir = tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        // Arbitrary bytes, and arbitrary bodies after headers that are right or nearly so.
        let mut framed = vec![0, 0, 8, 3, 0, 0, 0, sizes.0, 0, 0, 0, sizes.1, 0, 0, 0, sizes.2];
        framed.extend(&images);
        let mut framed_labels = vec![0, 0, 8, 1, 0, 0, 0, sizes.0];
        framed_labels.extend(&labels);
        let packed = [&[0x1f, 0x8b, 8][..], &images].concat();
        for (images, labels) in [
            (if gz { &packed } else { &images }, &labels),
            (&framed[..keep.0.min(framed.len())].to_vec(), &framed_labels[..keep.1.min(framed_labels.len())].to_vec()),
        ] {
            write("train-images-idx3-ubyte", images);
            write("train-labels-idx1-ubyte", labels);
            let _ = idx(dir.path());
        }
        write("train.bin", &images);
        let _ = cifar(dir.path());
    }

    #[test]
    fn cifar_records_never_panic(
        records in proptest::collection::vec((any::<u8>(), any::<u8>()), 1..4), cut in 0usize..3,
    ) {
        let dir = tempdir().unwrap();
        let mut bytes = Vec::new();
        for (coarse, fine) in &records {
            bytes.extend([*coarse, *fine]);
            bytes.extend([7; 3072]);
        }
        bytes.truncate(bytes.len() - cut);
        fs::write(dir.path().join("train.bin"), &bytes).unwrap();
        let valid = cut == 0 && records.iter().all(|(_, fine)| *fine < 100);
        prop_assert_eq!(cifar(dir.path()).is_ok(), valid);
    }
}

fn write_idx(dir: &Path, split: &str, side: u8, labels: &[u8], gz: bool) {
    let count = labels.len() as u8;
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, side, 0, 0, 0, side];
    images.extend((0..labels.len() * usize::from(side).pow(2)).map(|pixel| pixel as u8));
    let mut all_labels = vec![0, 0, 8, 1, 0, 0, 0, count];
    all_labels.extend(labels);
    let suffix = if gz { ".gz" } else { "" };
    for (name, bytes) in [("images-idx3", images), ("labels-idx1", all_labels)] {
        let bytes = if gz { pack(&bytes) } else { bytes };
        fs::write(dir.join(format!("{split}-{name}-ubyte{suffix}")), bytes).unwrap();
    }
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut reader = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
    reader.read_to_end(&mut packed).unwrap();
    packed
}

#[test]
fn idx_files_are_read_plain_and_packed() {
    let dir = tempdir().unwrap();
    write_idx(dir.path(), "train", 3, &[0, 2, 1, 2], false);
    let splits = open(dir.path(), &DataConfig::new()).unwrap();
    assert!(splits.val.is_none() && splits.test.is_none());
    assert_eq!(splits.train.classes(), ["0", "1", "2"]);
    assert_eq!(splits.train.shape(), [1, 3, 3]);
    assert_eq!(
        splits.train.image(1).unwrap().into_pixels(),
        [9, 10, 11, 12, 13, 14, 15, 16, 17]
    );
    write_idx(dir.path(), "t10k", 3, &[2, 2], true);
    let test = idx(dir.path()).unwrap().test.unwrap();
    assert_eq!((test.len(), test.classes().len()), (2, 3));
    assert_eq!(
        test.image(1).unwrap().into_pixels(),
        (9..18).collect::<Vec<u8>>()
    );
}

#[test]
fn the_t10k_files_are_the_test_set_and_never_validation_images() {
    let dir = tempdir().unwrap();
    write_idx(dir.path(), "train", 3, &[0, 2, 1, 2], false);
    write_idx(dir.path(), "t10k", 3, &[2, 2], false);
    let config = DataConfig::new().with_val_fraction(Some(0.5));
    let splits = open(dir.path(), &config).unwrap();
    let (val, test) = (splits.val.unwrap(), splits.test.unwrap());
    assert_eq!((splits.train.len(), val.len(), test.len()), (3, 1, 2));
    assert!(val.name(0).starts_with("train#"));
    assert_eq!(names(&test), ["test#0", "test#1"]);
}

/// The field of a [`DataError::Format`].
fn wrong_field(dir: &Path) -> &'static str {
    match idx(dir).unwrap_err() {
        DataError::Format { what, .. } => what,
        other => panic!("expected an error about the format, found: {other}"),
    }
}

#[test]
fn a_bad_idx_file_is_refused_with_the_field_that_is_wrong() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let images_file = dir.join("train-images-idx3-ubyte");
    let is_missing =
        |found| matches!(found, Err(DataError::NotFound { path }) if path == images_file);
    assert!(is_missing(idx(dir)));
    write_idx(dir, "t10k", 3, &[0, 1], false);
    assert!(
        is_missing(open(dir, &DataConfig::new())),
        "a test set alone"
    );

    write_idx(dir, "train", 3, &[0, 1], false);
    let images = fs::read(&images_file).unwrap();
    fs::write(&images_file, &images[..20]).unwrap();
    assert_eq!(wrong_field(dir), "length after the header");
    fs::write(&images_file, [&images[..], &[0]].concat()).unwrap();
    assert_eq!(wrong_field(dir), "length after the header");
    fs::write(&images_file, b"GIF89a").unwrap();
    assert_eq!(wrong_field(dir), "IDX magic number");
    fs::write(&images_file, &images[..9]).unwrap();
    assert_eq!(wrong_field(dir), "header");
    fs::write(&images_file, &images).unwrap();

    let labels_file = dir.join("train-labels-idx1-ubyte");
    fs::write(labels_file, [0, 0, 8, 1, 0, 0, 0, 1, 0]).unwrap();
    assert_eq!(wrong_field(dir), "number of labels");

    write_idx(dir, "train", 3, &[0, 1], false);
    write_idx(dir, "t10k", 3, &[1, 5], false);
    assert!(matches!(
        idx(dir),
        Err(DataError::Label {
            index: 1,
            label: 5,
            ..
        })
    ));
    write_idx(dir, "t10k", 2, &[1, 0], false);
    assert_eq!(wrong_field(dir), "image shape");
    write_idx(dir, "t10k", 3, &[0, 0], false);
    write_idx(dir, "train", 3, &[0, 0], false);
    assert!(matches!(idx(dir), Err(DataError::OneClass { .. })));
}

#[test]
fn an_unreadable_file_keeps_its_cause() {
    let dir = tempdir().unwrap();
    write_idx(dir.path(), "train", 3, &[0, 1], true);
    let path = dir.path().join("train-images-idx3-ubyte.gz");
    let packed = fs::read(&path).unwrap();
    fs::write(&path, &packed[..packed.len() - 6]).unwrap();
    let error = idx(dir.path()).unwrap_err();
    assert!(matches!(error, DataError::Io { .. }), "{error}");
    assert!(error.source().unwrap().is::<std::io::Error>());
}

#[test]
fn a_packed_file_that_promises_too_much_is_refused_unread() {
    let dir = tempdir().unwrap();
    write_idx(dir.path(), "train", 3, &[0, 1], true);
    // 4,294,967,295 images of 28 x 28, the labels of as many.
    let count = u32::MAX.to_be_bytes();
    let images = [&[0, 0, 8, 3][..], &count, &[0, 0, 0, 28, 0, 0, 0, 28]].concat();
    let labels = [&[0, 0, 8, 1][..], &count].concat();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), pack(bytes)).unwrap();
    write("train-images-idx3-ubyte.gz", &images);
    write("train-labels-idx1-ubyte.gz", &labels);
    assert_eq!(wrong_field(dir.path()), "unpacked size");
}

#[test]
fn cifar_10_and_100_are_read() {
    let dir = tempdir().unwrap();
    let record = |labels: &[u8], value: u8| [labels, &[value; 3072]].concat();
    for batch in 1..=5u8 {
        let bytes = [record(&[batch], batch), record(&[0], 0)].concat();
        fs::write(dir.path().join(format!("data_batch_{batch}.bin")), bytes).unwrap();
    }
    let class_names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    fs::write(dir.path().join("batches.meta.txt"), class_names).unwrap();
    fs::write(dir.path().join("test_batch.bin"), record(&[9], 200)).unwrap();
    let splits = open(dir.path(), &DataConfig::new()).unwrap();
    assert_eq!(
        (splits.train.len(), splits.train.shape()),
        (10, [3, 32, 32])
    );
    assert_eq!(splits.train.label(4), Label::Class(3));
    assert_eq!(splits.train.classes()[3], "cat");
    assert!(splits.val.is_none());
    assert_eq!(
        splits.test.unwrap().image(0).unwrap().into_pixels(),
        [200; 3072]
    );

    let missing = dir.path().join("data_batch_3.bin");
    fs::remove_file(&missing).unwrap();
    let error = cifar(dir.path()).unwrap_err();
    assert!(matches!(error, DataError::NotFound { path } if path == missing));

    let dir = tempdir().unwrap();
    fs::write(dir.path().join("train.bin"), record(&[3, 99], 1)).unwrap();
    let train = cifar(dir.path()).unwrap().train;
    assert_eq!(
        (train.label(0), train.classes().len()),
        (Label::Class(99), 100)
    );
    fs::write(dir.path().join("fine_label_names.txt"), "apple\n").unwrap();
    let error = cifar(dir.path()).unwrap_err();
    assert!(matches!(
        error,
        DataError::Format {
            what: "number of class names",
            ..
        }
    ));
}

#[test]
fn a_limit_applies_to_each_set() {
    let splits = fashion_mnist().split_val(0.1, 0).unwrap().truncate(50);
    let manifest = Manifest::of(&splits);
    let counts = [Split::Train, Split::Val, Split::Test].map(|split| manifest.count(split));
    assert_eq!(counts, [50; 3]);
    assert_eq!(manifest.count(Split::Unused), 20_000 - 150);
}
