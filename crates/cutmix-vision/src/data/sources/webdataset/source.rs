//! The images in shards.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Archive;
use super::index::Image;
use crate::data::escape::relative_name;
use crate::data::source::{Content, Label};
use crate::data::sources::forward::{Reading, Run};
use crate::data::sources::labels::Labels;
use crate::data::{DataError, Source};

/// A file of samples.
struct Shard {
    path: PathBuf,
    /// Path relative to the data folder.
    name: String,
    is_packed: bool,
    samples: Range<usize>,
}

/// The samples of shards, as they are added and read.
pub struct Shards {
    root: PathBuf,
    shards: Vec<Shard>,
    images: Vec<Image>,
    /// Size of an image in bytes, at most.
    memory: u64,
}

impl Shards {
    pub fn new(root: &Path, memory: u64) -> Self {
        Self {
            root: root.into(),
            shards: Vec::new(),
            images: Vec::new(),
            memory,
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Adds a shard with its samples.
    pub fn add(&mut self, path: PathBuf, images: Vec<Image>, is_packed: bool) {
        let name = relative_name(&path, &self.root);
        let start = self.images.len();
        self.images.extend(images);
        if self.images.len() > start {
            self.shards.push(Shard {
                path,
                name,
                is_packed,
                samples: start..self.images.len(),
            });
        }
    }

    /// The source of all samples, of which these are the labels.
    pub fn finish(self, labels: Labels) -> TarImages {
        let has_packed = self.shards.iter().any(|shard| shard.is_packed);
        let runs = self.shards.iter().map(|shard| shard.samples.clone());
        TarImages {
            runs: has_packed.then(|| runs.collect()),
            shards: Arc::new(self),
            labels,
            reading: Reading::default(),
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
        let path = self.path(sample);
        Err(DataError::large_file(path, bytes, self.memory))
    }
}

/// The images in shards.
pub struct TarImages {
    shards: Arc<Shards>,
    labels: Labels,
    runs: Option<Vec<Range<usize>>>,
    reading: Reading<Packed>,
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
            let open = || Packed::open(&self.shards, shard);
            let bytes = self.reading.get(index, &shard.samples, open)?;
            bytes.ok_or_else(|| {
                DataError::image(&self.path(index), "the shard is damaged before it")
            })?
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
    /// Whether an error has left the archive in a place that is not known.
    is_lost: bool,
}

impl Packed {
    fn open(shards: &Arc<Shards>, shard: &Shard) -> Result<Self, DataError> {
        Ok(Self {
            shards: shards.clone(),
            archive: Archive::open(&shard.path)?,
            next: shard.samples.start,
            is_lost: false,
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
        bytes.map_err(|error| {
            self.is_lost = true;
            DataError::image(&self.shards.path(sample), error)
        })
    }

    fn skip(&mut self, samples: usize) -> Result<(), DataError> {
        // Reading the next one passes over what is before it.
        self.next += samples;
        Ok(())
    }

    fn is_lost(&self) -> bool {
        self.is_lost
    }
}
