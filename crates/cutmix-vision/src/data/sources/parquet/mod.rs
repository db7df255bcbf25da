//! Parquet files of images, as the library `datasets` writes them.

mod column;
mod file;
mod images;
mod labels;
mod pages;
mod values;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::errors::ParquetError;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use self::file::{Group, ParquetFile};
use self::images::{Images, row_path};
use super::Layout;
use super::forward::Reading;
use super::labels::{Distinct, Labels, Naming, Tags};
use super::sets::{files, splits};
use crate::data::escape::relative_name;
use crate::data::source::{Content, Label};
use crate::data::{DataConfig, DataError, Source, Split, Splits};

const SUFFIXES: [&str; 1] = [".parquet"];

pub(super) const LAYOUT: Layout = Layout {
    about: "parquet files of images and labels (train-00000-of-00001.parquet)",
    found_in: is_at,
    read: |path, config| parquet(path, config),
};

/// Reads parquet files as data sets on <https://huggingface.co/datasets> have them: the file `path`, or
/// those in the folder `path` and its folders `data`, `train`, `validation` and `test`. The name of a
/// file or its folder tells its set; a single file is the training set.
///
/// The column `image`, `img` or similar holds the bytes of an image file in each row, or a structure
/// with a field `bytes`. The column `label`, `labels`, `fine_label` or similar holds a whole number or
/// a text, or a list of these for samples of several classes. Numbers count the names in the
/// description `huggingface` that the library `datasets` writes into each file; without it the classes
/// are `0` to the highest number. Texts are the classes of the training set, sorted. A set whose
/// labels are all missing or -1 has none and is reported in [`Splits::unlabelled`].
///
/// Pages may be packed by snappy, gzip or zstd, or not at all. The labels are read, and no image is.
/// The images of a row group can only be read one after another, so each group is one of the
/// [runs](Source::runs), and the last samples that were passed over are kept, at most 512 and 128
/// MiB.
///
/// # Errors
/// [`DataError::Format`] where a file is damaged or has no such columns, a label is missing or
/// negative, or a page unpacks to more than [`DecodeConfig::memory`](crate::data::DecodeConfig::memory);
/// [`DataError::NotFound`] and [`DataError::Io`]; [`DataError::Label`] and
/// [`DataError::UnknownClass`] where a label is none of the classes; [`DataError::OneClass`] where
/// samples have one class each, unless the classes are given; [`DataError::NoClasses`] where there is
/// no sample; [`DataError::Argument`] where an option is out of range.
pub fn parquet(path: impl AsRef<Path>, config: &DataConfig) -> Result<Splits, DataError> {
    let path = path.as_ref();
    config.check()?;
    let files = if path.is_dir() {
        files(path, &SUFFIXES)?
    } else {
        vec![(path.into(), Split::Train)]
    };
    let limit = config.decoding.memory;
    let read: Vec<_> = files
        .par_iter()
        .map(|(file, _)| ParquetFile::read(file, limit))
        .collect();
    let mut read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    let names = read.iter_mut().find_map(|file| file.names.take());
    let root = if path.is_dir() {
        Some(path)
    } else {
        path.parent()
    };
    let mut source = ParquetImages {
        root: root.unwrap_or(Path::new("")).into(),
        limit,
        ..ParquetImages::default()
    };
    let unlabelled = unlabelled(&files, &read);
    let (mut labels, mut sets) = (Distinct::default(), Vec::new());
    for ((file, set), read) in files.iter().zip(read) {
        if !unlabelled.contains(set) {
            for (row, label) in read.labels.into_iter().enumerate() {
                labels.push(label.ok_or_else(|| no_label(file, row))?);
                sets.push(*set);
            }
            source.add(file, read.groups);
        }
    }
    let first = |set| {
        files
            .iter()
            .find(|(_, other)| *other == set)
            .map(|(file, _)| file.clone())
    };
    if sets.is_empty() {
        return Err(match unlabelled.first().and_then(|&set| first(set)) {
            Some(file) => no_label(&file, 0),
            None => DataError::NoClasses { path: path.into() },
        });
    }
    let naming = Naming {
        names: names.as_deref(),
        known: config.classes.as_deref(),
        path,
    };
    let (classes, labels) = naming.number(labels.map(|label| label), &sets)?;
    source.labels = Some(labels);
    let all = config.dataset(classes, Arc::new(source))?;
    Ok(Splits {
        unlabelled: unlabelled.first().and_then(|&set| first(set)),
        ..splits(&all, &sets)
    })
}

fn is_at(path: &Path) -> bool {
    if path.is_dir() {
        files(path, &SUFFIXES).is_ok_and(|files| !files.is_empty())
    } else {
        path.is_file()
            && path
                .extension()
                .is_some_and(|suffix| suffix.eq_ignore_ascii_case("parquet"))
    }
}

/// The sets that have samples and no labels.
fn unlabelled(files: &[(PathBuf, Split)], read: &[ParquetFile]) -> Vec<Split> {
    let labels = |set| {
        let read = files
            .iter()
            .zip(read)
            .filter(move |((_, other), _)| *other == set);
        read.flat_map(|(_, read)| &read.labels)
    };
    let has_none =
        |set: &Split| labels(*set).next().is_some() && labels(*set).all(Option::<Tags>::is_none);
    [Split::Train, Split::Val, Split::Test]
        .into_iter()
        .filter(has_none)
        .collect()
}

fn no_label(file: &Path, row: usize) -> DataError {
    let found = format!("missing in row {row}");
    DataError::format(
        file,
        "label",
        found,
        "one for each image, or none in the whole set",
    )
}

/// The images in parquet files.
#[derive(Default)]
struct ParquetImages {
    root: PathBuf,
    /// Size of a page in bytes, at most.
    limit: u64,
    labels: Option<Labels>,
    files: Vec<PathBuf>,
    groups: Vec<Rows>,
    runs: Vec<Range<usize>>,
    reading: Reading<Images>,
}

/// A row group of one of the files.
struct Rows {
    /// Index of its file.
    file: usize,
    group: Group,
    /// Number of its first row in the file.
    first: usize,
}

impl ParquetImages {
    fn add(&mut self, path: &Path, groups: Vec<Group>) {
        let mut first = 0;
        for group in groups.into_iter().filter(|group| group.rows > 0) {
            let start = self.runs.last().map_or(0, |run| run.end);
            self.runs.push(start..start + group.rows);
            let rows = group.rows;
            self.groups.push(Rows {
                file: self.files.len(),
                group,
                first,
            });
            first += rows;
        }
        self.files.push(path.into());
    }

    /// The row group of a sample, its samples, its file, and the row of the sample in the file.
    fn at(&self, index: usize) -> (&Rows, &Range<usize>, &Path, usize) {
        let at = self.runs.partition_point(|run| run.end <= index);
        let (rows, run) = (&self.groups[at], &self.runs[at]);
        (
            rows,
            run,
            &self.files[rows.file],
            rows.first + index - run.start,
        )
    }
}

impl fmt::Debug for ParquetImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetImages")
            .field("root", &self.root)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Source for ParquetImages {
    fn len(&self) -> usize {
        self.runs.last().map_or(0, |run| run.end)
    }

    fn name(&self, index: usize) -> String {
        let (.., file, row) = self.at(index);
        format!("{}#{row}", relative_name(file, &self.root))
    }

    fn label(&self, index: usize) -> Label {
        (self.labels.as_ref()).map_or(Label::Unknown, |labels| labels.get(index))
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        let (rows, samples, file, _) = self.at(index);
        let open = || Images::open(file, &rows.group, rows.first, self.limit);
        let bytes = self.reading.get(index, samples, open)?;
        let damaged = || DataError::image(&self.path(index), "an image before it is damaged");
        Ok(Content::File(bytes.ok_or_else(damaged)?.into()))
    }

    fn bytes(&self, index: usize) -> u64 {
        let (rows, ..) = self.at(index);
        let bytes = u64::try_from(rows.group.images.uncompressed_size()).unwrap_or(0);
        bytes / rows.group.rows as u64
    }

    fn path(&self, index: usize) -> PathBuf {
        let (.., file, row) = self.at(index);
        row_path(file, row)
    }

    fn runs(&self) -> Option<&[Range<usize>]> {
        Some(&self.runs)
    }
}

/// An error of the content of a file.
fn wrong(reason: impl ToString) -> ParquetError {
    ParquetError::General(reason.to_string())
}
