//! Tables of images and their labels in CSV files.

mod boxes;
mod cells;
mod columns;
mod files;
mod images;
mod rows;
mod table;
mod tables;
mod texts;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::boxes::Boxes;
use self::files::Files;
use self::images::Images;
use self::rows::Rows;
use self::table::Table;
use super::labels::{Labels, Naming};
use super::sets::splits;
use super::{Layout, read_image};
use crate::data::escape::relative_name;
use crate::data::source::{Content, Label};
use crate::data::{DataConfig, DataError, Rect, Source, Splits};

pub(super) const LAYOUT: Layout = Layout {
    about: "a CSV file of paths and labels (labels.csv, or train.csv, val.csv and test.csv)",
    found_in: tables::are_at,
    read: |path, config| csv(path, config),
};

/// Reads images that a CSV file labels: the file `path`, or the one in the folder `path`, or its
/// `train.csv` with `val.csv` and `test.csv`, which may have other usual names of sets.
///
/// Columns are separated by commas, semicolons or tabs. The columns of images and labels are found by
/// their usual names, such as `path`, `filename`, `image_id` or `id`, and `label`, `class`, `target`
/// or `breed`. Where neither has one, and in a file without a header, they are the first two. A file
/// has no header where its first row names an image.
///
/// - An image is named by its path relative to the folder of the file, by the end of its path, or by
///   its name with or without suffix where only one image below that folder has it.
/// - A sample has several labels where a cell has a `|` or `;` between them. In a column `labels` or
///   `tags`, spaces and commas separate labels as well, unless there are more different parts than
///   different cells: those are names such as `air hockey`. An empty cell is a sample of no class.
///   With [`DataConfig::multi_label`] this holds where no cell has several labels, too.
/// - In place of a column of labels, all other columns may be 0 or 1, one for each class. Where each
///   row has a single 1, samples have one class each.
/// - A column such as `split`, `set` or `subset` with `train`, `val` and `test`, or other usual
///   names, has the set of each image.
/// - The columns `x0`, `y0`, `x1` and `y1` have the box of the object, which
///   [`Dataset::object_box`](crate::Dataset::object_box) gives: its first column and row of pixels,
///   and the column and row behind it, in the upright image. A row may leave all four empty.
///
/// The classes are [`DataConfig::classes`], or the names of the columns of 0 and 1, or the labels of
/// the training set, sorted, numbers by their value. A row that is repeated is one sample.
///
/// The images are looked for, and none is read. A file of more bytes than
/// [`DecodeConfig::memory`](crate::data::DecodeConfig::memory) is refused.
///
/// # Errors
/// [`DataError::Format`] with the line where a row, an image, a label or a box is missing or wrong, or
/// where no column has labels; [`DataError::NotFound`], [`DataError::Io`] and [`DataError::TooLarge`];
/// [`DataError::UnknownClass`] for a class that is not one of the training set;
/// [`DataError::OneClass`] where samples have one class each, unless the classes are given;
/// [`DataError::Argument`] where an option is out of range.
pub fn csv(path: impl AsRef<Path>, config: &DataConfig) -> Result<Splits, DataError> {
    let path = path.as_ref();
    config.check()?;
    let root = if path.is_dir() {
        Some(path)
    } else {
        path.parent()
    };
    let root = root.filter(|root| !root.as_os_str().is_empty());
    let root = root.unwrap_or(Path::new("."));
    let images = Images::new(root.into());
    let tables = tables::at(path, &images)?;
    let mut rows = Rows::new(images);
    for (table, set) in &tables {
        rows.add(&Table::new(table, config.decoding.memory)?, *set)?;
    }
    rows.images.forget();
    let kept = rows.kept()?;
    let Rows {
        files,
        boxes,
        lines,
        mut cells,
        ..
    } = rows;
    let sets: Vec<_> = kept.iter().map(|&at| lines[at as usize].set).collect();
    cells.cells.select(&kept);
    let names = cells.classes();
    let naming = Naming {
        names: names.as_deref(),
        known: config.classes.as_deref(),
        path,
    };
    let tags = cells.tags(config.multi_label).map_err(|sample| {
        let line = &lines[kept[sample] as usize];
        let found = format!("empty in line {}", line.number);
        DataError::format(
            &tables[line.table as usize].0,
            "label",
            found,
            "the name of a class",
        )
    })?;
    let (classes, labels) = naming.number(tags, &sets)?;
    let source = CsvImages {
        root: root.into(),
        files: files.select(&kept),
        boxes: boxes.select(&kept),
        labels,
    };
    let all = config.dataset(classes, Arc::new(source))?;
    Ok(splits(&all, &sets))
}

/// The images of a table.
struct CsvImages {
    /// Folder to which names are relative.
    root: PathBuf,
    files: Files,
    boxes: Boxes,
    labels: Labels,
}

impl fmt::Debug for CsvImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvImages")
            .field("root", &self.root)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Source for CsvImages {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn name(&self, index: usize) -> String {
        relative_name(&self.path(index), &self.root)
    }

    fn label(&self, index: usize) -> Label {
        self.labels.get(index)
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        read_image(&self.path(index))
    }

    fn object_box(&self, index: usize) -> Option<Rect> {
        self.boxes.get(index)
    }

    fn bytes(&self, index: usize) -> u64 {
        self.files.bytes(index)
    }

    fn path(&self, index: usize) -> PathBuf {
        self.files.path(index)
    }
}
