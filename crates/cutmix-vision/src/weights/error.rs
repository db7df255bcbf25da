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
        misfit: Misfit,
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

/// The tensors of a network that a file does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The first tensor that is missing or has another shape.
    pub name: String,
    /// Its shape in the network.
    pub expected: Vec<usize>,
    /// Its shape in the file; `None` where it is missing.
    pub found: Option<Vec<usize>>,
    /// Number of tensors that are missing or have other shapes.
    pub count: usize,
    /// Number of tensors of the network, without those of its head.
    pub total: usize,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, expected, .. } = self;
        match &self.found {
            Some(found) => write!(f, "`{name}` has the shape {found:?}, expected {expected:?}")?,
            None => write!(f, "`{name}` is missing")?,
        }
        match self.count {
            1 => Ok(()),
            count => write!(f, ", as {} of {} tensors do not fit", count, self.total),
        }
    }
}
