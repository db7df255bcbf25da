//! Shards of images in tar archives.

mod archive;
mod index;
mod shards;
mod tags;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, iter};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use self::archive::Archive;
use self::index::{Image, Index};
use super::forward::{Forward, Run};
use super::labels::{Distinct, Labels, Naming};
use super::sets::splits;
use super::{Layout, class_names};
use crate::data::escape::escape;
use crate::data::source::{Content, Label};
use crate::data::{DataConfig, DataError, Source, Split, Splits};

pub(super) const LAYOUT: Layout = Layout {
    about: "tar shards of images with .cls or .json files (train-0000.tar)",
    found_in: shards::are_at,
    read: |path, config| webdataset(path, config),
};

/// Reads shards in the format of <https://github.com/webdataset/webdataset>: tar archives, plain or
/// compressed by gzip, in which the files of a sample are side by side and have one name up to the
/// first dot.
///
/// `path` is a folder of files that end in `.tar`, `.tar.gz` or `.tgz`, also in its folders `train`,
/// `val`, `test` and `data`; or one file; or a pattern of files such as `train-{000..146}.tar`,
/// `{train,val}-*.tar`. The name of a file or its folder tells its set; files that are given by a
/// pattern and are all of one set are the training set.
///
/// A sample is an image with a file `.cls`, which holds a number or a name, or a file `.json`, whose
/// field `label`, `labels`, `cls`, `class` or `target` is a number, a name or a list of these. A list
/// makes samples of several classes. Numbers count the names in `classes.txt`, one in each line, or
/// in `dataset_info.json`, in the folder of the data, or in that of the files and the one above. Without
/// such a file the classes are `0` to the highest number, or the names of the training set, sorted.
///
/// The headers and labels of all shards are read, and no image is. Images of plain shards are read in
/// any order. Those of compressed ones can only be read one after another, so each shard is one of
/// the [runs](Source::runs), and the last samples that were passed over are kept, at most 512 and
/// 128 MiB for each set.
///
/// # Errors
/// [`DataError::Format`] where a shard is cut off or damaged, or unpacks to more than 100 times its
/// size and 64 MiB, or a label is missing or wrong; [`DataError::NotFound`] and [`DataError::Io`];
/// [`DataError::Label`] and [`DataError::UnknownClass`] where a label is none of the classes;
/// [`DataError::OneClass`] where samples have one class each, unless the classes are given;
/// [`DataError::NoClasses`] where there is no sample; [`DataError::Argument`] where an option is out
/// of range.
pub fn webdataset(path: impl AsRef<Path>, config: &DataConfig) -> Result<Splits, DataError> {
    let path = path.as_ref();
    config.check()?;
    let files = shards::at(path)?;
    let root = root(path, &files);
    let indices: Vec<_> = files
        .par_iter()
        .map(|(file, _)| Index::read(file))
        .collect();
    let mut shards = Shards::new(&root, config.decoding.memory);
    let (mut labels, mut sets) = (Distinct::default(), Vec::new());
    for ((file, set), index) in files.into_iter().zip(indices) {
        let index = index?;
        sets.extend(iter::repeat_n(set, index.images.len()));
        index
            .labels
            .into_iter()
            .for_each(|label| labels.push(label));
        shards.add(file, set, index.images, index.is_packed);
    }
    if shards.images.is_empty() {
        return Err(DataError::NoClasses { path: path.into() });
    }
    let above = root.parent().filter(|_| !path.is_dir());
    let names = match (class_names::in_folder(&root)?, above) {
        (None, Some(above)) => class_names::in_folder(above)?,
        (names, _) => names,
    };
    let naming = Naming {
        names: names.as_deref(),
        known: config.classes.as_deref(),
        path,
    };
    let (classes, labels) = naming.number(labels.map(|label| label), &sets)?;
    let all = config.dataset(classes, Arc::new(shards.finish(labels)))?;
    Ok(splits(&all, &sets))
}

/// The folder to which the names of the shards are relative: the one that was given, or the innermost
/// that has them all.
fn root(path: &Path, files: &[(PathBuf, Split)]) -> PathBuf {
    let first = files.first().and_then(|(file, _)| file.parent());
    let mut root = if path.is_dir() { Some(path) } else { first };
    while let Some(dir) = root {
        if files.iter().all(|(file, _)| file.starts_with(dir)) {
            return dir.into();
        }
        root = dir.parent();
    }
    PathBuf::new()
}

/// A file of samples.
struct Shard {
    path: PathBuf,
    /// Path relative to the data folder.
    name: String,
    set: Split,
    is_packed: bool,
    samples: Range<usize>,
}

/// The samples of shards, as they are added and read.
struct Shards {
    root: PathBuf,
    shards: Vec<Shard>,
    images: Vec<Image>,
    /// Size of an image in bytes, at most.
    memory: u64,
}

impl Shards {
    fn new(root: &Path, memory: u64) -> Self {
        Self {
            root: root.into(),
            shards: Vec::new(),
            images: Vec::new(),
            memory,
        }
    }

    fn add(&mut self, path: PathBuf, set: Split, images: Vec<Image>, is_packed: bool) {
        let relative = path.strip_prefix(&self.root).unwrap_or(&path);
        let name = relative.iter().map(escape).collect::<Vec<_>>().join("/");
        let start = self.images.len();
        self.images.extend(images);
        if self.images.len() > start {
            self.shards.push(Shard {
                path,
                name,
                set,
                is_packed,
                samples: start..self.images.len(),
            });
        }
    }

    fn finish(self, labels: Labels) -> TarImages {
        let has_packed = self.shards.iter().any(|shard| shard.is_packed);
        let runs = self.shards.iter().map(|shard| shard.samples.clone());
        TarImages {
            runs: has_packed.then(|| runs.collect()),
            shards: Arc::new(self),
            labels,
            reading: Default::default(),
        }
    }

    /// The shard of a sample.
    fn shard(&self, sample: usize) -> &Shard {
        let at = self
            .shards
            .partition_point(|shard| shard.samples.end <= sample);
        &self.shards[at]
    }

    /// Where a sample is, for messages.
    fn path(&self, sample: usize) -> PathBuf {
        self.shard(sample).path.join(&*self.images[sample].name)
    }

    /// Checks that a sample is not larger than the memory.
    fn check(&self, sample: usize) -> Result<(), DataError> {
        let bytes = self.images[sample].bytes;
        if bytes <= self.memory {
            return Ok(());
        }
        Err(DataError::TooLarge {
            path: self.path(sample),
            what: format!("a file of {bytes} bytes"),
            memory: self.memory,
        })
    }
}

/// The images in shards.
struct TarImages {
    shards: Arc<Shards>,
    labels: Labels,
    runs: Option<Vec<Range<usize>>>,
    /// The compressed shards that are being read, one for each set: sets are read side by side.
    reading: [Mutex<Forward<Packed>>; 3],
}

impl fmt::Debug for TarImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarImages")
            .field("root", &self.shards.root)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Source for TarImages {
    fn len(&self) -> usize {
        self.shards.images.len()
    }

    fn name(&self, index: usize) -> String {
        format!(
            "{}/{}",
            self.shards.shard(index).name,
            self.shards.images[index].name
        )
    }

    fn label(&self, index: usize) -> Label {
        self.labels.get(index)
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        self.shards.check(index)?;
        let shard = self.shards.shard(index);
        let bytes = if shard.is_packed {
            let reading = match shard.set {
                Split::Val => &self.reading[1],
                Split::Test => &self.reading[2],
                Split::Train | Split::Unused => &self.reading[0],
            };
            let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            reading.get(index, &shard.samples, || Packed::open(&self.shards, shard))?
        } else {
            read_plain(shard, &self.shards.images[index])?
        };
        Ok(Content::File(bytes.into()))
    }

    fn bytes(&self, index: usize) -> u64 {
        self.shards.images[index].bytes
    }

    fn path(&self, index: usize) -> PathBuf {
        self.shards.path(index)
    }

    fn runs(&self) -> Option<&[Range<usize>]> {
        self.runs.as_deref()
    }
}

/// Reads an image of a plain shard. The shard is opened for each, as there may be more of them than
/// a process may have open, and reading by several threads needs a position for each.
fn read_plain(shard: &Shard, image: &Image) -> Result<Vec<u8>, DataError> {
    let io = |error| DataError::io(&shard.path, error);
    let mut file = File::open(&shard.path).map_err(io)?;
    file.seek(SeekFrom::Start(image.offset)).map_err(io)?;
    let mut bytes = Vec::with_capacity(image.bytes as usize);
    file.take(image.bytes).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 == image.bytes {
        return Ok(bytes);
    }
    Err(DataError::image(
        &shard.path.join(&*image.name),
        "the shard has become shorter",
    ))
}

/// A compressed shard that is being read.
struct Packed {
    shards: Arc<Shards>,
    archive: Archive,
    /// The next sample.
    next: usize,
}

impl Packed {
    fn open(shards: &Arc<Shards>, shard: &Shard) -> Result<Self, DataError> {
        Ok(Self {
            shards: shards.clone(),
            archive: Archive::open(&shard.path)?,
            next: shard.samples.start,
        })
    }
}

impl Run for Packed {
    fn read(&mut self) -> Result<Vec<u8>, DataError> {
        let sample = self.next;
        self.next += 1;
        self.shards.check(sample)?;
        let image = &self.shards.images[sample];
        let bytes = self.archive.read_at(image.offset, image.bytes);
        bytes.map_err(|error| DataError::image(&self.shards.path(sample), error))
    }

    fn skip(&mut self, samples: usize) -> Result<(), DataError> {
        // Reading the next one passes over what is before it.
        self.next += samples;
        Ok(())
    }
}
