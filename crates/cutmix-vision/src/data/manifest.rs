//! A record of the samples that a run was trained on.

mod changes;
mod gone;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::source::Content;
use super::{Dataset, Label, Splits};

pub use changes::{Change, Changes};

/// The set to which a sample belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Training set.
    Train,
    /// Validation set.
    Val,
    /// Test set.
    Test,
    /// None of the sets: the sample was left out, by [`Splits::truncate`] for example.
    Unused,
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
            Self::Unused => "unused",
        })
    }
}

/// A sample in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Path of the file relative to the data folder, or `#` and the number of the sample in its
    /// file.
    pub name: String,
    /// Size in bytes of the file, or of the pixels of a sample that has no file of its own.
    pub bytes: u64,
    /// What the sample shows, as indices into [`Manifest::classes`].
    pub label: Label,
    /// Set to which the sample belongs.
    pub split: Split,
}

/// The samples of a run: names, sizes, labels, sets and class names.
///
/// A run that is resumed or evaluated later opens its data again and compares: [`apply`] gives the
/// sets of the run and names what has changed. The content of the files is not compared, so an
/// image that was edited without changing its size is not noticed.
///
/// ```
/// use cutmix_vision::{Manifest, fashion_mnist};
///
/// let splits = fashion_mnist().split_val(0.1, 42)?;
/// let manifest = Manifest::of(&splits);
/// // Later, opened with another seed: the sets are still those of the run.
/// let (splits, changes) = manifest.apply(&fashion_mnist().split_val(0.1, 7)?);
/// assert!(changes.is_empty());
/// assert_eq!(Manifest::of(&splits), manifest);
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
///
/// [`apply`]: Self::apply
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Samples of the training, validation and test set, each in its order, and then the samples
    /// that are in none of them.
    pub samples: Vec<Sample>,
}

impl Manifest {
    /// The manifest of `splits`.
    pub fn of(splits: &Splits) -> Self {
        let mut samples = Vec::new();
        for split in [Split::Train, Split::Val, Split::Test] {
            if let Some(set) = splits.set(split) {
                samples.extend(
                    set.indices()
                        .iter()
                        .map(|&at| sample(set, at as usize, split)),
                );
            }
        }
        for set in sources(splits) {
            let mut is_used = vec![false; set.source().len()];
            for other in splits.sets().filter(|other| other.shares_source(set)) {
                other
                    .indices()
                    .iter()
                    .for_each(|&at| is_used[at as usize] = true);
            }
            let unused = (0..is_used.len()).filter(|&at| !is_used[at]);
            samples.extend(unused.map(|at| sample(set, at, Split::Unused)));
        }
        Self {
            classes: splits.train.classes().to_vec(),
            samples,
        }
    }

    /// Number of samples in a set.
    pub fn count(&self, split: Split) -> usize {
        let inside = self.samples.iter().filter(|sample| sample.split == split);
        inside.count()
    }

    /// Digest of the manifest: 64 hexadecimal digits. Equal manifests have equal digests.
    pub fn digest(&self) -> String {
        let mut digest = DataDigest::new(&self.classes);
        for sample in &self.samples {
            digest.add(sample);
        }
        digest.finish()
    }

    /// The changes from this manifest to `now`, that of the data as they are now.
    ///
    /// Classes are compared by name. A class whose images are all there under another class name was
    /// renamed; an image that is there under another class was relabelled.
    pub fn compare(&self, now: &Self) -> Changes {
        changes::compare(self, now)
    }

    /// As [`apply`](Self::apply), with images that are gone kept in their places, as images that cannot
    /// be read: where bad images are skipped, the order of the others is that of the run. `None` where
    /// something else has changed, or where samples can only be read one after another.
    pub fn apply_with_gone(&self, opened: &Splits) -> Option<(Splits, Changes)> {
        let (splits, changes) = self.apply(opened);
        let is_gone = |change: &Change| matches!(change, Change::Removed(_));
        if !changes.iter().all(is_gone) || splits.sets().any(Dataset::is_read_in_order) {
            return None;
        }
        let complete = |set: &Dataset, split| {
            let samples = self.samples.iter().filter(|sample| sample.split == split);
            gone::with_gone(set, samples)
        };
        let complete_some = |set: &Option<Dataset>, split| {
            let set = set.as_ref().map(|set| complete(set, split));
            set.transpose().ok()
        };
        Some((
            Splits {
                train: complete(&splits.train, Split::Train).ok()?,
                val: complete_some(&splits.val, Split::Val)?,
                test: complete_some(&splits.test, Split::Test)?,
                ..splits
            },
            changes,
        ))
    }

    /// Selects the sets of this manifest from the samples of `opened`, and returns them with the
    /// changes of the data. The sets that `opened` has by itself have no effect.
    ///
    /// Samples that are gone are left out, and so are samples that the manifest does not name. Labels
    /// are those of `opened`. Where there are changes, the caller decides whether the sets are still
    /// of use.
    pub fn apply(&self, opened: &Splits) -> (Splits, Changes) {
        let changes = self.compare(&Self::of(opened)).without_moves();
        let renames = changes.renames();
        let pools: Vec<_> = sources(opened).into_iter().map(Pool::of).collect();
        let select = |split| {
            let names = (self.samples.iter())
                .filter(|sample| sample.split == split)
                .map(|sample| renames.name(sample, &self.classes));
            let names: Vec<_> = names.collect();
            let found = pools.iter().map(|pool| pool.select(&names));
            // All samples of a set come from one source; that with most of them is the right one.
            let best = found.rev().max_by_key(Dataset::len);
            best.filter(|_| !names.is_empty())
        };
        let splits = Splits {
            train: select(Split::Train).unwrap_or_else(|| opened.train.with_indices(Vec::new())),
            val: select(Split::Val),
            test: select(Split::Test),
            ..opened.clone()
        };
        (splits, changes)
    }
}

/// Sets that between them have each source of `splits` once.
fn sources(splits: &Splits) -> Vec<&Dataset> {
    let mut sources: Vec<&Dataset> = Vec::new();
    for set in splits.sets() {
        if !sources.iter().any(|known| known.shares_source(set)) {
            sources.push(set);
        }
    }
    sources
}

/// All samples of a source by name.
struct Pool<'a> {
    set: &'a Dataset,
    by_name: HashMap<String, u32>,
}

impl<'a> Pool<'a> {
    fn of(set: &'a Dataset) -> Self {
        let source = set.source();
        Self {
            set,
            by_name: (0..source.len())
                .map(|at| (source.name(at), at as u32))
                .collect(),
        }
    }

    fn select(&self, names: &[String]) -> Dataset {
        let found = names.iter().filter_map(|name| self.by_name.get(name));
        self.set.with_indices(found.copied().collect())
    }
}

fn sample(set: &Dataset, at: usize, split: Split) -> Sample {
    let source = set.source();
    Sample {
        name: source.name(at),
        bytes: source.bytes(at),
        label: source.label(at),
        split,
    }
}

/// Digest of the samples of one set, in order.
pub(super) fn digest(set: &Dataset) -> String {
    let mut digest = DataDigest::new(set.classes());
    for &at in set.indices() {
        digest.add(&sample(set, at as usize, Split::Train));
    }
    digest.finish()
}

/// Digest of the content of `count` samples of a set.
pub(super) fn content_digest(set: &Dataset, count: usize) -> String {
    let count = count.min(set.len());
    let mut digest = DataDigest::new(&[]);
    for place in 0..count {
        let index = if set.is_read_in_order() {
            place
        } else {
            place * set.len() / count
        };
        match set.content(index) {
            Ok((Content::File(bytes), _)) => digest.bytes(&bytes),
            Ok((Content::Image(image), _)) => digest.bytes(image.pixels()),
            Err(_) => digest.number(u64::MAX),
        }
    }
    digest.finish()
}

/// A running digest. Lengths come before bytes, so that different data have different bytes.
struct DataDigest(Sha256);

impl DataDigest {
    fn new(classes: &[String]) -> Self {
        let mut digest = Self(Sha256::new());
        digest.number(classes.len() as u64);
        classes
            .iter()
            .for_each(|class| digest.bytes(class.as_bytes()));
        digest
    }

    fn add(&mut self, sample: &Sample) {
        self.bytes(sample.name.as_bytes());
        self.number(sample.bytes);
        // Of one class the number alone, as runs of earlier versions have it.
        match &sample.label {
            Label::Class(class) => self.number(*class as u64),
            Label::Unknown => self.number(u64::MAX),
            Label::Classes(classes) => {
                self.number(u64::MAX - 1);
                self.number(classes.len() as u64);
                classes.iter().for_each(|&class| self.number(class as u64));
            }
        }
        self.number(sample.split as u64);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn finish(self) -> String {
        let bytes = self.0.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
