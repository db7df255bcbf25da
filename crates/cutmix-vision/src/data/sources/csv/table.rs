//! The rows of a CSV file.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::data::DataError;
use crate::data::escape::escape;

/// Separators of columns, in the order in which they are tried.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
/// Number of rows by which the separator is found.
const SNIFFED: usize = 50;

/// A CSV file in memory.
pub struct Table {
    pub path: PathBuf,
    text: String,
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
    /// Reads the whole lines among the first `limit` bytes of a file.
    pub fn start(path: &Path, limit: u64) -> Result<Self, DataError> {
        let mut bytes = read(path, limit)?;
        if bytes.len() as u64 > limit {
            let end = bytes.iter().rposition(|byte| *byte == b'\n');
            bytes.truncate(end.map_or(0, |end| end + 1));
        }
        Self::of(path, bytes)
    }

    /// Reads a file of at most `limit` bytes.
    pub fn read(path: &Path, limit: u64) -> Result<Self, DataError> {
        let bytes = read(path, limit)?;
        if bytes.len() as u64 > limit {
            return Err(DataError::TooLarge {
                path: path.into(),
                what: format!("a table of more than {limit} bytes"),
                memory: limit,
            });
        }
        Self::of(path, bytes)
    }

    fn of(path: &Path, bytes: Vec<u8>) -> Result<Self, DataError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            DataError::format(path, "text", format!("not UTF-8 in line {line}"), "UTF-8")
        })?;
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        Ok(Self {
            path: path.into(),
            separator: separator(&text),
            text,
        })
    }

    /// The rows, without those in which nothing is written.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, DataError>> {
        let records = records(&self.text, self.separator);
        let rows = records.map(|record| match record {
            Ok(fields) => Ok(Row {
                line: fields.position().map_or(0, csv::Position::line),
                fields,
            }),
            Err(error) => Err(DataError::format(
                &self.path,
                "row",
                error,
                "columns of UTF-8 text",
            )),
        });
        rows.filter(|row| !matches!(row, Ok(row) if row.iter().all(str::is_empty)))
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

/// The first `limit` bytes of a file and one more.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let io = |error| DataError::io(path, error);
    let mut bytes = Vec::new();
    // A pipe or a device might never end.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(DataError::format(path, "table", "not a file", "a CSV file"));
    }
    let file = File::open(path).map_err(io)?;
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Ok(bytes)
}

/// A text of a table in a message: its start, in one line.
pub fn quoted(text: &str) -> String {
    /// Number of characters that are shown.
    const SHOWN: usize = 80;
    let start: String = text.chars().take(SHOWN).collect();
    let rest = if start.len() < text.len() { "..." } else { "" };
    format!("`{}{rest}`", escape(start))
}

fn records(text: &str, separator: u8) -> impl Iterator<Item = csv::Result<StringRecord>> {
    ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes())
        .into_records()
}

/// The separator that makes the same number of columns of each of the first rows, or else most of
/// the first row.
fn separator(text: &str) -> u8 {
    let columns = |separator: &u8| {
        let rows = records(text, *separator).take(SNIFFED).flatten();
        rows.map(|row| row.len()).collect::<Vec<_>>()
    };
    let is_even = |separator: &&u8| {
        let columns = columns(separator);
        (columns.first()).is_some_and(|&first| first > 1 && columns.iter().all(|&one| one == first))
    };
    if let Some(&separator) = SEPARATORS.iter().find(is_even) {
        return separator;
    }
    let most = SEPARATORS.iter().rev();
    let most = most.max_by_key(|separator| columns(separator).first().copied());
    most.copied().unwrap_or(b',')
}
