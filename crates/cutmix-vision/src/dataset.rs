//! A labelled image set.

mod cifar;
mod decode;
mod fashion;
mod folder;
mod idx;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cutmix::plan::Stream;
use rand::seq::SliceRandom;

use crate::DataError;

/// The lane of the random stream that splits are drawn from; see `loader` for the others.
const SPLIT: u64 = (1 << 32) + 2;

pub use cifar::cifar;
pub use decode::load_image;
pub use fashion::fashion_mnist;
pub use folder::{CACHE_LIMIT, FolderOptions, OnBadImage, image_folder};
pub use idx::idx;

/// A labelled set of images that all have the same shape. Cheap to clone: clones, subsets and
/// splits share the pixels.
///
/// ```
/// let (train, test) = cutmix_vision::fashion_mnist();
/// assert_eq!((train.len(), test.len()), (10_000, 10_000));
/// assert_eq!(train.classes()[train.label(0)], "Ankle boot");
///
/// let (train, val) = train.split(0.1, 42)?;
/// assert_eq!((train.len(), val.len()), (9_000, 1_000));
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dataset {
    source: Arc<Source>,
    /// The samples of `source` that this set has, in order.
    indices: Arc<[usize]>,
}

#[derive(Debug)]
struct Source {
    classes: Vec<String>,
    labels: Vec<usize>,
    /// `[C, H, W]`.
    shape: [usize; 3],
    /// All samples one after another; `None` where they are decoded from `paths` each time.
    pixels: Option<Vec<u8>>,
    /// The file of each sample; empty where they did not come from one file each.
    paths: Vec<PathBuf>,
}

/// A training set, and a validation set where there is one.
#[derive(Clone, Debug)]
pub struct Splits {
    /// The set to train on.
    pub train: Dataset,
    /// The set to evaluate on.
    pub val: Option<Dataset>,
    /// The images left out because they are bad ([`OnBadImage::Skip`]), in path order.
    pub skipped: Vec<SkippedImage>,
}

/// An image file that was left out of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedImage {
    /// The file.
    pub path: PathBuf,
    /// Why it could not be decoded.
    pub reason: String,
}

/// Opens the data set in the folder `dir`: IDX files (see [`idx()`]), CIFAR batches (see [`cifar()`])
/// or folders of images (see [`image_folder`]), whichever it holds. Where there is no validation
/// set and `options.val_fraction` is given, that part of the training set becomes one; the other
/// options are for folders of images.
///
/// # Errors
/// What the reader of that layout returns; [`DataError::NoClasses`] where the folder holds none of
/// them.
pub fn open(dir: impl AsRef<Path>, options: &FolderOptions) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    let mut splits = if idx::found_in(dir) {
        idx(dir)?
    } else if cifar::found_in(dir) {
        cifar(dir)?
    } else {
        return image_folder(dir, options);
    };
    splits.carve(options)?;
    Ok(splits)
}

impl Splits {
    fn carve(&mut self, options: &FolderOptions) -> Result<(), DataError> {
        if let (None, Some(fraction)) = (&self.val, options.val_fraction) {
            let (train, val) = self.train.split(fraction, options.seed)?;
            (self.train, self.val) = (train, Some(val));
        }
        Ok(())
    }
}

impl Dataset {
    /// A set of images in memory.
    ///
    /// `shape` is `[C, H, W]` with `C` 1 or 3; `pixels` holds `labels.len() * C * H * W` values,
    /// each sample as `C` planes of `H` rows; each label is an index into `classes`.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the lengths disagree or there are fewer than two classes,
    /// [`DataError::Label`] where a label names no class.
    pub fn new(
        classes: Vec<String>,
        shape: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<usize>,
    ) -> Result<Self, DataError> {
        let count = labels.len();
        if !matches!(shape[0], 1 | 3) || shape.contains(&0) {
            let expected = "[C, H, W] with C 1 or 3 and no 0";
            return Err(DataError::argument("shape", format!("{shape:?}"), expected));
        }
        if classes.len() < 2 {
            let expected = "at least 2 names";
            return Err(DataError::argument(
                "classes",
                format!("{classes:?}"),
                expected,
            ));
        }
        let expected = shape.iter().try_fold(count, |n, &side| n.checked_mul(side));
        if expected != Some(pixels.len()) {
            let found = format!("{} bytes", pixels.len());
            let expected = format!("{count} x {shape:?}");
            return Err(DataError::argument("pixels", found, expected));
        }
        check_labels(&labels, classes.len(), || "labels".into())?;
        Ok(Self::whole(Source {
            classes,
            labels,
            shape,
            pixels: Some(pixels),
            paths: Vec::new(),
        }))
    }

    fn whole(source: Source) -> Self {
        let indices = (0..source.labels.len()).collect();
        Self {
            source: Arc::new(source),
            indices,
        }
    }

    /// The names of the classes; labels are indices into them.
    pub fn classes(&self) -> &[String] {
        &self.source.classes
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The shape `[C, H, W]` of every image.
    pub fn shape(&self) -> [usize; 3] {
        self.source.shape
    }

    /// The class of sample `index`.
    ///
    /// # Panics
    /// Where `index` is not below [`len`](Self::len), as a slice does.
    pub fn label(&self, index: usize) -> usize {
        self.source.labels[self.indices[index]]
    }

    /// The classes of all samples, in order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.indices.iter().map(|&at| self.source.labels[at])
    }

    /// How many samples each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes().len()];
        self.labels().for_each(|label| counts[label] += 1);
        counts
    }

    /// What to call sample `index` in a message: the path of its file, or `#` and its number in the
    /// file that holds them all.
    ///
    /// # Panics
    /// Where `index` is not below [`len`](Self::len), as a slice does.
    pub fn name(&self, index: usize) -> String {
        let at = self.indices[index];
        match self.source.paths.get(at) {
            Some(path) => path.display().to_string(),
            None => format!("#{at}"),
        }
    }

    /// The pixels of sample `index`: `C` planes of `H` rows of `W` values in 0..=255, see
    /// [`shape`](Self::shape). An image that is not held in memory is decoded and resized now.
    ///
    /// # Errors
    /// [`DataError::Argument`] where there is no such sample, and those of [`load_image`].
    pub fn pixels(&self, index: usize) -> Result<Vec<u8>, DataError> {
        self.borrow_pixels(index).map(Cow::into_owned)
    }

    pub(crate) fn borrow_pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let at = self.source_index(index)?;
        let [channels, height, width] = self.shape();
        match &self.source.pixels {
            Some(pixels) => {
                let len = channels * height * width;
                Ok(Cow::Borrowed(&pixels[at * len..][..len]))
            }
            None => load_image(&self.source.paths[at], height, channels).map(Cow::Owned),
        }
    }

    /// The set of the samples `indices`, in that order; one may come more than once.
    ///
    /// # Errors
    /// [`DataError::Argument`] where an index is not below [`len`](Self::len).
    pub fn subset(&self, indices: &[usize]) -> Result<Self, DataError> {
        let indices: Result<_, _> = indices.iter().map(|&at| self.source_index(at)).collect();
        Ok(self.with_indices(indices?))
    }

    /// `n` samples spread evenly over the set, in order (all of them where there are no more): a
    /// small stand-in in which a set that is sorted by class keeps its classes.
    pub fn truncate(&self, n: usize) -> Self {
        let (len, n) = (self.len(), n.min(self.len()));
        let spread = (0..n).map(|i| self.indices[(i as u128 * len as u128 / n as u128) as usize]);
        self.with_indices(spread.collect())
    }

    /// Splits off about `fraction` of the samples of each class as a validation set: returns
    /// `(train, val)`. A class of two or more keeps at least one on either side; a class of one
    /// stays in `train`. The same set, fraction and seed give the same split, and both sides keep
    /// the order of the samples.
    ///
    /// # Errors
    /// [`DataError::Argument`] where `fraction` is not inside (0, 1), or no class has two samples.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        if !(fraction > 0.0 && fraction < 1.0) {
            let expected = "a number above 0 and below 1";
            return Err(DataError::argument("val_fraction", fraction, expected));
        }
        let mut by_class = vec![Vec::new(); self.classes().len()];
        for (index, label) in self.labels().enumerate() {
            by_class[label].push(index);
        }
        let mut is_val = vec![false; self.len()];
        for (class, mut members) in by_class.into_iter().enumerate() {
            let wanted = (fraction * members.len() as f64).round() as usize;
            let count = match members.len() {
                0 | 1 => 0,
                len => wanted.clamp(1, len - 1),
            };
            // A stream per class: adding a class does not reshuffle the others.
            members.shuffle(&mut Stream::new(seed).lane(SPLIT).at(class as u64));
            members[..count]
                .iter()
                .for_each(|&index| is_val[index] = true);
        }
        if !is_val.contains(&true) {
            let expected = "a set in which some class has two or more samples to share";
            return Err(DataError::argument("val_fraction", fraction, expected));
        }
        let side = |val| {
            let members = self.indices.iter().zip(&is_val);
            let members = members.filter(|(_, is_val)| **is_val == val);
            self.with_indices(members.map(|(&at, _)| at).collect())
        };
        Ok((side(false), side(true)))
    }

    fn with_indices(&self, indices: Vec<usize>) -> Self {
        Self {
            source: self.source.clone(),
            indices: indices.into(),
        }
    }

    fn source_index(&self, index: usize) -> Result<usize, DataError> {
        self.indices.get(index).copied().ok_or_else(|| {
            let expected = format!("below the number of samples, {}", self.len());
            DataError::argument("index", index, expected)
        })
    }
}

fn check_labels(
    labels: &[usize],
    classes: usize,
    origin: impl Fn() -> String,
) -> Result<(), DataError> {
    match labels.iter().position(|&label| label >= classes) {
        None => Ok(()),
        Some(index) => Err(DataError::Label {
            origin: origin(),
            index,
            label: labels[index],
            classes,
        }),
    }
}
