//! Folders of images, as people have them.

use std::fs;
use std::path::Path;

use cutmix_vision::data::sources::{Reason, image_folder, unlabelled_folder};
use cutmix_vision::{DataConfig, DataError, Dataset, Label, Splits, View, open};
use image::{DynamicImage, Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

fn save(dir: &Path, path: &str, image: impl Into<DynamicImage>) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

fn plain(color: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(10, 6, Rgb(color))
}

/// Writes an image of one colour to each path.
fn pictures(dir: &Path, paths: &[&str]) {
    for path in paths {
        save(dir, path, plain([9, 9, 9]));
    }
}

fn options(size: usize) -> DataConfig {
    DataConfig::new().with_size(size)
}

fn opened(dir: &Path) -> Splits {
    open(dir, &options(4)).unwrap()
}

fn names(set: &Dataset) -> Vec<String> {
    (0..set.len()).map(|index| set.name(index)).collect()
}

fn classes(set: &Dataset) -> Vec<usize> {
    set.labels().filter_map(|label| label.class()).collect()
}

/// What was not used: for each reason the number and the first of its paths below `dir`.
fn unused(splits: &Splits, dir: &Path) -> Vec<(Reason, usize, String)> {
    let found = splits.unused.iter().map(|(reason, count, first)| {
        let first = first.strip_prefix(dir).unwrap().to_str().unwrap();
        (reason, count, first.to_string())
    });
    found.collect()
}

/// `train` and `val` with the classes `cat` and `dog`, two images each in `train` and one in `val`.
fn pets() -> TempDir {
    let dir = tempdir().unwrap();
    for (class, red) in [("cat", 10), ("dog", 200)] {
        for path in [
            format!("train/{class}/a.png"),
            format!("train/{class}/b.JPG"),
            format!("val/{class}/c.bmp"),
        ] {
            save(dir.path(), &path, plain([red, 0, 0]));
        }
    }
    dir
}

#[test]
fn train_and_val_folders_are_two_sets() {
    let dir = pets();
    let splits = opened(dir.path());
    let (train, val) = (splits.train, splits.val.unwrap());
    assert_eq!(train.classes(), ["cat", "dog"]);
    assert_eq!(train.shape(), [3, 4, 4]);
    assert_eq!(classes(&train), [0, 0, 1, 1]);
    assert_eq!(train.image(2).unwrap().pixels(), [200, 0, 0].repeat(16));
    assert_eq!(names(&train)[..2], ["train/cat/a.png", "train/cat/b.JPG"]);
    assert_eq!(val.name(1), "val/dog/c.bmp");
    assert_eq!(classes(&val), [0, 1]);
    assert!(splits.unused.is_empty() && splits.test.is_none());
}

#[test]
fn a_folder_without_sets_is_split() {
    let dir = tempdir().unwrap();
    for class in ["b", "a"] {
        for index in 0..4 {
            pictures(dir.path(), &[&format!("{class}/{index}.webp")]);
        }
    }
    assert!(opened(dir.path()).val.is_none());
    let splits = open(dir.path(), &options(4).with_val_fraction(Some(0.25))).unwrap();
    assert_eq!(splits.train.classes(), ["a", "b"]);
    assert_eq!(splits.train.class_counts(), [3, 3]);
    assert_eq!(splits.val.unwrap().class_counts(), [1, 1]);
}

#[test]
fn sets_have_their_usual_names_in_any_case() {
    for [train, val, test] in [
        ["Training", "Validation", "Testing"],
        ["TRAIN", "dev", "Test"],
        ["training_set", "Valid", "test_set"],
        ["train2017", "val2017", "test2017"],
        ["train images", "eval", "tst"],
        ["seg_train", "seg_val", "seg_test"],
        [
            "asl_alphabet_train",
            "asl_alphabet_valid",
            "asl_alphabet_test",
        ],
    ] {
        let dir = tempdir().unwrap();
        for (set, count) in [(train, 3), (val, 2), (test, 1)] {
            for class in ["cat", "dog"] {
                for index in 0..count {
                    pictures(dir.path(), &[&format!("{set}/{class}/{index}.png")]);
                }
            }
        }
        let splits = opened(dir.path());
        let len = |set: Option<&Dataset>| set.map_or(0, Dataset::len);
        let lens = [
            Some(&splits.train),
            splits.val.as_ref(),
            splits.test.as_ref(),
        ]
        .map(len);
        assert_eq!(lens, [6, 4, 2], "{train}");
        assert!(splits.unused.is_empty(), "{train}");
    }
}

#[test]
fn a_folder_that_wraps_others_is_looked_into() {
    let dir = tempdir().unwrap();
    for set in ["train", "test"] {
        // As archives of archives unpack.
        pictures(
            dir.path(),
            &[
                &format!("archive/data/seg_{set}/seg_{set}/sea/1.png"),
                &format!("archive/data/seg_{set}/seg_{set}/city/1.png"),
            ],
        );
    }
    fs::write(dir.path().join("archive/readme.txt"), "hello").unwrap();
    let splits = opened(dir.path());
    assert_eq!(splits.train.classes(), ["city", "sea"]);
    let test = splits.test.unwrap();
    assert_eq!(test.name(0), "archive/data/seg_test/seg_test/city/1.png");
}

#[test]
fn a_second_folder_for_a_set_is_told_and_not_used() {
    let dir = pets();
    pictures(
        dir.path(),
        &["dev/cat/d.png", "dev/dog/d.png", "other/cat/1.png"],
    );
    let splits = opened(dir.path());
    assert!(names(&splits.val.clone().unwrap())[0].starts_with("val/"));
    assert_eq!(
        unused(&splits, dir.path()),
        [(Reason::NoSet, 2, "dev".into())]
    );
    assert_eq!(
        splits.unused.to_string(),
        "2 folders that are none of the sets (dev, ...)"
    );
}

#[test]
fn classes_may_be_called_like_sets() {
    let dir = tempdir().unwrap();
    pictures(
        dir.path(),
        &["train/a.png", "bus/a.png", "test/a.png", "val/a.png"],
    );
    let splits = opened(dir.path());
    assert_eq!(splits.train.classes(), ["bus", "test", "train", "val"]);
    let dir = tempdir().unwrap();
    pictures(
        dir.path(),
        &[
            "toy train/a.png",
            "toy test/a.png",
            "train of thought/a.png",
        ],
    );
    assert_eq!(opened(dir.path()).train.classes().len(), 3);
}

#[test]
fn images_in_folders_below_a_class_belong_to_it() {
    let dir = tempdir().unwrap();
    pictures(
        dir.path(),
        &[
            "cat/a.png",
            "cat/2020/may/b.png",
            "cat/2021/c.png",
            "dog/x/d.png",
        ],
    );
    let set = opened(dir.path()).train;
    assert_eq!(set.classes(), ["cat", "dog"]);
    assert_eq!(
        names(&set),
        [
            "cat/a.png",
            "cat/2020/may/b.png",
            "cat/2021/c.png",
            "dog/x/d.png"
        ]
    );
    assert_eq!(classes(&set), [0, 0, 0, 1]);
}

#[test]
fn the_content_decides_what_an_image_is() {
    let dir = pets();
    let cat = dir.path().join("train/cat");
    fs::copy(cat.join("b.JPG"), cat.join("c.txt")).unwrap();
    fs::copy(cat.join("a.png"), cat.join("d")).unwrap();
    fs::rename(cat.join("a.png"), cat.join("a.jpg")).unwrap();
    fs::write(cat.join("e.md"), "# no image").unwrap();
    fs::write(cat.join("f.heic"), "\0\0\0\x18ftypheic").unwrap();
    let splits = opened(dir.path());
    let found = &names(&splits.train)[..4];
    assert_eq!(
        found,
        [
            "train/cat/a.jpg",
            "train/cat/b.JPG",
            "train/cat/c.txt",
            "train/cat/d"
        ]
    );
    assert_eq!(
        splits.train.image(0).unwrap().pixels(),
        [10, 0, 0].repeat(16)
    );
    assert!(splits.train.image(2).is_ok());
    assert_eq!(
        unused(&splits, dir.path()),
        [(Reason::NoImage, 2, "train/cat/e.md".into())]
    );
}

#[test]
fn what_is_not_used_is_counted_by_reason() {
    let dir = pets();
    let path = dir.path();
    pictures(
        path,
        &[
            "train/__MACOSX/cat/a.png",
            "train/cat/@eaDir/a.png",
            "lost+found/x.png",
            "$RECYCLE.BIN/x.png",
            ".ipynb_checkpoints/x.png",
            "train/cat/.hidden.png",
            "stray.png",
            "train/stray.png",
        ],
    );
    fs::create_dir_all(path.join("train/bird/eggs")).unwrap();
    fs::write(path.join("train/cat/Thumbs.db"), "x").unwrap();
    fs::write(path.join("labels.csv"), "x").unwrap();
    pictures(path, &["runs/001/batch.png"]);
    fs::write(path.join("runs/001/config.toml"), "").unwrap();
    fs::write(path.join("runs/001/manifest.json"), "{}").unwrap();
    let splits = opened(path);
    assert_eq!(splits.train.classes(), ["cat", "dog"]);
    assert_eq!(splits.train.len(), 4);
    let expected = [
        (Reason::Stray, 2, "stray.png"),
        (Reason::NoImage, 2, "labels.csv"),
        (Reason::EmptyFolder, 2, "runs"),
        (Reason::Hidden, 2, ".ipynb_checkpoints"),
        (Reason::System, 4, "$RECYCLE.BIN"),
        (Reason::Run, 1, "runs/001"),
    ];
    let expected = expected.map(|(reason, count, first)| (reason, count, first.to_string()));
    assert_eq!(unused(&splits, path), expected);
    let line = splits.unused.to_string();
    assert!(
        line.starts_with(
            "2 pictures beside the class folders (stray.png, ...), 2 files that are no images"
        ),
        "{line}"
    );
    assert!(!line.contains('\n'));
}

#[test]
fn names_compare_in_one_form_of_unicode() {
    let dir = tempdir().unwrap();
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    pictures(
        dir.path(),
        &[
            &format!("train/{composed}/a.png"),
            "train/tea/a.png",
            &format!("val/{decomposed}/a.png"),
        ],
    );
    let splits = opened(dir.path());
    assert_eq!(splits.train.classes(), [composed, "tea"]);
    assert_eq!(classes(&splits.val.unwrap()), [0]);
    // Both forms beside each other are one class.
    pictures(dir.path(), &[&format!("train/{decomposed}/b.png")]);
    let splits = opened(dir.path());
    assert_eq!(splits.train.classes(), [composed, "tea"]);
    assert_eq!(splits.train.class_counts(), [2, 1]);
}

#[test]
fn known_classes_may_be_missing() {
    let dir = tempdir().unwrap();
    pictures(dir.path(), &["dog/a.png", "dog/b.png"]);
    let known = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect();
        options(4).with_classes(Some(names))
    };
    let config = known(&["bird", "cat", "dog"]);
    let set = open(dir.path(), &config).unwrap().train;
    assert_eq!(set.classes(), ["bird", "cat", "dog"]);
    assert_eq!(classes(&set), [2, 2]);
    // In folders of sets of which none is for training.
    pictures(dir.path(), &["sets/val/dog/a.png", "sets/test/cat/a.png"]);
    let splits = open(dir.path().join("sets"), &config).unwrap();
    assert!(splits.train.is_empty());
    assert_eq!(classes(&splits.val.unwrap()), [2]);
    assert_eq!(classes(&splits.test.unwrap()), [1]);
    let error = open(dir.path().join("dog"), &known(&["cat"])).unwrap_err();
    assert!(matches!(error, DataError::NoClasses { .. }), "{error}");
    let error = open(dir.path(), &known(&["cat", "bird"])).unwrap_err();
    assert!(matches!(error, DataError::UnknownClass { class, .. } if class == "dog"));
}

#[test]
fn opening_decodes_nothing() {
    let dir = pets();
    fs::write(dir.path().join("train/cat/a.png"), "no image").unwrap();
    let splits = opened(dir.path());
    assert_eq!(splits.train.len(), 4);
    let error = splits.train.image(0).unwrap_err();
    assert!(matches!(error, DataError::Image { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_a_bad_image_and_never_waited_for() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    let dir = pets();
    let cat = dir.path().join("train/cat");
    symlink("nowhere", cat.join("1-dead.jpg")).unwrap();
    let made = Command::new("mkfifo").arg(cat.join("2-pipe.jpg")).status();
    assert!(made.unwrap().success());
    let _socket = UnixListener::bind(cat.join("3-socket.png")).unwrap();
    fs::write(cat.join("4-closed.png"), "x").unwrap();
    fs::set_permissions(cat.join("4-closed.png"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink("/dev/zero", cat.join("5-endless.jpg")).unwrap();
    symlink("pipe", cat.join("pipe")).unwrap();
    let made = Command::new("mkfifo").arg(cat.join("fifo")).status();
    assert!(made.unwrap().success());
    let set = opened(dir.path()).train;
    for index in 0..5 {
        let error = set.image(index).unwrap_err();
        // An administrator may read what is closed, and finds no image.
        assert!(error.is_of_image(), "{}: {error}", set.name(index));
    }
    assert_eq!(set.name(5), "train/cat/a.png");
    assert!(set.image(5).is_ok());
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;

    let dir = pets();
    let elsewhere = tempdir().unwrap();
    pictures(elsewhere.path(), &["far.png"]);
    symlink(elsewhere.path(), dir.path().join("train/cat/linked")).unwrap();
    symlink("..", dir.path().join("train/cat/up")).unwrap();
    let splits = opened(dir.path());
    assert_eq!(names(&splits.train)[2], "train/cat/linked/far.png");
    assert_eq!(
        unused(&splits, dir.path()),
        [(Reason::Loop, 1, "train/cat/up".into())]
    );
}

#[test]
fn a_folder_that_is_no_data_set_is_an_error() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let error = |path: &Path| open(path, &options(4)).unwrap_err();
    let missing = dir.join("nowhere");
    assert!(matches!(error(&missing), DataError::NotFound { path } if path == missing));
    assert!(matches!(error(dir), DataError::NoClasses { path } if path == dir));
    pictures(dir, &["flat.png"]);
    assert!(matches!(error(dir), DataError::NoClasses { path } if path == dir));
    pictures(dir, &["cats/a.png"]);
    assert!(matches!(error(dir), DataError::OneClass { class, .. } if class == "cats"));
    fs::create_dir(dir.join("dogs")).unwrap();
    assert!(matches!(error(dir), DataError::OneClass { class, .. } if class == "cats"));
}

#[test]
fn a_class_that_only_the_validation_set_has_is_an_error() {
    let dir = pets();
    pictures(dir.path(), &["val/dogs/a.png"]);
    match open(dir.path(), &options(4)).unwrap_err() {
        DataError::UnknownClass { path, class, near } => {
            assert_eq!(path, dir.path().join("val"));
            assert_eq!((class.as_str(), near), ("dogs", vec!["dog".to_string()]));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_labelled_test_folder_is_the_test_set_and_never_the_validation_set() {
    let dir = pets();
    pictures(dir.path(), &["test/cat/d.png", "test/dog/d.png"]);
    let splits = opened(dir.path());
    assert_eq!(
        names(&splits.val.unwrap()),
        ["val/cat/c.bmp", "val/dog/c.bmp"]
    );
    let test = ["test/cat/d.png", "test/dog/d.png"];
    assert_eq!(names(&splits.test.unwrap()), test);

    fs::remove_dir_all(dir.path().join("val")).unwrap();
    assert!(opened(dir.path()).val.is_none());
    let config = options(4).with_val_fraction(Some(0.5));
    let splits = open(dir.path(), &config).unwrap();
    assert_eq!(names(&splits.test.unwrap()), test);
    let val = names(&splits.val.unwrap());
    assert!(val.iter().all(|name| name.starts_with("train/")), "{val:?}");
    assert_eq!(splits.train.class_counts(), [1, 1]);
}

#[test]
fn test_images_without_labels_are_left_aside() {
    for path in [
        "test/1.png",
        "test1/1.png",
        "test/test/1.png",
        "Testing/unknown/1.png",
    ] {
        let dir = pets();
        pictures(dir.path(), &[path]);
        let splits = opened(dir.path());
        assert!(splits.test.is_none(), "{path}");
        let folder = dir.path().join(path.split('/').next().unwrap());
        assert_eq!(splits.unlabelled, Some(folder), "{path}");
    }
    // One class of the training set is a test of that class.
    let dir = pets();
    pictures(dir.path(), &["test/cat/1.png"]);
    assert_eq!(classes(&opened(dir.path()).test.unwrap()), [0]);
}

#[cfg(unix)]
#[test]
fn class_folders_that_differ_in_invalid_bytes_stay_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let dir = tempdir().unwrap();
    for (name, red) in [(b"caf\xe9", 10), (b"caf\xe8", 200)] {
        let class = dir.path().join(OsStr::from_bytes(name));
        if fs::create_dir(&class).is_err() {
            return; // This file system takes UTF-8 names only.
        }
        plain([red, 0, 0]).save(class.join("a.png")).unwrap();
    }
    pictures(dir.path(), &["a\\xE9/a.png"]);
    let set = open(dir.path(), &options(1)).unwrap().train;
    assert_eq!(set.classes(), [r"a\\xE9", r"caf\xE8", r"caf\xE9"]);
    assert_eq!(set.image(1).unwrap().pixels(), [200, 0, 0]);
    assert_eq!(set.image(2).unwrap().pixels(), [10, 0, 0]);
    assert_eq!(set.name(2), r"caf\xE9/a.png");
}

#[test]
fn options_out_of_range_are_errors() {
    let dir = pets();
    for (bad, named) in [
        (options(0), "size"),
        (options(5000), "size"),
        (options(4).with_channels(Some(2)), "channels"),
        (options(4).with_val_fraction(Some(1.0)), "val_fraction"),
        (options(4).with_crop_share(0.0), "crop_share"),
    ] {
        let error = open(dir.path(), &bad).unwrap_err();
        assert!(
            matches!(error, DataError::Argument { argument, .. } if argument == named),
            "{error}"
        );
    }
    let set = image_folder(dir.path(), &options(4)).unwrap().train;
    assert!(set.clone().with_view(View::new([2, 4, 4])).is_err());
    assert!(set.with_view(View::new([3, 4, 5000])).is_err());
}

#[test]
fn a_set_is_seen_in_any_shape() {
    let dir = tempdir().unwrap();
    let halves = RgbImage::from_fn(8, 4, |x, _| Rgb([if x < 4 { 0 } else { 200 }; 3]));
    save(dir.path(), "a/1.png", halves);
    pictures(dir.path(), &["b/1.png"]);
    let set = opened(dir.path()).train;
    let row = |view: View| {
        let image = set.clone().with_view(view).unwrap().image(0).unwrap();
        image.pixels()[..image.size().width * image.channels()].to_vec()
    };
    assert_eq!(row(View::new([1, 4, 4])), [0, 0, 200, 200]);
    let middle = View::new([1, 4, 4]).with_crop_share(0.5);
    assert_eq!(row(middle), [0, 50, 150, 200]);
    assert_eq!(row(View::new([1, 4, 8])), [0, 0, 0, 0, 200, 200, 200, 200]);
    assert_eq!(set.original(0).unwrap().size().to_string(), "4 x 8");
    assert_eq!(set.label(0), Label::Class(0));
}

#[test]
fn all_images_of_a_folder_may_be_one_class() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    pictures(
        dir,
        &["b.png", "a.jpg", "more/train/c.png", ".hidden/d.png"],
    );
    fs::write(dir.join("notes.txt"), "text").unwrap();
    let set = unlabelled_folder(dir, &options(4)).unwrap();
    assert_eq!(names(&set), ["a.jpg", "b.png", "more/train/c.png"]);
    assert_eq!(classes(&set), [0; 3]);
    assert_eq!(set.shape(), [3, 4, 4]);

    fs::create_dir(dir.join("empty")).unwrap();
    let message = |dir: &Path| unlabelled_folder(dir, &options(4)).unwrap_err();
    assert!(matches!(
        message(&dir.join("empty")),
        DataError::NoImages { .. }
    ));
    assert!(matches!(
        message(&dir.join("gone")),
        DataError::NotFound { .. }
    ));
    assert!(matches!(
        message(&dir.join("notes.txt")),
        DataError::NotAFolder { .. }
    ));
}
