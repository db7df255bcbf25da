//! A labelled image set.

use std::ops::Range;
use std::sync::Arc;

use cutmix::plan::Stream;
use rand::seq::SliceRandom;

use super::augment::Transform;
use super::config::check_fraction;
use super::decode::{DecodeConfig, Decoder, Failure, Reservation};
use super::source::{Content, Label, Memory, Relabelled, Source};
use super::view::{Opened, View};
use super::{DataError, Image, Rect, Size, manifest};

/// Lane of the random stream that splits are drawn from; those of order and augmentation are in
/// `loader`.
const SPLIT: u64 = (1 << 32) + 2;

/// A set of labelled images, which a [`View`] brings to one shape. Cheap to clone: clones, subsets
/// and splits share the samples.
///
/// ```
/// use cutmix_vision::Label;
///
/// let splits = cutmix_vision::fashion_mnist();
/// let (train, test) = (splits.train, splits.test.expect("it has a test set"));
/// assert_eq!((train.len(), test.len()), (10_000, 10_000));
/// assert_eq!(train.label(0), Label::Class(9));
/// assert_eq!(train.classes()[9], "Ankle boot");
///
/// let (train, val) = train.split(0.1, 42)?;
/// assert_eq!((train.len(), val.len()), (9_000, 1_000));
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What all subsets of a set share.
    whole: Arc<Whole>,
    view: View,
    decoder: Arc<Decoder>,
    /// Samples of the source that this set has, in order.
    indices: Arc<[u32]>,
}

/// What a source has of a sample, and the memory of its file until this is dropped.
pub(crate) type Read<'a> = (Content<'a>, Option<Reservation<'a>>);

#[derive(Debug)]
struct Whole {
    classes: Vec<String>,
    has_several: bool,
    source: Arc<dyn Source>,
}

impl Dataset {
    /// A set of images in memory.
    ///
    /// `shape` is `[C, H, W]` with `C` 1 or 3; `pixels` holds `labels.len() * H * W * C` values,
    /// those of each sample as `H` rows of `W` pixels; each label is an index into `classes`.
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
        let view = View::new(shape);
        view.check()?;
        let count = labels.len();
        let expected = shape.iter().try_fold(count, |n, &side| n.checked_mul(side));
        if expected != Some(pixels.len()) {
            let found = format!("{} bytes", pixels.len());
            let expected = format!("{count} x {shape:?}");
            return Err(DataError::argument("pixels", found, expected));
        }
        let [channels, height, width] = shape;
        let source = Memory {
            labels: labels.into_iter().map(Label::Class).collect(),
            size: Size { height, width },
            channels,
            pixels,
            parts: Vec::new(),
        };
        Self::from_source(classes, view, Arc::new(source))
    }

    /// All samples of a source, whose labels are indices into `classes` and whose images become
    /// those of `view`. Files are decoded as [`DecodeConfig`] says by default.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the view is out of range, there are no classes or more than
    /// 4,294,967,295 samples; [`DataError::Label`] where a label names no class.
    pub fn from_source(
        classes: Vec<String>,
        view: View,
        source: Arc<dyn Source>,
    ) -> Result<Self, DataError> {
        view.check()?;
        if classes.is_empty() {
            return Err(DataError::argument("classes", "empty", "at least 1 name"));
        }
        let Ok(len) = u32::try_from(source.len()) else {
            let expected = format!("at most {}", u32::MAX);
            return Err(DataError::argument("samples", source.len(), expected));
        };
        let mut has_several = false;
        for index in 0..source.len() {
            let label = source.label(index);
            has_several |= matches!(label, Label::Classes(_));
            check_label(index, &label, classes.len(), || "labels".into())?;
        }
        Ok(Self {
            whole: Arc::new(Whole {
                classes,
                has_several,
                source,
            }),
            view,
            decoder: Arc::new(Decoder::new(DecodeConfig::new())),
            indices: (0..len).collect(),
        })
    }

    /// The same samples with files that are decoded in another way.
    pub fn with_decoding(self, config: DecodeConfig) -> Self {
        Self {
            decoder: Arc::new(Decoder::new(config)),
            ..self
        }
    }

    /// The same samples as images of another shape.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the view is out of range.
    pub fn with_view(self, view: View) -> Result<Self, DataError> {
        view.check()?;
        Ok(Self { view, ..self })
    }

    /// Names of the classes; labels are indices into them.
    pub fn classes(&self) -> &[String] {
        &self.whole.classes
    }

    /// Whether the samples have any number of classes each, instead of one.
    pub fn is_multi_label(&self) -> bool {
        self.whole.has_several
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
        self.view.shape
    }

    /// How images become those of the set.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Share of their area that is seen of images in this view, in 0..=1: the median of 64 that are
    /// spread over the set. Bad images are passed over; 1 where all are bad.
    pub fn seen_share(&self) -> f64 {
        let some = self.truncate(64);
        let share = |index: usize| {
            let (content, _reserved) = some.content(index).ok()?;
            let size = some.open(index, &content).ok()?.size();
            Some(self.view.seen_share(size))
        };
        let mut shares: Vec<_> = (0..some.len()).filter_map(share).collect();
        shares.sort_by(f64::total_cmp);
        shares.get(shares.len() / 2).copied().unwrap_or(1.0)
    }

    /// Whether the images are files, which may have any size and are decoded when they are used; as
    /// the first of them is.
    pub fn is_of_files(&self) -> bool {
        !matches!(self.content(0), Ok((Content::Image(_), _)))
    }

    /// Whether samples can only be read one after another, as those of compressed shards.
    pub fn is_read_in_order(&self) -> bool {
        self.source().runs().is_some()
    }

    /// Label of sample `index`.
    ///
    /// # Panics
    /// Where `index` is not below [`len`](Self::len), as a slice does.
    pub fn label(&self, index: usize) -> Label {
        self.source().label(self.at(index))
    }

    /// Labels of all samples, in order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = Label> + '_ {
        (0..self.len()).map(|index| self.label(index))
    }

    /// Number of samples that show each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes().len()];
        for label in self.labels() {
            label.classes().iter().for_each(|&class| counts[class] += 1);
        }
        counts
    }

    /// Name of sample `index`: the path of its file relative to the data folder, or `#` and its
    /// number in the file that holds them all. Bytes of a path that are not UTF-8, and control
    /// characters, are written as `\xE9`.
    ///
    /// # Panics
    /// Where `index` is not below [`len`](Self::len), as a slice does.
    pub fn name(&self, index: usize) -> String {
        self.source().name(self.at(index))
    }

    /// Image of sample `index`, in the shape of the set. A file is read and decoded now.
    ///
    /// # Errors
    /// [`DataError::Argument`] where there is no such sample; [`DataError::Image`] and
    /// [`DataError::TooLarge`] where it cannot be decoded; the errors of its source.
    pub fn image(&self, index: usize) -> Result<Image, DataError> {
        self.fitted(index, &self.content(index)?.0)
    }

    /// The image of sample `index` in the shape of the set, from what the source has of it.
    pub(crate) fn fitted(&self, index: usize, content: &Content<'_>) -> Result<Image, DataError> {
        let opened = self.open(index, content)?;
        let transforms = self.view.transforms(opened.size())?;
        self.transformed(index, opened, self.view.shape[0], &transforms)
    }

    /// Image of sample `index` in its own size and with its own channels, 1 or 3.
    ///
    /// # Errors
    /// Those of [`image`](Self::image).
    pub fn original(&self, index: usize) -> Result<Image, DataError> {
        let (content, _reserved) = self.content(index)?;
        let opened = self.open(index, &content)?;
        let channels = opened.channels();
        self.transformed(index, opened, channels, &[])
    }

    /// Whether the data say of some sample where its object is, as [`object_box`](Self::object_box)
    /// gives it.
    pub fn has_boxes(&self) -> bool {
        let mut indices = self.indices.iter();
        indices.any(|&at| self.source().object_box(at as usize).is_some())
    }

    /// Box of the object of sample `index` in pixels of [`image`](Self::image): the smallest one that
    /// holds all of the object's own box after the view, cut to the image. `None` where the data do
    /// not say where the object is, or the view has cut it off. The size of the image has to be known,
    /// so a file is read, and not decoded.
    ///
    /// # Errors
    /// Those of [`image`](Self::image).
    pub fn object_box(&self, index: usize) -> Result<Option<Rect>, DataError> {
        let Some(region) = self.source().object_box(self.source_index(index)?) else {
            return Ok(None);
        };
        let (content, _reserved) = self.content(index)?;
        let size = self.open(index, &content)?.size();
        self.view.seen_box(region, size)
    }

    /// What the source has of sample `index`. Waits for the memory of its file first, since that is read
    /// whole before its header is known.
    pub(crate) fn content(&self, index: usize) -> Result<Read<'_>, DataError> {
        let at = self.source_index(index)?;
        let source = self.source();
        let bytes = source.bytes(at);
        if bytes == 0 || source.is_in_memory() {
            return Ok((source.content(at)?, None));
        }
        let reserved = self.decoder.reserve_file(bytes, || source.path(at))?;
        Ok((source.content(at)?, Some(reserved)))
    }

    /// Looks at the header of a sample.
    pub(crate) fn open<'a>(
        &'a self,
        index: usize,
        content: &'a Content<'_>,
    ) -> Result<Opened<'a>, DataError> {
        match content {
            Content::Image(image) => Ok(Opened::Image(image.clone())),
            Content::File(bytes) => {
                let header = self.decoder.header(bytes);
                let header = header.map_err(|failure| self.failed(index, failure))?;
                Ok(Opened::File(header))
            }
        }
    }

    /// The image of sample `index` with 1 or 3 channels, after these transforms.
    pub(crate) fn transformed(
        &self,
        index: usize,
        opened: Opened<'_>,
        channels: usize,
        transforms: &[Transform],
    ) -> Result<Image, DataError> {
        let image = opened.transformed(channels, transforms);
        image.map_err(|failure| self.failed(index, failure))
    }

    /// The error of sample `index`.
    fn failed(&self, index: usize, failure: Failure) -> DataError {
        let path = self.source().path(self.at(index));
        failure.of(path, self.decoder.config())
    }

    /// Digest of the classes and of the name, size and label of each sample, in order: 64
    /// hexadecimal digits. Sets with equal digests are the same set, unless a file was edited
    /// without changing its size.
    pub fn digest(&self) -> String {
        manifest::digest(self)
    }

    /// Digest of the content of samples, which is the bytes of a file or the pixels of an image: 64
    /// hexadecimal digits.
    ///
    /// It takes `count` samples, or all where there are fewer. They are spread evenly over the set; where
    /// samples are [read in order](Self::is_read_in_order), they are the first ones. The digest also says
    /// which of them cannot be read.
    pub fn content_digest(&self, count: usize) -> String {
        manifest::content_digest(self, count)
    }

    /// Set of the samples `indices`, in that order; an index may come more than once.
    ///
    /// # Errors
    /// [`DataError::Argument`] where an index is not below [`len`](Self::len).
    pub fn subset(&self, indices: &[usize]) -> Result<Self, DataError> {
        let indices: Result<_, _> = (indices.iter())
            .map(|&index| self.source_index(index).map(|at| at as u32))
            .collect();
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
        let source = self.shared_source();
        let source = Arc::new(Relabelled { source, numbers });
        let whole = Self::from_source(classes, self.view, source)?;
        Ok(Self {
            decoder: self.decoder.clone(),
            indices: self.indices.clone(),
            ..whole
        })
    }

    /// All samples of another source in the view of this set, decoded in the same way.
    pub(crate) fn with_source(&self, source: Arc<dyn Source>) -> Result<Self, DataError> {
        let whole = Self::from_source(self.classes().to_vec(), self.view, source)?;
        Ok(Self {
            decoder: self.decoder.clone(),
            ..whole
        })
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
    /// stays in `train`. Samples of several classes count with their first one. The same set,
    /// fraction and seed give the same split, and both sides keep the order of the samples.
    ///
    /// # Errors
    /// [`DataError::Argument`] where `fraction` is not inside (0, 1), or no class has two samples.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        check_fraction(fraction)?;
        // The last group has the samples of no class.
        let mut by_class = vec![Vec::new(); self.classes().len() + 1];
        let last = self.classes().len();
        for (index, label) in self.labels().enumerate() {
            let class = label.classes().first().copied().unwrap_or(last);
            by_class[class].push(index);
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

    pub(crate) fn shared_source(&self) -> Arc<dyn Source> {
        self.whole.source.clone()
    }

    /// Samples of the source that this set has, in order.
    pub(crate) fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The samples `indices` of the source.
    pub(crate) fn with_indices(&self, indices: Vec<u32>) -> Self {
        Self {
            indices: indices.into(),
            ..self.clone()
        }
    }

    /// The number of sample `index` in the source.
    fn at(&self, index: usize) -> usize {
        self.indices[index] as usize
    }

    fn source_index(&self, index: usize) -> Result<usize, DataError> {
        let at = self.indices.get(index).map(|&at| at as usize);
        at.ok_or_else(|| {
            let expected = format!("below the number of samples, {}", self.len());
            DataError::argument("index", index, expected)
        })
    }
}

/// Checks that the classes of sample `index` are below `classes`; `origin` names where it is from.
pub(crate) fn check_label(
    index: usize,
    label: &Label,
    classes: usize,
    origin: impl Fn() -> String,
) -> Result<(), DataError> {
    match label.classes().iter().find(|class| **class >= classes) {
        None => Ok(()),
        Some(&label) => Err(DataError::Label {
            origin: origin(),
            index,
            label,
            classes,
        }),
    }
}
