//! Everything that can be wrong with the data.

use std::path::{Path, PathBuf};

/// Reason why a data set, an image or a loader could not be made. Every message is one line that
/// names the path or argument, what was found there, and what is accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder does not exist.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// Path that is missing.
        path: PathBuf,
    },
    /// A file or folder exists and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the system, such as "permission denied".
        source: std::io::Error,
    },
    /// The path of a folder is a file.
    #[error("{} is a file: expected a folder", path.display())]
    NotAFolder {
        /// Path of the file.
        path: PathBuf,
    },
    /// A folder holds nothing that looks like a data set.
    #[error("{} holds no data set: expected {}", path.display(), super::sources::expected())]
    NoClasses {
        /// Path of the folder.
        path: PathBuf,
    },
    /// A folder holds no image, at any depth.
    #[error("{} holds no image: expected {} files", path.display(), super::decode::FORMATS)]
    NoImages {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The data have only one class.
    #[error("found one class `{class}` in {}: a classifier needs at least two", path.display())]
    OneClass {
        /// Path of the folder or file.
        path: PathBuf,
        /// Name of the only class.
        class: String,
    },
    /// The validation or test set has a class that the training set does not have.
    #[error("class `{class}` in {} is not a class of the training set; {near}", path.display(), near = listed(near))]
    UnknownClass {
        /// Folder of the validation or test set.
        path: PathBuf,
        /// Class that only this set has.
        class: String,
        /// Classes of the training set with similar names, or the first few.
        near: Vec<String>,
    },
    /// An image cannot be decoded.
    #[error("bad image {}: {reason}", path.display())]
    Image {
        /// Path of the image file.
        path: PathBuf,
        /// Reason why it cannot be decoded.
        reason: String,
    },
    /// All images of an epoch are bad.
    #[error("none of the {count} images of the epoch can be read; the first: {reason}")]
    NoGoodImage {
        /// Number of images that are bad.
        count: usize,
        /// The error of the first bad image.
        reason: String,
    },
    /// An image takes more memory to decode than all images together may take.
    #[error("{} is {what}: more than the {memory} bytes of `DecodeConfig::memory`", path.display())]
    TooLarge {
        /// Path of the image file.
        path: PathBuf,
        /// Size of the image or file.
        what: String,
        /// Number of bytes that decoding may take, [`DecodeConfig::memory`](crate::DecodeConfig).
        memory: u64,
    },
    /// The content of a data file contradicts its format.
    #[error("{}: {what} is {found}, expected {expected}", path.display())]
    Format {
        /// Path of the file.
        path: PathBuf,
        /// Field that is wrong, such as "magic number".
        what: &'static str,
        /// Value that was found.
        found: String,
        /// Values that are accepted.
        expected: String,
    },
    /// A label is not the index of a class.
    #[error("{origin}: label of sample {index} is {label}, expected 0 to {}", classes - 1)]
    Label {
        /// Name of the file, or "labels".
        origin: String,
        /// Number of the sample, from 0.
        index: usize,
        /// Label of the sample.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// An argument is out of range.
    #[error("{argument} is {value}, expected {expected}")]
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// Value that was found.
        value: String,
        /// Values that are accepted.
        expected: String,
    },
}

impl DataError {
    /// Whether the error is that of one image, which can be left out.
    pub fn is_of_image(&self) -> bool {
        matches!(
            self,
            Self::Image { .. } | Self::TooLarge { .. } | Self::NotFound { .. } | Self::Io { .. }
        )
    }

    /// Error of a failed read of `path`.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        if source.kind() == std::io::ErrorKind::NotFound {
            Self::NotFound { path }
        } else {
            Self::Io { path, source }
        }
    }

    pub(crate) fn image(path: &Path, reason: impl ToString) -> Self {
        // Decoders break lines in a few messages.
        let reason = reason.to_string().replace('\n', " ");
        Self::Image {
            path: path.to_path_buf(),
            reason,
        }
    }

    /// Error of a file of more bytes than the memory for decoding.
    pub(crate) fn large_file(path: PathBuf, bytes: u64, memory: u64) -> Self {
        Self::TooLarge {
            path,
            what: format!("a file of {bytes} bytes"),
            memory,
        }
    }

    pub(crate) fn format(
        path: &Path,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Format {
            path: path.to_path_buf(),
            what,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    pub(crate) fn argument(
        argument: &'static str,
        value: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Argument {
            argument,
            value: value.to_string(),
            expected: expected.to_string(),
        }
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("it has {}", names.join(", "))
}
