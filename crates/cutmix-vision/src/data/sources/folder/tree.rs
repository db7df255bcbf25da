//! The folders and images below a folder.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::unused::{Reason, Unused};
use crate::data::escape::escape;
use crate::data::{DataError, decode};

/// Suffixes of images. Files with others are looked into.
const SUFFIXES: [&str; 10] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff",
];

/// Folders that systems, archives and other programs leave among the data, in lower case. Those whose
/// names start with a dot are hidden anyway.
const SYSTEM: [&str; 8] = [
    "__macosx",
    "__pycache__",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "found.000",
];

/// Folders within each other, at most.
const DEPTH: usize = 64;

/// A file that is an image by its name or content.
pub struct ImageFile {
    pub name: Box<OsStr>,
    /// Size in bytes.
    pub bytes: u64,
}

/// A folder with everything below it.
pub struct Folder {
    pub path: PathBuf,
    /// Name of the folder as that of a class.
    pub class: String,
    /// The folders in it, in the order of their names.
    pub folders: Vec<Folder>,
    /// The images directly in it, in the order of their names.
    pub images: Vec<ImageFile>,
}

impl Folder {
    /// Lists everything below the folder `dir`, and counts in `unused` what is neither an image nor a
    /// folder of data.
    pub fn read(dir: &Path, unused: &mut Unused) -> Result<Self, DataError> {
        let metadata = fs::metadata(dir).map_err(|error| DataError::io(dir, error))?;
        if !metadata.is_dir() {
            let path = dir.to_path_buf();
            return Err(DataError::NotAFolder { path });
        }
        read(dir, DEPTH, unused)
    }

    /// The folders that hold images at any depth.
    pub fn filled(&self) -> impl Iterator<Item = &Folder> {
        self.folders.iter().filter(|folder| folder.has_image())
    }

    /// Whether the folder holds an image at any depth.
    pub fn has_image(&self) -> bool {
        !self.images.is_empty() || self.folders.iter().any(Folder::has_image)
    }

    /// The folder in which the data begin: where a folder holds no image and only one folder with
    /// others in it, as unpacked archives do, that one. A class in `known` is no such folder.
    pub fn unwrapped(mut self, known: &[String]) -> Self {
        loop {
            let mut filled = (self.folders.iter().enumerate()).filter(|(_, one)| one.has_image());
            let (first, second) = (filled.next(), filled.next());
            let (Some((at, only)), None) = (first, second) else {
                return self;
            };
            let is_class = only.filled().next().is_none() || known.contains(&only.class);
            if is_class || !self.images.is_empty() {
                return self;
            }
            self = self.folders.swap_remove(at);
        }
    }
}

fn read(dir: &Path, depth: usize, unused: &mut Unused) -> Result<Folder, DataError> {
    let io = |error| DataError::io(dir, error);
    let mut folder = Folder {
        path: dir.to_path_buf(),
        class: class_name(dir.file_name().unwrap_or_default()),
        folders: Vec::new(),
        images: Vec::new(),
    };
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        match classify(&entry) {
            Entry::Folder if depth > 0 => {
                folder.folders.push(read(&entry.path(), depth - 1, unused)?);
            }
            Entry::Folder => unused.count(Reason::TooDeep, &entry.path()),
            Entry::Image(bytes) => folder.images.push(ImageFile {
                name: entry.file_name().into(),
                bytes,
            }),
            Entry::Unused(reason) => unused.count(reason, &entry.path()),
        }
    }
    folder.images.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    folder.images.shrink_to_fit();
    (folder.folders).sort_unstable_by(|a, b| (&a.class, &a.path).cmp(&(&b.class, &b.path)));
    Ok(folder)
}

/// The name of a class from that of its folder: in Unicode's form NFC, since systems store the same
/// name in different forms, and escaped.
pub fn class_name(folder: &OsStr) -> String {
    match folder.to_str() {
        Some(name) => escape(name.nfc().collect::<String>()),
        None => escape(folder),
    }
}

/// What an entry of a folder is.
enum Entry {
    Folder,
    /// An image of this size in bytes.
    Image(u64),
    Unused(Reason),
}

fn classify(entry: &fs::DirEntry) -> Entry {
    let path = entry.path();
    let name = entry.file_name().to_string_lossy().to_lowercase();
    // Follows links, as data are often linked.
    let metadata = fs::metadata(&path);
    let is_folder = metadata.as_ref().is_ok_and(Metadata::is_dir);
    let suffix = Path::new(&name).extension().unwrap_or_default();
    if name.starts_with('.') {
        Entry::Unused(Reason::Hidden)
    } else if is_folder {
        classify_folder(entry, &path, &name)
    } else if SUFFIXES.iter().any(|known| suffix == *known) {
        // One that cannot be read is a bad image, which is noticed when it is read.
        Entry::Image(metadata.map_or(0, |metadata| metadata.len()))
    } else {
        match metadata {
            Ok(file) if file.is_file() && is_image(&path) => Entry::Image(file.len()),
            _ => Entry::Unused(Reason::NoImage),
        }
    }
}

fn classify_folder(entry: &fs::DirEntry, path: &Path, name: &str) -> Entry {
    if SYSTEM.contains(&name) {
        Entry::Unused(Reason::System)
    } else if is_run(path) {
        Entry::Unused(Reason::Run)
    } else if is_loop(entry, path) {
        Entry::Unused(Reason::Loop)
    } else {
        Entry::Folder
    }
}

/// Whether a file begins as an image does.
fn is_image(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(32).read_to_end(&mut start));
    read.is_ok() && decode::is_image(&start)
}

/// Whether a folder is that of a training run.
fn is_run(path: &Path) -> bool {
    path.join("config.toml").is_file() && path.join("manifest.json").is_file()
}

/// Whether a link leads to a folder that it is in.
fn is_loop(entry: &fs::DirEntry, path: &Path) -> bool {
    let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
    let parent = path.parent().map(Path::canonicalize);
    match (is_link, path.canonicalize(), parent) {
        (true, Ok(target), Some(Ok(parent))) => parent.starts_with(target),
        _ => false,
    }
}
