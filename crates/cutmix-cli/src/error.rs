//! The errors of the commands. Each message is one line.

use std::path::{Path, PathBuf};

use cutmix_vision::weights::WeightsError;
use cutmix_vision::{Changes, DataError, ModelError};

use crate::settings::Bytes;
use crate::terminal::{alternatives, quoted};

/// The reason why a command ends with exit code 1.
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
    /// The text of an algorithm that is not accepted.
    #[error("algorithm `{text}`: {reason}")]
    Algorithm { text: String, reason: String },
    /// A device that cannot be used.
    #[error("{0}")]
    Device(String),
    /// An image of the data that cannot be decoded.
    #[error("bad image {}: {reason}{advice}", path.display())]
    Image {
        path: PathBuf,
        reason: String,
        advice: String,
    },
    #[error(transparent)]
    Data(DataError),
    #[error(transparent)]
    Model(ModelError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] cutmix_vision::weights::hub::HubError),
    /// Weights of which neither their names nor anything beside them says what network they are of.
    #[error(
        "the weights in {} are those of none of the networks that `cutmix train --help` lists; name the \
         nearest one with --model to see what differs", weights.display()
    )]
    UnknownWeights { weights: PathBuf },
    #[cfg(feature = "onnx")]
    #[error(transparent)]
    Onnx(#[from] cutmix_vision::weights::onnx::OnnxError),
    /// Burn's dashboard, where it cannot be shown.
    #[error("--dashboard {0}")]
    Dashboard(&'static str),
    #[error(transparent)]
    Train(cutmix_train::Error),
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A configuration file with a mistake in it.
    #[error("{}: {reason}", path.display())]
    Config { path: PathBuf, reason: String },
    #[error(
        "output folder {} exists and is not empty; choose another with --output, or remove it",
        .0.display()
    )]
    OutputTaken(PathBuf),
    #[error("{} exists; choose another file with --output", .0.display())]
    FileTaken(PathBuf),
    #[error("{} is not a run folder: it has no config.toml; `cutmix train` makes one", .0.display())]
    NotARun(PathBuf),
    #[error(
        "the run in {} was stopped before it started: it has no config.toml; start it again with: \
         cutmix train --output {}",
        .0.display(), quoted(.0)
    )]
    NotStarted(PathBuf),
    #[error(
        "the run in {} is not finished and has no model yet; if it was stopped, resume it with: \
         cutmix train --resume {}",
        .0.display(), quoted(.0)
    )]
    Unfinished(PathBuf),
    #[error("{} is not a model that `cutmix train` wrote, or is damaged: {reason}", path.display())]
    ModelFile { path: PathBuf, reason: String },
    #[error("{} does not describe the model of a run, or is damaged: {reason}", path.display())]
    CardFile { path: PathBuf, reason: String },
    #[error("{} does not list the samples of a run, or is damaged: {reason}", path.display())]
    ManifestFile { path: PathBuf, reason: String },
    /// The data are not those that the run was trained on.
    #[error("the data in {data} have changed since the run started: {changes}; {advice}")]
    ChangedData {
        data: String,
        changes: Changes,
        advice: String,
    },
    /// The data of a run are not where they were.
    #[error("{} does not exist; give the place where the data of the run are now with --data", .0.display())]
    NoData(PathBuf),
    #[error("run folder {} is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error(
        "--{0} cannot be given with --resume, which uses the settings of the run; --duration, \
         --data, --on-bad-image, --cache, --decode-memory, --device, --on-nan and --dashboard \
         can"
    )]
    ResumeSetting(String),
    #[error("{source}{}", resume_command(run))]
    NotFinite {
        source: cutmix_train::Error,
        /// The run, where a checkpoint has been written.
        run: Option<PathBuf>,
    },
    #[error(
        "{0} processes were started together, and this build trains in one; build with --features mpi \
         to train in several, or start it without mpirun"
    )]
    NoMpi(String),
    #[error("nothing is compared; give --algorithm or --row, once for each row")]
    NoRows,
    #[error("{} is not the folder of a study: it has no study.toml; `cutmix compare` makes one", .0.display())]
    NotAStudy(PathBuf),
    /// A study goes on with another plan.
    #[error(
        "the study in {} differs in {what}: {found}, expected {expected}; choose another folder with --output",
        folder.display()
    )]
    OtherStudy {
        folder: PathBuf,
        what: String,
        found: String,
        expected: String,
    },
    #[error("{} is a result with other {what}; remove it, or choose another folder with --output", path.display())]
    OtherResult { path: PathBuf, what: String },
    #[error("{failed} of {total} runs failed")]
    FailedRuns { failed: usize, total: usize },
    #[error("run folder {} has other settings than the study; remove it", .0.display())]
    OtherRun(PathBuf),
    #[error(
        "the runs have neither a validation nor a test set; add one, so that there is something to compare"
    )]
    Unmeasured,
    /// Processes that were started together do not find one another.
    #[error(
        "{0} processes were started together, and each finds only itself: use the mpirun of the MPI that \
         this program was built with, or with Slurm its interface, such as srun --mpi=pmix"
    )]
    OtherMpi(String),
    /// Another process of the run was started in another way.
    #[error("it differs from process 0 in {what}: {own}, expected {expected}")]
    OtherProcess {
        what: String,
        own: String,
        expected: String,
    },
    /// Some files failed; each has had a message of its own.
    #[error("{failed} of {total} images could not be read")]
    Images { failed: usize, total: usize },
}

/// Number of known names up to which an error has all of them.
const LISTED: usize = 50;
/// Number of the nearest ones, where there are more.
const NEAREST: usize = 10;

fn suggestion(near: &Option<String>) -> String {
    (near.as_ref()).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}

fn resume_command(run: &Option<PathBuf>) -> String {
    (run.as_ref()).map_or_else(String::new, |run| {
        let run = quoted(run);
        format!("; resume without such batches: cutmix train --resume {run} --on-nan skip")
    })
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
        let mut known: Vec<_> = known.into_iter().collect();
        let likeness = |known: &str| {
            let name = name.to_lowercase();
            // The first forgives wrong letters, the second wrong places.
            strsim::jaro_winkler(&name, known).max(strsim::sorensen_dice(&name, known))
        };
        let near = (known.iter().copied())
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
            .filter(|near| likeness(near) > 0.7);
        let near = near.map(String::from);
        let expected = if known.len() <= LISTED {
            alternatives(known)
        } else {
            known.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
            let others = known.len() - NEAREST;
            format!("one of {} or {others} more", known[..NEAREST].join(", "))
        };
        Self::Unknown {
            what: what.into(),
            name: name.into(),
            near,
            expected,
        }
    }

    /// The same error without the advice to skip images, for a command that cannot.
    pub fn without_advice(self) -> Self {
        self.with_advice(String::new())
    }

    /// The same error with another advice what to do about a bad image.
    pub fn with_advice(self, advice: String) -> Self {
        match self {
            Self::Image { path, reason, .. } => Self::Image {
                path,
                reason,
                advice,
            },
            error => error,
        }
    }

    pub fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source,
        }
    }

    pub fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write {
            path: path.into(),
            source,
        }
    }
}

/// The option that sets an argument of the library.
fn option_of(argument: &str) -> String {
    match argument {
        "max_duration" => "duration".into(),
        "algorithms" => "algorithm".into(),
        "name" => "model".into(),
        _ => argument.replace('_', "-"),
    }
}

/// Arguments of the trainer that are options here.
const TRAINER_OPTIONS: [&str; 11] = [
    "algorithms",
    "max_duration",
    "eval_interval",
    "save_interval",
    "learning_rate",
    "schedule",
    "warmup",
    "accumulate",
    "keep",
    "best",
    "patience",
];

impl From<cutmix_train::Error> for Error {
    fn from(error: cutmix_train::Error) -> Self {
        match error {
            cutmix_train::Error::Argument {
                argument,
                value,
                accepted,
            } if TRAINER_OPTIONS.contains(&argument) => {
                Self::option(&option_of(argument), value, accepted)
            }
            cutmix_train::Error::Data { set, source } => match source.downcast::<DataError>() {
                Ok(error) => (*error).into(),
                Err(source) => Self::Train(cutmix_train::Error::Data { set, source }),
            },
            cutmix_train::Error::Write { path, source } => Self::Write { path, source },
            cutmix_train::Error::Locked { path } => Self::InUse(path),
            error => Self::Train(error),
        }
    }
}

impl From<cutmix::Error> for Error {
    fn from(error: cutmix::Error) -> Self {
        cutmix_train::Error::from(error).into()
    }
}

/// The reason of the library why an image is bad, with the program's option in place of the field that
/// it names.
pub fn with_option(reason: &str) -> String {
    reason.replace("`DecodeConfig::memory`", "--decode-memory")
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        match error {
            DataError::NoGoodImage { count, reason } => Self::Data(DataError::NoGoodImage {
                reason: with_option(&reason),
                count,
            }),
            DataError::Argument {
                argument,
                value,
                expected,
            } => Self::option(&option_of(argument), value, expected),
            DataError::Image { path, reason } => Self::Image {
                path,
                reason,
                advice: "; repair or remove it, or leave such images out with --on-bad-image skip"
                    .into(),
            },
            DataError::TooLarge { path, what, memory } => Self::Image {
                path,
                reason: format!("{what}, more than the {} of --decode-memory", Bytes(memory)),
                advice: "; raise it, or leave such images out with --on-bad-image skip".into(),
            },
            error => Self::Data(error),
        }
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Unknown { name, known } => Self::unknown("model", &name, known),
            ModelError::Argument {
                argument:
                    argument @ ("head_rate" | "layer_decay" | "stochastic_depth" | "blur_pool"),
                value,
                expected,
            } => Self::option(&option_of(argument), value, expected),
            error => Self::Model(error),
        }
    }
}
