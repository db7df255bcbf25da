//! What a folder holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::escape::escape;

const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// The folders, by name, and images that are directly in a folder.
pub struct Listing {
    pub folders: BTreeMap<String, PathBuf>,
    pub images: Vec<PathBuf>,
}

impl Listing {
    pub fn of(dir: &Path) -> Result<Self, DataError> {
        let io = |error| DataError::io(dir, error);
        if !fs::metadata(dir).map_err(io)?.is_dir() {
            let path = dir.to_path_buf();
            return Err(DataError::NotAFolder { path });
        }
        let (mut folders, mut images) = (BTreeMap::new(), Vec::new());
        for entry in fs::read_dir(dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = escape(path.file_name().unwrap_or_default());
            if name.starts_with('.') {
                continue;
            }
            let extension = escape(path.extension().unwrap_or_default()).to_lowercase();
            // `is_dir` follows links, as class folders are often linked.
            if path.is_dir() {
                folders.insert(name, path);
            } else if EXTENSIONS.contains(&extension.as_str()) {
                images.push(path);
            }
        }
        images.sort();
        Ok(Self { folders, images })
    }
}
