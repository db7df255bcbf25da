//! The column of images.

use std::path::{Path, PathBuf};

use ::parquet::errors::ParquetError;

use super::column::Column;
use super::file::{Group, open_column, reason};
use super::values::Value;
use super::wrong;
use crate::data::DataError;
use crate::data::sources::forward::Run;

/// The images of rows that are stored together, which are being read.
pub struct Images {
    column: Column,
    path: PathBuf,
    /// Number of the next row in the file.
    row: usize,
    /// Whether an error has left the column in a place that is not known.
    is_lost: bool,
}

impl Images {
    /// Opens the images of a group whose first row has the number `row` in the file.
    pub fn open(path: &Path, group: &Group, row: usize, limit: u64) -> Result<Self, DataError> {
        let column = open_column(path, &group.images, group.rows, limit);
        Ok(Self {
            column: column.map_err(|error| DataError::image(path, reason(&error)))?,
            path: path.into(),
            row,
            is_lost: false,
        })
    }

    /// Reads from the column, which passes over so many rows.
    fn advance<T>(
        &mut self,
        rows: usize,
        read: impl FnOnce(&mut Column) -> Result<T, ParquetError>,
    ) -> Result<T, DataError> {
        let path = row_path(&self.path, self.row);
        self.row += rows;
        read(&mut self.column).map_err(|error| {
            self.is_lost = true;
            DataError::image(&path, reason(&error))
        })
    }
}

impl Run for Images {
    fn read(&mut self) -> Result<Vec<u8>, DataError> {
        let path = row_path(&self.path, self.row);
        let read = |column: &mut Column| match column.next()? {
            None => Err(wrong("the column of images ends before it")),
            Some(entry) => Ok(match entry.value {
                Some(Value::Bytes(bytes)) => Some(bytes.to_vec()),
                _ => None,
            }),
        };
        let bytes = self.advance(1, read)?;
        bytes.ok_or_else(|| DataError::image(&path, "it has no bytes"))
    }

    fn skip(&mut self, samples: usize) -> Result<(), DataError> {
        self.advance(samples, |column| column.skip(samples))
    }

    fn is_lost(&self) -> bool {
        self.is_lost
    }
}

/// A row of a file, for messages.
pub fn row_path(path: &Path, row: usize) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(format!("#{row}"));
    path.into()
}
