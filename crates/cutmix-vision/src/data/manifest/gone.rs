//! Samples of a run that its data do not have any more.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Sample;
use crate::data::source::{Content, Label, Source};
use crate::data::{DataError, Dataset, Rect};

/// A source with samples that are gone after its own.
#[derive(Debug)]
struct WithGone {
    source: Arc<dyn Source>,
    gone: Vec<Sample>,
}

/// The set of these samples in their order, of which `set` has those that are not gone.
pub(super) fn with_gone<'a>(
    set: &Dataset,
    samples: impl Iterator<Item = &'a Sample>,
) -> Result<Dataset, DataError> {
    let source = set.shared_source();
    let names = (set.indices().iter()).map(|&at| (source.name(at as usize), at));
    let by_name: HashMap<_, _> = names.collect();
    let (mut gone, mut indices) = (Vec::new(), Vec::new());
    for sample in samples {
        indices.push(by_name.get(&sample.name).copied().unwrap_or_else(|| {
            gone.push(sample.clone());
            (source.len() + gone.len() - 1) as u32
        }));
    }
    let set = set.with_source(Arc::new(WithGone { source, gone }))?;
    Ok(set.with_indices(indices))
}

impl WithGone {
    /// The sample `index` where it is gone.
    fn gone(&self, index: usize) -> Option<&Sample> {
        self.gone.get(index.checked_sub(self.source.len())?)
    }
}

impl Source for WithGone {
    fn len(&self) -> usize {
        self.source.len() + self.gone.len()
    }

    fn name(&self, index: usize) -> String {
        match self.gone(index) {
            Some(sample) => sample.name.clone(),
            None => self.source.name(index),
        }
    }

    fn label(&self, index: usize) -> Label {
        match self.gone(index) {
            Some(sample) => sample.label.clone(),
            None => self.source.label(index),
        }
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        match self.gone(index) {
            Some(sample) => Err(DataError::io(
                sample.name.as_ref(),
                io::ErrorKind::NotFound.into(),
            )),
            None => self.source.content(index),
        }
    }

    fn object_box(&self, index: usize) -> Option<Rect> {
        match self.gone(index) {
            Some(_) => None,
            None => self.source.object_box(index),
        }
    }

    fn bytes(&self, index: usize) -> u64 {
        match self.gone(index) {
            Some(sample) => sample.bytes,
            None => self.source.bytes(index),
        }
    }

    fn is_in_memory(&self) -> bool {
        self.source.is_in_memory()
    }

    fn path(&self, index: usize) -> PathBuf {
        match self.gone(index) {
            Some(sample) => sample.name.clone().into(),
            None => self.source.path(index),
        }
    }
}
