//! Folders of images: one folder per class.

mod listing;

use std::borrow::Cow;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use self::listing::Listing;
use super::Layout;
use crate::data::decode::{load_image, load_native};
use crate::data::escape::escape;
use crate::data::{DataConfig, DataError, Dataset, OnBadImage, SkippedImage, Source, Splits};

pub(super) const LAYOUT: Layout = Layout {
    about: "one folder of images per class, or train/, val/ and test/ with such folders",
    found_in: |_| true,
    read: |dir, config| image_folder(dir, config),
};

/// Number of bytes up to which the decoded images of a folder are kept in memory: 2 GiB. Those of a
/// larger one are decoded anew in each epoch.
pub const CACHE_LIMIT: u64 = 2 << 30;

const VAL_NAMES: [&str; 3] = ["val", "valid", "validation"];

/// Reads the images `dir/train/CLASS/*`, `dir/val/CLASS/*` (or `valid` or `validation`, the first
/// that exists) and `dir/test/CLASS/*`, or `dir/CLASS/*` where there is no folder `train`.
///
/// Files that end in `jpg`, `jpeg`, `png`, `webp` or `bmp` in any case are images; hidden files and
/// folders are left out. The classes are the names of the folders of the training set, sorted; a
/// folder of another set belongs to the class of the same name. Bytes of a name that are not UTF-8
/// and control characters become `\xE9` and a backslash becomes `\\`, so that different folders have
/// different names. A folder `test` of images without class folders is reported in
/// [`Splits::unlabelled`].
///
/// Every image is decoded once, now and in parallel, as [`load_image`] says, so that a bad one is
/// found before training. The pixels stay in memory up to [`CACHE_LIMIT`].
///
/// # Errors
/// [`DataError::NotFound`], [`DataError::NotAFolder`], [`DataError::Io`], [`DataError::NoClasses`],
/// [`DataError::OneClass`], [`DataError::UnknownClass`], [`DataError::EmptyClass`],
/// [`DataError::NoImages`], [`DataError::Image`] as [`DataConfig::on_bad_image`] says, and
/// [`DataError::Argument`] where an option is out of range.
pub fn image_folder(dir: impl AsRef<Path>, config: &DataConfig) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    config.check()?;
    let folders = SplitFolders::find(dir)?;
    let classes = folders.classes()?;
    let (files, ends) = folders.files(&classes)?;
    let decoded = Decoded::of(files, ends, config)?;
    let [train, val, test] = decoded.ranges(&folders, &classes)?;
    let skipped = decoded.skipped.clone();
    let all = decoded.into_dataset(dir, classes, config)?;
    let splits = Splits {
        train: all.range(train.unwrap_or_default()),
        val: val.map(|val| all.range(val)),
        test: test.map(|test| all.range(test)),
        skipped,
        unlabelled: folders.unlabelled,
    };
    match config.val_fraction {
        Some(fraction) => splits.split_val(fraction, config.seed),
        None => Ok(splits),
    }
}

/// The folders of the three sets.
struct SplitFolders {
    train: PathBuf,
    val: Option<PathBuf>,
    test: Option<PathBuf>,
    /// A folder `test` without class folders.
    unlabelled: Option<PathBuf>,
}

impl SplitFolders {
    fn find(dir: &Path) -> Result<Self, DataError> {
        let root = Listing::of(dir)?;
        let mut found = Self {
            train: dir.to_path_buf(),
            val: None,
            test: None,
            unlabelled: None,
        };
        let Some(train) = root.folders.get("train") else {
            return Ok(found);
        };
        // A folder `train` that holds pictures itself is a class: of trains.
        if !Listing::of(train)?.images.is_empty() {
            return Ok(found);
        }
        found.train = train.clone();
        let val = VAL_NAMES.iter().find_map(|&name| root.folders.get(name));
        found.val = val.cloned();
        if let Some(test) = root.folders.get("test") {
            let listing = Listing::of(test)?;
            if listing.folders.is_empty() && !listing.images.is_empty() {
                found.unlabelled = Some(test.clone());
            } else {
                found.test = Some(test.clone());
            }
        }
        Ok(found)
    }

    /// The folders of the training, validation and test set.
    fn sets(&self) -> [Option<&PathBuf>; 3] {
        [Some(&self.train), self.val.as_ref(), self.test.as_ref()]
    }

    /// The files of the sets, one set after another, and where each set ends.
    fn files(&self, classes: &[String]) -> Result<(Files, Vec<usize>), DataError> {
        let (mut files, mut ends) = (Files::default(), Vec::new());
        for (at, folder) in self.sets().into_iter().flatten().enumerate() {
            files.add(folder, classes)?;
            ends.push(files.paths.len());
            if at == 0 {
                check_classes(&files.labels, folder, classes, &[])?;
            }
        }
        Ok((files, ends))
    }

    /// The classes of the training set.
    fn classes(&self) -> Result<Vec<String>, DataError> {
        let folders = Listing::of(&self.train)?.folders;
        let classes: Vec<String> = folders.into_keys().collect();
        let path = self.train.clone();
        match classes.as_slice() {
            [] => Err(DataError::NoClasses { path }),
            [class] => Err(DataError::OneClass {
                class: class.clone(),
                path,
            }),
            _ => Ok(classes),
        }
    }
}

/// Checks that every class has an image.
fn check_classes(
    labels: &[usize],
    dir: &Path,
    classes: &[String],
    skipped: &[SkippedImage],
) -> Result<(), DataError> {
    let mut has_image = vec![false; classes.len()];
    labels.iter().for_each(|&label| has_image[label] = true);
    let Some(empty) = has_image.iter().position(|has_image| !has_image) else {
        return Ok(());
    };
    let class = classes[empty].clone();
    let path = Listing::of(dir)?.folders.remove(&class);
    let path = path.unwrap_or_else(|| dir.join(&class));
    Err(DataError::EmptyClass {
        skipped: skipped_in(&path, skipped),
        class,
        path,
    })
}

/// Number of images of a folder that were skipped.
fn skipped_in(folder: &Path, skipped: &[SkippedImage]) -> usize {
    let inside = (skipped.iter()).filter(|image| image.path.starts_with(folder));
    inside.count()
}

/// Image files and their classes.
#[derive(Default)]
struct Files {
    paths: Vec<PathBuf>,
    labels: Vec<usize>,
}

impl Files {
    /// Adds the images of the set in `dir`, in path order.
    fn add(&mut self, dir: &Path, classes: &[String]) -> Result<(), DataError> {
        let folders = Listing::of(dir)?.folders;
        if folders.is_empty() {
            let path = dir.to_path_buf();
            return Err(DataError::NoClasses { path });
        }
        for (class, folder) in folders {
            let Ok(label) = classes.binary_search(&class) else {
                return Err(DataError::UnknownClass {
                    path: dir.to_path_buf(),
                    near: near(&class, classes),
                    class,
                });
            };
            let images = Listing::of(&folder)?.images;
            self.labels.extend(std::iter::repeat_n(label, images.len()));
            self.paths.extend(images);
        }
        Ok(())
    }
}

/// An image file that was read.
struct Image {
    channels: usize,
    /// Size of the file.
    bytes: u64,
    /// Pixels, unless they are not kept.
    pixels: Vec<u8>,
}

/// The good images of a folder.
struct Decoded {
    files: Files,
    images: Vec<Image>,
    /// Where each set ends among them.
    ends: Vec<usize>,
    skipped: Vec<SkippedImage>,
    /// Whether the images have their pixels.
    keep: bool,
}

impl Decoded {
    /// Decodes every file once. The sets end at `ends` among `files`.
    fn of(files: Files, ends: Vec<usize>, config: &DataConfig) -> Result<Self, DataError> {
        let values = config.channels.unwrap_or(3) * config.size * config.size;
        let keep = (files.paths.len() * values) as u64 <= CACHE_LIMIT;
        let results: Vec<_> = (files.paths.par_iter())
            .map(|path| read(path, config, keep))
            .collect();

        let mut good = Self {
            files: Files::default(),
            images: Vec::new(),
            ends: Vec::new(),
            skipped: Vec::new(),
            keep,
        };
        let mut ends = ends.into_iter().peekable();
        let all = files.paths.into_iter().zip(files.labels).zip(results);
        for (index, ((path, label), result)) in all.enumerate() {
            while ends.next_if(|end| *end <= index).is_some() {
                good.ends.push(good.images.len());
            }
            match result {
                Ok(image) => {
                    good.files.paths.push(path);
                    good.files.labels.push(label);
                    good.images.push(image);
                }
                Err(DataError::Image { reason, .. }) if config.on_bad_image == OnBadImage::Skip => {
                    good.skipped.push(SkippedImage { path, reason });
                }
                Err(error) => return Err(error),
            }
        }
        good.ends.extend(ends.map(|_| good.images.len()));
        Ok(good)
    }

    /// The samples of the training, validation and test set, after a check that each class has an
    /// image to train on and no set is empty.
    fn ranges(
        &self,
        folders: &SplitFolders,
        classes: &[String],
    ) -> Result<[Option<Range<usize>>; 3], DataError> {
        let train = &self.files.labels[..self.ends[0]];
        check_classes(train, &folders.train, classes, &self.skipped)?;
        let mut start = 0;
        let mut ends = self.ends.iter();
        let ranges = folders.sets().map(|folder| {
            let (folder, end) = (folder?, *ends.next()?);
            let range = start..end;
            start = end;
            Some((folder, range))
        });
        for (folder, range) in ranges.iter().flatten() {
            if range.is_empty() {
                return Err(DataError::NoImages {
                    path: folder.to_path_buf(),
                    skipped: skipped_in(folder, &self.skipped),
                });
            }
        }
        Ok(ranges.map(|found| found.map(|(_, range)| range)))
    }

    fn into_dataset(
        self,
        root: &Path,
        classes: Vec<String>,
        config: &DataConfig,
    ) -> Result<Dataset, DataError> {
        let is_grey = self.images.iter().all(|image| image.channels == 1);
        let channels = config.channels.unwrap_or(if is_grey { 1 } else { 3 });
        let bytes = self.images.iter().map(|image| image.bytes).collect();
        let cache = self.keep.then(|| {
            let values = channels * config.size * config.size;
            let mut cache = Vec::with_capacity(self.images.len() * values);
            for image in self.images {
                // A grey image in a coloured set is its one plane, three times.
                for _ in 0..channels / image.channels {
                    cache.extend_from_slice(&image.pixels);
                }
            }
            cache
        });
        let shape = [channels, config.size, config.size];
        let source = ImageFiles {
            root: root.to_path_buf(),
            files: self.files,
            bytes,
            shape,
            cache,
        };
        Dataset::from_source(classes, shape, Arc::new(source))
    }
}

/// Decodes an image file.
fn read(path: &Path, config: &DataConfig, keep: bool) -> Result<Image, DataError> {
    let metadata = fs::metadata(path).map_err(|error| DataError::io(path, error))?;
    let (channels, pixels) = match config.channels {
        Some(channels) => (channels, load_image(path, config.size, channels)?),
        None => load_native(path, config.size)?,
    };
    Ok(Image {
        channels,
        bytes: metadata.len(),
        pixels: if keep { pixels } else { Vec::new() },
    })
}

/// Samples that are a file each.
struct ImageFiles {
    /// Folder of the data, to which names are relative.
    root: PathBuf,
    files: Files,
    /// Sizes of the files.
    bytes: Vec<u64>,
    shape: [usize; 3],
    /// Pixels of all samples one after another, where they are kept.
    cache: Option<Vec<u8>>,
}

impl std::fmt::Debug for ImageFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageFiles")
            .field("root", &self.root)
            .field("len", &self.len())
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Source for ImageFiles {
    fn len(&self) -> usize {
        self.files.paths.len()
    }

    fn name(&self, index: usize) -> String {
        let path = &self.files.paths[index];
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        let parts: Vec<_> = relative.iter().map(escape).collect();
        parts.join("/")
    }

    fn label(&self, index: usize) -> usize {
        self.files.labels[index]
    }

    fn bytes(&self, index: usize) -> u64 {
        self.bytes[index]
    }

    fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let [channels, height, width] = self.shape;
        match &self.cache {
            Some(cache) => {
                let len = channels * height * width;
                Ok(Cow::Borrowed(&cache[index * len..][..len]))
            }
            None => load_image(&self.files.paths[index], height, channels).map(Cow::Owned),
        }
    }
}

/// Up to three classes whose names look like `class`, or the first three where none does.
fn near(class: &str, classes: &[String]) -> Vec<String> {
    let likeness =
        |name: &String| strsim::jaro_winkler(&class.to_lowercase(), &name.to_lowercase());
    let mut like: Vec<_> = (classes.iter())
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
