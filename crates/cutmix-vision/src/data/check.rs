//! A look at every image of a data set.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::source::Content;
use super::view::Opened;
use super::{DataError, Dataset, Label, Size, SkippedImage, Split, Splits};

/// What [`check`] found in the sets of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Check {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The training, validation and test set, as far as there are some.
    pub sets: Vec<SetCheck>,
    /// Images that are there several times, bit by bit, each with all its places.
    pub duplicates: Vec<Vec<Place>>,
}

/// What [`check`] found in one set.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SetCheck {
    /// The set.
    pub split: Split,
    /// Number of samples, bad ones included.
    pub images: usize,
    /// Number of samples that show each class.
    pub class_counts: Vec<usize>,
    /// Number of samples without a class.
    pub unlabelled: usize,
    /// Number of good images of each format; `pixels` for images that are not stored as files.
    pub formats: BTreeMap<String, usize>,
    /// Number of good images that are grey.
    pub grey: usize,
    /// Number of good images of each size, the most frequent first.
    pub sizes: Vec<(Size, usize)>,
    /// Images that cannot be decoded.
    pub bad: Vec<SkippedImage>,
}

/// One place of an image that is there several times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The set.
    pub split: Split,
    /// Name of the sample.
    pub name: String,
    /// Label of the sample.
    pub label: Label,
}

impl Check {
    /// Duplicates in the training set and in another one: what is measured on them was seen in training.
    pub fn leaks(&self) -> impl Iterator<Item = &Vec<Place>> {
        self.duplicates.iter().filter(|places| {
            let is_trained = |place: &Place| place.split == Split::Train;
            places.iter().any(is_trained) && !places.iter().all(is_trained)
        })
    }

    /// Duplicates that do not all have the same label.
    pub fn contradictions(&self) -> impl Iterator<Item = &Vec<Place>> {
        let differ = |places: &&Vec<Place>| places.iter().any(|one| one.label != places[0].label);
        self.duplicates.iter().filter(differ)
    }

    /// All bad images.
    pub fn bad(&self) -> impl Iterator<Item = &SkippedImage> {
        self.sets.iter().flat_map(|set| &set.bad)
    }
}

/// Reads and decodes every image of the sets, as it is stored. `progress` is called once for each, by
/// several threads.
///
/// # Errors
/// An error that is not one of a single image.
pub fn check(splits: &Splits, progress: impl Fn() + Sync) -> Result<Check, DataError> {
    let mut sets = Vec::new();
    let mut places: HashMap<[u8; 32], Vec<Place>> = HashMap::new();
    for split in [Split::Train, Split::Val, Split::Test] {
        let Some(set) = splits.set(split) else {
            continue;
        };
        let looked = (0..set.len()).into_par_iter().map(|index| {
            let looked = look(set, index);
            progress();
            looked
        });
        let looked: Vec<_> = looked.collect();
        let mut found = SetCheck::new(split, set);
        let mut sizes = HashMap::<_, usize>::new();
        for (index, looked) in looked.into_iter().enumerate() {
            match looked {
                Ok(image) => {
                    found.count(&image);
                    *sizes.entry(image.size).or_default() += 1;
                    places.entry(image.digest).or_default().push(Place {
                        split,
                        name: set.name(index),
                        label: set.label(index),
                    });
                }
                Err(error) if error.is_of_image() => found.bad.push(SkippedImage {
                    name: set.name(index),
                    reason: error.to_string(),
                }),
                Err(error) => return Err(error),
            }
        }
        found.sizes = sizes.into_iter().collect();
        found
            .sizes
            .sort_by_key(|(size, count)| (usize::MAX - count, size.height, size.width));
        sets.push(found);
    }
    let mut duplicates: Vec<_> = places
        .into_values()
        .filter(|places| places.len() > 1)
        .collect();
    duplicates.sort();
    Ok(Check {
        classes: splits.train.classes().to_vec(),
        sets,
        duplicates,
    })
}

/// What is known of a good image.
struct Looked {
    format: &'static str,
    size: Size,
    channels: usize,
    digest: [u8; 32],
}

fn look(set: &Dataset, index: usize) -> Result<Looked, DataError> {
    let (content, _reserved) = set.content(index)?;
    let digest = match &content {
        Content::File(bytes) => Sha256::digest(bytes),
        Content::Image(image) => {
            let Size { height, width } = image.size();
            let shape = [height, width, image.channels()].map(|side| (side as u64).to_le_bytes());
            Sha256::new()
                .chain_update(shape.as_flattened())
                .chain_update(image.pixels())
                .finalize()
        }
    };
    let opened = set.open(index, &content)?;
    let (size, channels) = (opened.size(), opened.channels());
    let format = match &opened {
        Opened::File(header) => header.format(),
        Opened::Image(_) => "pixels",
    };
    set.transformed(index, opened, channels, &[])?;
    Ok(Looked {
        format,
        size,
        channels,
        digest: digest.into(),
    })
}

impl SetCheck {
    fn new(split: Split, set: &Dataset) -> Self {
        Self {
            split,
            images: set.len(),
            class_counts: set.class_counts(),
            unlabelled: set
                .labels()
                .filter(|label| label.classes().is_empty())
                .count(),
            formats: BTreeMap::new(),
            grey: 0,
            sizes: Vec::new(),
            bad: Vec::new(),
        }
    }

    fn count(&mut self, image: &Looked) {
        *self.formats.entry(image.format.into()).or_default() += 1;
        self.grey += usize::from(image.channels == 1);
    }
}
