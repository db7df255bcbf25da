//! The writing of checkpoints, by a thread of its own.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::RecordError;
use burn::tensor::StreamId;

use super::{Checkpoint, Checkpoints, Header, RunRecord, file};
use crate::trainer::TrainerConfig;
use crate::{AtomicFile, Error, State, parameters};

/// The identity of a new run: 128 bits from the system's random generator, in hexadecimal.
pub(crate) fn run_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// A lock on a folder, which one process holds at a time; it ends with the value or the process.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks the folder by a file `.lock` in it. The file stays: to remove it would let two
    /// processes lock two files of that name.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process holds the lock, [`Error::Write`] if the file cannot be
    /// written.
    pub fn acquire(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(".lock");
        let file = File::create(&path).map_err(|error| Error::write(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked {
                path: folder.into(),
            }),
            Err(TryLockError::Error(error)) => Err(Error::write(&path, error)),
        }
    }
}

/// Writes the checkpoints of a run.
pub(crate) struct Writer {
    to: Checkpoints,
    _lock: FolderLock,
    writing: Option<JoinHandle<Result<PathBuf, Error>>>,
    last: Option<PathBuf>,
    /// The stream of all threads that write: a GPU keeps memory for every stream that it sees.
    stream: StreamId,
}

impl Writer {
    /// Prepares the folder of a run, which is new or resumed from a checkpoint.
    pub fn open(to: Checkpoints, resumed: Option<&Checkpoint>) -> Result<Self, Error> {
        to.check()?;
        let unwritable = |error| Error::write(&to.folder, error);
        fs::create_dir_all(&to.folder).map_err(unwritable)?;
        let lock = FolderLock::acquire(&to.folder)?;
        match resumed {
            Some(checkpoint) => {
                let prefix = file::temporary_prefix(checkpoint.run());
                AtomicFile::remove_left_over(&to.folder, &prefix).map_err(unwritable)?;
            }
            None => {
                let folder = to.folder.display();
                let value = format!("{folder}, which has the checkpoints of a run");
                let accepted = "another folder, or that run to `resume`";
                let is_free = !Checkpoint::exists(&to.folder);
                Error::ensure(is_free, "checkpoints", value, accepted)?;
            }
        }
        Ok(Self {
            last: resumed.map(|checkpoint| checkpoint.path().into()),
            to,
            _lock: lock,
            writing: None,
            stream: StreamId::allocate(),
        })
    }

    /// The last checkpoint that was written, or that the run was resumed from.
    pub fn last(&self) -> Option<PathBuf> {
        self.last.clone()
    }

    /// Waits for the checkpoint that is being written.
    pub fn finish(&mut self) -> Result<(), Error> {
        if let Some(writing) = self.writing.take() {
            let written = writing
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match written {
                Ok(path) => self.last = Some(path),
                Err(Error::NotFinite { what, batch, .. }) => {
                    let checkpoint = self.last.clone();
                    return Err(Error::NotFinite {
                        what,
                        batch,
                        checkpoint,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Starts to write a checkpoint. The thread holds handles on the tensors of this content, so
    /// training continues at once.
    pub fn write<M: Module + 'static, const D: usize>(
        &mut self,
        state: &State<M, D>,
        record: &RunRecord,
        config: &TrainerConfig,
    ) -> Result<(), Error> {
        self.finish()?;
        let header = Header {
            record: record.clone(),
            seed: config.seed,
            max_duration: config.max_duration,
            counts: state.clock.counts(),
            history: state.history.clone(),
            learning_rate: state.learning_rate,
            skipped: state.skipped,
            lengths: Vec::new(),
        };
        let content = Content {
            to: self.to.clone(),
            header,
            // `valid` brings running statistics up to date, and a clone would share them.
            model: state.model().valid(),
            ema_model: state.ema_model.as_ref().map(Module::valid),
            optimizer: state.optimizer.clone(),
        };
        let thread = std::thread::Builder::new().name("checkpoint".into());
        let stream = self.stream;
        let writing = thread.spawn(move || stream.executes(|| content.write()));
        self.writing = Some(writing.map_err(|error| Error::write(&self.to.folder, error))?);
        Ok(())
    }
}

/// What a checkpoint is made of.
struct Content<M> {
    to: Checkpoints,
    header: Header,
    model: M,
    ema_model: Option<M>,
    optimizer: ModuleOptimizer,
}

impl<M: Module> Content<M> {
    fn write(self) -> Result<PathBuf, Error> {
        let batch = self.header.counts.batches;
        // A step whose loss was finite may have spoiled the weights.
        if !parameters::are_finite(&self.model)? {
            return Err(Error::NotFinite {
                what: "weights",
                batch: batch.saturating_sub(1),
                checkpoint: None,
            });
        }
        let folder = &self.to.folder;
        let encode =
            |error: RecordError| Error::write(folder, std::io::Error::other(error.to_string()));
        let mut sections = vec![
            self.model.into_record().into_bytes().map_err(encode)?,
            self.optimizer.into_bytes().map_err(encode)?,
        ];
        if let Some(ema_model) = self.ema_model {
            sections.push(ema_model.into_record().into_bytes().map_err(encode)?);
        }
        let header = Header {
            lengths: sections.iter().map(|bytes| bytes.len() as u64).collect(),
            ..self.header
        };
        let unwritable = |error| Error::write(&file::path(folder, batch), error);
        let path = file::write(folder, &header, &sections).map_err(unwritable)?;
        let RunRecord { run, best, .. } = &header.record;
        let best = best.as_ref().map(|(_, batch)| *batch);
        file::prune(folder, run, batch, self.to.keep, best).map_err(unwritable)?;
        Ok(path)
    }
}
