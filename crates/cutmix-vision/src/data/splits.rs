//! Training, validation and test set.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::sources::Unused;
use super::{DataError, Dataset, Split};

/// The three sets of a training run: one to train on, one to choose the best model by, and one that
/// decides nothing and is measured at the end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Splits {
    /// Training set.
    pub train: Dataset,
    /// Validation set.
    pub val: Option<Dataset>,
    /// Test set.
    pub test: Option<Dataset>,
    /// Folder `test` that holds images without class folders. They have no labels, so they are not
    /// a test set.
    pub unlabelled: Option<PathBuf>,
    /// What was found beside the samples and is not used.
    pub unused: Unused,
}

/// A bad image that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedImage {
    /// Name of the sample.
    pub name: String,
    /// The error, which names the file.
    pub reason: String,
}

impl Splits {
    /// A training set alone.
    pub fn new(train: Dataset) -> Self {
        Self {
            train,
            val: None,
            test: None,
            unlabelled: None,
            unused: Unused::default(),
        }
    }

    /// Sets the validation set.
    pub fn with_val(self, val: Dataset) -> Self {
        Self {
            val: Some(val),
            ..self
        }
    }

    /// Sets the test set.
    pub fn with_test(self, test: Dataset) -> Self {
        Self {
            test: Some(test),
            ..self
        }
    }

    /// Makes about `fraction` of the training images the validation set, as [`Dataset::split`]
    /// does, unless there is a validation set already. The test set is never part of it.
    ///
    /// # Errors
    /// Those of [`Dataset::split`].
    pub fn split_val(mut self, fraction: f64, seed: u64) -> Result<Self, DataError> {
        if self.val.is_none() {
            let (train, val) = self.train.split(fraction, seed)?;
            self.train = train;
            self.val = Some(val);
        }
        Ok(self)
    }

    /// At most `n` samples of each set, chosen as by [`Dataset::truncate`].
    pub fn truncate(self, n: usize) -> Self {
        Self {
            train: self.train.truncate(n),
            val: self.val.map(|val| val.truncate(n)),
            test: self.test.map(|test| test.truncate(n)),
            ..self
        }
    }

    /// The same sets after a change of each.
    pub(crate) fn try_map(
        self,
        change: impl Fn(Dataset) -> Result<Dataset, DataError>,
    ) -> Result<Self, DataError> {
        Ok(Self {
            train: change(self.train)?,
            val: self.val.map(&change).transpose()?,
            test: self.test.map(&change).transpose()?,
            ..self
        })
    }

    /// One of the sets; `None` where the data do not have it, and for [`Split::Unused`].
    pub fn set(&self, split: Split) -> Option<&Dataset> {
        match split {
            Split::Train => Some(&self.train),
            Split::Val => self.val.as_ref(),
            Split::Test => self.test.as_ref(),
            Split::Unused => None,
        }
    }

    /// The training, validation and test set, as far as there are some.
    pub fn sets(&self) -> impl Iterator<Item = &Dataset> {
        [Some(&self.train), self.val.as_ref(), self.test.as_ref()]
            .into_iter()
            .flatten()
    }
}
