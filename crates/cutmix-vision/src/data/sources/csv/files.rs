//! The image files of samples.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::images::Found;
use super::texts::Texts;

/// Image files. There may be millions, so each is small.
#[derive(Default)]
pub struct Files {
    folders: Vec<PathBuf>,
    /// The index of each folder, while files are added.
    numbers: HashMap<PathBuf, u32>,
    names: Texts,
    /// For each file, the index of its folder and its size in bytes.
    places: Vec<u32>,
    bytes: Vec<u64>,
}

impl Files {
    pub fn push(&mut self, Found { path, bytes }: Found) {
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = match self.numbers.get(parent) {
            Some(&folder) => folder,
            None => {
                let next = self.folders.len() as u32;
                self.folders.push(parent.into());
                self.numbers.insert(parent.into(), next);
                next
            }
        };
        // The name is from a table, whose text is UTF-8.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.names.push(&name);
        self.places.push(folder);
        self.bytes.push(bytes);
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Size of a file in bytes.
    pub fn bytes(&self, index: usize) -> u64 {
        self.bytes[index]
    }

    /// What tells a file from others: the index of its folder and its name.
    pub fn key(&self, index: usize) -> (u32, &str) {
        (self.places[index], self.names.get(index))
    }

    pub fn path(&self, index: usize) -> PathBuf {
        let (folder, name) = self.key(index);
        self.folders[folder as usize].join(name)
    }

    /// These files alone, without what is needed to add more.
    pub fn select(mut self, kept: &[u32]) -> Self {
        if kept.len() < self.len() {
            let mut names = Texts::default();
            for &at in kept {
                names.push(self.names.get(at as usize));
            }
            self.names = names;
            self.places = kept.iter().map(|&at| self.places[at as usize]).collect();
            self.bytes = kept.iter().map(|&at| self.bytes[at as usize]).collect();
        }
        self.names.shrink_to_fit();
        self.places.shrink_to_fit();
        self.bytes.shrink_to_fit();
        self.numbers = HashMap::new();
        self
    }
}
