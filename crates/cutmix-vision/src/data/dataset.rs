//! A labelled image set.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use cutmix::plan::Stream;
use rand::seq::SliceRandom;

use super::config::check_fraction;
use super::source::{Memory, Relabelled, Source};
use super::{DataError, manifest};

/// Lane of the random stream that splits are drawn from; those of order and augmentation are in
/// `loader`.
const SPLIT: u64 = (1 << 32) + 2;

/// A labelled set of images that all have the same shape. Cheap to clone: clones, subsets and
/// splits share the pixels.
///
/// ```
/// let splits = cutmix_vision::fashion_mnist();
/// let (train, test) = (splits.train, splits.test.expect("it has a test set"));
/// assert_eq!((train.len(), test.len()), (10_000, 10_000));
/// assert_eq!(train.classes()[train.label(0)], "Ankle boot");
///
/// let (train, val) = train.split(0.1, 42)?;
/// assert_eq!((train.len(), val.len()), (9_000, 1_000));
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What all subsets of a set share.
    whole: Arc<Whole>,
    /// Samples of the source that this set has, in order.
    indices: Arc<[usize]>,
}

#[derive(Debug)]
struct Whole {
    classes: Vec<String>,
    /// `[C, H, W]`.
    shape: [usize; 3],
    source: Arc<dyn Source>,
}

impl Dataset {
    /// A set of images in memory.
    ///
    /// `shape` is `[C, H, W]` with `C` 1 or 3; `pixels` holds `labels.len() * C * H * W` values,
    /// each sample as `C` planes of `H` rows; each label is an index into `classes`.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the lengths disagree, and those of
    /// [`from_source`](Self::from_source).
    pub fn new(
        classes: Vec<String>,
        shape: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<usize>,
    ) -> Result<Self, DataError> {
        check_shape(shape)?;
        let count = labels.len();
        let expected = shape.iter().try_fold(count, |n, &side| n.checked_mul(side));
        if expected != Some(pixels.len()) {
            let found = format!("{} bytes", pixels.len());
            let expected = format!("{count} x {shape:?}");
            return Err(DataError::argument("pixels", found, expected));
        }
        let source = Memory {
            labels,
            len: shape.iter().product(),
            pixels,
            parts: Vec::new(),
        };
        Self::from_source(classes, shape, Arc::new(source))
    }

    /// All samples of a source, whose labels are indices into `classes` and whose images have the
    /// shape `[C, H, W]` with `C` 1 or 3.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the shape is not accepted or there are fewer than two classes,
    /// [`DataError::Label`] where a label names no class.
    pub fn from_source(
        classes: Vec<String>,
        shape: [usize; 3],
        source: Arc<dyn Source>,
    ) -> Result<Self, DataError> {
        check_shape(shape)?;
        if classes.len() < 2 {
            let value = format!("{classes:?}");
            return Err(DataError::argument("classes", value, "at least 2 names"));
        }
        let labels = (0..source.len()).map(|index| source.label(index));
        check_labels(labels, classes.len(), || "labels".into())?;
        Ok(Self {
            indices: (0..source.len()).collect(),
            whole: Arc::new(Whole {
                classes,
                shape,
                source,
            }),
        })
    }

    /// Names of the classes; labels are indices into them.
    pub fn classes(&self) -> &[String] {
        &self.whole.classes
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Shape `[C, H, W]` of every image.
    pub fn shape(&self) -> [usize; 3] {
        self.whole.shape
    }

    /// Class of sample `index`.
    ///
    /// # Panics
    /// Where `index` is not below [`len`](Self::len), as a slice does.
    pub fn label(&self, index: usize) -> usize {
        self.whole.source.label(self.indices[index])
    }

    /// Classes of all samples, in order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        let source = &self.whole.source;
        self.indices.iter().map(|&at| source.label(at))
    }

    /// Number of samples of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes().len()];
        self.labels().for_each(|label| counts[label] += 1);
        counts
    }

    /// Name of sample `index`: the path of its file relative to the data folder, or `#` and its
    /// number in the file that holds them all. Bytes of a path that are not UTF-8, and control
    /// characters, are written as `\xE9`.
    ///
    /// # Panics
    /// Where `index` is not below [`len`](Self::len), as a slice does.
    pub fn name(&self, index: usize) -> String {
        self.whole.source.name(self.indices[index])
    }

    /// Pixels of sample `index`: `C` planes of `H` rows of `W` values in 0..=255, see
    /// [`shape`](Self::shape). An image that is not held in memory is decoded and resized now.
    ///
    /// # Errors
    /// [`DataError::Argument`] where there is no such sample, and those of
    /// [`load_image`](crate::load_image).
    pub fn pixels(&self, index: usize) -> Result<Vec<u8>, DataError> {
        self.borrow_pixels(index).map(Cow::into_owned)
    }

    pub(crate) fn borrow_pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        self.whole.source.pixels(self.source_index(index)?)
    }

    /// Digest of the classes and of the name, size and label of each sample, in order: 64
    /// hexadecimal digits. Sets with equal digests are the same set, unless a file was edited
    /// without changing its size.
    pub fn digest(&self) -> String {
        manifest::digest(self)
    }

    /// Set of the samples `indices`, in that order; an index may come more than once.
    ///
    /// # Errors
    /// [`DataError::Argument`] where an index is not below [`len`](Self::len).
    pub fn subset(&self, indices: &[usize]) -> Result<Self, DataError> {
        let indices: Result<_, _> = indices.iter().map(|&at| self.source_index(at)).collect();
        Ok(self.with_indices(indices?))
    }

    /// The same images under other classes: the class with the number `label` becomes number
    /// `numbers[label]` of `classes`.
    ///
    /// # Errors
    /// [`DataError::Argument`] where `numbers` has not one number for each class, and those of
    /// [`from_source`](Self::from_source).
    pub fn with_classes(
        &self,
        classes: Vec<String>,
        numbers: Vec<usize>,
    ) -> Result<Self, DataError> {
        let count = self.classes().len();
        if numbers.len() != count {
            let expected = format!("a number for each of the {count} classes");
            let value = format!("{} numbers", numbers.len());
            return Err(DataError::argument("numbers", value, expected));
        }
        let source = self.whole.source.clone();
        let source = Arc::new(Relabelled { source, numbers });
        let whole = Self::from_source(classes, self.shape(), source)?;
        Ok(whole.with_indices(self.indices.to_vec()))
    }

    /// `n` samples spread evenly over the set, in order, or all of them where there are no more. A
    /// set that is sorted by class keeps its classes.
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
        check_fraction(fraction)?;
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

    /// The samples of `range`, which is inside the set.
    pub(crate) fn range(&self, range: Range<usize>) -> Self {
        self.with_indices(self.indices[range].to_vec())
    }

    /// Whether both sets are selections of one source.
    pub(crate) fn shares_source(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.whole, &other.whole)
    }

    pub(crate) fn source(&self) -> &dyn Source {
        self.whole.source.as_ref()
    }

    /// Samples of the source that this set has, in order.
    pub(crate) fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The samples `indices` of the source.
    pub(crate) fn with_indices(&self, indices: Vec<usize>) -> Self {
        Self {
            whole: self.whole.clone(),
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

fn check_shape(shape: [usize; 3]) -> Result<(), DataError> {
    if matches!(shape[0], 1 | 3) && !shape.contains(&0) {
        Ok(())
    } else {
        let expected = "[C, H, W] with C 1 or 3 and no 0";
        Err(DataError::argument("shape", format!("{shape:?}"), expected))
    }
}

/// Checks that every label is below `classes`; `origin` names where the labels are from.
pub(crate) fn check_labels(
    labels: impl IntoIterator<Item = usize>,
    classes: usize,
    origin: impl Fn() -> String,
) -> Result<(), DataError> {
    let mut labels = labels.into_iter().enumerate();
    match labels.find(|(_, label)| *label >= classes) {
        None => Ok(()),
        Some((index, label)) => Err(DataError::Label {
            origin: origin(),
            index,
            label,
            classes,
        }),
    }
}
