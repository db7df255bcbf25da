//! The tables of a data set.

use std::fs;
use std::path::{Path, PathBuf};

use super::columns::{Columns, LabelColumns};
use super::images::Images;
use super::table::Table;
use crate::data::sources::labels::class_name;
use crate::data::sources::sets::{key, split_in};
use crate::data::{DataError, Split};

/// Number of bytes, and of rows, by which tables of images are told from others.
const LOOKED_AT: u64 = 64 << 10;
const LOOKED_UP: usize = 20;

/// What a table in a folder is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It labels images that are there.
    Labels,
    /// It labels images that are not where it says.
    LabelsOfOthers,
    Other,
}

/// Whether a path is a table, or a folder with one that labels its images.
pub fn are_at(path: &Path) -> bool {
    if path.is_dir() {
        let images = Images::new(path.into());
        candidates(path, &images).is_ok_and(|tables| !tables.is_empty())
    } else {
        path.is_file() && is_table(path)
    }
}

/// The tables of a data set, each with its set. In a folder, they label these images of it.
pub fn at(path: &Path, images: &Images) -> Result<Vec<(PathBuf, Split)>, DataError> {
    let metadata = fs::metadata(path).map_err(|error| DataError::io(path, error))?;
    if !metadata.is_dir() {
        return Ok(vec![(path.into(), Split::Train)]);
    }
    let tables = candidates(path, images)?;
    let sets: Vec<_> = tables.iter().map(|table| split_in(&name(table))).collect();
    if sets.contains(&Some(Split::Train)) {
        let named = tables.into_iter().zip(sets);
        let mut named: Vec<_> = named
            .filter_map(|(table, set)| Some((table, set?)))
            .collect();
        named.sort_by(|a, b| key(a).cmp(&key(b)));
        return Ok(named);
    }
    match tables.as_slice() {
        [table] => Ok(vec![(table.clone(), Split::Train)]),
        [] => {
            let expected = "one with a column of paths and one of labels";
            Err(DataError::format(path, "number of CSV files", 0, expected))
        }
        _ => {
            let names: Vec<_> = tables.iter().map(|table| name(table)).collect();
            let expected = "one, or train.csv and others: give the path of the file";
            Err(DataError::format(
                path,
                "CSV file",
                names.join(" and "),
                expected,
            ))
        }
    }
}

/// The tables in a folder that label images.
fn candidates(dir: &Path, images: &Images) -> Result<Vec<PathBuf>, DataError> {
    let io = |error| DataError::io(dir, error);
    let mut tables = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if is_table(&path) && path.is_file() {
            tables.push(path);
        }
    }
    tables.sort_unstable();
    let kinds: Vec<_> = (tables.iter())
        .map(|table| kind(table, images).unwrap_or(Kind::Other))
        .collect();
    let of = |kind| {
        let tables = tables
            .iter()
            .zip(&kinds)
            .filter(move |(_, found)| **found == kind);
        tables.map(|(table, _)| table.clone()).collect::<Vec<_>>()
    };
    let labels = of(Kind::Labels);
    if !labels.is_empty() {
        return Ok(labels);
    }
    let others = of(Kind::LabelsOfOthers);
    // Folders of images may have classes of their own.
    let is_alone = !others.is_empty() && images.are_in_one_folder()?;
    Ok(if is_alone { others } else { Vec::new() })
}

fn is_table(path: &Path) -> bool {
    let name = name(path).to_lowercase();
    let is_named = name.ends_with(".csv") || name.ends_with(".tsv");
    is_named && !name.starts_with('.') && !name.contains("submission")
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// What a table is by its first rows. Where each image is in a folder that is named like its label,
/// the folders say as much as the table.
fn kind(path: &Path, images: &Images) -> Result<Kind, DataError> {
    let table = Table::start(path, LOOKED_AT)?;
    let Ok(columns) = Columns::of(&table, |text| images.is_image(text)) else {
        return Ok(Kind::Other);
    };
    let (mut found, mut by_folder) = (0, 0);
    for row in columns.rows(&table).take(LOOKED_UP) {
        let row = row?;
        let Ok(image) = images.find(row.get(columns.path), Split::Train)? else {
            continue;
        };
        found += 1;
        if let LabelColumns::One { column, .. } = columns.labels {
            let folder = image.path.parent().map(name).unwrap_or_default();
            by_folder += usize::from(class_name(&folder) == class_name(row.get(column)));
        }
    }
    Ok(match (found, by_folder) {
        (0, _) if columns.are_named => Kind::LabelsOfOthers,
        (found, by_folder) if found > by_folder => Kind::Labels,
        _ => Kind::Other,
    })
}
