//! Sets in memory: the embedded one, subsets and splits, IDX and CIFAR files.

use std::fs;
use std::path::Path;

use cutmix_vision::{DataError, Dataset, FolderOptions, cifar, fashion_mnist, idx, open};
use proptest::prelude::*;
use tempfile::tempdir;

/// `count` grey images of 2 x 2 in `classes` classes that take turns; pixels count up.
fn small(count: usize, classes: usize) -> Dataset {
    let names = (0..classes).map(|class| format!("c{class}")).collect();
    let pixels = (0..4 * count).map(|pixel| pixel as u8).collect();
    let labels = (0..count).map(|sample| sample % classes).collect();
    Dataset::new(names, [1, 2, 2], pixels, labels).unwrap()
}

#[test]
fn fashion_mnist_is_as_published() {
    let (train, test) = fashion_mnist();
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
    let first: Vec<_> = train.labels().take(10).collect();
    assert_eq!(first, [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
    let first: Vec<_> = test.labels().take(10).collect();
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
        for value in set.pixels(index).unwrap() {
            sums.0 += u64::from(value);
            sums.1 = sums.1.wrapping_add(sums.0);
        }
    }
    sums
}

#[test]
fn bad_sets_are_errors() {
    let names = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
    let message = |result: Result<Dataset, DataError>| result.unwrap_err().to_string();
    assert_eq!(
        message(Dataset::new(names(2), [1, 2, 2], vec![0; 7], vec![0, 1])),
        "pixels is 7 bytes, expected 2 x [1, 2, 2]"
    );
    assert_eq!(
        message(Dataset::new(names(2), [1, 2, 2], vec![0; 8], vec![0, 2])),
        "labels: label of sample 1 is 2, expected 0 to 1"
    );
    assert_eq!(
        message(Dataset::new(names(2), [2, 2, 2], vec![0; 8], vec![0])),
        "shape is [2, 2, 2], expected [C, H, W] with C 1 or 3 and no 0"
    );
    assert_eq!(
        message(Dataset::new(names(1), [1, 2, 2], vec![0; 4], vec![0])),
        r#"classes is ["0"], expected at least 2 names"#
    );
    assert_eq!(
        small(4, 2).pixels(4).unwrap_err().to_string(),
        "index is 4, expected below the number of samples, 4"
    );
    assert_eq!(
        small(4, 2).subset(&[0, 9]).unwrap_err().to_string(),
        "index is 9, expected below the number of samples, 4"
    );
    for fraction in [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = small(4, 2).split(fraction, 0).unwrap_err().to_string();
        assert!(
            message.ends_with("expected a number above 0 and below 1"),
            "{message}"
        );
    }
    assert!(small(2, 2).split(0.5, 0).is_err());
}

#[test]
fn subsets_share_order_and_names() {
    let set = small(6, 2).subset(&[5, 0, 5]).unwrap();
    assert_eq!(set.labels().collect::<Vec<_>>(), [1, 0, 1]);
    assert_eq!(set.pixels(0).unwrap(), [20, 21, 22, 23]);
    assert_eq!(set.name(0), "#5");
    let set = small(10, 2).truncate(4);
    let names: Vec<_> = (0..4).map(|index| set.name(index)).collect();
    assert_eq!(names, ["#0", "#2", "#5", "#7"]);
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
        let names = |set: &Dataset| (0..set.len()).map(|i| set.name(i)).collect::<Vec<_>>();
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
        let bytes = match gz {
            true => {
                let mut packed = Vec::new();
                let mut reader = flate2::read::GzEncoder::new(&bytes[..], Default::default());
                std::io::copy(&mut reader, &mut packed).unwrap();
                packed
            }
            false => bytes,
        };
        fs::write(dir.join(format!("{split}-{name}-ubyte{suffix}")), bytes).unwrap();
    }
}

#[test]
fn idx_files_plain_and_packed() {
    let dir = tempdir().unwrap();
    write_idx(dir.path(), "train", 3, &[0, 2, 1, 2], false);
    let splits = open(dir.path(), &FolderOptions::default()).unwrap();
    assert!(splits.val.is_none());
    assert_eq!(splits.train.classes(), ["0", "1", "2"]);
    assert_eq!(splits.train.shape(), [1, 3, 3]);
    assert_eq!(
        splits.train.pixels(1).unwrap(),
        [9, 10, 11, 12, 13, 14, 15, 16, 17]
    );

    let options = FolderOptions {
        val_fraction: Some(0.5),
        ..Default::default()
    };
    let splits = open(dir.path(), &options).unwrap();
    assert_eq!((splits.train.len(), splits.val.unwrap().len()), (3, 1));

    write_idx(dir.path(), "t10k", 3, &[2, 2], true);
    let val = idx(dir.path()).unwrap().val.unwrap();
    assert_eq!((val.len(), val.classes().len()), (2, 3));
}

#[test]
fn bad_idx_files_say_what_is_wrong() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let message = || idx(dir.path()).unwrap_err().to_string();
    assert!(
        message().ends_with("train-images-idx3-ubyte does not exist"),
        "{}",
        message()
    );

    write_idx(dir.path(), "train", 3, &[0, 1], false);
    let images = fs::read(at("train-images-idx3-ubyte")).unwrap();
    fs::write(at("train-images-idx3-ubyte"), &images[..20]).unwrap();
    let expected = "length after the header is 4 bytes, expected 18 for [2, 3, 3]";
    assert!(message().ends_with(expected), "{}", message());
    fs::write(at("train-images-idx3-ubyte"), b"GIF89a").unwrap();
    let expected = "IDX magic number is 0x47494638, expected 0x00000803";
    assert!(message().ends_with(expected), "{}", message());
    fs::write(at("train-images-idx3-ubyte"), &images).unwrap();

    fs::write(at("train-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 1, 0]).unwrap();
    let expected = "number of labels is 1, expected 2, one for each image";
    assert!(message().ends_with(expected), "{}", message());

    write_idx(dir.path(), "train", 3, &[0, 1], false);
    write_idx(dir.path(), "t10k", 3, &[1, 5], false);
    let expected = "label of sample 1 is 5, expected 0 to 1";
    assert!(message().ends_with(expected), "{}", message());
    write_idx(dir.path(), "t10k", 2, &[1, 0], false);
    assert!(
        message().ends_with("image shape is [1, 2, 2], expected [1, 3, 3]"),
        "{}",
        message()
    );
    write_idx(dir.path(), "train", 3, &[0, 0], false);
    assert!(matches!(idx(dir.path()), Err(DataError::OneClass { .. })));
}

#[test]
fn cifar_10_and_100() {
    let dir = tempdir().unwrap();
    let record = |labels: &[u8], value: u8| [labels, &[value; 3072]].concat();
    for batch in 1..=5u8 {
        let bytes = [record(&[batch], batch), record(&[0], 0)].concat();
        fs::write(dir.path().join(format!("data_batch_{batch}.bin")), bytes).unwrap();
    }
    let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    fs::write(dir.path().join("batches.meta.txt"), names).unwrap();
    fs::write(dir.path().join("test_batch.bin"), record(&[9], 200)).unwrap();
    let splits = open(dir.path(), &FolderOptions::default()).unwrap();
    assert_eq!(
        (splits.train.len(), splits.train.shape()),
        (10, [3, 32, 32])
    );
    assert_eq!(splits.train.label(4), 3);
    assert_eq!(splits.train.classes()[3], "cat");
    assert_eq!(splits.val.unwrap().pixels(0).unwrap(), [200; 3072]);

    fs::remove_file(dir.path().join("data_batch_3.bin")).unwrap();
    let message = cifar(dir.path()).unwrap_err().to_string();
    assert!(
        message.ends_with("data_batch_3.bin does not exist"),
        "{message}"
    );

    let dir = tempdir().unwrap();
    fs::write(dir.path().join("train.bin"), record(&[3, 99], 1)).unwrap();
    let train = cifar(dir.path()).unwrap().train;
    assert_eq!((train.label(0), train.classes().len()), (99, 100));
    fs::write(dir.path().join("fine_label_names.txt"), "apple\n").unwrap();
    let message = cifar(dir.path()).unwrap_err().to_string();
    assert!(
        message.ends_with("number of class names is 1, expected 100"),
        "{message}"
    );
}
