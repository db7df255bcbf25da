//! One parquet file.

use std::fs::File;
use std::path::{Path, PathBuf};

use ::parquet::basic::{ConvertedType, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::ByteArrayType;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

use super::labels::{self, Levels};
use super::pages::{Pages, can_unpack};
use crate::data::DataError;
use crate::data::sources::class_names;
use crate::data::sources::forward::Run;
use crate::data::sources::labels::Tags;

/// Names of the column of images, the likelier first.
const IMAGES: [&str; 8] = ["image", "img", "images", "picture", "photo", "jpg", "png", "webp"];
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
    images: ColumnChunkMetaData,
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
            let rows = rows.filter(|rows| (read.labels.len() + rows) as u64 <= size);
            let Some(rows) = rows else {
                let found = format!("{} in a file of {size} bytes", group.num_rows());
                return Err(DataError::format(path, "number of rows", found, "one for each image"));
            };
            let [images, labels] = [images, label].map(|column| group.column(column));
            check_chunk(path, images, size)?;
            check_chunk(path, labels, size)?;
            let column = column_path(labels.column_descr());
            let reader = open_column(path, labels, rows, limit)
                .map_err(|error| failed(path, &column, error))?;
            let descriptor = labels.column_descr();
            let levels = Levels {
                full: descriptor.max_def_level(),
                is_list: descriptor.max_rep_level() > 0,
            };
            let labels = labels::read(reader, levels, rows);
            read.labels.extend(labels.map_err(|error| failed(path, &column, error))?);
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
    let position = |fits: &dyn Fn(&ColumnDescriptor) -> bool| {
        columns.iter().position(|column| fits(column))
    };
    let images = IMAGES.iter().find_map(|name| {
        position(&|column| is_image(column, name) && column.max_rep_level() == 0)
    });
    let is_label = |column: &ColumnDescriptor, name: &str| {
        column.path().parts().first().is_some_and(|part| part == name) && column.max_rep_level() < 2
    };
    let named = |name: &&str| position(&|column| is_label(column, name));
    let described = || {
        let has_names = |name: &&String| {
            features.is_some_and(|all| class_names::of_features(all, Some(name)).is_some())
        };
        let names = features?.as_object()?.keys().filter(has_names).collect::<Vec<_>>();
        match names.as_slice() {
            [name] => position(&|column| is_label(column, name)),
            _ => None,
        }
    };
    let label = LABELS.iter().find_map(|name| named(name)).or_else(described);
    let missing = |what, expected: String| {
        let mut names: Vec<_> = columns.iter().map(|column| column_path(column)).collect();
        names.truncate(12);
        let found = format!("missing among {}", names.join(", "));
        DataError::format(path, what, found, expected)
    };
    let image_error = || missing("column of images", format!("{} with bytes", IMAGES.join(", ")));
    let label_error = || missing("column of labels", LABELS.join(", "));
    Ok([images.ok_or_else(image_error)?, label.ok_or_else(label_error)?])
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
    column.path().string()
}

/// Checks that a column is inside the file and can be unpacked.
fn check_chunk(path: &Path, chunk: &ColumnChunkMetaData, size: u64) -> Result<(), DataError> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let end = start.checked_add(chunk.compressed_size());
    let is_inside = start >= 0
        && chunk.compressed_size() >= 0
        && end.is_some_and(|end| end as u64 <= size);
    let column = column_path(chunk.column_descr());
    if !is_inside {
        let found = format!("outside of the file in {column}");
        return Err(DataError::format(path, "column", found, format!("in its {size} bytes")));
    }
    if !can_unpack(chunk.compression()) {
        let found = format!("{} in {column}", chunk.compression());
        return Err(DataError::format(path, "compression", found, "none, SNAPPY, GZIP or ZSTD"));
    }
    Ok(())
}

fn open_column(
    path: &Path,
    chunk: &ColumnChunkMetaData,
    rows: usize,
    limit: u64,
) -> Result<ColumnReader, ParquetError> {
    let pages = Pages::new(File::open(path)?, chunk, rows, limit)?;
    Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(pages)))
}

fn failed(path: &Path, column: &str, error: ParquetError) -> DataError {
    let reason = error.to_string().replace('\n', " ");
    let found = format!("damaged, {column}: {reason}");
    DataError::format(path, "parquet file", found, "columns that can be read")
}

/// The images of rows that are stored together, which are being read.
pub struct Images {
    reader: ColumnReaderImpl<ByteArrayType>,
    /// Definition level of an image that is there.
    full: i16,
    path: PathBuf,
    /// Number of the next row in the file.
    row: usize,
}

impl Images {
    /// Opens the images of a group whose first row has the number `row` in the file.
    pub fn open(path: &Path, group: &Group, row: usize, limit: u64) -> Result<Self, DataError> {
        let reader = open_column(path, &group.images, group.rows, limit);
        let reader = reader.map_err(|error| DataError::image(path, error))?;
        let ColumnReader::ByteArrayColumnReader(reader) = reader else {
            return Err(DataError::image(path, "the column of images has no bytes"));
        };
        Ok(Self {
            reader,
            full: group.images.column_descr().max_def_level(),
            path: path.into(),
            row,
        })
    }
}

impl Run for Images {
    fn read(&mut self) -> Result<Vec<u8>, DataError> {
        let path = row_path(&self.path, self.row);
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let read = self.reader.read_records(1, Some(&mut levels), None, &mut values);
        let (records, ..) = read.map_err(|error| DataError::image(&path, error))?;
        if records == 0 {
            return Err(DataError::image(&path, "the column of images ends before it"));
        }
        self.row += 1;
        let is_full = levels.first().is_none_or(|level| *level == self.full);
        match values.first().filter(|_| is_full) {
            Some(bytes) => Ok(bytes.data().to_vec()),
            None => Err(DataError::image(&path, "it has no bytes")),
        }
    }

    fn skip(&mut self, samples: usize) -> Result<(), DataError> {
        let path = row_path(&self.path, self.row);
        let skipped = self.reader.skip_records(samples);
        let skipped = skipped.map_err(|error| DataError::image(&path, error))?;
        if skipped < samples {
            return Err(DataError::image(&path, "the column of images ends before it"));
        }
        self.row += samples;
        Ok(())
    }
}

/// A row of a file, for messages.
pub fn row_path(path: &Path, row: usize) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(format!("#{row}"));
    path.into()
}
