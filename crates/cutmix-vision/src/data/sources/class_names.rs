//! The names of classes that data keep in a file of their own.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::labels::class_name;
use crate::data::DataError;

/// Files with a name in each line, the likelier first.
const LISTS: [&str; 3] = ["classes.txt", "class_names.txt", "classnames.txt"];
/// File in which the library `datasets` describes a data set.
const INFO: &str = "dataset_info.json";
/// Size of these files in bytes, at most.
const LIMIT: u64 = 16 << 20;

/// The names of the classes in a file of the folder `dir`, where it has one.
pub fn in_folder(dir: &Path) -> Result<Option<Vec<String>>, DataError> {
    for list in LISTS {
        let path = dir.join(list);
        if path.is_file() {
            let text = read(&path)?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            return Ok(Some(lines.map(class_name).collect()));
        }
    }
    let path = dir.join(INFO);
    if !path.is_file() {
        return Ok(None);
    }
    let info: Value = serde_json::from_str(&read(&path)?)
        .map_err(|error| DataError::format(&path, "text", error, "JSON"))?;
    Ok(info
        .get("features")
        .and_then(|features| of_features(features, None)))
}

/// The names of the classes of a column, or of the first column that has some, in a description by
/// the library `datasets`.
pub fn of_features(features: &Value, column: Option<&str>) -> Option<Vec<String>> {
    match column {
        Some(column) => names(features.get(column)?),
        None => features.as_object()?.values().find_map(names),
    }
}

/// The names of a feature, or of the items of a list of it.
fn names(feature: &Value) -> Option<Vec<String>> {
    let feature = feature
        .get(0)
        .or_else(|| feature.get("feature"))
        .unwrap_or(feature);
    let names = feature.get("names")?.as_array()?;
    names
        .iter()
        .map(|name| name.as_str().map(class_name))
        .collect()
}

fn read(path: &Path) -> Result<String, DataError> {
    let io = |error| DataError::io(path, error);
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > LIMIT {
        let found = format!("{bytes} bytes");
        return Err(DataError::format(
            path,
            "size",
            found,
            format!("at most {LIMIT}"),
        ));
    }
    let mut text = String::new();
    File::open(path)
        .map_err(io)?
        .take(LIMIT)
        .read_to_string(&mut text)
        .map_err(io)?;
    Ok(text)
}
