//! Errors of weights.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Reason why weights could not be read, used or written. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is of another kind, or damaged.
    #[error(
        "cannot read weights from {}: {reason}; expected a safetensors file, or a state dict that \
         torch.save wrote", path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file holds the weights of another network.
    #[error(
        "the weights in {} are not those of {network}: {misfit}{}",
        path.display(),
        nearest.map(|name| format!("; they are those of {name}")).unwrap_or_default()
    )]
    Network {
        /// The file.
        path: PathBuf,
        /// Name of the network that was to be loaded.
        network: &'static str,
        /// What does not fit.
        misfit: Box<Misfit>,
        /// Name of the network that the weights fit.
        nearest: Option<&'static str>,
    },
    /// The tensors of a network cannot be read from its device.
    #[error("cannot write the weights: {reason}")]
    Write {
        /// What went wrong.
        reason: String,
    },
}

/// Why the tensors of a file are not those of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Tensors of the backbone are missing or have other shapes.
    Needed {
        /// The first of them.
        name: String,
        /// Its shape in the network.
        expected: Vec<usize>,
        /// Its shape in the file; `None` where it is missing.
        found: Option<Vec<usize>>,
        /// Number of such tensors.
        count: usize,
        /// Number of tensors of the backbone.
        total: usize,
    },
    /// Tensors have no place in the network, and another network has one for them.
    Unused {
        /// The first of them.
        name: String,
        /// Number of such tensors.
        count: usize,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed {
                name,
                expected,
                found,
                count,
                total,
            } => {
                match found {
                    Some(found) => {
                        write!(f, "`{name}` has the shape {found:?}, expected {expected:?}")?;
                    }
                    None => write!(f, "`{name}` is missing")?,
                }
                match count {
                    1 => Ok(()),
                    count => write!(f, ", and {count} of {total} tensors do not fit"),
                }
            }
            Self::Unused { name, count } => {
                // A name out of a file may have any characters.
                write!(f, "it has no place for `{}`", name.escape_debug())?;
                match count {
                    1 => Ok(()),
                    count => write!(f, " and {} more tensors", count - 1),
                }
            }
        }
    }
}

/// A message of another crate, which may have several lines, in one.
pub(super) fn one_line(message: impl ToString) -> String {
    let message = message.to_string();
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
