//! The rows of a CSV file.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, StringRecordsIntoIter, Trim};

use crate::data::DataError;
use crate::data::escape::escape;

/// Separators of columns, in the order in which they are tried.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
/// Number of rows by which the separator is found.
const SNIFFED: usize = 50;

/// A CSV file, which is read row by row.
pub struct Table {
    pub path: PathBuf,
    /// Number of bytes that are read of it.
    bytes: u64,
    separator: u8,
}

/// A row that is not empty, and the line in which it starts, from 1.
pub struct Row {
    pub line: u64,
    fields: StringRecord,
}

impl Row {
    /// Number of columns.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// The text in a column, which is empty where the row is too short.
    pub fn get(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or_default()
    }

    /// The texts of all columns.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.fields.iter()
    }
}

impl Table {
    /// The whole lines among the first `limit` bytes of a file.
    pub fn start(path: &Path, limit: u64) -> Result<Self, DataError> {
        let (file, bytes) = open(path)?;
        if bytes <= limit {
            return Self::of(path, bytes);
        }
        let mut start = Vec::new();
        let read = file.take(limit).read_to_end(&mut start);
        read.map_err(|error| DataError::io(path, error))?;
        let end = start.iter().rposition(|byte| *byte == b'\n');
        Self::of(path, end.map_or(0, |end| end as u64 + 1))
    }

    /// A file of at most `limit` bytes, which a single row of it may take.
    pub fn new(path: &Path, limit: u64) -> Result<Self, DataError> {
        let (_, bytes) = open(path)?;
        if bytes > limit {
            return Err(DataError::TooLarge {
                path: path.into(),
                what: format!("a table of {bytes} bytes"),
                memory: limit,
            });
        }
        Self::of(path, bytes)
    }

    fn of(path: &Path, bytes: u64) -> Result<Self, DataError> {
        let mut table = Self {
            path: path.into(),
            bytes,
            separator: b',',
        };
        let mut counts = Vec::new();
        for separator in SEPARATORS {
            table.separator = separator;
            let rows = table
                .rows()
                .take(SNIFFED)
                .map(|row| row.map(|row| row.len()));
            counts.push(rows.collect::<Result<Vec<_>, _>>()?);
        }
        table.separator = separator(&counts);
        Ok(table)
    }

    /// The rows, without those in which nothing is written. The first error ends them.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, DataError>> {
        let (records, failure) = match open(&self.path) {
            Ok((file, _)) => (Some(self.records(file)), None),
            Err(error) => (None, Some(Err(error))),
        };
        let rows = records.into_iter().flatten().map(|record| match record {
            Ok(fields) => Ok(Row {
                line: fields.position().map_or(0, Position::line),
                fields,
            }),
            Err(error) => Err(self.unreadable(error)),
        });
        let rows = failure.into_iter().chain(rows);
        rows.filter(|row| !matches!(row, Ok(row) if row.iter().all(str::is_empty)))
    }

    fn records(&self, file: File) -> StringRecordsIntoIter<impl Read + use<>> {
        ReaderBuilder::new()
            .delimiter(self.separator)
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(file.take(self.bytes))
            .into_records()
    }

    fn unreadable(&self, error: csv::Error) -> DataError {
        let text = error.to_string().replace('\n', " ");
        match error.into_kind() {
            ErrorKind::Io(error) => DataError::io(&self.path, error),
            ErrorKind::Utf8 { pos, .. } => {
                let line = pos.as_ref().map_or(0, Position::line);
                self.wrong("text", format!("not UTF-8 in line {line}"), "UTF-8")
            }
            _ => self.wrong("row", text, "columns of text"),
        }
    }

    /// An error of this file.
    pub fn wrong(
        &self,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> DataError {
        DataError::format(&self.path, what, found, expected)
    }
}

/// Opens a file and finds its size in bytes.
fn open(path: &Path) -> Result<(File, u64), DataError> {
    let io = |error| DataError::io(path, error);
    // A pipe or a device might never end.
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(DataError::format(path, "table", "not a file", "a CSV file"));
    }
    Ok((File::open(path).map_err(io)?, metadata.len()))
}

/// A text of a table in a message: its start, in one line.
pub fn quoted(text: &str) -> String {
    /// Number of characters that are shown.
    const SHOWN: usize = 80;
    let start: String = text.chars().take(SHOWN).collect();
    let rest = if start.len() < text.len() { "..." } else { "" };
    format!("`{}{rest}`", escape(start))
}

/// The separator that makes the same number of columns of each of the first rows, or else most of the
/// first row. `counts` has the numbers of columns that each separator makes.
fn separator(counts: &[Vec<usize>]) -> u8 {
    let first = |counts: &[usize]| counts.first().copied().unwrap_or(0);
    let is_even = |counts: &Vec<usize>| {
        first(counts) > 1 && counts.iter().all(|&count| count == first(counts))
    };
    let even = counts.iter().position(is_even);
    let most = || (0..counts.len()).rev().max_by_key(|&at| first(&counts[at]));
    SEPARATORS[even.or_else(most).unwrap_or(0)]
}
