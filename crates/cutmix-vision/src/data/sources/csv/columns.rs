//! What the columns of a table mean.

use super::boxes::{self, Corners};
use super::table::{Row, Table, quoted};
use crate::data::DataError;
use crate::data::sources::sets::split_of;

/// Names of the column of images, without what is neither a letter nor a digit, the likelier first.
const PATHS: [&str; 27] = [
    "path",
    "filepath",
    "filepaths",
    "filename",
    "filenames",
    "file",
    "files",
    "imagepath",
    "imgpath",
    "imagefile",
    "imagefilename",
    "imagename",
    "imgname",
    "imgfile",
    "image",
    "images",
    "img",
    "imageindex",
    "imageid",
    "imgid",
    "idcode",
    "fname",
    "photo",
    "picture",
    "relativepath",
    "id",
    "name",
];

/// Names of the column of labels, the likelier first.
const LABELS: [&str; 27] = [
    "label",
    "labels",
    "classname",
    "labelname",
    "categoryname",
    "class",
    "classes",
    "category",
    "categories",
    "target",
    "targets",
    "species",
    "breed",
    "tag",
    "tags",
    "findinglabels",
    "diagnosis",
    "dx",
    "classlabel",
    "classid",
    "labelid",
    "categoryid",
    "attributeids",
    "level",
    "grade",
    "groundtruth",
    "y",
];

/// Names of the column of sets.
const SETS: [&str; 8] = [
    "split",
    "set",
    "subset",
    "partition",
    "dataset",
    "datasplit",
    "phase",
    "fold",
];

/// The columns of a table that are of use.
pub struct Columns {
    pub path: usize,
    pub labels: LabelColumns,
    pub set: Option<usize>,
    pub corners: Option<Corners>,
    pub has_header: bool,
    /// Whether the header names both the images and the labels as is usual.
    pub are_named: bool,
    /// Number of columns of the first row.
    pub len: usize,
}

/// Where the labels are.
pub enum LabelColumns {
    /// In one column, which may be one of lists by its name.
    One { column: usize, is_list: bool },
    /// In a column for each class, which is 0 or 1.
    Flags {
        columns: Vec<usize>,
        names: Vec<String>,
    },
}

impl Columns {
    /// Finds the columns. `is_image` tells whether a text names an image.
    pub fn of(table: &Table, is_image: impl Fn(&str) -> bool) -> Result<Self, DataError> {
        let Start { header, row } = Start::of(table, &is_image)?;
        let has_header = header.is_some();
        let header = header.unwrap_or_else(|| vec![String::new(); row.len()]);
        let names: Vec<_> = header.iter().map(|name| plain(name)).collect();
        let position = |name: &&str| names.iter().position(|other| other == name);
        let find = |known: &[&str]| known.iter().find_map(position);
        let label = find(&LABELS);
        let named = find(&PATHS);
        let path = named.or_else(|| position_of_path(&row, label, is_image));
        let path = path.ok_or_else(|| no_labels(table, &header))?;
        let set = match find(&SETS) {
            Some(column) if has_sets(table, column)? => Some(column),
            _ => None,
        };
        let corners =
            boxes::corners(&names).map_err(|found| table.wrong("header", found, boxes::COLUMNS))?;
        let is_corner = |at: &usize| corners.is_some_and(|corners: Corners| corners.contains(at));
        let is_free = |at: usize| {
            let is_index = has_header && is_index(&names[at]);
            !(at == path || Some(at) == set || is_corner(&at) || is_index)
        };
        let rest: Vec<_> = (0..header.len()).filter(|&at| is_free(at)).collect();
        let is_flagged = rest.len() > 1 && rest.iter().all(|&at| flag(row.get(at)).is_some());
        let labels = match (label, rest.as_slice()) {
            (Some(column), _) => one(column, &names),
            (None, &[column]) => one(column, &names),
            (None, _) if is_flagged => LabelColumns::Flags {
                names: flag_names(&header, &rest, has_header),
                columns: rest,
            },
            (None, &[column, ..]) if named.is_none() => one(column, &names),
            _ => return Err(no_labels(table, &header)),
        };
        let has_names = matches!(labels, LabelColumns::Flags { .. }) || label.is_some();
        Ok(Self {
            path,
            labels,
            set,
            corners,
            has_header,
            are_named: named.is_some() && has_names,
            len: header.len(),
        })
    }

    /// The rows of images.
    pub fn rows(&self, table: &Table) -> impl Iterator<Item = Result<Row, DataError>> {
        table.rows().skip(usize::from(self.has_header))
    }
}

/// The start of a table.
struct Start {
    /// The names of the columns, where the first row has them.
    header: Option<Vec<String>>,
    /// The first row of an image.
    row: Row,
}

impl Start {
    fn of(table: &Table, is_image: impl Fn(&str) -> bool) -> Result<Self, DataError> {
        let mut rows = table.rows();
        let mut next = || {
            let none = || table.wrong("table", "empty", "a row for each image");
            rows.next().ok_or_else(none)?
        };
        let first = next()?;
        if first.iter().take(2).any(is_image) {
            return Ok(Self {
                header: None,
                row: first,
            });
        }
        Ok(Self {
            header: Some(first.iter().map(String::from).collect()),
            row: next()?,
        })
    }
}

fn one(column: usize, names: &[String]) -> LabelColumns {
    let is_list = ["labels", "tags", "attributeids"].contains(&names[column].as_str());
    LabelColumns::One { column, is_list }
}

/// A name in lower case without what is neither a letter nor a digit.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|char| char.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether a column has the numbers of the rows, as programs write them.
fn is_index(name: &str) -> bool {
    name.is_empty() || name == "index" || name == "unnamed0"
}

/// The column of images without a usual name: that of the first two in which there is an image, or
/// else the first that has no labels.
fn position_of_path(
    row: &Row,
    label: Option<usize>,
    is_image: impl Fn(&str) -> bool,
) -> Option<usize> {
    let free = |at: &usize| Some(*at) != label;
    let image = (0..row.len())
        .filter(free)
        .find(|&at| is_image(row.get(at)));
    let image = image.filter(|&at| at < 2 || label.is_some());
    image
        .or_else(|| (0..row.len()).find(free))
        .filter(|_| row.len() > 1)
}

/// Whether a column has the sets. One that has none of their names is about something else, and one
/// that has some must have no other.
fn has_sets(table: &Table, column: usize) -> Result<bool, DataError> {
    let (mut has_set, mut other) = (false, None);
    for row in table.rows().skip(1) {
        let row = row?;
        if split_of(row.get(column)).is_some() {
            has_set = true;
        } else if other.is_none() {
            other = Some((row.line, row.get(column).to_owned()));
        }
    }
    match other {
        Some((line, text)) if has_set => {
            let found = format!("{} in line {line}", quoted(&text));
            Err(table.wrong("set", found, "train, val or test, such as valid or dev"))
        }
        _ => Ok(has_set),
    }
}

/// Whether a text says that a class is there.
pub fn flag(text: &str) -> Option<bool> {
    match text {
        "0" | "0.0" => Some(false),
        "1" | "1.0" => Some(true),
        _ => None,
    }
}

fn flag_names(header: &[String], columns: &[usize], has_header: bool) -> Vec<String> {
    let name = |(number, &column): (usize, &usize)| {
        if has_header {
            header[column].clone()
        } else {
            number.to_string()
        }
    };
    columns.iter().enumerate().map(name).collect()
}

fn no_labels(table: &Table, header: &[String]) -> DataError {
    /// Number of columns that are named.
    const NAMED: usize = 12;
    let names: Vec<_> = header.iter().take(NAMED).map(|name| quoted(name)).collect();
    let names = names.join(", ");
    let found = match header.len() {
        1 => format!("the column {names} alone"),
        2..=NAMED => format!("the columns {names}"),
        len => format!("the columns {names} and {} more", len - NAMED),
    };
    let expected = "path and label, such as filename and class, or path and a column of 0 and 1 \
                    for each class";
    table.wrong("header", found, expected)
}
