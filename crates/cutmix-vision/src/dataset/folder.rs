//! Folders of images: one folder per class.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::decode::{check, load_image, load_native};
use super::{Dataset, SkippedImage, Source, Splits};
use crate::DataError;

/// Decoded images are kept in memory up to this many bytes for each of the two sets (2 GiB); a
/// larger set is decoded anew in each epoch.
pub const CACHE_LIMIT: u64 = 2 << 30;

const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];
const VAL_NAMES: [&str; 4] = ["val", "valid", "validation", "test"];

/// What to do with an image that cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBadImage {
    /// The first in path order is the error.
    #[default]
    Fail,
    /// Leave it out and report it in [`Splits::skipped`].
    Skip,
}

/// How [`image_folder`] and [`open`](crate::open) read a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderOptions {
    /// Side of the square images that batches get, in pixels, in 1..=4096. Default 64.
    pub size: usize,
    /// 1 for grey, 3 for RGB; `None` is 3 unless all images are grey. Default `None`.
    pub channels: Option<usize>,
    /// Part of the training set, inside (0, 1), that becomes the validation set where the folder
    /// has none. Default `None`.
    pub val_fraction: Option<f64>,
    /// Seed of that split. Default 0.
    pub seed: u64,
    /// What to do with bad images. Default [`OnBadImage::Fail`].
    pub on_bad_image: OnBadImage,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self {
            size: 64,
            channels: None,
            val_fraction: None,
            seed: 0,
            on_bad_image: OnBadImage::Fail,
        }
    }
}

/// Reads the images `dir/train/CLASS/*` and `dir/val/CLASS/*` (or `valid`, `validation`, `test`,
/// the first that is there), or `dir/CLASS/*` where there is no folder `train`. Files that end in
/// `jpg`, `jpeg`, `png`, `webp` or `bmp` count, in any case; hidden files and folders do not.
/// Classes are the names of the folders of the training set, sorted; a folder of the validation set
/// stands for the class of the same name.
///
/// Every image is decoded once, now and in parallel, as [`load_image`] says, so that a bad one is
/// found before training. The pixels stay in memory up to [`CACHE_LIMIT`].
///
/// # Errors
/// [`DataError::NotFound`], [`DataError::NotAFolder`], [`DataError::Io`], [`DataError::NoClasses`],
/// [`DataError::OneClass`], [`DataError::UnknownClass`], [`DataError::EmptyClass`],
/// [`DataError::NoImages`], [`DataError::Image`] as `options.on_bad_image` says, and
/// [`DataError::Argument`] where an option is out of range.
pub fn image_folder(dir: impl AsRef<Path>, options: &FolderOptions) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    check(options.size, options.channels)?;
    if let Some(fraction) = options.val_fraction
        && !(fraction > 0.0 && fraction < 1.0)
    {
        let expected = "a number above 0 and below 1";
        return Err(DataError::argument("val_fraction", fraction, expected));
    }
    let root = list(dir)?;
    let has_split = root
        .folders
        .get("train")
        .map(|train| list(train))
        .transpose()?;
    // A folder `train` that holds pictures itself is a class: of trains.
    let (train_dir, val_dir) = match has_split {
        Some(train) if train.images.is_empty() => {
            let val = VAL_NAMES.iter().find_map(|&name| root.folders.get(name));
            (dir.join("train"), val)
        }
        _ => (dir.to_path_buf(), None),
    };

    let folders = list(&train_dir)?.folders;
    let classes: Vec<String> = folders.keys().cloned().collect();
    match classes.as_slice() {
        [] => return Err(DataError::NoClasses { path: train_dir }),
        [class] => {
            return Err(DataError::OneClass {
                class: class.clone(),
                path: train_dir,
            });
        }
        _ => {}
    }
    let train = Files::of(&folders, &classes, &train_dir)?;
    train.check_classes(&train_dir, &classes, &[])?;
    let val = match val_dir {
        Some(val_dir) => {
            let folders = list(val_dir)?.folders;
            if folders.is_empty() {
                let path = val_dir.clone();
                return Err(DataError::NoClasses { path });
            }
            Some((val_dir, Files::of(&folders, &classes, val_dir)?))
        }
        None => None,
    };

    let mut skipped = Vec::new();
    let train = train.verify(options, &mut skipped)?;
    train.files.check_classes(&train_dir, &classes, &skipped)?;
    let val = match val {
        Some((path, val)) => {
            let val = val.verify(options, &mut skipped)?;
            if val.files.paths.is_empty() {
                let skipped = skipped_in(path, &skipped);
                let path = path.clone();
                return Err(DataError::NoImages { path, skipped });
            }
            Some(val)
        }
        None => None,
    };

    let grey = train.grey && val.as_ref().is_none_or(|val| val.grey);
    let channels = options.channels.unwrap_or(if grey { 1 } else { 3 });
    let mut splits = Splits {
        train: train.into_dataset(&classes, options.size, channels),
        val: val.map(|val| val.into_dataset(&classes, options.size, channels)),
        skipped,
    };
    splits.carve(options)?;
    Ok(splits)
}

/// How many images of a folder were skipped.
fn skipped_in(folder: &Path, skipped: &[SkippedImage]) -> usize {
    let inside = skipped
        .iter()
        .filter(|image| image.path.starts_with(folder));
    inside.count()
}

/// The folders and images directly in a folder, by name.
struct Listing {
    folders: BTreeMap<String, PathBuf>,
    images: Vec<PathBuf>,
}

fn list(dir: &Path) -> Result<Listing, DataError> {
    let io = |error| DataError::io(dir, error);
    if !fs::metadata(dir).map_err(io)?.is_dir() {
        let path = dir.to_path_buf();
        return Err(DataError::NotAFolder { path });
    }
    let (mut folders, mut images) = (BTreeMap::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with('.') {
            continue;
        }
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        // `is_dir` follows links, as class folders are often linked.
        if path.is_dir() {
            folders.insert(name, path);
        } else if EXTENSIONS.contains(&extension.as_str()) {
            images.push(path);
        }
    }
    images.sort();
    Ok(Listing { folders, images })
}

/// The image files of a set and their classes, in path order.
struct Files {
    paths: Vec<PathBuf>,
    labels: Vec<usize>,
}

impl Files {
    fn of(
        folders: &BTreeMap<String, PathBuf>,
        classes: &[String],
        dir: &Path,
    ) -> Result<Self, DataError> {
        let (mut paths, mut labels) = (Vec::new(), Vec::new());
        for (class, folder) in folders {
            let Ok(label) = classes.binary_search(class) else {
                return Err(DataError::UnknownClass {
                    path: dir.to_path_buf(),
                    class: class.clone(),
                    near: near(class, classes),
                });
            };
            let images = list(folder)?.images;
            labels.extend(std::iter::repeat_n(label, images.len()));
            paths.extend(images);
        }
        Ok(Self { paths, labels })
    }

    /// That every class has an image left.
    fn check_classes(
        &self,
        dir: &Path,
        classes: &[String],
        skipped: &[SkippedImage],
    ) -> Result<(), DataError> {
        for (label, class) in classes.iter().enumerate() {
            if !self.labels.contains(&label) {
                let path = dir.join(class);
                return Err(DataError::EmptyClass {
                    class: class.clone(),
                    skipped: skipped_in(&path, skipped),
                    path,
                });
            }
        }
        Ok(())
    }

    /// Decodes every file once.
    fn verify(
        self,
        options: &FolderOptions,
        skipped: &mut Vec<SkippedImage>,
    ) -> Result<Verified, DataError> {
        let FolderOptions { size, channels, .. } = *options;
        let bytes = (self.paths.len() * channels.unwrap_or(3) * size * size) as u64;
        let keep = bytes <= CACHE_LIMIT;
        let results: Vec<Result<Decoded, DataError>> = self
            .paths
            .par_iter()
            .map(|path| {
                let (channels, pixels) = match channels {
                    Some(channels) => (channels, load_image(path, size, channels)?),
                    None => load_native(path, size)?,
                };
                let pixels = if keep { pixels } else { Vec::new() };
                Ok(Decoded { channels, pixels })
            })
            .collect();

        let mut verified = Verified {
            files: Files {
                paths: Vec::new(),
                labels: Vec::new(),
            },
            decoded: Vec::new(),
            grey: true,
            keep,
        };
        for ((path, label), result) in self.paths.into_iter().zip(self.labels).zip(results) {
            match result {
                Ok(decoded) => {
                    verified.grey &= decoded.channels == 1;
                    verified.files.paths.push(path);
                    verified.files.labels.push(label);
                    verified.decoded.push(decoded);
                }
                Err(DataError::Image { reason, .. })
                    if options.on_bad_image == OnBadImage::Skip =>
                {
                    skipped.push(SkippedImage { path, reason });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(verified)
    }
}

struct Decoded {
    channels: usize,
    pixels: Vec<u8>,
}

/// The good images of a set.
struct Verified {
    files: Files,
    decoded: Vec<Decoded>,
    /// Whether all images are grey.
    grey: bool,
    /// Whether `decoded` has the pixels.
    keep: bool,
}

impl Verified {
    fn into_dataset(self, classes: &[String], size: usize, channels: usize) -> Dataset {
        let pixels = self.keep.then(|| {
            let mut all = Vec::with_capacity(self.decoded.len() * channels * size * size);
            for decoded in self.decoded {
                // A grey image in a coloured set: its one plane, three times.
                for _ in 0..channels / decoded.channels {
                    all.extend_from_slice(&decoded.pixels);
                }
            }
            all
        });
        Dataset::whole(Source {
            classes: classes.to_vec(),
            labels: self.files.labels,
            shape: [channels, size, size],
            pixels,
            paths: self.files.paths,
        })
    }
}

/// Up to three classes whose names look like `class`; where none does, the first three.
fn near(class: &str, classes: &[String]) -> Vec<String> {
    let likeness =
        |name: &String| strsim::jaro_winkler(&class.to_lowercase(), &name.to_lowercase());
    let mut like: Vec<_> = classes
        .iter()
        .filter(|&name| likeness(name) > 0.7)
        .collect();
    like.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    let like = if like.is_empty() {
        classes.iter().collect()
    } else {
        like
    };
    like.into_iter().take(3).cloned().collect()
}
