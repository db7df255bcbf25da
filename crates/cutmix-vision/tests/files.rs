//! Image files without labels.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use cutmix_vision::{
    DataError, DecodeConfig, FileBatch, FileBatchesConfig, ImageFile, Normalize, View, image_files,
    load_image, to_tensor,
};
use image::{Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

/// A folder of images of different sizes and colours, of which `3.png` is none.
fn some_files() -> (TempDir, Vec<PathBuf>) {
    let dir = tempdir().unwrap();
    let paths: Vec<_> = (0..8)
        .map(|at| dir.path().join(format!("{at}.png")))
        .collect();
    for (at, path) in paths.iter().enumerate() {
        let at = at as u8;
        let pixel = |x, y| Rgb([30 * at, 10 * x as u8, 10 * y as u8]);
        let image = RgbImage::from_fn(10 + u32::from(at), 8, pixel);
        image.save(path).unwrap();
    }
    fs::write(&paths[3], "no image").unwrap();
    (dir, paths)
}

fn config(batch_size: usize) -> FileBatchesConfig {
    FileBatchesConfig::new(batch_size, View::new([3, 6, 6]), Normalize::imagenet())
}

fn batches(paths: &[PathBuf], batch_size: usize) -> Vec<FileBatch> {
    let files: Vec<_> = paths.iter().cloned().map(ImageFile::from).collect();
    let batches = config(batch_size).init(files.into_iter(), &Device::default());
    batches.unwrap().collect()
}

#[test]
fn batches_have_the_images_of_the_files_in_order() {
    let (_dir, paths) = some_files();
    let device = Device::default();
    for batch_size in [1, 3, 8, 100] {
        let batches = batches(&paths, batch_size);
        assert_eq!(batches.len(), 8_usize.div_ceil(batch_size));
        let files = batches.iter().flat_map(|batch| &batch.files);
        assert!(files.map(|file| &file.path).eq(&paths));
        for batch in batches {
            let good = batch.files.iter().filter(|file| file.error.is_none());
            let images: Vec<_> = good
                .map(|file| {
                    load_image(&file.path, &View::new([3, 6, 6]), &DecodeConfig::new()).unwrap()
                })
                .collect();
            match batch.images {
                Some(found) => {
                    let expected = to_tensor(&images, &Normalize::imagenet(), &device).unwrap();
                    assert_eq!(found.into_data(), expected.into_data());
                }
                None => assert!(images.is_empty()),
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_in_its_batch_with_its_error() {
    let (dir, mut paths) = some_files();
    paths[5] = dir.path().join("gone.png");
    paths[6] = dir.path().into();
    let batches = batches(&paths, 4);
    let errors = batches.iter().flat_map(|batch| &batch.files);
    let errors: Vec<_> = errors.map(|file| file.error.as_ref()).collect();
    for (at, error) in errors.iter().enumerate() {
        let is_expected = match at {
            3 | 6 => matches!(error, Some(DataError::Image { path, .. }) if *path == paths[at]),
            5 => matches!(error, Some(DataError::NotFound { path }) if *path == paths[at]),
            _ => error.is_none(),
        };
        assert!(is_expected, "{at}: {error:?}");
    }
    let counts = batches
        .iter()
        .map(|batch| batch.images.as_ref().unwrap().dims()[0]);
    assert_eq!(counts.collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn a_file_that_is_known_to_be_bad_keeps_its_error() {
    let (_dir, paths) = some_files();
    let path = PathBuf::from("photos");
    let known = ImageFile {
        error: Some(DataError::NoImages { path: path.clone() }),
        path,
    };
    let files = vec![known, paths[0].clone().into()].into_iter();
    let batches = config(2).init(files, &Device::default()).unwrap();
    let batch = batches.collect::<Vec<_>>().pop().unwrap();
    assert!(matches!(
        batch.files[0].error,
        Some(DataError::NoImages { .. })
    ));
    assert_eq!(batch.images.unwrap().dims(), [1, 3, 6, 6]);
}

#[test]
fn files_may_be_endless_and_may_be_none() {
    let (_dir, paths) = some_files();
    let endless = std::iter::repeat(paths[0].clone()).map(ImageFile::from);
    let mut batches = config(5).init(endless, &Device::default()).unwrap();
    for _ in 0..3 {
        assert_eq!(batches.next().unwrap().files.len(), 5);
    }
    drop(batches);
    let mut none = config(5)
        .init(std::iter::empty(), &Device::default())
        .unwrap();
    assert!(none.next().is_none() && none.next().is_none());
}

#[test]
#[should_panic(expected = "the list is broken")]
fn a_panic_of_the_list_is_no_end_of_it() {
    let files = std::iter::from_fn(|| -> Option<ImageFile> { panic!("the list is broken") });
    config(5)
        .init(files, &Device::default())
        .unwrap()
        .for_each(drop);
}

#[test]
fn options_out_of_range_are_refused() {
    let init = |config: FileBatchesConfig| {
        let error = config.init(std::iter::empty(), &Device::default());
        error.unwrap_err().to_string()
    };
    assert_eq!(init(config(0)), "batch_size is 0, expected at least 1");
    let message = init(FileBatchesConfig {
        view: View::new([2, 6, 6]),
        ..config(1)
    });
    assert!(message.starts_with("shape is [2, 6, 6]"), "{message}");
    let message = init(FileBatchesConfig {
        view: View::new([1, 6, 6]),
        ..config(1)
    });
    assert!(message.starts_with("normalize is mean [0.485"), "{message}");
}

#[test]
fn images_of_a_folder_are_found_at_any_depth() {
    let (dir, paths) = some_files();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("a/b/c")).unwrap();
    fs::create_dir_all(path(".hidden")).unwrap();
    for copy in [
        "a/b/c/0.png",
        "a/b.png",
        "a/no suffix",
        ".hidden/0.png",
        ".0.png",
    ] {
        fs::copy(&paths[0], path(copy)).unwrap();
    }
    fs::write(path("notes.txt"), "no image").unwrap();
    let below = ["a/b/c/0.png", "a/b.png", "a/no suffix"].map(path);
    let expected: Vec<_> = paths.iter().chain(&below).cloned().collect();
    assert_eq!(image_files(dir.path()).unwrap(), expected);

    fs::create_dir(path("empty")).unwrap();
    let refused = |path: &Path| image_files(path).unwrap_err();
    assert!(matches!(
        refused(&path("empty")),
        DataError::NoImages { .. }
    ));
    assert!(matches!(refused(&path("gone")), DataError::NotFound { .. }));
    assert!(matches!(refused(&paths[0]), DataError::NotAFolder { .. }));
}
