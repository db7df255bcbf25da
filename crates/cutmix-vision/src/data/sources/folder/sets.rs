//! Which folders are the training, validation and test set.

use std::path::PathBuf;

use super::tree::Folder;
use super::unused::{Reason, Unused};
use crate::data::Split;

/// Names of the sets, in lower case; of several folders for one set, that with the first name is
/// taken.
pub const NAMES: [(&str, Split); 13] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("trn", Split::Train),
    ("val", Split::Val),
    ("valid", Split::Val),
    ("validation", Split::Val),
    ("dev", Split::Val),
    ("eval", Split::Val),
    ("evaluation", Split::Val),
    ("test", Split::Test),
    ("testing", Split::Test),
    ("tst", Split::Test),
    ("pred", Split::Test),
];

/// Words that may stand beside the name of a set: `training_set`, `train images`.
const BESIDE: [&str; 8] = [
    "set", "data", "dataset", "images", "image", "imgs", "split", "folder",
];

/// The folders of the sets, each with a folder for each class.
#[derive(Default)]
pub struct Sets {
    pub train: Option<Folder>,
    pub val: Option<Folder>,
    pub test: Option<Folder>,
    /// A folder for testing whose images have no labels.
    pub unlabelled: Option<PathBuf>,
}

impl Sets {
    /// Finds the sets in a folder, which is the training set itself where it has none. `known` are
    /// the names of the classes where they are known.
    pub fn of(root: Folder, known: &[String], unused: &mut Unused) -> Self {
        let root = root.unwrapped(known);
        let ranks = ranks(&root);
        let is_set = |split| {
            (root.folders.iter().zip(&ranks)).any(|(folder, rank)| {
                rank.is_some_and(|(found, _)| found == split) && has_classes(folder)
            })
        };
        let all_are_sets = (root.folders.iter().zip(&ranks))
            .all(|(folder, rank)| rank.is_some() || !folder.has_image());
        if !is_set(Split::Train) && !(all_are_sets && (is_set(Split::Val) || is_set(Split::Test))) {
            return Self {
                train: Some(root),
                ..Self::default()
            };
        }
        for image in &root.images {
            unused.count(Reason::Stray, &root.path.join(&*image.name));
        }
        let mut ranked: Vec<_> = root.folders.into_iter().zip(ranks).collect();
        ranked.sort_by_key(|(_, rank)| rank.map_or(NAMES.len(), |(_, order)| order));
        let mut sets = Self::default();
        for (folder, rank) in ranked {
            sets.place(folder, rank.map(|(split, _)| split), known, unused);
        }
        sets
    }

    /// Makes a folder one of the sets, or counts it among what is not used.
    fn place(
        &mut self,
        folder: Folder,
        split: Option<Split>,
        known: &[String],
        unused: &mut Unused,
    ) {
        if !folder.has_image() {
            return unused.count(Reason::EmptyFolder, &folder.path);
        }
        let folder = folder.unwrapped(known);
        let is_unlabelled = !has_classes(&folder) || self.is_of_no_class(&folder, known);
        match split {
            Some(Split::Train) if self.train.is_none() && has_classes(&folder) => {
                self.train = Some(folder);
            }
            Some(Split::Val) if self.val.is_none() && has_classes(&folder) => {
                self.val = Some(folder);
            }
            Some(Split::Test) if is_unlabelled && self.unlabelled.is_none() => {
                self.unlabelled = Some(folder.path);
            }
            Some(Split::Test) if self.test.is_none() && !is_unlabelled => self.test = Some(folder),
            _ => unused.count(Reason::NoSet, &folder.path),
        }
    }

    /// Whether a folder holds one folder alone, which is none of the classes.
    fn is_of_no_class(&self, folder: &Folder, known: &[String]) -> bool {
        let mut filled = folder.filled();
        let (Some(only), None) = (filled.next(), filled.next()) else {
            return false;
        };
        let mut trained = self.train.iter().flat_map(Folder::filled);
        !known.contains(&only.class) && !trained.any(|class| class.class == only.class)
    }
}

/// Whether a folder holds folders of classes. With images and one folder it is a class itself: one of
/// trains may be called `train`.
fn has_classes(folder: &Folder) -> bool {
    match folder.filled().take(2).count() {
        0 => false,
        1 => folder.images.is_empty(),
        _ => true,
    }
}

/// The set that each folder is by its name, with the place of the name in [`NAMES`].
///
/// Words beside the name of the set count only where they come with several sets, as in `seg_train`
/// and `seg_test`.
fn ranks(root: &Folder) -> Vec<Option<(Split, usize)>> {
    let parsed: Vec<_> = root
        .folders
        .iter()
        .map(|folder| parse(&folder.class))
        .collect();
    let is_shared = |split: Split, beside: &str| {
        let mut others = parsed.iter().flatten();
        others.any(|(other, _, words)| *other != split && words == beside)
    };
    let rank = |(split, order, beside): &(Split, usize, String)| {
        (beside.is_empty() || is_shared(*split, beside)).then_some((*split, *order))
    };
    parsed
        .iter()
        .map(|parsed| parsed.as_ref().and_then(rank))
        .collect()
}

/// The set that a name tells of, the place of its word in [`NAMES`], and the words beside it.
fn parse(name: &str) -> Option<(Split, usize, String)> {
    let name = name.to_lowercase();
    let words = name.split(|letter: char| !letter.is_alphanumeric());
    let mut found = None;
    let mut beside = Vec::new();
    for word in words {
        let bare = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let order = NAMES.iter().position(|(name, _)| {
            bare == *name || bare.strip_suffix("set").is_some_and(|stem| stem == *name)
        });
        match order {
            Some(order) if found.is_none() => found = Some(order),
            _ if bare.is_empty() || BESIDE.contains(&bare) => {}
            _ => beside.push(word),
        }
    }
    let order = found?;
    Some((NAMES[order].1, order, beside.join(" ")))
}
