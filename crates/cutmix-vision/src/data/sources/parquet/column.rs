//! The values of a column, row by row.

use ::parquet::basic::{Encoding, Type};
use ::parquet::errors::Result;
use ::parquet::schema::types::ColumnDescriptor;

use super::pages::{DataPage, PageLevels, Pages, Unpacked};
use super::values::{Dictionary, Hybrid, Value, Values};
use super::wrong;

/// A column of a row group that is read from its start.
pub struct Column {
    pages: Pages,
    /// The highest levels of repetition and definition.
    levels: [i16; 2],
    kind: Type,
    dictionary: Option<Dictionary>,
    page: Option<Page>,
}

/// A page that is being read.
struct Page {
    /// Number of entries that are left.
    left: usize,
    repetitions: Option<Hybrid>,
    definitions: Option<Hybrid>,
    values: Values,
}

/// A place in a column for a value.
pub struct Entry<'a> {
    /// Whether it is the first of its row.
    pub starts_row: bool,
    pub value: Option<Value<'a>>,
}

impl Column {
    pub fn new(pages: Pages, descriptor: &ColumnDescriptor) -> Self {
        Self {
            pages,
            levels: [descriptor.max_rep_level(), descriptor.max_def_level()],
            kind: descriptor.physical_type(),
            dictionary: None,
            page: None,
        }
    }

    /// Whether a row may have several values.
    pub fn has_lists(&self) -> bool {
        self.levels[0] > 0
    }

    /// The next entry; `None` at the end of the column.
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        while self.page.as_ref().is_none_or(|page| page.left == 0) {
            match self.pages.next()? {
                None => return Ok(None),
                Some(Unpacked::Dictionary { values, bytes }) => {
                    self.dictionary = Some(Dictionary::new(bytes, values, self.kind)?);
                }
                Some(Unpacked::Data(page)) => {
                    self.page = Some(Page::new(page, self.levels, self.kind)?);
                }
            }
        }
        let Some(page) = &mut self.page else {
            return Ok(None);
        };
        page.left -= 1;
        let starts_row = page.repetitions.as_mut().map_or(Ok(0), Hybrid::next)? == 0;
        let is_full = match &mut page.definitions {
            Some(definitions) => definitions.next()? == self.levels[1] as u32,
            None => true,
        };
        let value = if is_full {
            Some(page.values.next(self.dictionary.as_ref())?)
        } else {
            None
        };
        Ok(Some(Entry { starts_row, value }))
    }

    /// Passes over so many rows, of one value each.
    pub fn skip(&mut self, rows: usize) -> Result<()> {
        let mut left = rows;
        while left > 0 {
            if self.page.as_ref().is_none_or(|page| page.left == 0)
                && let Some(skipped) = self.pages.skip(left)?
            {
                left -= skipped;
                continue;
            }
            if self.next()?.is_none() {
                return Err(wrong("the column ends early"));
            }
            left -= 1;
        }
        Ok(())
    }
}

impl Page {
    fn new(page: DataPage, levels: [i16; 2], kind: Type) -> Result<Self> {
        let mut bytes = page.bytes;
        let mut parts = [None, None];
        for (at, highest) in levels.into_iter().enumerate() {
            let len = match &page.levels {
                PageLevels::Lengths(lengths) => lengths[at],
                PageLevels::Prefixed(_) if highest == 0 => 0,
                PageLevels::Prefixed(encodings) if encodings[at] == Encoding::RLE => {
                    let len = bytes.first_chunk().copied().map(u32::from_le_bytes);
                    let len = len.ok_or_else(|| wrong("a page is shorter than its levels"))?;
                    bytes.drain(..4);
                    len as usize
                }
                PageLevels::Prefixed(encodings) => {
                    let found = encodings[at];
                    return Err(wrong(format!("levels are encoded by {found}, not by RLE")));
                }
            };
            if len > bytes.len() {
                return Err(wrong("a page is shorter than its levels"));
            }
            let rest = bytes.split_off(len);
            let part = std::mem::replace(&mut bytes, rest);
            if highest > 0 {
                parts[at] = Some(Hybrid::new(part, 16 - highest.leading_zeros())?);
            }
        }
        let [repetitions, definitions] = parts;
        Ok(Self {
            left: page.values,
            repetitions,
            definitions,
            values: Values::new(bytes, page.encoding, kind)?,
        })
    }
}
