//! The sets of a source whose files or rows name theirs.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::SET_NAMES;
use crate::data::{DataError, Dataset, Split, Splits};

/// The set that a word names, such as `train`, `Validation` or `TEST`.
pub fn split_of(word: &str) -> Option<Split> {
    let word = word.trim().to_lowercase();
    let mut names = SET_NAMES.iter();
    names
        .find(|(name, _)| *name == word)
        .map(|(_, split)| *split)
}

/// The set that a file or folder is part of by the first word of its name that names one, as in
/// `train-00001.tar` and `birds_val.csv`.
pub fn split_in(name: &str) -> Option<Split> {
    let words = name.split(|letter: char| !letter.is_alphanumeric());
    let bare = |word: &str| split_of(word.trim_end_matches(|letter: char| letter.is_ascii_digit()));
    words.map(bare).find(Option::is_some).flatten()
}

/// The sets of a data set, where `sets` has the set of each sample.
pub fn splits(all: &Dataset, sets: &[Split]) -> Splits {
    let set = |wanted| {
        let members = sets.iter().zip(0..).filter(|(split, _)| **split == wanted);
        all.with_indices(members.map(|(_, at)| at).collect())
    };
    Splits {
        val: Some(set(Split::Val)).filter(|set| !set.is_empty()),
        test: Some(set(Split::Test)).filter(|set| !set.is_empty()),
        ..Splits::new(set(Split::Train))
    }
}

/// The files in a folder with one of these suffixes, and in those of its folders whose name is that
/// of a set or `data`, each with its set, in the order of the sets and of their paths. A file that
/// names no set is for training.
pub fn files(dir: &Path, suffixes: &[&str]) -> Result<Vec<(PathBuf, Split)>, DataError> {
    let mut files = Vec::new();
    let folders = list(dir, None, suffixes, &mut files)?;
    for (folder, set) in folders {
        for (folder, inner) in list(&folder, set, suffixes, &mut files)? {
            list(&folder, inner.or(set), suffixes, &mut files)?;
        }
    }
    files.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(files)
}

/// What files of sets are sorted by.
pub fn key((path, set): &(PathBuf, Split)) -> (Option<usize>, &Path) {
    let sets = [Split::Train, Split::Val, Split::Test];
    (sets.iter().position(|one| one == set), path)
}

/// Adds the files in a folder, and returns the folders in it that may have more.
fn list(
    dir: &Path,
    set: Option<Split>,
    suffixes: &[&str],
    files: &mut Vec<(PathBuf, Split)>,
) -> Result<Vec<(PathBuf, Option<Split>)>, DataError> {
    let io = |error| DataError::io(dir, error);
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let Some(name) = path
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
        else {
            continue;
        };
        let named = split_in(&name);
        if name.starts_with('.') {
            continue;
        } else if path.is_dir() {
            if named.is_some() || name == "data" {
                folders.push((path, named.or(set)));
            }
        } else if suffixes.iter().any(|suffix| name.ends_with(suffix)) && path.is_file() {
            files.push((path, named.or(set).unwrap_or(Split::Train)));
        }
    }
    Ok(folders)
}
