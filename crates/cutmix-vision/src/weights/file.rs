//! The tensors of a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::burn_pack::Tensor;
use burn::store::pytorch_reader::{PytorchError, PytorchReader};
use burn::store::{
    BurnToPyTorchAdapter, ModuleSnapshot, ModuleStore, SafetensorsStore, SafetensorsStoreError,
    bridge,
};

use super::WeightsError;
use super::error::one_line;
use crate::models::AnyNetwork;

/// The largest header of a safetensors file; that of its specification.
const MAX_HEADER: u64 = 100_000_000;

/// The tensors of a file by their names. Their values are read when they are used.
#[derive(Clone, Debug)]
pub struct Weights {
    pub(super) path: PathBuf,
    pub(super) tensors: BTreeMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

impl Weights {
    /// Opens a safetensors file, or a checkpoint that `torch.save` wrote in any of its formats. What
    /// the file is its first bytes say. The pickle of a checkpoint is parsed and never run. The values
    /// are read by [`load`](Self::load); the file may be replaced by then, but not changed in place.
    ///
    /// # Errors
    /// [`WeightsError::Read`] where the file cannot be opened, [`WeightsError::Format`] where it is
    /// neither, is damaged or holds no tensors.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let start = start_of(path).map_err(|source| WeightsError::Read {
            path: path.into(),
            source,
        })?;
        let (tensors, metadata) = match header_size(&start) {
            Some(size) => (safetensors(path)?, metadata(path, size)),
            None if may_be_pytorch(&start) => (pytorch(path)?, HashMap::new()),
            None => {
                let reason = "its first bytes are those of another kind of file";
                return Err(format_error(path, reason));
            }
        };
        let weights = Self {
            path: path.into(),
            tensors,
            metadata,
        };
        if weights.tensors.is_empty() {
            return Err(format_error(path, "it holds no tensors"));
        }
        Ok(weights)
    }

    /// The weights of a network, as if they were read from a file of this name.
    pub fn of(network: &AnyNetwork, path: &Path) -> Self {
        // `valid` brings running statistics up to date.
        let tensors = network
            .valid()
            .collect(None, Some(Box::new(BurnToPyTorchAdapter)), false);
        Self {
            path: path.into(),
            tensors: by_name(tensors),
            metadata: HashMap::new(),
        }
    }

    /// The weights without those of the module of this name, such as the head's `fc`, under any prefix.
    pub fn without(mut self, module: &str) -> Self {
        let (first, inner) = (format!("{module}."), format!(".{module}."));
        (self.tensors).retain(|name, _| !(name.starts_with(&first) || name.contains(&inner)));
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the tensors, in the order of the alphabet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The text under a key of the metadata of a safetensors file.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}

pub(super) fn format_error(path: &Path, reason: impl ToString) -> WeightsError {
    WeightsError::Format {
        path: path.into(),
        reason: one_line(reason),
    }
}

/// The bytes by which the kinds of files differ.
fn start_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(262).read_to_end(&mut start)?;
    Ok(start)
}

/// The size of the JSON at the start of a safetensors file; `None` for other files.
fn header_size(start: &[u8]) -> Option<u64> {
    let (size, json) = start.split_first_chunk()?;
    let size = u64::from_le_bytes(*size);
    (json.starts_with(b"{") && size <= MAX_HEADER).then_some(size)
}

/// Whether a file begins as an archive (zip or, long ago, tar) or a pickle does.
fn may_be_pytorch(start: &[u8]) -> bool {
    let is_tar = start.get(257..262) == Some(b"ustar");
    start.starts_with(b"PK") || start.starts_with(b"\x80") || is_tar
}

/// The entry `__metadata__` of a safetensors file. What cannot be read is an error of the tensors.
fn metadata(path: &Path, header_size: u64) -> HashMap<String, String> {
    #[derive(Default, serde::Deserialize)]
    struct Header {
        #[serde(default, rename = "__metadata__")]
        metadata: HashMap<String, String>,
    }

    let read = || -> std::io::Result<Header> {
        let mut header = Vec::new();
        let end = 8 + header_size;
        File::open(path)?.take(end).read_to_end(&mut header)?;
        Ok(serde_json::from_slice(&header[8.min(header.len())..])?)
    };
    read().unwrap_or_default().metadata
}

fn safetensors(path: &Path) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let mut store = SafetensorsStore::from_file(path).map_indices_contiguous(false);
    let tensors = store.get_all_tensors().cloned();
    tensors.map_err(|error| match error {
        SafetensorsStoreError::Io(source) => WeightsError::Read {
            path: path.into(),
            source,
        },
        SafetensorsStoreError::Safetensors(error) => format_error(path, error),
        error => format_error(path, error),
    })
}

fn pytorch(path: &Path) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let reader = PytorchReader::new(path).map_err(|error| match error {
        PytorchError::Io(source) if source.kind() != std::io::ErrorKind::InvalidData => {
            WeightsError::Read {
                path: path.into(),
                source,
            }
        }
        error => format_error(path, error),
    })?;
    let tensors = reader.into_tensors().into_values();
    Ok(by_name(tensors.map(bridge::from_pytorch)))
}

fn by_name(tensors: impl IntoIterator<Item = Tensor>) -> BTreeMap<String, Tensor> {
    let tensors = tensors.into_iter();
    tensors
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect()
}
