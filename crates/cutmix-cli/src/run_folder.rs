//! The folder of a run.

mod checkpoints;

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, FloatDType};
use cutmix_train::{AtomicFile, FolderLock};
use cutmix_vision::weights::{Head, Weights, WeightsError, to_safetensors};
use cutmix_vision::{
    AnyNetwork, DecodeConfig, Manifest, ModelConfig, ModelError, Normalize, View, models,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::precision::{Precision, cast};
use crate::settings::Settings;

/// The key of [`ModelCard`] in the metadata of the model file. It is the only one, because the order
/// of several is random.
pub const CARD: &str = "cutmix";

const LOCK: &str = ".lock";
const MANIFEST: &str = "manifest.json";
const GIVEN: &str = "given.toml";
/// What the names of temporary files begin with.
pub const TEMPORARY: &str = ".cutmix-";

/// The folder of one run. Who writes to it holds a lock on it.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Option<FolderLock>,
}

/// What `eval` and `predict` need besides the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelCard {
    /// The name of the network.
    #[serde(alias = "architecture")]
    pub model: String,
    /// Whether the network blurs images in front of layers with a stride.
    #[serde(default)]
    pub blur_pool: bool,
    pub classes: Vec<String>,
    /// How images become those that the network takes.
    #[serde(flatten)]
    pub view: View,
    pub normalize: Normalize,
    /// How image files are decoded.
    #[serde(default)]
    pub decoding: DecodeConfig,
    /// Whether images may have several classes.
    #[serde(default)]
    pub is_multi_label: bool,
    /// Weights of the classes in the loss; `None` where all are 1.
    #[serde(default)]
    pub class_weights: Option<Vec<f32>>,
}

impl ModelCard {
    /// The card of the weights of a run, or why they have none.
    pub fn of(weights: &Weights) -> Result<Self, String> {
        let card = weights.metadata(CARD);
        Self::from_json(card.ok_or("it does not name its classes")?.as_bytes())
    }

    /// Reads a card; otherwise the reason why it is none.
    fn from_json(json: &[u8]) -> Result<Self, String> {
        let card: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        card.view.check().map_err(|error| error.to_string())?;
        Ok(card)
    }

    /// The network with new weights.
    pub fn network(&self, device: &Device) -> Result<AnyNetwork, ModelError> {
        self.config().init(device)
    }

    /// What the network is made of.
    pub fn config(&self) -> ModelConfig {
        ModelConfig::new(&self.model, self.classes.len())
            .with_channels(self.view.shape[0])
            .with_blur_pool(self.blur_pool)
    }

    /// Its parts by their names, as JSON.
    pub fn parts(&self) -> Vec<(String, String)> {
        let card = serde_json::to_value(self).expect("texts and numbers are JSON");
        let parts = card.as_object().into_iter().flatten();
        parts
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect()
    }

    /// The text in the metadata of model files.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }
}

impl RunFolder {
    /// Checks that the folder `output` is free, before any work is done for it. Other errors are
    /// reported when it is made.
    pub fn check(output: Option<&Path>) -> Result<(), Error> {
        match output {
            Some(output) if is_started(output).is_ok_and(|started| started) => {
                Err(Error::OutputTaken(output.into()))
            }
            _ => Ok(()),
        }
    }

    /// Makes the folder `output`, or the next free one of `runs/001`, `runs/002`, ...
    pub fn create(output: Option<&Path>) -> Result<Self, Error> {
        let Some(output) = output else {
            return Self::next(Path::new("runs"));
        };
        fs::create_dir_all(output).map_err(|error| Error::write(output, error))?;
        let run = Self::locked(output.into())?;
        // Only now, because another process may have started a run in it.
        match is_started(output) {
            Ok(false) => Ok(run),
            Ok(true) => Err(Error::OutputTaken(output.into())),
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
        let lock = FolderLock::acquire(&path)?;
        Ok(Self {
            path,
            _lock: Some(lock),
        })
    }

    /// The folder of a run in which another process writes.
    pub fn of_other(path: PathBuf) -> Self {
        Self { path, _lock: None }
    }

    /// The folder of a run that is only read, whether it is finished, stopped or in progress.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::of_run(path)
    }

    /// The folder of a run that is resumed.
    pub fn resume(path: &Path) -> Result<Self, Error> {
        Self::locked(Self::of_run(path)?.path)
    }

    fn of_run(path: &Path) -> Result<Self, Error> {
        let run = Self {
            path: path.into(),
            _lock: None,
        };
        if run.config().is_file() {
            Ok(run)
        } else if run.path.join(LOCK).is_file() && is_started(path).is_ok_and(|started| !started) {
            Err(Error::NotStarted(run.path))
        } else {
            Err(Error::NotARun(run.path))
        }
    }

    /// Whether no other process writes to the folder, as far as that can be known.
    pub fn is_free(&self) -> bool {
        if self._lock.is_some() {
            return true;
        }
        match fs::File::open(self.path.join(LOCK)) {
            // Shared for a moment, so that two processes that look do not see each other.
            Ok(file) => file.try_lock_shared().is_ok(),
            Err(error) => error.kind() == ErrorKind::NotFound,
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

    pub fn first_batch(&self) -> PathBuf {
        self.path.join("batch.png")
    }

    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// What algorithms logged for batches.
    pub fn batches(&self) -> PathBuf {
        self.path.join("batches.csv")
    }

    /// The folder of all evaluations.
    pub fn evaluations(&self) -> PathBuf {
        self.path.join("eval")
    }

    /// The folder of an evaluation of this name.
    pub fn evaluation(&self, name: &str) -> PathBuf {
        self.evaluations().join(name)
    }

    fn given(&self) -> PathBuf {
        self.path.join(GIVEN)
    }

    fn card(&self) -> PathBuf {
        self.path.join("card.json")
    }

    fn manifest(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    /// Writes the manifest, what was given, and then the settings, without which the folder is not that
    /// of a run: a process that is killed in between has not started one.
    pub fn start(
        &self,
        settings: &Settings,
        given: &toml::Table,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        self.remove_temporary();
        // Of millions of samples the text would be large.
        write_whole_with(&self.manifest(), |file| {
            let mut file = BufWriter::new(file);
            serde_json::to_writer(&mut file, manifest)?;
            file.flush()
        })?;
        let files = [self.given_file(given), self.config_file(settings)];
        (files.iter()).try_for_each(|(path, text)| write_whole(path, text.as_bytes()))
    }

    /// The path and the text of the file with all settings.
    pub fn config_file(&self, settings: &Settings) -> (PathBuf, String) {
        (self.config(), settings.to_toml())
    }

    /// The path and the text of the file with the settings that were given; the others were filled in.
    pub fn given_file(&self, given: &toml::Table) -> (PathBuf, String) {
        let text = format!("# The settings that were given; config.toml has all.\n{given}");
        (self.given(), text)
    }

    /// The settings that were given, where that is known.
    pub fn read_given(&self) -> Option<toml::Table> {
        toml::from_str(&fs::read_to_string(self.given()).ok()?).ok()
    }

    pub fn read_manifest(&self) -> Result<Manifest, Error> {
        let path = self.manifest();
        let json = fs::read(&path).map_err(|error| Error::read(&path, error))?;
        serde_json::from_slice(&json).map_err(|error| Error::ManifestFile {
            path,
            reason: error.to_string(),
        })
    }

    /// What a run that continues no longer has.
    pub fn results(&self) -> Results {
        Results {
            model: self.model(),
            evaluations: self.evaluations(),
        }
    }

    /// Removes what a process that was killed has left half written.
    pub fn remove_temporary(&self) {
        // Nobody reads it; it stays where it cannot be removed.
        let _ = AtomicFile::remove_left_over(&self.path, TEMPORARY);
    }

    /// Writes the model, with weights in f32. Two equal models give the same bytes.
    pub fn save_model(&self, model: &AnyNetwork, card: &ModelCard) -> Result<(), Error> {
        let path = self.model();
        let bytes = model_file(model, card);
        let bytes = bytes.map_err(|error| Error::write(&path, io::Error::other(error)))?;
        write_whole(&path, &bytes)
    }

    /// Reads the model to `device`, which has been set to this precision. Where there is no model file,
    /// because the run was stopped or is in progress, it is the one in a checkpoint, which a warning names.
    pub fn load_model(
        &self,
        device: &Device,
        precision: Precision,
    ) -> Result<(ModelCard, AnyNetwork), Error> {
        let path = self.model();
        let (card, model) = match Weights::read(&path) {
            Ok(weights) => network_of(&weights, device)?,
            Err(WeightsError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                self.model_so_far(device)?
            }
            Err(error) => return Err(damaged(error, &path)),
        };
        Ok((card, cast(model, precision.dtype())))
    }
}

/// The model of a finished run, and what was measured of it or of a checkpoint.
pub struct Results {
    model: PathBuf,
    evaluations: PathBuf,
}

impl Results {
    /// Removes them. The checkpoints have the weights.
    pub fn remove(&self) -> Result<(), Error> {
        let is_gone = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        for (path, removed) in [
            (&self.evaluations, fs::remove_dir_all(&self.evaluations)),
            (&self.model, fs::remove_file(&self.model)),
        ] {
            match removed {
                Err(error) if !is_gone(&error) => return Err(Error::write(path, error)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The content of a model file: the weights in f32, and the card.
pub fn model_file(model: &AnyNetwork, card: &ModelCard) -> Result<Vec<u8>, WeightsError> {
    to_safetensors(&cast(model.valid(), FloatDType::F32), CARD, &card.to_json())
}

/// The model with the weights of a run.
fn network_of(weights: &Weights, device: &Device) -> Result<(ModelCard, AnyNetwork), Error> {
    let wrong = |reason: String| Error::ModelFile {
        path: weights.path().into(),
        reason,
    };
    let card = ModelCard::of(weights).map_err(wrong)?;
    let mut network = card
        .network(device)
        .map_err(|error| wrong(error.to_string()))?;
    let loaded = weights.load(models::find(&card.model)?, &mut network)?;
    if loaded.head == Head::Taken {
        Ok((card, network))
    } else {
        let classes = card.classes.len();
        Err(wrong(format!("its head is not for its {classes} classes")))
    }
}

/// The error of weights that cannot be read, where they are those of a run.
fn damaged(error: WeightsError, path: &Path) -> Error {
    match error {
        WeightsError::Format { reason, .. } => Error::ModelFile {
            path: path.into(),
            reason,
        },
        error => error.into(),
    }
}

/// Whether a folder has other files than those of a run that was killed before it started.
fn is_started(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let is_temporary = name.to_string_lossy().starts_with(TEMPORARY);
        if name != LOCK && name != MANIFEST && name != GIVEN && !is_temporary {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The bytes of a CSV file with what `write` writes.
pub fn csv_bytes(
    write: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> csv::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    write(&mut csv)?;
    csv.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// Writes a CSV file as [`write_whole`] does.
pub fn write_csv(
    path: &Path,
    write: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> csv::Result<()>,
) -> Result<(), Error> {
    let bytes = csv_bytes(write).map_err(|error| Error::write(path, error))?;
    write_whole(path, &bytes)
}

/// Writes a file whole or not at all, also after a power failure.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_whole_with(path, |file| file.write_all(bytes))
}

/// Writes a file whole or not at all, also after a power failure.
fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut AtomicFile) -> io::Result<()>,
) -> Result<(), Error> {
    let written = AtomicFile::create(path, TEMPORARY).and_then(|mut file| {
        write(&mut file)?;
        file.commit()
    });
    written.map_err(|error| Error::write(path, error))
}
