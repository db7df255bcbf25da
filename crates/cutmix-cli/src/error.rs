//! What can go wrong, in one line that says what to do.

use std::path::{Path, PathBuf};

use cutmix_vision::DataError;

/// Everything that ends a command with exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option, or the setting of that name in a configuration file, outside what is accepted.
    #[error("--{option} is {value}, expected {expected}")]
    Option {
        option: String,
        value: String,
        expected: String,
    },
    /// A name that does not exist.
    #[error("unknown {what} `{name}`{}, expected {expected}", suggestion(.near))]
    Unknown {
        what: String,
        name: String,
        near: Option<String>,
        expected: String,
    },
    /// A well-formed algorithm with a value out of range.
    #[error("algorithm `{spec}`: {reason}")]
    Algorithm { spec: String, reason: String },
    /// A device that cannot be used.
    #[error("{0}")]
    Device(String),
    #[error("workers are not in this build; build with --features remote to add them")]
    NotRemote,
    #[cfg(feature = "remote")]
    #[error("cannot serve on {address}: {reason}")]
    Serve { address: String, reason: String },
    /// A device that failed in the middle of a run.
    #[error(
        "{device} failed in the middle of the run: {reason}; {}go on from batch {saved} with: \
         cutmix train --resume {}",
        if *.is_remote { "start the worker again, or name other --devices, and " } else { "" },
        run.display()
    )]
    Worker {
        device: String,
        is_remote: bool,
        reason: String,
        run: PathBuf,
        saved: u64,
    },
    #[error("cannot decode the image {}: {reason}{hint}", path.display())]
    Image {
        path: PathBuf,
        reason: String,
        hint: &'static str,
    },
    #[error("{0}")]
    Data(DataError),
    /// Burn's dashboard, where it cannot be shown.
    #[error("--dashboard {0}")]
    Dashboard(&'static str),
    /// From the library, or a file or folder that cannot be written.
    #[error("{0}")]
    Library(#[from] cutmix::Error),
    #[error("{}: {reason}", path.display())]
    Config { path: PathBuf, reason: String },
    #[error(
        "output folder {} exists and is not empty; choose another with --output, or remove it",
        .0.display()
    )]
    OutputTaken(PathBuf),
    #[error(
        "{} is not a run folder: there is no config.toml in it; `cutmix train` makes one",
        .0.display()
    )]
    NotARun(PathBuf),
    #[error(
        "run {} is not finished: there is no model.safetensors in it; where it was stopped, go on \
         with: cutmix train --resume {}",
        .0.display(), .0.display()
    )]
    Unfinished(PathBuf),
    #[error("{} is not a model that `cutmix train` wrote, or is damaged: {reason}", path.display())]
    Model { path: PathBuf, reason: String },
    #[error("run folder {} is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error(
        "--resume goes on with the settings of the run; of the other options only --device, --on-nan \
         and --dashboard can be given"
    )]
    ResumeSettings,
    #[error(
        "the loss of batch {batch} is {loss}; a lower --learning-rate helps, or --on-nan skip{go_on}"
    )]
    NotFinite {
        batch: u64,
        loss: f64,
        /// With which command, where something has been saved.
        go_on: String,
    },
    /// Some files failed; each has had a line of its own.
    #[error("{failed} of {total} images could not be read")]
    Images { failed: usize, total: usize },
}

fn suggestion(near: &Option<String>) -> String {
    (near.as_ref()).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}

impl Error {
    pub fn option(option: &str, value: impl ToString, expected: impl ToString) -> Self {
        Self::Option {
            option: option.into(),
            value: value.to_string(),
            expected: expected.to_string(),
        }
    }

    /// An unknown name, with the nearest of the known ones.
    pub fn unknown<'a>(
        what: impl Into<String>,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        let likeness = |known: &str| {
            let name = name.to_lowercase();
            // The first forgives wrong letters, the second wrong places.
            strsim::jaro_winkler(&name, known).max(strsim::sorensen_dice(&name, known))
        };
        let near = (known.iter().copied())
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
            .filter(|near| likeness(near) > 0.7);
        Self::Unknown {
            what: what.into(),
            name: name.into(),
            near: near.map(String::from),
            expected: match known.as_slice() {
                [first @ .., last] if !first.is_empty() => {
                    format!("{} or {last}", first.join(", "))
                }
                _ => known.join(""),
            },
        }
    }

    /// Without the hint on what to do with a bad image of a data set, for one that stands alone.
    pub fn without_hint(self) -> Self {
        match self {
            Self::Image { path, reason, .. } => Self::Image {
                path,
                reason,
                hint: "",
            },
            error => error,
        }
    }

    /// A file or folder that cannot be written.
    pub fn write(path: &Path, reason: impl ToString) -> Self {
        Self::Library(cutmix::Error::write(path, reason))
    }
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        match error {
            // The library names its arguments; here they are options.
            DataError::Argument {
                argument,
                value,
                expected,
            } => Self::option(&argument.replace('_', "-"), value, expected),
            DataError::Image { path, reason } => Self::Image {
                path,
                reason,
                hint: "; mend or remove it, or leave such images out: \
                       cutmix train --on-bad-image skip",
            },
            error => Self::Data(error),
        }
    }
}
