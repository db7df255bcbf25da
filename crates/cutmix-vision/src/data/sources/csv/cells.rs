//! The labels in the cells of a table.

use std::collections::HashSet;

use super::columns::{Columns, LabelColumns, flag};
use super::table::{Row, Table, quoted};
use crate::data::DataError;
use crate::data::sources::labels::{Distinct, Tag, Tags, class_name, sorted};

/// What a row says about its image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    Text(String),
    /// The names of the columns that are 1.
    Flags(Vec<String>),
}

impl Cell {
    pub fn of(table: &Table, columns: &Columns, row: &Row) -> Result<Self, DataError> {
        let (flags, names) = match &columns.labels {
            LabelColumns::One { column, .. } => return Ok(Self::Text(row.get(*column).into())),
            LabelColumns::Flags { columns, names } => (columns, names),
        };
        let mut set = Vec::new();
        for (&column, name) in flags.iter().zip(names) {
            let text = row.get(column);
            match flag(text) {
                Some(true) => set.push(name.clone()),
                Some(false) => {}
                None => {
                    let (text, name) = (quoted(text), quoted(name));
                    let found = format!("{text} in line {}, column {name}", row.line);
                    return Err(table.wrong("label", found, "0 or 1"));
                }
            }
        }
        Ok(Self::Flags(set))
    }
}

/// The cells of all samples.
#[derive(Default)]
pub struct Cells {
    pub cells: Distinct<Cell>,
    /// Whether a column has lists by its name.
    pub is_list: bool,
    /// The names of columns of flags.
    pub names: Vec<String>,
}

impl Cells {
    /// Adds what the columns of a table tell before its rows.
    pub fn add_columns(&mut self, columns: &Columns) {
        match &columns.labels {
            LabelColumns::One { is_list, .. } => self.is_list |= is_list,
            LabelColumns::Flags { names, .. } => self.names.extend(names.iter().cloned()),
        }
    }

    /// The classes, where columns name them.
    pub fn classes(&self) -> Option<Vec<String>> {
        let names = self.names.iter().map(|name| class_name(name));
        (!self.names.is_empty()).then(|| sorted(names))
    }

    /// The labels of the samples; the number of the first one without a label where each has to have
    /// one. Any number of labels is accepted where `multi_label` says so, or where some sample has
    /// another number than one.
    pub fn tags(self, multi_label: bool) -> Result<(Vec<Tags>, Vec<u32>), usize> {
        let separator = self.separator();
        let is_single = |cell: &Cell| match cell {
            Cell::Text(_) => separator.is_none(),
            Cell::Flags(flags) => flags.len() == 1,
        };
        let has_several = multi_label || !self.cells.values().all(is_single);
        let name = |name: &str| Tag::Name(name.trim().to_owned());
        let (tags, of) = self.cells.map(|cell| {
            let several: Vec<_> = match (&cell, separator) {
                (Cell::Text(text), Some(separator)) => {
                    let parts = text.split(separator).map(str::trim);
                    parts.filter(|part| !part.is_empty()).map(name).collect()
                }
                (Cell::Text(text), None) if text.is_empty() => Vec::new(),
                (Cell::Text(text), None) => vec![name(text)],
                (Cell::Flags(flags), _) => flags.iter().map(|flag| name(flag)).collect(),
            };
            match several.as_slice() {
                [one] if !has_several => Some(Tags::One(one.clone())),
                [] if !has_several => None,
                _ => Some(Tags::Several(several)),
            }
        });
        match tags.iter().position(Option::is_none) {
            Some(empty) => Err(of.iter().position(|&at| at as usize == empty).unwrap_or(0)),
            None => Ok((tags.into_iter().flatten().collect(), of)),
        }
    }

    /// What separates several labels of a cell, where some cells have several.
    ///
    /// Names of classes may have spaces and commas. These separate labels in a column whose name
    /// says that it has lists, unless that makes more classes of the cells than they are.
    fn separator(&self) -> Option<char> {
        let texts = self.cells.values().filter_map(|cell| match cell {
            Cell::Text(text) => Some(text.as_str()),
            Cell::Flags(_) => None,
        });
        let texts: Vec<_> = texts.collect();
        let is_in = |separator: &char| texts.iter().any(|text| text.contains(*separator));
        if let Some(separator) = ['|', ';'].into_iter().find(is_in) {
            return Some(separator);
        }
        let makes_fewer = |separator: &char| {
            let filled = texts.iter().filter(|text| !text.is_empty()).count();
            let parts = texts
                .iter()
                .flat_map(|text| text.split(*separator).map(str::trim));
            let parts: HashSet<_> = parts.filter(|part| !part.is_empty()).collect();
            parts.len() <= filled
        };
        let mut separators = [',', ' '].into_iter().filter(is_in);
        separators.find(makes_fewer).filter(|_| self.is_list)
    }
}
