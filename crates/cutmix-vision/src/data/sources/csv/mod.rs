//! Tables of images and their labels in CSV files.

mod cells;
mod columns;
mod images;
mod table;
mod tables;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::cells::{Cell, Cells};
use self::columns::Columns;
use self::images::{Found, Images, Missing};
use self::table::{Table, quoted};
use super::labels::{Labels, Naming};
use super::sets::{split_of, splits};
use super::{Layout, read_image};
use crate::data::escape::escape;
use crate::data::source::{Content, Label};
use crate::data::{DataConfig, DataError, Source, Split, Splits};

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
/// - In place of a column of labels, all other columns may be 0 or 1, one for each class. Where each
///   row has a single 1, samples have one class each.
/// - A column such as `split`, `set` or `subset` with `train`, `val` and `test`, or other usual
///   names, has the set of each image.
///
/// The classes are [`DataConfig::classes`], or the names of the columns of 0 and 1, or the labels of
/// the training set, sorted, numbers by their value. A row that is repeated is one sample.
///
/// The file is read whole, and no image is. A file of more bytes than
/// [`DecodeConfig::memory`](crate::data::DecodeConfig::memory) is refused.
///
/// # Errors
/// [`DataError::Format`] with the line where a row, an image or a label is missing or wrong, or where
/// no column has labels; [`DataError::NotFound`], [`DataError::Io`] and [`DataError::TooLarge`];
/// [`DataError::UnknownClass`] for a class that is not one of the training set;
/// [`DataError::OneClass`] where samples have one class each, unless the classes are given;
/// [`DataError::Argument`] where an option is out of range.
pub fn csv(path: impl AsRef<Path>, config: &DataConfig) -> Result<Splits, DataError> {
    let path = path.as_ref();
    config.check()?;
    let tables = tables::at(path)?;
    let root = if path.is_dir() {
        Some(path)
    } else {
        path.parent()
    };
    let root = root.filter(|root| !root.as_os_str().is_empty());
    let mut rows = Rows::new(root.unwrap_or(Path::new(".")));
    for (table, set) in &tables {
        rows.add(&Table::read(table, config.decoding.memory)?, *set)?;
    }
    let kept = rows.kept()?;
    let Rows {
        images,
        files,
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
    let tags = cells.tags().map_err(|sample| {
        let line = &lines[kept[sample] as usize];
        let found = format!("empty in line {}", line.number);
        DataError::format(&tables[line.table].0, "label", found, "the name of a class")
    })?;
    let (classes, labels) = naming.number(tags, &sets)?;
    let source = CsvImages {
        root: images.root().into(),
        files: files.select(&kept),
        labels,
    };
    let all = config.dataset(classes, Arc::new(source))?;
    Ok(splits(&all, &sets))
}

/// The rows of the tables, while they are read.
struct Rows {
    images: Images,
    files: Files,
    cells: Cells,
    lines: Vec<Line>,
    tables: Vec<PathBuf>,
}

/// Where a sample is from, and its set.
struct Line {
    table: usize,
    number: u64,
    set: Split,
}

impl Rows {
    fn new(root: &Path) -> Self {
        Self {
            images: Images::new(root.into()),
            files: Files::default(),
            cells: Cells::default(),
            lines: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Adds the rows of a table. `set` is that of its images where no column has it.
    fn add(&mut self, table: &Table, set: Split) -> Result<(), DataError> {
        let columns = Columns::of(table, |text| self.images.is_image(text))?;
        self.cells.add_columns(&columns);
        let mut missing = None;
        for row in columns.rows(table) {
            let row = row?;
            if row.len() < columns.len || row.iter().skip(columns.len).any(|text| !text.is_empty())
            {
                let found = format!("{} in line {}", row.len(), row.line);
                return Err(table.wrong("number of columns", found, columns.len));
            }
            let named = columns.set.and_then(|column| split_of(row.get(column)));
            let set = named.unwrap_or(set);
            let text = row.get(columns.path);
            match self.images.find(text, set)? {
                Ok(found) => {
                    self.files.push(found);
                    self.cells.cells.push(Cell::of(table, &columns, &row)?);
                    self.lines.push(Line {
                        table: self.tables.len(),
                        number: row.line,
                        set,
                    });
                }
                Err(why) => {
                    let first = || (format!("{} in line {}", quoted(text), row.line), why, 0);
                    missing.get_or_insert_with(first).2 += 1;
                }
            }
        }
        self.tables.push(table.path.clone());
        match missing {
            Some((first, why, count)) => Err(self.missing(table, &first, why, count)),
            None => Ok(()),
        }
    }

    /// The error of rows without an image.
    fn missing(&self, table: &Table, first: &str, why: Missing, count: usize) -> DataError {
        let others = match count - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let found = match why {
            Missing::None => format!("{first}, which is no file{others}"),
            Missing::Several(one, other) => {
                let (one, other) = (one.display(), other.display());
                format!("{first}, which may be {one} or {other}{others}")
            }
        };
        let root = self.images.root().display();
        let expected = format!("a path relative to {root}, or the name of one image below it");
        table.wrong("image", found, expected)
    }

    /// The samples without repetitions, in order.
    fn kept(&self) -> Result<Vec<u32>, DataError> {
        let mut order: Vec<_> = (0..self.files.files.len() as u32).collect();
        let key = |&at: &u32| {
            let file = &self.files.files[at as usize];
            (file.folder, &file.name, at)
        };
        order.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut is_kept = vec![true; order.len()];
        for pair in order.windows(2) {
            let [first, again] = [pair[0] as usize, pair[1] as usize];
            let (file, other) = (&self.files.files[first], &self.files.files[again]);
            if (file.folder, &file.name) != (other.folder, &other.name) {
                continue;
            }
            is_kept[again] = false;
            let (line, other) = (&self.lines[first], &self.lines[again]);
            if line.set != other.set || !self.cells.cells.are_equal(first, again) {
                let image = self.files.path(again);
                let found = format!(
                    "{} with another label or set in line {} than in line {} of {}",
                    image.display(),
                    other.number,
                    line.number,
                    self.tables[line.table].display()
                );
                let path = &self.tables[other.table];
                return Err(DataError::format(path, "image", found, "each image once"));
            }
        }
        Ok((0..order.len() as u32)
            .filter(|&at| is_kept[at as usize])
            .collect())
    }
}

/// Image files. There may be millions, so each is small.
#[derive(Default)]
struct Files {
    folders: Vec<PathBuf>,
    numbers: HashMap<PathBuf, u32>,
    files: Vec<ImageFile>,
}

#[derive(Clone)]
struct ImageFile {
    name: Box<OsStr>,
    /// Index of its folder.
    folder: u32,
    /// Size in bytes.
    bytes: u64,
}

impl Files {
    fn push(&mut self, Found { path, bytes }: Found) {
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = match self.numbers.get(parent) {
            Some(&folder) => folder,
            None => {
                let next = self.folders.len() as u32;
                self.folders.push(parent.into());
                self.numbers.insert(parent.into(), next);
                next
            }
        };
        self.files.push(ImageFile {
            name: path.file_name().unwrap_or_default().into(),
            folder,
            bytes,
        });
    }

    fn path(&self, index: usize) -> PathBuf {
        let file = &self.files[index];
        self.folders[file.folder as usize].join(&*file.name)
    }

    /// These files alone, without what is needed to add more.
    fn select(mut self, kept: &[u32]) -> Self {
        if kept.len() < self.files.len() {
            self.files = kept
                .iter()
                .map(|&at| self.files[at as usize].clone())
                .collect();
        }
        self.files.shrink_to_fit();
        self.numbers = HashMap::new();
        self
    }
}

/// The images of a table.
struct CsvImages {
    /// Folder to which names are relative.
    root: PathBuf,
    files: Files,
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
        self.files.files.len()
    }

    fn name(&self, index: usize) -> String {
        let path = self.path(index);
        match path.strip_prefix(&self.root) {
            Ok(relative) => relative.iter().map(escape).collect::<Vec<_>>().join("/"),
            // Of an image elsewhere.
            Err(_) => escape(&path),
        }
    }

    fn label(&self, index: usize) -> Label {
        self.labels.get(index)
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        read_image(&self.path(index))
    }

    fn bytes(&self, index: usize) -> u64 {
        self.files.files[index].bytes
    }

    fn path(&self, index: usize) -> PathBuf {
        self.files.path(index)
    }
}
