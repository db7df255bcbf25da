//! Datasets of Burn's.

use std::fmt;
use std::path::Path;

use ::burn::data::dataset::{Dataset, DatasetError};

use crate::data::source::{Content, Label};
use crate::data::{DataError, Source};

/// The function that makes a sample of an item.
type ToSample<I> = dyn Fn(I) -> Result<(Content<'static>, Label), DataError> + Send + Sync;

/// The items of a [`Dataset`] of Burn's as samples, whose names are `#` and their
/// numbers.
///
/// ```
/// use std::sync::Arc;
///
/// use burn::data::dataset::InMemDataset;
/// use cutmix_vision::data::sources::BurnSource;
/// use cutmix_vision::data::{Content, DataError, Dataset, Image, Label, Size, View};
///
/// /// A grey image of two by two pixels.
/// #[derive(Clone, Debug)]
/// struct Item {
///     pixels: [u8; 4],
///     class: usize,
/// }
///
/// let black = Item { pixels: [0; 4], class: 0 };
/// let white = Item { pixels: [255; 4], class: 1 };
/// let source = BurnSource::new(InMemDataset::new(vec![black, white]), |item: Item| {
///     let image = Image::new(Size::new(2, 2), 1, item.pixels.into())?;
///     Ok((Content::Image(image), Label::Class(item.class)))
/// })?;
///
/// let classes = vec!["black".into(), "white".into()];
/// let set = Dataset::from_source(classes, View::new([1, 2, 2]), Arc::new(source))?;
/// assert_eq!(set.class_counts(), [1, 1]);
/// assert_eq!(set.image(1)?.pixels(), [255; 4]);
/// # Ok::<(), DataError>(())
/// ```
pub struct BurnSource<I, E = DatasetError> {
    dataset: Box<dyn Dataset<I, E>>,
    to_sample: Box<ToSample<I>>,
    labels: Vec<Label>,
}

impl<I, E: std::error::Error + Send + Sync + 'static> BurnSource<I, E> {
    /// The items of a dataset, of which `to_sample` makes images and labels. Each item is asked for
    /// once now, for its label, and again whenever its image is read, by several threads at once.
    ///
    /// # Errors
    /// [`DataError::Image`] where the dataset has no item of a number below its length, which it
    /// names; those of `to_sample`.
    pub fn new(
        dataset: impl Dataset<I, E> + 'static,
        to_sample: impl Fn(I) -> Result<(Content<'static>, Label), DataError> + Send + Sync + 'static,
    ) -> Result<Self, DataError> {
        let mut source = Self {
            dataset: Box::new(dataset),
            to_sample: Box::new(to_sample),
            labels: Vec::new(),
        };
        let labels = (0..source.dataset.len()).map(|index| Ok(source.sample(index)?.1));
        source.labels = labels.collect::<Result<_, DataError>>()?;
        Ok(source)
    }

    fn sample(&self, index: usize) -> Result<(Content<'static>, Label), DataError> {
        let item = self.dataset.get(index);
        let item =
            item.map_err(|error| DataError::image(Path::new(&format!("#{index}")), error))?;
        (self.to_sample)(item)
    }
}

impl<I, E> fmt::Debug for BurnSource<I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BurnSource")
            .field("len", &self.labels.len())
            .finish_non_exhaustive()
    }
}

impl<I, E: std::error::Error + Send + Sync + 'static> Source for BurnSource<I, E> {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn name(&self, index: usize) -> String {
        format!("#{index}")
    }

    fn label(&self, index: usize) -> Label {
        self.labels[index].clone()
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        Ok(self.sample(index)?.0)
    }
}
