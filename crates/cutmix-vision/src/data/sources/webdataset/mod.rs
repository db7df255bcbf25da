//! Shards of images in tar archives.

mod archive;
mod index;
mod shards;
mod source;
mod tags;

use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use self::index::Index;
use self::source::Shards;
use super::labels::{Distinct, Naming};
use super::sets::splits;
use super::{Layout, class_names};
use crate::data::{DataConfig, DataError, Split, Splits};

pub(super) const LAYOUT: Layout = Layout {
    about: "tar shards of images with .cls or .json files (train-0000.tar)",
    found_in: shards::are_at,
    read: |path, config| webdataset(path, config),
};

/// Reads shards in the format of <https://github.com/webdataset/webdataset>: tar archives, plain or
/// compressed by gzip, in which the files of a sample are side by side and have one name up to the
/// first dot.
///
/// `path` is a folder of files that end in `.tar`, `.tar.gz` or `.tgz`, also in its folders `train`,
/// `val`, `test` and `data`; or one file; or a pattern of files such as `train-{000..146}.tar`,
/// `{train,val}-*.tar`. The name of a file or its folder tells its set; files that are given by a
/// pattern and are all of one set are the training set.
///
/// A sample is an image with a file `.cls`, which holds a number or a name, or a file `.json`, whose
/// field `label`, `labels`, `cls`, `class` or `target` is a number, a name or a list of these. A list
/// makes samples of several classes. Numbers count the names in `classes.txt`, one in each line, or
/// in `dataset_info.json`, in the folder of the data, or in that of the files and the one above. Without
/// such a file the classes are `0` to the highest number, or the names of the training set, sorted.
///
/// The headers and labels of all shards are read, and no image is. Images of plain shards are read in
/// any order. Those of compressed ones can only be read one after another, so each shard is one of
/// the [runs](crate::data::Source::runs), and the last samples that were passed over are kept, at most 512 and
/// 128 MiB.
///
/// # Errors
/// [`DataError::Format`] where a shard is cut off or damaged, or unpacks to more than 100 times its
/// size and 64 MiB, or a label is missing or wrong; [`DataError::NotFound`] and [`DataError::Io`];
/// [`DataError::Label`] and [`DataError::UnknownClass`] where a label is none of the classes;
/// [`DataError::OneClass`] where samples have one class each, unless the classes are given;
/// [`DataError::NoClasses`] where there is no sample; [`DataError::Argument`] where an option is out
/// of range.
pub fn webdataset(path: impl AsRef<Path>, config: &DataConfig) -> Result<Splits, DataError> {
    let path = path.as_ref();
    config.check()?;
    let files = shards::at(path)?;
    let root = root(path, &files);
    let indices: Vec<_> = files
        .par_iter()
        .map(|(file, _)| Index::read(file))
        .collect();
    let mut shards = Shards::new(&root, config.decoding.memory);
    let (mut labels, mut sets) = (Distinct::default(), Vec::new());
    for ((file, set), index) in files.into_iter().zip(indices) {
        let index = index?;
        sets.extend(iter::repeat_n(set, index.images.len()));
        index
            .labels
            .into_iter()
            .for_each(|label| labels.push(label));
        shards.add(file, index.images, index.is_packed);
    }
    if shards.is_empty() {
        return Err(DataError::NoClasses { path: path.into() });
    }
    let above = root.parent().filter(|_| !path.is_dir());
    let names = match (class_names::in_folder(&root)?, above) {
        (None, Some(above)) => class_names::in_folder(above)?,
        (names, _) => names,
    };
    let naming = Naming {
        names: names.as_deref(),
        known: config.classes.as_deref(),
        path,
    };
    let (classes, labels) = naming.number(labels.map(|label| label), &sets)?;
    let all = config.dataset(classes, Arc::new(shards.finish(labels)))?;
    Ok(splits(&all, &sets))
}

/// The folder to which the names of the shards are relative: the one that was given, or the innermost
/// that has them all.
fn root(path: &Path, files: &[(PathBuf, Split)]) -> PathBuf {
    let first = files.first().and_then(|(file, _)| file.parent());
    let mut root = if path.is_dir() { Some(path) } else { first };
    while let Some(dir) = root {
        if files.iter().all(|(file, _)| file.starts_with(dir)) {
            return dir.into();
        }
        root = dir.parent();
    }
    PathBuf::new()
}
