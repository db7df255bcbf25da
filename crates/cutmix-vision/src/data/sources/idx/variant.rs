//! The names of IDX files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::sources::labels::class_name;

/// A test set has one of these names in its files.
pub const TEST: [&str; 2] = ["t10k", "test"];

/// What follows the prefix and the set in the name of a file of images, and of one of labels.
const IMAGES: [&str; 2] = ["images-idx3-ubyte", "images.idx3-ubyte"];
const LABELS: [&str; 2] = ["labels-idx1-ubyte", "labels.idx1-ubyte"];

/// A data set in a folder of IDX files.
pub struct Variant {
    dir: PathBuf,
    /// What the names of all its files start with, such as `emnist-letters-`.
    prefix: String,
}

impl Variant {
    /// Whether there is a data set at a path.
    pub fn is_at(path: &Path) -> bool {
        !prefixes(path).1.is_empty()
    }

    /// The data set in a folder, or that whose files start with the last part of the path.
    pub fn at(path: &Path) -> Result<Self, DataError> {
        let (dir, prefixes) = prefixes(path);
        let name = |prefix: &str| prefix.trim_end_matches(['-', '_', '.']).to_owned();
        match prefixes.as_slice() {
            [prefix] => Ok(Self {
                dir: dir.into(),
                prefix: prefix.clone(),
            }),
            [] => Err(DataError::NotFound {
                path: path.join(format!("train-{}", IMAGES[0])),
            }),
            [first, ..] => {
                let names: Vec<_> = prefixes.iter().map(|prefix| name(prefix)).collect();
                let example = path.join(name(first));
                let expected = format!("one, or its path, such as {}", example.display());
                Err(DataError::format(
                    path,
                    "data set",
                    names.join(", "),
                    expected,
                ))
            }
        }
    }

    /// Whether the rows of its images are stored as columns.
    pub fn is_turned(&self) -> bool {
        self.prefix.to_lowercase().starts_with("emnist")
    }

    /// The file of the images of a set.
    pub fn images(&self, set: &str) -> Result<PathBuf, DataError> {
        self.find(set, &IMAGES)
    }

    /// The file of the labels of a set.
    pub fn labels(&self, set: &str) -> Result<PathBuf, DataError> {
        self.find(set, &LABELS)
    }

    /// Files may be compressed, and in a folder that has their own name.
    fn find(&self, set: &str, endings: &[&str; 2]) -> Result<PathBuf, DataError> {
        let name = |ending| format!("{}{set}-{ending}", self.prefix);
        let mut paths = endings.iter().flat_map(|ending| {
            let name = name(ending);
            let inside = self.dir.join(&name);
            let packed = format!("{name}.gz");
            [
                inside.clone(),
                self.dir.join(&packed),
                inside.join(&name),
                inside.join(&packed),
            ]
        });
        let found = paths.find(|path| path.is_file());
        found.ok_or_else(|| DataError::NotFound {
            path: self.dir.join(name(&endings[0])),
        })
    }

    /// The file of the names of the classes, where there is one.
    pub fn mapping(&self) -> Result<Option<Mapping>, DataError> {
        let path = self.dir.join(format!("{}mapping.txt", self.prefix));
        if path.is_file() && !self.prefix.is_empty() {
            Mapping::read(path).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// The folder of a path and the prefixes of the data sets that are meant.
fn prefixes(path: &Path) -> (&Path, Vec<String>) {
    if path.is_dir() {
        let all = all_prefixes(path);
        // Without a prefix it is the data set of the folder.
        let plain = all.iter().find(|prefix| prefix.is_empty()).cloned();
        return (path, plain.map_or(all, |plain| vec![plain]));
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return (path, Vec::new());
    };
    let name = name.to_string_lossy();
    let is_meant = |prefix: &String| {
        let rest = prefix.strip_prefix(&*name);
        rest.is_some_and(|rest| rest.trim_start_matches(['-', '_', '.']).is_empty())
    };
    let here = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let mut all = all_prefixes(here);
    all.retain(|prefix| !prefix.is_empty() && is_meant(prefix));
    (here, all)
}

/// The prefixes of all files of training images in a folder, sorted; where it has none, those of test
/// images, whose training images are then missing.
fn all_prefixes(dir: &Path) -> Vec<String> {
    let train = prefixes_of("train", dir);
    if !train.is_empty() {
        return train;
    }
    let test = TEST.into_iter().flat_map(|set| prefixes_of(set, dir));
    test.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The prefixes of all files of the images of a set in a folder, sorted.
fn prefixes_of(set: &str, dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    let prefix = |name: String| {
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let mut endings = IMAGES.iter();
        let start = endings.find_map(|ending| name.strip_suffix(ending))?;
        start.strip_suffix('-')?.strip_suffix(set).map(String::from)
    };
    let prefixes = names.filter_map(|entry| prefix(entry.file_name().into_string().ok()?));
    // A folder of this name may have something else in it.
    let exists = |prefix: &String| {
        let (dir, prefix) = (dir.to_path_buf(), prefix.clone());
        Variant { dir, prefix }.images(set).is_ok()
    };
    let prefixes: BTreeSet<_> = prefixes.filter(exists).collect();
    prefixes.into_iter().collect()
}

/// The names of the classes of EMNIST: for each label the characters that it stands for.
pub struct Mapping {
    pub path: PathBuf,
    pub classes: Vec<String>,
    /// The class of each label.
    numbers: [Option<usize>; 256],
}

impl Mapping {
    fn read(path: PathBuf) -> Result<Self, DataError> {
        let text = fs::read_to_string(&path).map_err(|error| DataError::io(&path, error))?;
        let mut mapping = Self {
            path,
            classes: Vec::new(),
            numbers: [None; 256],
        };
        let filled = text
            .lines()
            .zip(1..)
            .filter(|(line, _)| !line.trim().is_empty());
        for (line, number) in filled {
            let wrong = || {
                let found = format!("`{}` in line {number}", line.escape_debug());
                let expected = "a label of 0 to 255 once, and the numbers of its characters";
                DataError::format(&mapping.path, "mapping", found, expected)
            };
            let (label, name) = parse(line).ok_or_else(wrong)?;
            if mapping.numbers[usize::from(label)].is_some() {
                return Err(wrong());
            }
            mapping.numbers[usize::from(label)] = Some(mapping.classes.len());
            mapping.classes.push(name);
        }
        Ok(mapping)
    }

    /// The class of a label.
    pub fn class(&self, label: usize) -> Option<usize> {
        self.numbers.get(label).copied().flatten()
    }
}

/// The label in a line of a mapping and its name.
fn parse(line: &str) -> Option<(u8, String)> {
    let mut words = line.split_whitespace();
    let label = words.next()?.parse().ok()?;
    let name: Option<String> = words
        .map(|word| word.parse().ok().and_then(char::from_u32))
        .collect();
    let name = name.filter(|name| !name.is_empty() && !name.contains(char::is_control))?;
    Some((label, class_name(&name)))
}
