//! What a folder holds besides its samples.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file or folder is not part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A picture beside the folders of the classes.
    Stray,
    /// A file whose content is no image that can be read.
    NoImage,
    /// A folder without images where a class was expected.
    EmptyFolder,
    /// A folder of images that belongs to no set, such as a second validation set.
    NoSet,
    /// A file or folder whose name starts with a dot.
    Hidden,
    /// A folder of the system, an archive or another program.
    System,
    /// The folder of a training run.
    Run,
    /// A link to a folder that it is in.
    Loop,
    /// A folder that is in more than 64 others.
    TooDeep,
}

impl Reason {
    /// The thing and why it is not used, for one and for many.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Stray => [
                "picture beside the class folders",
                "pictures beside the class folders",
            ],
            Self::NoImage => ["file that is no image", "files that are no images"],
            Self::EmptyFolder => ["folder without images", "folders without images"],
            Self::NoSet => [
                "folder that is none of the sets",
                "folders that are none of the sets",
            ],
            Self::Hidden => ["hidden file or folder", "hidden files and folders"],
            Self::System => ["system folder", "system folders"],
            Self::Run => ["run folder", "run folders"],
            Self::Loop => ["link to a folder above it", "links to a folder above them"],
            Self::TooDeep => ["folder in too many others", "folders in too many others"],
        }
    }
}

/// The reason in a few words, for one thing.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words()[0])
    }
}

/// What was found in a folder and is not part of the data set: for each reason the number of files
/// and folders and the first of them. Shown in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unused(BTreeMap<Reason, (usize, PathBuf)>);

impl Unused {
    /// Counts a file or folder.
    pub(super) fn count(&mut self, reason: Reason, path: &Path) {
        let (count, first) = (self.0.entry(reason)).or_insert_with(|| (0, path.into()));
        *count += 1;
        // Systems list folders in any order.
        if path < first.as_path() {
            *first = path.into();
        }
    }

    /// Whether everything is used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reasons, each with the number of files and folders and the first of them.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, usize, &Path)> {
        (self.0.iter()).map(|(&reason, (count, first))| (reason, *count, first.as_path()))
    }
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (reason, count, first)) in self.iter().enumerate() {
            let [one, many] = reason.words();
            let separator = if at > 0 { ", " } else { "" };
            let words = if count == 1 { one } else { many };
            let name = crate::data::escape::escape(first.file_name().unwrap_or_default());
            write!(f, "{separator}{count} {words} ({name}")?;
            f.write_str(if count > 1 { ", ...)" } else { ")" })?;
        }
        Ok(())
    }
}
