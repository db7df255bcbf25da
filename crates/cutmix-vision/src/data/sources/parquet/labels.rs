//! The column of labels.

use ::parquet::errors::Result;

use super::column::Column;
use super::values::Value;
use super::wrong;
use crate::data::sources::labels::{Tag, Tags};

/// The labels of a column of so many rows; `None` where a row has none.
pub fn read(mut column: Column, rows: usize) -> Result<Vec<Option<Tags>>> {
    let mut labels: Vec<Option<Tags>> = Vec::new();
    let has_lists = column.has_lists();
    while let Some(entry) = column.next()? {
        let tag = entry.value.map(tag).transpose()?.flatten();
        if entry.starts_row {
            let first = if has_lists {
                Some(Tags::Several(Vec::new()))
            } else {
                None
            };
            labels.push(first);
        }
        match (labels.last_mut(), tag) {
            (Some(Some(Tags::Several(tags))), Some(tag)) => tags.push(tag),
            (Some(label), Some(tag)) => *label = Some(Tags::One(tag)),
            (None, _) => return Err(wrong("its first value belongs to no row")),
            (_, None) => {}
        }
    }
    if labels.len() == rows {
        Ok(labels)
    } else {
        Err(wrong(format!("it has {} rows, not {rows}", labels.len())))
    }
}

/// -1 says that a label is not known.
fn tag(value: Value<'_>) -> Result<Option<Tag>> {
    match value {
        Value::Number(-1) => Ok(None),
        Value::Number(number) => match u64::try_from(number) {
            Ok(number) => Ok(Some(Tag::Number(number))),
            Err(_) => Err(wrong(format!("a label is {number}"))),
        },
        Value::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(wrong)?;
            Ok(Some(Tag::Name(text.trim().into())))
        }
    }
}
