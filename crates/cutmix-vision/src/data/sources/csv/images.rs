//! The image files that a table names.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use image::ImageFormat;

use super::texts::Texts;
use crate::data::sources::sets::split_in;
use crate::data::{DataError, Split};

/// The image files of a folder and of those in it, by their names.
pub struct Images {
    root: PathBuf,
    below: OnceCell<Below>,
}

/// A file that a table names, and its size in bytes.
pub struct Found {
    pub path: PathBuf,
    pub bytes: u64,
}

/// Why there is no file for a text.
pub enum Missing {
    None,
    /// Several files have this name; two of them.
    Several(PathBuf, PathBuf),
}

impl Images {
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            below: OnceCell::new(),
        }
    }

    /// The folder to which names are relative.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Gives the memory back that the names of all images take.
    pub fn forget(&mut self) {
        self.below = OnceCell::new();
    }

    /// Whether a text is the name of an image, whether or not there is such a file.
    pub fn is_image(&self, text: &str) -> bool {
        ImageFormat::from_path(text).is_ok() || !text.is_empty() && self.root.join(text).is_file()
    }

    /// Whether at most one folder has images.
    pub fn are_in_one_folder(&self) -> Result<bool, DataError> {
        Ok(self.below()?.folders_of_images < 2)
    }

    /// The file that a text of a sample of this set names: by its path, by the end of its path, by
    /// its name or by its name without suffix. Where several have the name, the one in a folder that
    /// the text names, or else in one of the set.
    pub fn find(&self, text: &str, set: Split) -> Result<Result<Found, Missing>, DataError> {
        let slashed = text.replace('\\', "/");
        let is_changed = slashed != text;
        let mut found = self.by_path(Path::new(text));
        if found.is_none() && is_changed {
            found = self.by_path(Path::new(&slashed));
        }
        if let Some(found) = found {
            return Ok(Ok(found));
        }
        let wanted = Path::new(&slashed);
        let Some(name) = wanted.file_name().and_then(OsStr::to_str) else {
            return Ok(Err(Missing::None));
        };
        let below = self.below()?;
        let mut files = below.named(name);
        if files.is_empty() && ImageFormat::from_path(wanted).is_ok() {
            let stem = wanted.file_stem().and_then(OsStr::to_str);
            files = below.named(stem.unwrap_or(name));
        }
        let paths: Vec<_> = files.into_iter().map(|file| below.path(file)).collect();
        let bare = |path: &Path| path.with_extension("");
        let is_named = |path: &&PathBuf| bare(path).ends_with(bare(wanted));
        let is_of_set = |path: &&PathBuf| {
            let folders = path.strip_prefix(&self.root).ok().and_then(Path::parent);
            let mut names = folders.into_iter().flatten().map(OsStr::to_string_lossy);
            names.any(|name| split_in(&name) == Some(set))
        };
        let only = (only(paths.iter()))
            .or_else(|| only(paths.iter().filter(is_named)))
            .or_else(|| only(paths.iter().filter(is_of_set)));
        Ok(
            match (
                only.and_then(|path| file_at(path.clone())),
                paths.as_slice(),
            ) {
                (Some(found), _) => Ok(found),
                (None, [first, second, ..]) => Err(Missing::Several(first.clone(), second.clone())),
                (None, _) => Err(Missing::None),
            },
        )
    }

    /// The file at a path, or at the longest end of it that is one.
    fn by_path(&self, path: &Path) -> Option<Found> {
        let mut parts = path.components();
        loop {
            let rest = parts.as_path();
            rest.file_name()?;
            if let Some(found) = file_at(self.root.join(rest)) {
                return Some(found);
            }
            parts.next()?;
        }
    }

    fn below(&self) -> Result<&Below, DataError> {
        if let Some(below) = self.below.get() {
            return Ok(below);
        }
        let below = Below::of(&self.root)?;
        Ok(self.below.get_or_init(|| below))
    }
}

/// The file at this path, unless it is a folder.
fn file_at(path: PathBuf) -> Option<Found> {
    let metadata = fs::metadata(&path)
        .ok()
        .filter(|metadata| !metadata.is_dir())?;
    let bytes = metadata.len();
    Some(Found { path, bytes })
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}

/// All image files whose names are UTF-8, as those in a table are.
#[derive(Default)]
struct Below {
    folders: Vec<PathBuf>,
    folders_of_images: usize,
    names: Texts,
    /// For each file, the index of its folder.
    places: Vec<u32>,
    /// The files in the order of their names.
    order: Vec<u32>,
}

/// Folders that archives and systems leave among the data, in lower case.
const SYSTEM: [&str; 3] = ["__macosx", "@eadir", "$recycle.bin"];

impl Below {
    fn of(root: &Path) -> Result<Self, DataError> {
        let mut below = Self::default();
        let mut left = vec![root.to_path_buf()];
        // A link may lead to a folder that it is in.
        let mut seen = HashSet::new();
        while let Some(folder) = left.pop() {
            let real = folder
                .canonicalize()
                .map_err(|error| DataError::io(&folder, error))?;
            if seen.insert(real) {
                left.extend(below.list(folder)?);
            }
        }
        let mut order: Vec<_> = (0..below.names.len() as u32).collect();
        order.sort_unstable_by_key(|&file| (below.name(file), file));
        below.order = order;
        Ok(below)
    }

    /// Adds the images in a folder and returns the folders in it.
    fn list(&mut self, folder: PathBuf) -> Result<Vec<PathBuf>, DataError> {
        let io = |error| DataError::io(&folder, error);
        let (mut inner, before) = (Vec::new(), self.names.len());
        for entry in fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            if ImageFormat::from_path(name).is_ok() {
                self.names.push(name);
                self.places.push(self.folders.len() as u32);
            } else if !SYSTEM.contains(&name.to_lowercase().as_str()) && entry.path().is_dir() {
                inner.push(entry.path());
            }
        }
        self.folders_of_images += usize::from(self.names.len() > before);
        self.folders.push(folder);
        // The last one is listed first.
        inner.sort_unstable_by(|a, b| b.cmp(a));
        Ok(inner)
    }

    /// The files that have this name, or where there are none, those that have it before a suffix.
    fn named(&self, name: &str) -> Vec<u32> {
        let is_equal = |&file: &u32| self.name(file) == name;
        let exact: Vec<_> = self.from(name).take_while(is_equal).collect();
        if !exact.is_empty() {
            return exact;
        }
        let dotted = format!("{name}.");
        let begins = |&file: &u32| self.name(file).starts_with(&dotted);
        let is_stem = |&file: &u32| {
            let stem = Path::new(self.name(file)).file_stem();
            stem.is_some_and(|stem| stem == name)
        };
        let files = self.from(&dotted).take_while(begins);
        files.filter(is_stem).collect()
    }

    /// The files from this name on.
    fn from(&self, name: &str) -> impl Iterator<Item = u32> {
        let start = self.order.partition_point(|&file| self.name(file) < name);
        self.order[start..].iter().copied()
    }

    fn name(&self, file: u32) -> &str {
        self.names.get(file as usize)
    }

    fn path(&self, file: u32) -> PathBuf {
        let folder = self.places[file as usize];
        self.folders[folder as usize].join(self.name(file))
    }
}
