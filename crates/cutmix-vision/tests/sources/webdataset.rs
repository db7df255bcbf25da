//! Tar shards.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use cutmix_vision::data::sources::webdataset;
use cutmix_vision::data::{DataConfig, DataError, open};
use flate2::Compression;
use flate2::write::GzEncoder;
use image::ImageFormat;
use tar::{Builder, EntryType, Header};
use tempfile::{TempDir, tempdir};

use super::{assert_says, classes, color, names, odd, save, several, tile};

fn png(red: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_pixel(2, 2, image::Rgb([red, 0, 0]));
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder with the shard `a.tar` of these members.
fn shard(members: &[(&str, &[u8])]) -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.tar");
    fs::write(&path, tar(members)).unwrap();
    (dir, path)
}

/// The error of a shard of these members.
fn error(members: &[(&str, &[u8])]) -> Result<(), DataError> {
    let (_dir, path) = shard(members);
    webdataset(path, &DataConfig::new()).map(|_| ())
}

#[test]
fn shards_in_a_folder_are_sets_by_their_names() {
    let splits = open(odd("shards"), &DataConfig::new()).unwrap();
    let (train, val) = (splits.train, splits.val.unwrap());
    assert_eq!((train.len(), val.len()), (12, 3));
    assert_eq!(train.classes(), ["cat", "dog", "owl"]);
    assert_eq!(classes(&val), ["dog", "owl", "cat"]);
    assert_eq!(train.name(0), "train-0000.tar/000000.png");
    assert_eq!(train.name(6), "train-0001.tar.gz/000006.png");
    assert_eq!(val.name(2), "val-0000.tar/000102.png");
}

#[test]
fn images_of_plain_and_compressed_shards_are_read_in_any_order() {
    let train = open(odd("shards"), &DataConfig::new()).unwrap().train;
    for index in [11, 0, 7, 6, 8, 8, 2, 11, 10] {
        assert_eq!(color(&train, index), tile(index), "{index}");
    }
    // By several threads at once.
    let orders = [[0, 3, 6, 9], [6, 9, 8, 11], [11, 10, 7, 6]];
    std::thread::scope(|scope| {
        for order in orders {
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
fn sets_may_be_folders() {
    let dir = tempdir().unwrap();
    for (folder, number) in [("train", "0000"), ("validation", "0000"), ("test", "0")] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        let path = dir.path().join(folder).join(format!("{number}.tar"));
        fs::copy(odd("shards/train-0000.tar"), path).unwrap();
    }
    let splits = open(dir.path(), &DataConfig::new()).unwrap();
    assert_eq!(
        names(&splits.val.unwrap())[0],
        "validation/0000.tar/000000.png"
    );
    assert_eq!((splits.train.len(), splits.test.unwrap().len()), (6, 6));
    assert_eq!(splits.train.classes(), ["0", "1", "2"]);
}

#[test]
fn a_pattern_names_shards() {
    let pattern = |name: &str| open(odd("shards").join(name), &DataConfig::new());
    let splits = pattern("train-{0000..0000}.tar").unwrap();
    assert_eq!(splits.train.len(), 6);
    assert_eq!(splits.train.classes(), ["cat", "dog", "owl"]);
    let splits = pattern("{train,val}-0000.tar").unwrap();
    assert_eq!((splits.train.len(), splits.val.unwrap().len()), (6, 3));
    let splits = pattern("*-000?.tar").unwrap();
    assert_eq!((splits.train.len(), splits.val.unwrap().len()), (6, 3));
    // All that is given is to be trained on.
    assert_eq!(pattern("val-*.tar").unwrap().train.len(), 3);
    assert_eq!(pattern("val-0000.tar").unwrap().train.len(), 3);
    for name in ["train-{0000..0007}.tar", "none-*.tar", "none.tar"] {
        assert!(
            matches!(pattern(name), Err(DataError::NotFound { .. })),
            "{name}"
        );
    }
    assert!(matches!(
        pattern("{0..9999999}.tar"),
        Err(DataError::Argument { .. })
    ));
}

#[test]
fn long_names_are_whole() {
    for name in [
        "odd_shards/long_names_gnu.tar",
        "odd_shards/long_names_pax.tar",
    ] {
        let set = open(odd(name), &DataConfig::new()).unwrap().train;
        let folder = "a_folder_with_a_rather_long_name/".repeat(5);
        let file = Path::new(name).file_name().unwrap().to_str().unwrap();
        assert_eq!(set.name(1), format!("{file}/{folder}000001.png"));
        assert_eq!([0, 1, 2].map(|at| color(&set, at)), [0, 1, 2].map(tile));
    }
}

#[test]
fn labels_may_be_names_or_fields_of_a_json_file() {
    let image = png(1);
    let (_dir, path) = shard(&[
        ("./x/1.png", &image),
        ("./x/1.cls", b"owl\n"),
        ("2.seg.png", &image),
        ("2.json", br#"{"width": 2, "label": "cat"}"#),
        ("3.txt", b"a cat"),
        ("3.JPG", &image),
        ("3.json", br#"{"cls": "cat"}"#),
        ("3.cls", b"owl"),
        ("4.json", br#"{"note": "no image"}"#),
        ("._5.png", &image),
    ]);
    let set = webdataset(&path, &DataConfig::new()).unwrap().train;
    assert_eq!(
        names(&set),
        ["a.tar/x/1.png", "a.tar/2.seg.png", "a.tar/3.JPG"]
    );
    assert_eq!(classes(&set), ["owl", "cat", "owl"]);

    let (_dir, path) = shard(&[
        ("1.png", &image),
        ("1.json", br#"{"label": [2, 0]}"#),
        ("2.png", &image),
        ("2.json", br#"{"label": []}"#),
    ]);
    let set = webdataset(&path, &DataConfig::new()).unwrap().train;
    assert_eq!(set.classes(), ["0", "1", "2"]);
    assert_eq!(several(&set), ["0+2", ""]);
}

#[test]
fn names_of_classes_are_read_from_the_folder() {
    let image = png(1);
    let members: [(&str, &[u8]); 4] = [
        ("1.png", &image),
        ("1.cls", b"1"),
        ("2.png", &image),
        ("2.cls", b"0"),
    ];
    let (dir, path) = shard(&members);
    let info = r#"{"features": {"image": {}, "cls": {"names": ["cat", "dog"]}}}"#;
    fs::write(dir.path().join("dataset_info.json"), info).unwrap();
    let set = webdataset(&path, &DataConfig::new()).unwrap().train;
    assert_eq!(classes(&set), ["dog", "cat"]);

    fs::write(dir.path().join("classes.txt"), "only\n").unwrap();
    let result = webdataset(&path, &DataConfig::new());
    assert!(matches!(
        result,
        Err(DataError::Label {
            label: 1,
            classes: 1,
            ..
        })
    ));

    fs::write(dir.path().join("classes.txt"), "cat\ndog\nowl\n").unwrap();
    let known = ["owl", "dog", "cat"].map(String::from).to_vec();
    let config = DataConfig::new().with_classes(Some(known));
    let set = webdataset(&path, &config).unwrap().train;
    assert_eq!(set.classes(), ["owl", "dog", "cat"]);
    assert_eq!(classes(&set), ["dog", "cat"]);
}

#[test]
fn what_is_no_file_is_passed_over() {
    let mut builder = Builder::new(Vec::new());
    let image = png(5);
    let mut add = |kind, name: &str, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    };
    add(EntryType::Directory, "folder", b"");
    add(EntryType::XGlobalHeader, "global", b"19 comment=anything");
    add(EntryType::Symlink, "1.jpg", b"");
    add(EntryType::Regular, "1.png", &image);
    add(EntryType::Regular, "1.cls", b"0");
    add(EntryType::Fifo, "2.jpg", b"");
    add(EntryType::new(b'V'), "a volume", b"something");
    add(EntryType::Continuous, "2.png", &image);
    add(EntryType::Regular, "2.cls", b"1");
    let bytes = builder.into_inner().unwrap();
    let dir = tempdir().unwrap();
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let path = dir.path().join("a.tar");
        fs::write(&path, bytes).unwrap();
        let set = webdataset(&path, &DataConfig::new()).unwrap().train;
        assert_eq!(names(&set), ["a.tar/1.png", "a.tar/2.png"]);
        assert_eq!(color(&set, 1), [5, 0, 0]);
    }
}

#[test]
fn shards_that_are_cut_off_are_errors_that_name_them() {
    for name in ["cut.tar", "cut.tar.gz"] {
        let result = open(odd("odd_shards").join(name), &DataConfig::new());
        assert_says(result, &[name, "cut off after", "expected a whole archive"]);
    }
    let dir = tempdir().unwrap();
    fs::copy(odd("odd_shards/cut.tar"), dir.path().join("train-0000.tar")).unwrap();
    assert_says(
        open(dir.path(), &DataConfig::new()),
        &["train-0000.tar", "cut off"],
    );
    let mut bytes = fs::read(odd("shards/train-0000.tar")).unwrap();
    bytes[1024] ^= 1;
    fs::write(dir.path().join("train-0000.tar"), bytes).unwrap();
    assert_says(
        open(dir.path(), &DataConfig::new()),
        &["train-0000.tar", "damaged near byte 1024"],
    );
}

#[test]
fn wrong_samples_are_errors_that_name_them() {
    let image = png(1);
    assert_says(
        error(&[("x/1.png", &image), ("x/1.txt", b"a cat")]),
        &["a.tar", "missing for x/1.png", "x/1.cls", "x/1.json"],
    );
    assert_says(
        error(&[("1.png", &image), ("1.cls", b"-1")]),
        &["`-1` in 1.cls", "from 0 on"],
    );
    assert_says(
        error(&[("1.png", &image), ("1.cls", b"")]),
        &["`` in 1.cls"],
    );
    assert_says(
        error(&[("1.png", &image), ("1.json", b"{")]),
        &["`{` in 1.json", "JSON"],
    );
    assert_says(
        error(&[("1.png", &image), ("1.json", br#"{"label": 0.5}"#)]),
        &["from 0 on"],
    );
    assert_says(
        error(&[("1.png", &image), ("1.json", br#"{"a": 1}"#)]),
        &["missing for 1.png"],
    );
    assert_says(
        error(&[("1.png", &image), ("1.cls", b"99999999")]),
        &["label of sample 0 is 99999999"],
    );
    let sample: [(&str, &[u8]); 2] = [("1.png", &image), ("1.cls", b"1")];
    let other: [(&str, &[u8]); 2] = [("2.png", &image), ("2.cls", b"0")];
    assert_says(
        error(&[sample, other, sample].concat()),
        &["twice", "1.png", "side by side"],
    );
    assert!(matches!(error(&[]), Err(DataError::NoClasses { .. })));
    let names: [(&str, &[u8]); 2] = [("1.png", &image), ("1.cls", b"cat")];
    assert!(matches!(error(&names), Err(DataError::OneClass { class, .. }) if class == "cat"));
}

#[test]
fn an_image_larger_than_the_memory_is_an_error_of_its_own() {
    let large = vec![0; 5000];
    let image = png(3);
    let members: [(&str, &[u8]); 6] = [
        ("0.png", &large),
        ("0.cls", b"0"),
        ("1.png", &image),
        ("1.cls", b"1"),
        ("2.png", &image),
        ("2.cls", b"1"),
    ];
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let config = DataConfig::new();
    let decoding = config.decoding.clone().with_memory(4000);
    let config = config.with_decoding(decoding);
    for bytes in [tar(&members), gzip(&tar(&members))] {
        fs::write(&path, bytes).unwrap();
        let set = webdataset(&path, &config).unwrap().train;
        assert_eq!(color(&set, 1), [3, 0, 0]);
        assert!(matches!(
            set.image(0),
            Err(DataError::TooLarge { memory: 4000, .. })
        ));
        assert_eq!(color(&set, 2), [3, 0, 0]);
    }
}

#[test]
fn a_shard_that_changes_after_opening_has_bad_images() {
    let image = png(3);
    let members: [(&str, &[u8]); 4] = [
        ("1.png", &image),
        ("1.cls", b"1"),
        ("2.png", &image),
        ("2.cls", b"0"),
    ];
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.tar");
    for (bytes, sample) in [(tar(&members), 1), (gzip(&tar(&members)), 0)] {
        fs::write(&path, &bytes).unwrap();
        let set = webdataset(&path, &DataConfig::new()).unwrap().train;
        // A compressed shard is opened anew for an image before the last one.
        assert_eq!(color(&set, 1), [3, 0, 0]);
        fs::write(&path, &bytes[..20]).unwrap();
        let error = set.image(sample).unwrap_err();
        assert!(error.is_of_image(), "{error}");
        assert!(error.to_string().contains("a.tar"), "{error}");
        fs::write(&path, &bytes).unwrap();
        assert_eq!(color(&set, sample), [3, 0, 0]);
    }
}

#[test]
fn a_damaged_shard_is_not_unpacked_again_for_the_images_behind_the_damage() {
    // Noise, so that the size of the shard is that of its images.
    let noise: Vec<u8> = (0..100_000u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let images: Vec<_> = (1..=4)
        .map(|red| [png(red), noise.clone()].concat())
        .collect();
    let members: [(&str, &[u8]); 8] = [
        ("1.png", &images[0]),
        ("1.cls", b"0"),
        ("2.png", &images[1]),
        ("2.cls", b"1"),
        ("3.png", &images[2]),
        ("3.cls", b"0"),
        ("4.png", &images[3]),
        ("4.cls", b"1"),
    ];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&tar(&members)).unwrap();
    let whole = encoder.finish().unwrap();
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.tar.gz");
    fs::write(&path, &whole).unwrap();
    let set = webdataset(&path, &DataConfig::new()).unwrap().train;
    // The third image is cut off.
    fs::write(&path, &whole[..250_000]).unwrap();
    let damaged = || assert_says(set.image(3), &["a.tar.gz/4.png", "damaged before it"]);
    assert_eq!(color(&set, 0), [1, 0, 0]);
    damaged();
    assert_says(set.image(2), &["a.tar.gz/3.png", "cut off"]);
    assert_eq!(color(&set, 1), [2, 0, 0]);
    // What is behind the damage is not looked at until the image that met it can be read.
    fs::write(&path, &whole).unwrap();
    damaged();
    assert_eq!(color(&set, 2), [3, 0, 0]);
    assert_eq!(color(&set, 3), [4, 0, 0]);
}

#[test]
fn a_shard_that_unpacks_to_too_much_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.tar.gz");
    let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::best());
    let mut header = Header::new_gnu();
    header.set_path("1.png").unwrap();
    header.set_size(80 << 20);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    for _ in 0..80 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap();
    assert_says(
        webdataset(path, &DataConfig::new()),
        &["unpacked size", "67108864"],
    );
}

#[test]
fn an_archive_beside_class_folders_is_no_shard() {
    let dir = tempdir().unwrap();
    for class in ["x", "y"] {
        save(dir.path(), &format!("{class}/1.png"), [1, 2, 3]);
    }
    let archive = gzip(&tar(&[
        ("flowers/x/1.png", &png(1)),
        ("flowers/y/2.png", &png(2)),
    ]));
    fs::write(dir.path().join("flowers.tgz"), archive).unwrap();
    let set = open(dir.path(), &DataConfig::new()).unwrap().train;
    assert_eq!(set.classes(), ["x", "y"]);
}
