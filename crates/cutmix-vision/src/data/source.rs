//! Where samples come from.

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DataError, Dataset, Image, Rect, Size, Splits};

/// Where the samples of a data set come from, such as a folder or a file of many images.
///
/// A sample is the bytes of an image file or an image, a name, and a label. The images may have any
/// size; [`Dataset::from_source`] is told what becomes of them.
///
/// ```
/// use std::sync::Arc;
/// use cutmix_vision::{Content, DataError, Dataset, Image, Label, Size, Source, View};
///
/// /// Grey images of one pixel: black ones of class 0 and white ones of class 1.
/// #[derive(Debug)]
/// struct BlackAndWhite;
///
/// impl Source for BlackAndWhite {
///     fn len(&self) -> usize {
///         100
///     }
///
///     fn name(&self, index: usize) -> String {
///         format!("#{index}")
///     }
///
///     fn label(&self, index: usize) -> Label {
///         Label::Class(index % 2)
///     }
///
///     fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
///         let white = 255 * (index % 2) as u8;
///         Ok(Content::Image(Image::new(Size::new(1, 1), 1, vec![white])?))
///     }
/// }
///
/// let classes = vec!["black".into(), "white".into()];
/// let set = Dataset::from_source(classes, View::new([1, 1, 1]), Arc::new(BlackAndWhite))?;
/// assert_eq!(set.class_counts(), [50, 50]);
/// # Ok::<(), DataError>(())
/// ```
// No `is_empty`: an empty source has no use.
#[expect(clippy::len_without_is_empty)]
pub trait Source: Debug + Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Name of sample `index`, unique within the source: the path of its file relative to the data
    /// folder, or `#` and its number.
    fn name(&self, index: usize) -> String;

    /// What sample `index` shows.
    fn label(&self, index: usize) -> Label;

    /// The image of sample `index`, as a file or decoded. Called by several threads at once.
    ///
    /// # Errors
    /// [`DataError`] where the sample cannot be read.
    fn content(&self, index: usize) -> Result<Content<'_>, DataError>;

    /// Box of the object that sample `index` shows, in pixels of its own upright image. What lies beyond
    /// the image is cut off by [`Dataset::object_box`]. Default `None`: not known.
    fn object_box(&self, _index: usize) -> Option<Rect> {
        None
    }

    /// Size in bytes of the file of sample `index`, or of its pixels, by which a
    /// [`Manifest`](crate::Manifest) notices that it has changed, and by which the memory for files
    /// is bounded. Where only the size of several together is known, their mean. Default 0: not known.
    fn bytes(&self, _index: usize) -> u64 {
        0
    }

    /// Whether the images are in memory already, so that a loader keeps no copies of them. Default
    /// `false`.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// Where sample `index` is, for messages. Default: its name.
    fn path(&self, index: usize) -> PathBuf {
        self.name(index).into()
    }

    /// Ranges of samples that can only be read one after another, such as those of a compressed
    /// file. Together they are all samples, in order. Default: none, any order costs the same.
    ///
    /// Where there are some, a loader draws the order of the ranges, reads each in its own order,
    /// and shuffles within a buffer of 2,048 samples or 256 MiB by [`bytes`](Self::bytes), whichever is
    /// less.
    fn runs(&self) -> Option<&[Range<usize>]> {
        None
    }
}

/// What a sample shows. As data it is a number, a list of numbers or nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// It is not known.
    Unknown,
    /// One class, an index into the names of the classes.
    Class(usize),
    /// Any number of classes, in rising order without repetition.
    Classes(Vec<usize>),
}

impl Label {
    /// The class, where there is exactly one by its kind.
    pub fn class(&self) -> Option<usize> {
        match self {
            Self::Class(class) => Some(*class),
            Self::Unknown | Self::Classes(_) => None,
        }
    }

    /// All classes.
    pub fn classes(&self) -> &[usize] {
        match self {
            Self::Unknown => &[],
            Self::Class(class) => std::slice::from_ref(class),
            Self::Classes(classes) => classes,
        }
    }
}

/// The image of a sample.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// The bytes of an image file.
    File(Cow<'a, [u8]>),
    /// A decoded image.
    Image(Image),
}

/// Samples whose pixels are in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub labels: Vec<Label>,
    pub size: Size,
    pub channels: usize,
    /// All images one after another.
    pub pixels: Vec<u8>,
    /// The parts of a set that is made of several files: a name, and the first sample of the part.
    pub parts: Vec<(&'static str, usize)>,
}

impl Memory {
    fn len_of_image(&self) -> usize {
        self.size.height * self.size.width * self.channels
    }
}

impl Source for Memory {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn name(&self, index: usize) -> String {
        let part = self.parts.iter().rfind(|(_, first)| *first <= index);
        let (name, first) = part.copied().unwrap_or(("", 0));
        format!("{name}#{}", index - first)
    }

    fn label(&self, index: usize) -> Label {
        self.labels[index].clone()
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        let len = self.len_of_image();
        let pixels = self.pixels[index * len..][..len].to_vec();
        Ok(Content::Image(Image::new(
            self.size,
            self.channels,
            pixels,
        )?))
    }

    fn bytes(&self, _: usize) -> u64 {
        self.len_of_image() as u64
    }

    fn is_in_memory(&self) -> bool {
        true
    }
}

/// The samples of another source under other labels.
#[derive(Debug)]
pub(crate) struct Relabelled {
    pub source: Arc<dyn Source>,
    /// The label for each label of the source.
    pub numbers: Vec<usize>,
}

impl Source for Relabelled {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn name(&self, index: usize) -> String {
        self.source.name(index)
    }

    fn label(&self, index: usize) -> Label {
        match self.source.label(index) {
            Label::Unknown => Label::Unknown,
            Label::Class(class) => Label::Class(self.numbers[class]),
            Label::Classes(classes) => {
                let mut classes: Vec<_> = classes.iter().map(|&at| self.numbers[at]).collect();
                classes.sort_unstable();
                classes.dedup();
                Label::Classes(classes)
            }
        }
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        self.source.content(index)
    }

    fn object_box(&self, index: usize) -> Option<Rect> {
        self.source.object_box(index)
    }

    fn bytes(&self, index: usize) -> u64 {
        self.source.bytes(index)
    }

    fn is_in_memory(&self) -> bool {
        self.source.is_in_memory()
    }

    fn path(&self, index: usize) -> PathBuf {
        self.source.path(index)
    }

    fn runs(&self) -> Option<&[Range<usize>]> {
        self.source.runs()
    }
}

/// Some samples of a file, on the way to a [`Memory`].
#[derive(Default)]
pub(crate) struct Samples {
    pub labels: Vec<usize>,
    pub pixels: Vec<u8>,
}

impl Memory {
    /// A training set and, where there is one, a test set, as one source of images of the shape
    /// `[C, H, W]`.
    pub fn of(
        classes: Vec<String>,
        [channels, height, width]: [usize; 3],
        train: Samples,
        test: Option<Samples>,
    ) -> Result<Splits, DataError> {
        let count = train.labels.len();
        let (mut all, mut parts) = (train, vec![("train", 0)]);
        let has_test = test.is_some();
        if let Some(mut test) = test {
            parts.push(("test", count));
            all.labels.append(&mut test.labels);
            all.pixels.append(&mut test.pixels);
        }
        let total = all.labels.len();
        let source = Self {
            labels: all.labels.into_iter().map(Label::Class).collect(),
            size: Size { height, width },
            channels,
            pixels: all.pixels,
            parts,
        };
        let view = super::View::new([channels, height, width]);
        let all = Dataset::from_source(classes, view, Arc::new(source))?;
        let mut splits = Splits::new(all.range(0..count));
        splits.test = has_test.then(|| all.range(count..total));
        Ok(splits)
    }
}
