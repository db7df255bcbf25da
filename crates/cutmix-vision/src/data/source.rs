//! Where samples come from.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use super::{DataError, Dataset};

/// Where the samples of a data set come from, such as a folder or a file of many images.
///
/// All images of a source have the same shape `[C, H, W]` and the same classes, which
/// [`Dataset::from_source`] is given beside it.
///
/// ```
/// use std::borrow::Cow;
/// use std::sync::Arc;
/// use cutmix_vision::{DataError, Dataset, Source};
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
///     fn label(&self, index: usize) -> usize {
///         index % 2
///     }
///
///     fn bytes(&self, _: usize) -> u64 {
///         1
///     }
///
///     fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
///         Ok(vec![255 * (index % 2) as u8].into())
///     }
/// }
///
/// let classes = vec!["black".into(), "white".into()];
/// let set = Dataset::from_source(classes, [1, 1, 1], Arc::new(BlackAndWhite))?;
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

    /// Class of sample `index`.
    fn label(&self, index: usize) -> usize;

    /// Size in bytes of the file of sample `index`, or of its pixels where they have no file of
    /// their own.
    fn bytes(&self, index: usize) -> u64;

    /// Pixels of sample `index`: `C` planes of `H` rows of `W` values in 0..=255.
    ///
    /// # Errors
    /// [`DataError`] where the image cannot be read or decoded.
    fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError>;
}

/// Samples whose pixels are in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub labels: Vec<usize>,
    /// Values of one sample.
    pub len: usize,
    /// All samples one after another.
    pub pixels: Vec<u8>,
    /// The parts of a set that is made of several files: a name, and the first sample of the part.
    pub parts: Vec<(&'static str, usize)>,
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

    fn label(&self, index: usize) -> usize {
        self.labels[index]
    }

    fn bytes(&self, _: usize) -> u64 {
        self.len as u64
    }

    fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        Ok(Cow::Borrowed(&self.pixels[index * self.len..][..self.len]))
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

    fn label(&self, index: usize) -> usize {
        self.numbers[self.source.label(index)]
    }

    fn bytes(&self, index: usize) -> u64 {
        self.source.bytes(index)
    }

    fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        self.source.pixels(index)
    }
}

/// Some samples of a file, on the way to a [`Memory`].
#[derive(Default)]
pub(crate) struct Samples {
    pub labels: Vec<usize>,
    pub pixels: Vec<u8>,
}

impl Memory {
    /// A training set and, where there is one, a test set, as one source.
    pub fn of(
        classes: Vec<String>,
        shape: [usize; 3],
        train: Samples,
        test: Option<Samples>,
    ) -> Result<super::Splits, DataError> {
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
            labels: all.labels,
            len: shape.iter().product(),
            pixels: all.pixels,
            parts,
        };
        let all = Dataset::from_source(classes, shape, Arc::new(source))?;
        let mut splits = super::Splits::new(all.range(0..count));
        splits.test = has_test.then(|| all.range(count..total));
        Ok(splits)
    }
}
