//! The folder that a run leaves behind.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::Device;
use cutmix::trainer::Checkpoint;
use cutmix_vision::{Architecture, DataError, Normalize, ResNet, ResNetConfig};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::Error;
use crate::precision::widened;
use crate::say::say;

/// Where [`ModelCard`] is in the metadata of the model file.
const CARD: &str = "cutmix";

/// The folder of one run.
///
/// Whoever writes into it holds a lock on it.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held as long as this is. The file stays: to remove it would let two processes lock two.
    _lock: Option<File>,
}

/// What the model file says of itself: all that `eval` and `predict` need besides the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    pub architecture: Architecture,
    pub classes: Vec<String>,
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    pub normalize: Normalize,
}

impl ModelCard {
    /// The network with new weights.
    pub fn network(&self, device: &Device) -> Result<ResNet, DataError> {
        ResNetConfig::new(self.architecture, self.classes.len())
            .with_channels(self.shape[0])
            .init(device)
    }
}

impl RunFolder {
    /// Whether the folder `output` is free, before any work is done for it.
    pub fn check(output: Option<&Path>) -> Result<(), Error> {
        match output {
            Some(output) if is_empty(output).is_ok_and(|empty| !empty) => {
                Err(Error::OutputTaken(output.into()))
            }
            // What else is wrong shows when it is made.
            _ => Ok(()),
        }
    }

    /// Makes the folder `output`, or the next free one of `runs/001`, `runs/002`, ...
    pub fn create(output: Option<&Path>) -> Result<Self, Error> {
        let Some(output) = output else {
            return Self::next(Path::new("runs"));
        };
        fs::create_dir_all(output).map_err(|error| Error::write(output, error))?;
        match is_empty(output) {
            Ok(true) => Self::locked(output.into()),
            Ok(false) => Err(Error::OutputTaken(output.into())),
            Err(error) => Err(Error::write(output, error)),
        }
    }

    fn next(runs: &Path) -> Result<Self, Error> {
        fs::create_dir_all(runs).map_err(|error| Error::write(runs, error))?;
        let mut number = 1;
        loop {
            let path = runs.join(format!("{number:03}"));
            match fs::create_dir(&path) {
                Ok(()) => return Self::locked(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Error::write(&path, error)),
            }
        }
    }

    fn locked(path: PathBuf) -> Result<Self, Error> {
        let name = path.join(".lock");
        let lock = File::create(&name).map_err(|error| Error::write(&name, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path,
                _lock: Some(lock),
            }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(path)),
            Err(TryLockError::Error(error)) => Err(Error::write(&name, error)),
        }
    }

    /// The folder of a finished run.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let run = Self::of_run(path)?;
        match run.model().is_file() {
            true => Ok(run),
            false => Err(Error::Unfinished(run.path)),
        }
    }

    /// The folder of a run that is to go on.
    pub fn resume(path: &Path) -> Result<Self, Error> {
        Self::locked(Self::of_run(path)?.path)
    }

    fn of_run(path: &Path) -> Result<Self, Error> {
        let run = Self {
            path: path.into(),
            _lock: None,
        };
        match run.config().is_file() {
            true => Ok(run),
            false => Err(Error::NotARun(run.path)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    pub fn json_lines(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    pub fn curves(&self) -> PathBuf {
        self.path.join("curves.png")
    }

    pub fn batch(&self) -> PathBuf {
        self.path.join("batch.png")
    }

    /// The newest checkpoint that is whole; none where the run was stopped before its first.
    pub fn latest_checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let folder = self.checkpoints();
        if !Checkpoint::exists(&folder) {
            if self.model().exists() || (self.has_reports() && !folder.is_dir()) {
                // They have been lost; to begin anew would overwrite what there is.
                Checkpoint::latest(&folder)?;
            }
            say!("no checkpoint yet: the run begins anew");
            return Ok(None);
        }
        let latest = Checkpoint::latest(&folder)?;
        for damaged in latest.damaged {
            eprintln!("warning: {damaged}; it is not used");
        }
        Ok(Some(latest.checkpoint))
    }

    /// Whether the table of the run has a row.
    fn has_reports(&self) -> bool {
        fs::read_to_string(self.metrics()).is_ok_and(|table| table.lines().count() > 1)
    }

    pub fn write_config(&self, config: &Config) -> Result<(), Error> {
        let path = self.config();
        let text = config
            .to_toml()
            .map_err(|error| Error::write(&path, error))?;
        // Whole or not at all: a run that is killed here has not begun.
        write_whole(&path, text.as_bytes())
    }

    /// Writes the model, whole or not at all. (Burn's store does that too, but makes a file that only
    /// its owner can read.)
    pub fn save_model(&self, model: &ResNet, card: &ModelCard) -> Result<(), Error> {
        let path = self.model();
        let card = serde_json::to_string(card).expect("plain values are JSON");
        let mut store = SafetensorsStore::from_bytes(None).metadata(CARD, card);
        let bytes = (widened(model).save_into(&mut store)).and_then(|()| store.get_bytes());
        let bytes = bytes.map_err(|error| Error::write(&path, error))?;
        write_whole(&path, &bytes)
    }

    /// Reads the model to `device`.
    pub fn load_model(&self, device: &Device) -> Result<(ModelCard, ResNet), Error> {
        let path = self.model();
        let damaged = |reason: String| Error::Model {
            path: path.clone(),
            reason: reason.replace('\n', " ").trim().into(),
        };
        let bytes = fs::read(&path).map_err(|error| damaged(error.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
        let card = (header.metadata().as_ref()).and_then(|metadata| metadata.get(CARD));
        let card = card.ok_or_else(|| damaged("it does not name its classes".into()))?;
        let card: ModelCard = serde_json::from_str(card).map_err(|e| damaged(e.to_string()))?;
        if card.shape.contains(&0) {
            return Err(damaged("its images have no pixels".into()));
        }
        let mut model = card.network(device).map_err(|e| damaged(e.to_string()))?;
        let mut store = SafetensorsStore::from_bytes(Some(bytes));
        model
            .load_from(&mut store)
            .map_err(|e| damaged(e.to_string()))?;
        Ok((card, model))
    }
}

/// Under a temporary name that is then changed, so that the file is there whole or not at all, also
/// after a power failure.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|error: std::io::Error| {
        // Gone already, or not ours to remove: the error that counts is the first.
        let _ = fs::remove_file(&part);
        Error::write(path, error)
    })
}

/// Whether a folder has nothing in it.
fn is_empty(folder: &Path) -> std::io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}
