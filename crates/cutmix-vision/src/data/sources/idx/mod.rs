//! IDX files: the format of MNIST, Fashion-MNIST, KMNIST and EMNIST.

mod file;
mod variant;

use std::path::{Path, PathBuf};

use self::file::IdxFile;
use self::variant::{Mapping, TEST, Variant};
use super::Layout;
use crate::data::dataset::check_label;
use crate::data::source::{Label, Memory, Samples};
use crate::data::{DataError, Splits};

pub(super) const LAYOUT: Layout = Layout {
    about: "IDX files (train-images-idx3-ubyte)",
    found_in: Variant::is_at,
    read: |dir, _| idx(dir),
};

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;

/// Reads a data set of grey images in IDX files, the format of <http://yann.lecun.com/exdb/mnist/>:
/// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` in the folder `path`, and as test set
/// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, or `test-...`, where they exist; there is no
/// validation set. A file may be compressed and end in `.gz`, be called `train-images.idx3-ubyte`,
/// and be in a folder that has its own name. The format has no class names: they are `0`, `1` and so
/// on up to the highest label of the training set.
///
/// The files may have a prefix, as those of EMNIST (arXiv:1702.05373) do:
/// `emnist-letters-train-images-idx3-ubyte`. Where a folder has files with several prefixes, `path`
/// ends in the one that is meant: `folder/emnist-letters`. Images of EMNIST, which are stored column
/// by column, are turned upright. Its classes are the characters in `emnist-letters-mapping.txt`:
/// `A`, or `Aa` where the upper and the lower case are one class.
///
/// Of each file the header is read first, and then no more than it promises. A compressed file
/// whose header promises more than 100 times the size of the file, and more than 64 MiB, is refused
/// unread.
///
/// # Errors
/// [`DataError::NotFound`] and [`DataError::Io`]; [`DataError::Format`] where a header or length is
/// wrong, a mapping does not have a label, or files have several prefixes; [`DataError::Label`] where
/// the test set has a label above those of the training set; [`DataError::OneClass`].
pub fn idx(path: impl AsRef<Path>) -> Result<Splits, DataError> {
    let variant = Variant::at(path.as_ref())?;
    let mapping = variant.mapping()?;
    let mut train = Pair::read(&variant, "train", variant.images("train")?)?;
    let test = TEST
        .iter()
        .find_map(|set| Some((set, variant.images(set).ok()?)));
    let mut test = test
        .map(|(set, images)| Pair::read(&variant, set, images))
        .transpose()?;
    if let Some(test) = &test
        && test.shape != train.shape
    {
        let (found, expected) = (format!("{:?}", test.shape), format!("{:?}", train.shape));
        return Err(DataError::format(
            &test.images_path,
            "image shape",
            found,
            expected,
        ));
    }
    let classes = match mapping {
        Some(mapping) => {
            for pair in [Some(&mut train), test.as_mut()].into_iter().flatten() {
                pair.map_labels(&mapping)?;
            }
            mapping.classes
        }
        None => numbers(&train, test.as_ref())?,
    };
    if let [class] = classes.as_slice() {
        return Err(DataError::OneClass {
            path: train.labels_path,
            class: class.clone(),
        });
    }
    Memory::of(
        classes,
        train.shape,
        train.samples,
        test.map(|test| test.samples),
    )
}

/// The classes `0` to the highest label of the training set.
fn numbers(train: &Pair, test: Option<&Pair>) -> Result<Vec<String>, DataError> {
    let highest = train.samples.labels.iter().max().copied().unwrap_or(0);
    let classes = highest + 1;
    if let Some(test) = test {
        for (index, &label) in test.samples.labels.iter().enumerate() {
            check_label(index, &Label::Class(label), classes, || {
                test.labels_path.display().to_string()
            })?;
        }
    }
    Ok((0..classes).map(|class| class.to_string()).collect())
}

/// A file of images and the file of their labels.
struct Pair {
    samples: Samples,
    /// `[1, H, W]`.
    shape: [usize; 3],
    images_path: PathBuf,
    labels_path: PathBuf,
}

impl Pair {
    fn read(variant: &Variant, set: &str, images: PathBuf) -> Result<Self, DataError> {
        let mut images = IdxFile::open(images)?;
        let [count, height, width] = images.header(IMAGES_MAGIC)?;
        if height == 0 || width == 0 {
            let found = format!("{height} x {width}");
            return Err(images.wrong("image size", found, "at least 1 x 1"));
        }
        let mut labels = IdxFile::open(variant.labels(set)?)?;
        let [label_count] = labels.header(LABELS_MAGIC)?;
        if label_count != count {
            let expected = format!("{count}, one for each image");
            return Err(labels.wrong("number of labels", label_count, expected));
        }
        if count == 0 {
            return Err(labels.wrong("number of labels", 0, "at least 1"));
        }
        let pixels = images.body(&[count, height, width])?;
        let (pixels, shape) = if variant.is_turned() {
            (turned(&pixels, height, width), [1, width, height])
        } else {
            (pixels, [1, height, width])
        };
        let bytes = labels.body(&[count])?;
        Ok(Self {
            samples: Samples {
                pixels,
                labels: bytes.into_iter().map(usize::from).collect(),
            },
            shape,
            images_path: images.path,
            labels_path: labels.path,
        })
    }

    /// Makes the classes of a mapping of the labels.
    fn map_labels(&mut self, mapping: &Mapping) -> Result<(), DataError> {
        for (index, label) in self.samples.labels.iter_mut().enumerate() {
            let class = mapping.class(*label);
            *label = class.ok_or_else(|| {
                let found = format!("{label} of sample {index}");
                let expected = format!("one of those in {}", mapping.path.display());
                DataError::format(&self.labels_path, "label", found, expected)
            })?;
        }
        Ok(())
    }
}

/// Images whose rows and columns change places.
fn turned(pixels: &[u8], height: usize, width: usize) -> Vec<u8> {
    let images = pixels.chunks_exact(height * width);
    let turn = |image: &[u8]| {
        let pixel = |at: usize| image[at % height * width + at / height];
        (0..image.len()).map(pixel).collect::<Vec<_>>()
    };
    images.flat_map(turn).collect()
}
