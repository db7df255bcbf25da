//! The column of labels.

use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use ::parquet::errors::{ParquetError, Result};

use crate::data::sources::labels::{Tag, Tags};

/// Number of rows that are read at a time.
const BATCH: usize = 4096;

/// The labels of a column of so many rows; `None` where a row has none.
pub fn read(reader: ColumnReader, levels: Levels, rows: usize) -> Result<Vec<Option<Tags>>> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => {
            read_as(reader, levels, rows, |&value| Ok(Some(Tag::Number(value.into()))))
        }
        ColumnReader::Int32ColumnReader(reader) => {
            read_as(reader, levels, rows, |&value| number(value.into()))
        }
        ColumnReader::Int64ColumnReader(reader) => {
            read_as(reader, levels, rows, |&value| number(value))
        }
        ColumnReader::ByteArrayColumnReader(reader) => {
            read_as(reader, levels, rows, |value| Ok(Some(Tag::Name(value.as_utf8()?.into()))))
        }
        _ => Err(wrong("its values are neither whole numbers nor text".into())),
    }
}

/// How deep the values of a column are.
#[derive(Clone, Copy)]
pub struct Levels {
    /// Definition level of a value that is there.
    pub full: i16,
    /// Whether a row has a list of values.
    pub is_list: bool,
}

/// -1 says that a label is not known.
fn number(value: i64) -> Result<Option<Tag>> {
    match value {
        -1 => Ok(None),
        0.. => Ok(Some(Tag::Number(value as u64))),
        _ => Err(wrong(format!("a label is {value}"))),
    }
}

fn read_as<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    levels: Levels,
    rows: usize,
    tag: impl Fn(&T::T) -> Result<Option<Tag>>,
) -> Result<Vec<Option<Tags>>> {
    let mut labels = Vec::new();
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    while labels.len() < rows {
        definitions.clear();
        repetitions.clear();
        values.clear();
        let wanted = BATCH.min(rows - labels.len());
        let (records, _, count) = reader.read_records(
            wanted,
            Some(&mut definitions),
            Some(&mut repetitions),
            &mut values,
        )?;
        if records == 0 {
            return Err(wrong(format!("it ends after {} of {rows} rows", labels.len())));
        }
        let mut values = values.iter();
        for at in 0..count {
            // A column whose values are always there has no levels.
            let is_full = definitions.get(at).is_none_or(|level| *level == levels.full);
            let value = values.next_if_full(is_full).map(&tag).transpose()?.flatten();
            if !levels.is_list {
                labels.push(value.map(Tags::One));
                continue;
            }
            if repetitions.get(at).is_none_or(|level| *level == 0) {
                labels.push(Some(Tags::Several(Vec::new())));
            }
            if let (Some(Some(Tags::Several(tags))), Some(value)) = (labels.last_mut(), value) {
                tags.push(value);
            }
        }
    }
    Ok(labels)
}

/// Values of rows, of which some are missing.
trait NextIfFull: Iterator {
    fn next_if_full(&mut self, is_full: bool) -> Option<Self::Item>;
}

impl<I: Iterator> NextIfFull for I {
    fn next_if_full(&mut self, is_full: bool) -> Option<Self::Item> {
        if is_full { self.next() } else { None }
    }
}

fn wrong(reason: String) -> ParquetError {
    ParquetError::General(reason)
}
