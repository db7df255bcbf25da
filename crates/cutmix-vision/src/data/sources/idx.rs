//! IDX files: the format of MNIST, Fashion-MNIST, KMNIST and EMNIST.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::Layout;
use crate::data::dataset::check_labels;
use crate::data::source::{Memory, Samples};
use crate::data::{DataError, Splits};

pub(super) const LAYOUT: Layout = Layout {
    about: "IDX files (train-images-idx3-ubyte)",
    found_in: |dir| find(dir, "train-images-idx3-ubyte").is_some(),
    read: |dir, _| idx(dir),
};

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;

/// A compressed file is refused whose header promises more than so many times its size: MNIST's
/// files are packed 5 to 1, and only a file made to exhaust memory 100 to 1. Up to `SMALL` bytes any
/// ratio is accepted, as a few blank images pack better.
const MAX_RATIO: u128 = 100;
const SMALL: u128 = 64 << 20;

/// Reads a data set of grey images in IDX files, the format of <http://yann.lecun.com/exdb/mnist/>:
/// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` in the folder `dir`, and as test set
/// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` where they exist; there is no validation
/// set. Each file may be compressed and end in `.gz`. The format has no class names: they are `0`,
/// `1` and so on up to the highest label of the training set.
///
/// Of each file the header is read first, and then no more than it promises. A compressed file
/// whose header promises more than 100 times the size of the file, and more than 64 MiB, is refused
/// unread.
///
/// # Errors
/// [`DataError::NotFound`] and [`DataError::Io`]; [`DataError::Format`] where a header or length is
/// wrong; [`DataError::Label`] where the test set has a label above those of the training set;
/// [`DataError::OneClass`].
pub fn idx(dir: impl AsRef<Path>) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    let train = Pair::read(dir, "train")?;
    let highest = train.samples.labels.iter().max().copied().unwrap_or(0);
    if highest == 0 {
        return Err(DataError::OneClass {
            path: train.labels_path,
            class: "0".into(),
        });
    }
    let classes = highest + 1;
    let test = match find(dir, "t10k-images-idx3-ubyte") {
        Some(path) => {
            let test = Pair::read(dir, "t10k")?;
            if test.shape != train.shape {
                let (found, expected) = (format!("{:?}", test.shape), format!("{:?}", train.shape));
                return Err(DataError::format(&path, "image shape", found, expected));
            }
            let labels = test.samples.labels.iter().copied();
            check_labels(labels, classes, || test.labels_path.display().to_string())?;
            Some(test.samples)
        }
        None => None,
    };
    let names = (0..classes).map(|class| class.to_string()).collect();
    Memory::of(names, train.shape, train.samples, test)
}

/// A file of images and the file of their labels.
struct Pair {
    samples: Samples,
    /// `[1, H, W]`.
    shape: [usize; 3],
    labels_path: PathBuf,
}

impl Pair {
    fn read(dir: &Path, split: &str) -> Result<Self, DataError> {
        let mut images = IdxFile::open(dir, &format!("{split}-images-idx3-ubyte"))?;
        let [count, height, width] = images.header(IMAGES_MAGIC)?;
        if height == 0 || width == 0 {
            let found = format!("{height} x {width}");
            return Err(images.wrong("image size", found, "at least 1 x 1"));
        }
        let mut labels = IdxFile::open(dir, &format!("{split}-labels-idx1-ubyte"))?;
        let [label_count] = labels.header(LABELS_MAGIC)?;
        if label_count != count {
            let expected = format!("{count}, one for each image");
            return Err(labels.wrong("number of labels", label_count, expected));
        }
        if count == 0 {
            return Err(labels.wrong("number of labels", 0, "at least 1"));
        }
        let samples = Samples {
            pixels: images.body(&[count, height, width])?,
            labels: labels
                .body(&[count])?
                .into_iter()
                .map(usize::from)
                .collect(),
        };
        Ok(Self {
            samples,
            shape: [1, height, width],
            labels_path: labels.path,
        })
    }
}

/// An IDX file that is being read, plain or compressed.
struct IdxFile {
    path: PathBuf,
    /// Size of the file where it is compressed.
    packed: Option<u64>,
    reader: Box<dyn Read>,
}

impl IdxFile {
    fn open(dir: &Path, name: &str) -> Result<Self, DataError> {
        let path = find(dir, name).ok_or_else(|| DataError::NotFound {
            path: dir.join(name),
        })?;
        let io = |error| DataError::io(&path, error);
        let file = File::open(&path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::new(file);
        let start = reader.fill_buf().map_err(io)?;
        // The content decides, not the suffix.
        let is_packed = start.starts_with(&[0x1f, 0x8b]);
        let (packed, reader): (_, Box<dyn Read>) = if is_packed {
            (Some(size), Box::new(GzDecoder::new(reader)))
        } else {
            (None, Box::new(reader))
        };
        Ok(Self {
            path,
            packed,
            reader,
        })
    }

    /// The sizes in the header, after a check of the magic number.
    fn header<const D: usize>(&mut self, magic: u32) -> Result<[usize; D], DataError> {
        let expected = format!("0x{magic:08x}");
        let Some(found) = self.word()? else {
            return Err(self.wrong("IDX magic number", "missing", expected));
        };
        if found != magic {
            let found = format!("0x{found:08x}");
            return Err(self.wrong("IDX magic number", found, expected));
        }
        let mut sizes = [0; D];
        for (at, size) in sizes.iter_mut().enumerate() {
            let Some(word) = self.word()? else {
                let found = format!("less than {} bytes", 8 + 4 * at);
                return Err(self.wrong("header", found, format!("{} bytes", 4 + 4 * D)));
            };
            *size = word as usize;
        }
        Ok(sizes)
    }

    /// The next number, or `None` where the file ends.
    fn word(&mut self) -> Result<Option<u32>, DataError> {
        let mut word = [0; 4];
        match self.reader.read_exact(&mut word) {
            Ok(()) => Ok(Some(u32::from_be_bytes(word))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(DataError::io(&self.path, error)),
        }
    }

    /// The bytes after the header, as many as `sizes` promises.
    fn body(&mut self, sizes: &[usize]) -> Result<Vec<u8>, DataError> {
        // 128 bits hold the product of three 32-bit sizes.
        let promised: u128 = sizes.iter().map(|&size| size as u128).product();
        self.check_ratio(promised)?;
        let limit = u64::try_from(promised).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let mut body = (&mut self.reader).take(limit.saturating_add(1));
        body.read_to_end(&mut bytes)
            .map_err(|error| DataError::io(&self.path, error))?;
        if bytes.len() as u128 == promised {
            return Ok(bytes);
        }
        let found = if bytes.len() as u128 > promised {
            format!("more than {promised} bytes")
        } else {
            format!("{} bytes", bytes.len())
        };
        let expected = format!("{promised} for {sizes:?}");
        Err(self.wrong("length after the header", found, expected))
    }

    fn check_ratio(&self, promised: u128) -> Result<(), DataError> {
        let Some(packed) = self.packed else {
            return Ok(());
        };
        let most = (u128::from(packed) * MAX_RATIO).max(SMALL);
        if promised <= most {
            return Ok(());
        }
        let expected = format!("at most {most} for {packed} compressed bytes");
        Err(self.wrong("unpacked size", format!("{promised} bytes"), expected))
    }

    fn wrong(
        &self,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> DataError {
        DataError::format(&self.path, what, found, expected)
    }
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let plain = dir.join(name);
    let packed = dir.join(format!("{name}.gz"));
    [plain, packed].into_iter().find(|path| path.exists())
}
