//! One parquet file.

use std::fs::File;
use std::path::Path;

use ::parquet::basic::{ConvertedType, Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

use super::column::Column;
use super::labels;
use super::pages::{Pages, can_unpack};
use crate::data::DataError;
use crate::data::escape::escape;
use crate::data::sources::class_names;
use crate::data::sources::labels::Tags;

/// Names of the column of images, the likelier first.
const IMAGES: [&str; 8] = [
    "image", "img", "images", "picture", "photo", "jpg", "png", "webp",
];
/// Names of the column of labels, the likelier first.
const LABELS: [&str; 9] = [
    "label",
    "labels",
    "fine_label",
    "class",
    "target",
    "category",
    "cls",
    "class_label",
    "y",
];

/// Rows that are stored together.
pub struct Group {
    /// Where the images are.
    pub images: ColumnChunkMetaData,
    pub rows: usize,
}

/// A file of which the labels have been read.
pub struct ParquetFile {
    pub groups: Vec<Group>,
    pub labels: Vec<Option<Tags>>,
    /// The names of the classes, where the file has them.
    pub names: Option<Vec<String>>,
}

impl ParquetFile {
    /// Reads the labels of a file, of which a page may have `limit` bytes.
    pub fn read(path: &Path, limit: u64) -> Result<Self, DataError> {
        let io = |error| DataError::io(path, error);
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file);
        let metadata = metadata.map_err(|error| failed(path, "in its metadata", error))?;
        let features = features(&metadata);
        let [images, label] = columns(path, &metadata, features.as_ref())?;
        let column = metadata.file_metadata().schema_descr().column(label);
        let names = features.as_ref().and_then(|features| {
            class_names::of_features(features, column.path().parts().first().map(String::as_str))
        });
        let mut read = Self {
            groups: Vec::new(),
            labels: Vec::new(),
            names,
        };
        for group in metadata.row_groups() {
            // Every row takes some bytes, unless the number is wrong.
            let rows = usize::try_from(group.num_rows()).ok();
            let all = |rows: &usize| read.labels.len().saturating_add(*rows) as u64;
            let rows = rows.filter(|rows| all(rows) <= size);
            let Some(rows) = rows else {
                let found = format!("{} in a file of {size} bytes", group.num_rows());
                return Err(DataError::format(
                    path,
                    "number of rows",
                    found,
                    "one for each image",
                ));
            };
            let chunks = group.columns();
            let (Some(images), Some(labels)) = (chunks.get(images), chunks.get(label)) else {
                let found = format!("{} in a row group", chunks.len());
                return Err(DataError::format(
                    path,
                    "number of columns",
                    found,
                    "those of the file",
                ));
            };
            check_chunk(path, images, size)?;
            check_chunk(path, labels, size)?;
            let column = format!("in column {}", column_path(labels.column_descr()));
            let reader = open_column(path, labels, rows, limit)
                .map_err(|error| failed(path, &column, error))?;
            let labels = labels::read(reader, rows);
            read.labels
                .extend(labels.map_err(|error| failed(path, &column, error))?);
            read.groups.push(Group {
                images: images.clone(),
                rows,
            });
        }
        Ok(read)
    }
}

/// The description of the columns by the library `datasets`.
fn features(metadata: &ParquetMetaData) -> Option<Value> {
    let fields = metadata.file_metadata().key_value_metadata()?;
    let field = fields.iter().find(|field| field.key == "huggingface")?;
    let info: Value = serde_json::from_str(field.value.as_ref()?).ok()?;
    info.get("info")?.get("features").cloned()
}

/// The numbers of the columns of images and labels.
fn columns(
    path: &Path,
    metadata: &ParquetMetaData,
    features: Option<&Value>,
) -> Result<[usize; 2], DataError> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let position =
        |fits: &dyn Fn(&ColumnDescriptor) -> bool| columns.iter().position(|column| fits(column));
    let images = IMAGES
        .iter()
        .find_map(|name| position(&|column| is_image(column, name) && column.max_rep_level() == 0));
    let is_label = |column: &ColumnDescriptor, name: &str| {
        column
            .path()
            .parts()
            .first()
            .is_some_and(|part| part == name)
            && column.max_rep_level() < 2
    };
    let named = |name: &&str| position(&|column| is_label(column, name));
    let described = || {
        let has_names = |name: &&String| {
            features.is_some_and(|all| class_names::of_features(all, Some(name)).is_some())
        };
        let names = features?
            .as_object()?
            .keys()
            .filter(has_names)
            .collect::<Vec<_>>();
        match names.as_slice() {
            [name] => position(&|column| is_label(column, name)),
            _ => None,
        }
    };
    let label = LABELS.iter().find_map(named).or_else(described);
    let missing = |what, expected: String| {
        let mut names: Vec<_> = columns.iter().map(|column| column_path(column)).collect();
        names.truncate(12);
        let found = format!("missing among {}", names.join(", "));
        DataError::format(path, what, found, expected)
    };
    let image_error = || {
        missing(
            "column of images",
            format!("{} with bytes", IMAGES.join(", ")),
        )
    };
    let label_error = || missing("column of labels", LABELS.join(", "));
    Ok([
        images.ok_or_else(image_error)?,
        label.ok_or_else(label_error)?,
    ])
}

/// Whether a column has the bytes of images: `image.bytes`, or `image` where that is no text.
fn is_image(column: &ColumnDescriptor, name: &str) -> bool {
    let parts: Vec<_> = column.path().parts().iter().map(String::as_str).collect();
    let is_named = match parts.as_slice() {
        [first, "bytes"] => *first == name,
        [only] => *only == name && column.converted_type() != ConvertedType::UTF8,
        _ => false,
    };
    is_named && column.physical_type() == Type::BYTE_ARRAY
}

fn column_path(column: &ColumnDescriptor) -> String {
    escape(column.path().string())
}

/// Checks that a column is inside the file and can be unpacked.
fn check_chunk(path: &Path, chunk: &ColumnChunkMetaData, size: u64) -> Result<(), DataError> {
    let start = chunk
        .dictionary_page_offset()
        .unwrap_or(chunk.data_page_offset());
    let end = start.checked_add(chunk.compressed_size());
    let is_inside =
        start >= 0 && chunk.compressed_size() >= 0 && end.is_some_and(|end| end as u64 <= size);
    let column = column_path(chunk.column_descr());
    if !is_inside {
        let found = format!("outside of the file in {column}");
        return Err(DataError::format(
            path,
            "column",
            found,
            format!("in its {size} bytes"),
        ));
    }
    if !can_unpack(chunk.compression()) {
        let found = format!("{} in {column}", chunk.compression());
        return Err(DataError::format(
            path,
            "compression",
            found,
            "none, SNAPPY, GZIP or ZSTD",
        ));
    }
    Ok(())
}

/// Opens a column of a row group of so many rows.
pub fn open_column(
    path: &Path,
    chunk: &ColumnChunkMetaData,
    rows: usize,
    limit: u64,
) -> Result<Column, ParquetError> {
    let pages = Pages::new(File::open(path)?, chunk, rows, limit)?;
    Ok(Column::new(pages, chunk.column_descr()))
}

fn failed(path: &Path, column: &str, error: ParquetError) -> DataError {
    let found = format!("unreadable {column}: {}", reason(&error));
    DataError::format(path, "parquet file", found, "columns that can be read")
}

/// An error in words, in one line.
pub fn reason(error: &ParquetError) -> String {
    let text = error.to_string().replace('\n', " ");
    text.strip_prefix("Parquet error: ")
        .map_or(text.clone(), String::from)
}
