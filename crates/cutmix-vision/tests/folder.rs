//! Folders of images.

use std::fs;
use std::path::Path;

use cutmix_vision::data::sources::image_folder;
use cutmix_vision::{DataConfig, DataError, Dataset, OnBadImage, SkippedImage, load_image, open};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

fn save(dir: &Path, path: &str, image: impl Into<DynamicImage>) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

fn plain(color: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(10, 6, Rgb(color))
}

fn options(size: usize) -> DataConfig {
    DataConfig::new().with_size(size)
}

fn names(set: &Dataset) -> Vec<String> {
    (0..set.len()).map(|index| set.name(index)).collect()
}

/// `train` and `val` with the classes `cat` and `dog`, two images each in `train` and one in `val`.
fn pets() -> TempDir {
    let dir = tempdir().unwrap();
    for (class, red) in [("cat", 10), ("dog", 200)] {
        save(
            dir.path(),
            &format!("train/{class}/a.png"),
            plain([red, 0, 0]),
        );
        save(
            dir.path(),
            &format!("train/{class}/b.JPG"),
            plain([red, 0, 0]),
        );
        save(
            dir.path(),
            &format!("val/{class}/c.bmp"),
            plain([red, 0, 0]),
        );
    }
    dir
}

#[test]
fn train_and_val_folders_are_two_sets() {
    let dir = pets();
    fs::write(dir.path().join("train/cat/notes.txt"), "no image").unwrap();
    fs::create_dir(dir.path().join("train/.cache")).unwrap();
    let splits = open(dir.path(), &options(4)).unwrap();
    let (train, val) = (splits.train, splits.val.unwrap());
    assert_eq!(train.classes(), ["cat", "dog"]);
    assert_eq!(train.shape(), [3, 4, 4]);
    assert_eq!(train.labels().collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert_eq!(
        train.pixels(2).unwrap(),
        [[200; 16], [0; 16], [0; 16]].concat()
    );
    assert_eq!(train.name(0), "train/cat/a.png");
    assert_eq!(val.name(1), "val/dog/c.bmp");
    assert_eq!(val.labels().collect::<Vec<_>>(), [0, 1]);
    assert!(splits.skipped.is_empty());
}

#[test]
fn a_folder_without_sets_is_split() {
    let dir = tempdir().unwrap();
    for class in ["b", "a"] {
        for index in 0..4 {
            save(
                dir.path(),
                &format!("{class}/{index}.webp"),
                plain([9, 9, 9]),
            );
        }
    }
    assert!(image_folder(dir.path(), &options(4)).unwrap().val.is_none());
    let with_val = options(4).with_val_fraction(Some(0.25));
    let splits = image_folder(dir.path(), &with_val).unwrap();
    assert_eq!(splits.train.classes(), ["a", "b"]);
    assert_eq!(splits.train.class_counts(), [3, 3]);
    assert_eq!(splits.val.unwrap().class_counts(), [1, 1]);
}

#[test]
fn a_class_may_be_called_train() {
    let dir = tempdir().unwrap();
    save(dir.path(), "train/a.png", plain([1, 2, 3]));
    save(dir.path(), "bus/a.png", plain([1, 2, 3]));
    let splits = image_folder(dir.path(), &options(4)).unwrap();
    assert_eq!(splits.train.classes(), ["bus", "train"]);
}

#[test]
fn images_are_grey_only_where_all_are_grey() {
    let dir = tempdir().unwrap();
    let grey = image::GrayImage::from_fn(4, 4, |x, y| image::Luma([(16 * y + x) as u8]));
    save(dir.path(), "a/1.png", grey.clone());
    save(
        dir.path(),
        "b/1.png",
        image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(4, 4, image::Luma([0xabcd])),
    );
    let set = image_folder(dir.path(), &options(4)).unwrap().train;
    assert_eq!(set.shape(), [1, 4, 4]);
    assert_eq!(set.pixels(0).unwrap(), grey.clone().into_raw());
    assert_eq!(set.pixels(1).unwrap(), [0xab; 16]);

    save(
        dir.path(),
        "b/2.png",
        image::RgbaImage::from_pixel(4, 4, image::Rgba([1, 2, 3, 128])),
    );
    let set = image_folder(dir.path(), &options(4)).unwrap().train;
    assert_eq!(set.shape(), [3, 4, 4]);
    assert_eq!(set.pixels(0).unwrap(), grey.as_raw().repeat(3));
    assert_eq!(set.pixels(2).unwrap(), [[1; 16], [2; 16], [3; 16]].concat());

    let one = options(4).with_channels(Some(1));
    assert_eq!(
        image_folder(dir.path(), &one).unwrap().train.shape(),
        [1, 4, 4]
    );
}

#[test]
fn the_shorter_side_is_resized_and_the_middle_cut_out() {
    let dir = tempdir().unwrap();
    // Three squares beside each other: the middle one stays.
    let image = RgbImage::from_fn(24, 8, |x, _| Rgb([(x / 8 * 100) as u8; 3]));
    save(dir.path(), "wide.png", image.clone());
    let pixels = load_image(dir.path().join("wide.png"), 8, 1).unwrap();
    assert_eq!(pixels, [100; 64]);
    save(dir.path(), "tall.png", image::imageops::rotate90(&image));
    assert_eq!(
        load_image(dir.path().join("tall.png"), 8, 1).unwrap(),
        [100; 64]
    );
    assert_eq!(
        load_image(dir.path().join("tall.png"), 3, 3).unwrap().len(),
        27
    );
}

#[test]
fn the_exif_orientation_is_applied() {
    let dir = tempdir().unwrap();
    // Left half black, right half white, and an EXIF block that says "rotate by 90 degrees".
    let image = RgbImage::from_fn(16, 16, |x, _| Rgb([if x < 8 { 0 } else { 255 }; 3]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    DynamicImage::from(image)
        .write_to(&mut jpeg, ImageFormat::Jpeg)
        .unwrap();
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let segment = [&[0xff, 0xe1, 0, exif.len() as u8 + 2], &exif[..]].concat();
    let mut bytes = jpeg.into_inner();
    bytes.splice(2..2, segment);
    let path = dir.path().join("turned.jpg");
    fs::write(&path, bytes).unwrap();
    let pixels = load_image(&path, 16, 1).unwrap();
    let (top, bottom) = (pixels[2 * 16 + 2], pixels[13 * 16 + 13]);
    assert!(top < 20 && bottom > 235, "{top} {bottom}");
    let left_below = pixels[13 * 16 + 2];
    assert!(left_below > 235, "{left_below}");
}

#[test]
fn bad_images_fail_or_are_skipped() {
    let dir = pets();
    let good = fs::read(dir.path().join("train/cat/a.png")).unwrap();
    fs::write(dir.path().join("train/cat/zero.png"), b"").unwrap();
    fs::write(
        dir.path().join("train/dog/cut.png"),
        &good[..good.len() / 2],
    )
    .unwrap();
    fs::write(dir.path().join("val/dog/text.jpg"), "hello").unwrap();

    let zero = dir.path().join("train/cat/zero.png");
    let error = open(dir.path(), &options(4)).unwrap_err();
    assert!(matches!(error, DataError::Image { path, .. } if path == zero));

    let skip = options(4).with_on_bad_image(OnBadImage::Skip);
    let splits = open(dir.path(), &skip).unwrap();
    assert_eq!((splits.train.len(), splits.val.unwrap().len()), (4, 2));
    let names: Vec<_> = splits
        .skipped
        .iter()
        .map(|image| image.path.file_name().unwrap())
        .collect();
    assert_eq!(names, ["zero.png", "cut.png", "text.jpg"]);
    let SkippedImage { reason, .. } = &splits.skipped[2];
    assert_eq!(reason, "not a JPEG, PNG, WebP or BMP file");

    for name in ["a.png", "b.JPG"] {
        fs::write(dir.path().join("train/cat").join(name), "bad").unwrap();
    }
    let error = open(dir.path(), &skip).unwrap_err();
    assert!(matches!(error, DataError::EmptyClass { class, skipped: 3, .. } if class == "cat"));
}

#[test]
fn a_folder_that_is_no_data_set_is_an_error() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let error = |path: &Path| open(path, &options(4)).unwrap_err();
    let missing = dir.join("nowhere");
    assert!(matches!(error(&missing), DataError::NotFound { path } if path == missing));
    let file = dir.join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(error(&file), DataError::NotAFolder { path } if path == file));
    assert!(matches!(error(dir), DataError::NoClasses { path } if path == dir));

    save(dir, "cats/a.png", plain([1, 1, 1]));
    assert!(matches!(error(dir), DataError::OneClass { class, .. } if class == "cats"));
    let dogs = dir.join("dogs");
    fs::create_dir(&dogs).unwrap();
    assert!(matches!(error(dir), DataError::EmptyClass { path, skipped: 0, .. } if path == dogs));
}

#[test]
fn a_validation_or_test_folder_without_images_is_an_error() {
    for set in ["val", "test"] {
        let dir = pets();
        let folder = dir.path().join(set);
        if set == "test" {
            fs::rename(dir.path().join("val"), &folder).unwrap();
        }
        for class in ["cat", "dog"] {
            let image = folder.join(class).join("c.bmp");
            fs::rename(&image, image.with_extension("tiff")).unwrap();
        }
        let error = |options| open(dir.path(), &options).unwrap_err();
        let found = error(options(4));
        assert!(matches!(found, DataError::NoImages { path, skipped: 0 } if path == folder));

        fs::write(folder.join("dog/text.jpg"), "hello").unwrap();
        let skip = options(4).with_on_bad_image(OnBadImage::Skip);
        let found = error(skip);
        assert!(matches!(found, DataError::NoImages { path, skipped: 1 } if path == folder));
    }
}

#[test]
fn a_class_that_only_the_validation_set_has_is_an_error() {
    let dir = pets();
    save(dir.path(), "val/dogs/a.png", plain([1, 1, 1]));
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
    save(dir.path(), "test/cat/d.png", plain([1, 1, 1]));
    save(dir.path(), "test/dog/d.png", plain([1, 1, 1]));
    let splits = open(dir.path(), &options(4)).unwrap();
    assert_eq!(
        names(&splits.val.unwrap()),
        ["val/cat/c.bmp", "val/dog/c.bmp"]
    );
    let test = ["test/cat/d.png", "test/dog/d.png"];
    assert_eq!(names(&splits.test.unwrap()), test);

    fs::remove_dir_all(dir.path().join("val")).unwrap();
    assert!(open(dir.path(), &options(4)).unwrap().val.is_none());
    let config = options(4).with_val_fraction(Some(0.5));
    let splits = open(dir.path(), &config).unwrap();
    assert_eq!(names(&splits.test.unwrap()), test);
    let val = names(&splits.val.unwrap());
    assert!(val.iter().all(|name| name.starts_with("train/")), "{val:?}");
    assert_eq!(splits.train.class_counts(), [1, 1]);
}

#[test]
fn test_images_without_labels_are_left_aside() {
    let dir = pets();
    save(dir.path(), "test/1.png", plain([1, 1, 1]));
    let splits = open(dir.path(), &options(4)).unwrap();
    assert!(splits.test.is_none());
    assert_eq!(splits.unlabelled, Some(dir.path().join("test")));
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
    save(dir.path(), "a\\xE9/a.png", plain([0, 0, 0]));
    let set = open(dir.path(), &options(1)).unwrap().train;
    assert_eq!(set.classes(), [r"a\\xE9", r"caf\xE8", r"caf\xE9"]);
    assert_eq!(set.pixels(1).unwrap(), [200, 0, 0]);
    assert_eq!(set.pixels(2).unwrap(), [10, 0, 0]);
    assert_eq!(set.name(2), r"caf\xE9/a.png");
}

#[test]
fn options_out_of_range_are_errors() {
    let dir = pets();
    for bad in [
        options(0),
        options(5000),
        options(4).with_channels(Some(2)),
        options(4).with_val_fraction(Some(1.0)),
    ] {
        let error = open(dir.path(), &bad).unwrap_err();
        assert!(matches!(error, DataError::Argument { .. }), "{error}");
    }
}

/// A few bytes that claim to be an image of 12 GB.
#[test]
fn an_image_larger_than_memory_is_a_bad_image() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("huge.bmp");
    let mut bytes = b"BM".to_vec();
    for field in [54u32 + 1000, 0, 54, 40, 65_535, 65_535] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]); // planes, bits for each pixel
    bytes.extend([0; 24 + 1000]);
    fs::write(&path, bytes).unwrap();
    let error = load_image(&path, 8, 3).unwrap_err();
    assert!(matches!(error, DataError::Image { .. }), "{error}");
}
