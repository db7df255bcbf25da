//! Folders of images.

use std::fs;
use std::path::Path;

use cutmix_vision::{
    DataError, FolderOptions, OnBadImage, SkippedImage, image_folder, load_image, open,
};
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

fn options(size: usize) -> FolderOptions {
    FolderOptions {
        size,
        ..Default::default()
    }
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
fn train_and_val_folders() {
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
    assert!(train.name(0).ends_with("a.png"));
    assert_eq!(val.labels().collect::<Vec<_>>(), [0, 1]);
    assert!(splits.skipped.is_empty());
}

#[test]
fn one_folder_is_split() {
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
    let with_val = FolderOptions {
        val_fraction: Some(0.25),
        ..options(4)
    };
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
fn grey_only_where_all_are_grey() {
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

    let one = FolderOptions {
        channels: Some(1),
        ..options(4)
    };
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

    let message = open(dir.path(), &options(4)).unwrap_err().to_string();
    let zero = dir.path().join("train/cat/zero.png");
    let expected = format!(
        "bad image {}: the file is empty (mend or remove it, or skip bad images to go on)",
        zero.display()
    );
    assert_eq!(message, expected);

    let skip = FolderOptions {
        on_bad_image: OnBadImage::Skip,
        ..options(4)
    };
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
    let message = open(dir.path(), &skip).unwrap_err().to_string();
    assert!(
        message.contains("class `cat`") && message.contains("no good image"),
        "{message}"
    );
}

#[test]
fn folders_that_are_no_data_set() {
    let dir = tempdir().unwrap();
    let message = |path: &Path| open(path, &options(4)).unwrap_err().to_string();
    let missing = dir.path().join("nowhere");
    assert_eq!(
        message(&missing),
        format!("{} does not exist", missing.display())
    );
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(
        message(&file),
        format!("{} is a file: expected a folder", file.display())
    );
    assert!(
        message(dir.path()).contains("holds no data set: expected one folder of images per class")
    );

    save(dir.path(), "cats/a.png", plain([1, 1, 1]));
    let expected = format!(
        "found one class `cats` in {}: a classifier needs at least two",
        dir.path().display()
    );
    assert_eq!(message(dir.path()), expected);
    fs::create_dir(dir.path().join("dogs")).unwrap();
    let expected = format!(
        "class `dogs` in {} has no image (jpg, jpeg, png, webp, bmp)",
        dir.path().join("dogs").display()
    );
    assert_eq!(message(dir.path()), expected);
}

#[test]
fn a_validation_folder_without_images() {
    let dir = pets();
    for class in ["cat", "dog"] {
        fs::rename(
            dir.path().join(format!("val/{class}/c.bmp")),
            dir.path().join(format!("val/{class}/c.tiff")),
        )
        .unwrap();
    }
    let val = dir.path().join("val");
    let message = |options| open(dir.path(), &options).unwrap_err().to_string();
    let expected = format!(
        "{} has no image in its class folders (jpg, jpeg, png, webp, bmp)",
        val.display()
    );
    assert_eq!(message(options(4)), expected);

    fs::write(val.join("dog/text.jpg"), "hello").unwrap();
    let skip = FolderOptions {
        on_bad_image: OnBadImage::Skip,
        ..options(4)
    };
    assert_eq!(message(skip), expected.replace("no image", "no good image"));
}

#[test]
fn a_class_that_only_val_has() {
    let dir = pets();
    save(dir.path(), "val/dogs/a.png", plain([1, 1, 1]));
    let error = open(dir.path(), &options(4)).unwrap_err();
    let expected = format!(
        "class `dogs` in {} is not a class of the training set; it has `dog`",
        dir.path().join("val").display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn options_out_of_range() {
    let dir = pets();
    for bad in [
        options(0),
        options(5000),
        FolderOptions {
            channels: Some(2),
            ..options(4)
        },
        FolderOptions {
            val_fraction: Some(1.0),
            ..options(4)
        },
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
