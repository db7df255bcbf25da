//! The rows of tables as samples.

use std::path::PathBuf;

use super::boxes::{Boxes, read_box};
use super::cells::{Cell, Cells};
use super::columns::Columns;
use super::files::Files;
use super::images::{Images, Missing};
use super::table::{Table, quoted};
use crate::data::sources::sets::split_of;
use crate::data::{DataError, Split};

/// The rows of the tables, while they are read.
pub struct Rows {
    pub images: Images,
    pub files: Files,
    pub cells: Cells,
    pub boxes: Boxes,
    pub lines: Vec<Line>,
    tables: Vec<PathBuf>,
}

/// Where a sample is from, and its set.
pub struct Line {
    /// Index of its table.
    pub table: u32,
    /// From 1, as far as 32 bits go.
    pub number: u32,
    pub set: Split,
}

impl Rows {
    pub fn new(images: Images) -> Self {
        Self {
            images,
            files: Files::default(),
            cells: Cells::default(),
            boxes: Boxes::default(),
            lines: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Adds the rows of a table. `set` is that of its images where no column has it.
    pub fn add(&mut self, table: &Table, set: Split) -> Result<(), DataError> {
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
                    self.boxes.push(match columns.corners {
                        Some(corners) => read_box(table, corners, &row)?,
                        None => None,
                    });
                    self.lines.push(Line {
                        table: self.tables.len() as u32,
                        number: u32::try_from(row.line).unwrap_or(u32::MAX),
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
    pub fn kept(&self) -> Result<Vec<u32>, DataError> {
        let mut order: Vec<_> = (0..self.files.len() as u32).collect();
        let key = |&at: &u32| (self.files.key(at as usize), at);
        order.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut is_kept = vec![true; order.len()];
        for pair in order.windows(2) {
            let [first, again] = [pair[0] as usize, pair[1] as usize];
            if self.files.key(first) != self.files.key(again) {
                continue;
            }
            is_kept[again] = false;
            let (line, other) = (&self.lines[first], &self.lines[again]);
            let is_same = line.set == other.set
                && self.cells.cells.are_equal(first, again)
                && self.boxes.get(first) == self.boxes.get(again);
            if !is_same {
                let image = self.files.path(again);
                let found = format!(
                    "{} with another label, box or set in line {} than in line {} of {}",
                    image.display(),
                    other.number,
                    line.number,
                    self.tables[line.table as usize].display()
                );
                let path = &self.tables[other.table as usize];
                return Err(DataError::format(path, "image", found, "each image once"));
            }
        }
        Ok((0..order.len() as u32)
            .filter(|&at| is_kept[at as usize])
            .collect())
    }
}
