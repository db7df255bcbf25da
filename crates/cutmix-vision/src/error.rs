//! What can be wrong with the data, said so that the reader can mend it.

use std::path::{Path, PathBuf};

/// Why a data set, an image or a loader could not be made. Every message is one line that names the
/// path or argument, what was found there, and what is accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder is not there.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The missing file or folder.
        path: PathBuf,
    },
    /// A file or folder is there, and the system does not let us read it.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said, for example "permission denied".
        source: std::io::Error,
    },
    /// A folder is expected and the path is a file.
    #[error("{} is a file: expected a folder", path.display())]
    NotAFolder {
        /// The path given.
        path: PathBuf,
    },
    /// A folder holds nothing that looks like a data set.
    #[error(
        "{} holds no data set: expected one folder of images per class, or train/ and val/ with such folders, \
         or IDX files (train-images-idx3-ubyte), or CIFAR batches (data_batch_1.bin, train.bin)",
        path.display()
    )]
    NoClasses {
        /// The folder given.
        path: PathBuf,
    },
    /// Fewer than two classes.
    #[error("found one class `{class}` in {}: a classifier needs at least two", path.display())]
    OneClass {
        /// The folder or file.
        path: PathBuf,
        /// The only class.
        class: String,
    },
    /// A class of the validation set that the training set does not have.
    #[error("class `{class}` in {} is not a class of the training set; {near}", path.display(), near = listed(near))]
    UnknownClass {
        /// The validation folder.
        path: PathBuf,
        /// The class that only it has.
        class: String,
        /// Training classes with similar names, or the first few.
        near: Vec<String>,
    },
    /// A class folder without a usable image.
    #[error("class `{class}` in {} has no {}image (jpg, jpeg, png, webp, bmp)", path.display(), if *skipped > 0 { "good " } else { "" })]
    EmptyClass {
        /// The folder of the class.
        path: PathBuf,
        /// Its name.
        class: String,
        /// How many bad images of it were skipped.
        skipped: usize,
    },
    /// A validation folder whose class folders have no usable image.
    #[error("{} has no {}image in its class folders (jpg, jpeg, png, webp, bmp)", path.display(), if *skipped > 0 { "good " } else { "" })]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// How many bad images of it were skipped.
        skipped: usize,
    },
    /// An image that cannot be decoded.
    #[error("bad image {}: {reason} (mend or remove it, or skip bad images to go on)", path.display())]
    Image {
        /// The image file.
        path: PathBuf,
        /// Why it cannot be decoded.
        reason: String,
    },
    /// A data file whose content is not what its format says.
    #[error("{}: {what} is {found}, expected {expected}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The field that is wrong, for example "magic number".
        what: &'static str,
        /// Its value.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// A label that names no class.
    #[error("{origin}: label of sample {index} is {label}, expected 0 to {}", classes - 1)]
    Label {
        /// The file, or "labels".
        origin: String,
        /// The sample, from 0.
        index: usize,
        /// Its label.
        label: usize,
        /// The number of classes.
        classes: usize,
    },
    /// An argument outside what is accepted.
    #[error("{argument} is {value}, expected {expected}")]
    Argument {
        /// The name of the argument.
        argument: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        expected: String,
    },
}

impl DataError {
    /// The error of a failed read of `path`.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound { path },
            _ => Self::Io { path, source },
        }
    }

    pub(crate) fn image(path: &Path, reason: impl ToString) -> Self {
        // Decoders break lines in a few messages; ours are one line each.
        let reason = reason.to_string().replace('\n', " ");
        Self::Image {
            path: path.to_path_buf(),
            reason,
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
