//! Batches of image files without labels, made ahead.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use burn::tensor::{Device, Tensor};

use super::upload::{Images, Uploader};
use crate::data::decode::Decoder;
use crate::data::{DataError, DecodeConfig, Normalize, View};

/// Number of batches that wait for their turn. Together with the next one they are made at the same
/// time, so that the last image of one keeps no thread waiting.
const AHEAD: usize = 2;

/// A file that is meant to be an image.
#[derive(Debug)]
pub struct ImageFile {
    /// Path of the file.
    pub path: PathBuf,
    /// The reason why there is no image of it, if there is none.
    pub error: Option<DataError>,
}

impl From<PathBuf> for ImageFile {
    fn from(path: PathBuf) -> Self {
        Self { path, error: None }
    }
}

/// Some files and the images of those that could be read.
#[derive(Debug)]
pub struct FileBatch {
    /// The files, in order.
    pub files: Vec<ImageFile>,
    /// Images of the files without an error, shape `[N, C, H, W]`, in order; `None` where every file has
    /// an error.
    pub images: Option<Tensor<4>>,
}

/// How image files become the batches of [`FileBatches`].
#[derive(Clone, Debug, PartialEq)]
pub struct FileBatchesConfig {
    /// Number of files in a batch, at least 1.
    pub batch_size: usize,
    /// How images of any size become those that a network takes.
    pub view: View,
    /// Mean and standard deviation of the channels.
    pub normalize: Normalize,
    /// How image files are decoded. Default [`DecodeConfig::new`].
    pub decoding: DecodeConfig,
}

impl FileBatchesConfig {
    /// Batches of `batch_size` files, seen through `view` and normalised by `normalize`.
    pub fn new(batch_size: usize, view: View, normalize: Normalize) -> Self {
        Self {
            batch_size,
            view,
            normalize,
            decoding: DecodeConfig::new(),
        }
    }

    /// Sets how image files are decoded.
    pub fn with_decoding(self, decoding: DecodeConfig) -> Self {
        Self { decoding, ..self }
    }

    /// Starts to make batches of `files` for `device`.
    ///
    /// # Errors
    /// [`DataError::Argument`] where an option is out of range, [`DataError::Io`] where the system
    /// has no thread left.
    pub fn init(
        self,
        files: impl Iterator<Item = ImageFile> + Send + 'static,
        device: &Device,
    ) -> Result<FileBatches, DataError> {
        let batch_size = self.batch_size;
        if batch_size == 0 {
            return Err(DataError::argument("batch_size", 0, "at least 1"));
        }
        self.view.check()?;
        let maker = Arc::new(Maker {
            uploader: Uploader::new(self.view.shape, &self.normalize)?,
            decoder: Decoder::new(self.decoding),
            view: self.view,
            device: device.clone(),
        });
        let (sender, batches) = sync_channel(AHEAD);
        let worker = maker.clone();
        let thread = std::thread::Builder::new()
            .name("image files".into())
            .spawn(move || work(&worker, files.fuse(), batch_size, &sender))
            .map_err(|error| DataError::io("image files".as_ref(), error))?;
        Ok(FileBatches {
            maker,
            batches,
            thread: Some(thread),
        })
    }
}

/// Batches of image files, decoded ahead by all threads within one budget of memory, in the order of the
/// files. A file that cannot be read is part of its batch, with its error, and the others still are.
///
/// The files are listed by a thread of its own as batches are needed, three batches ahead, so a list
/// may be endless. Where the iterator is dropped, that thread ends at its next batch.
///
/// ```no_run
/// use burn::tensor::Device;
/// use cutmix_vision::{FileBatchesConfig, ImageFile, Normalize, View, image_files};
///
/// let files = image_files("photos")?.into_iter().map(ImageFile::from);
/// let config = FileBatchesConfig::new(32, View::new([3, 224, 224]), Normalize::imagenet());
/// for batch in config.init(files, &Device::default())? {
///     for file in batch.files.iter().filter(|file| file.error.is_some()) {
///         println!("{}: {:?}", file.path.display(), file.error);
///     }
/// }
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
#[derive(Debug)]
pub struct FileBatches {
    maker: Arc<Maker>,
    batches: Receiver<Coming>,
    thread: Option<JoinHandle<()>>,
}

/// A batch, once it is made.
type Coming = Receiver<Made>;

/// A batch before it is on the device.
struct Made {
    files: Vec<ImageFile>,
    images: Images,
}

/// Everything that decides what a batch is.
#[derive(Debug)]
struct Maker {
    decoder: Decoder,
    view: View,
    uploader: Uploader,
    device: Device,
}

/// Has batches made by the threads of the pool, until there are no more files or nobody takes them.
fn work(
    maker: &Maker,
    mut files: impl Iterator<Item = ImageFile>,
    batch_size: usize,
    sender: &SyncSender<Coming>,
) {
    rayon::in_place_scope(|scope| {
        loop {
            let batch: Vec<_> = files.by_ref().take(batch_size).collect();
            let (done, made) = sync_channel(1);
            if batch.is_empty() || sender.send(made).is_err() {
                return;
            }
            scope.spawn(move |_| drop(done.send(maker.make(batch))));
        }
    });
}

impl Maker {
    fn make(&self, mut files: Vec<ImageFile>) -> Made {
        let mut images = Images::new(files.len() * self.uploader.len(), &self.device);
        let inputs = files.iter_mut().filter(|file| file.error.is_none());
        let inputs: Vec<_> = inputs.collect();
        let read = images.fill(&self.uploader, inputs, |file: &mut ImageFile| {
            let image = self.decoder.load(&file.path, &self.view);
            image.map_err(|error| file.error = Some(error))
        });
        let read = read.into_iter().enumerate();
        let good: Vec<_> = read
            .filter_map(|(at, read)| read.ok().map(|()| at))
            .collect();
        images.keep(&good, self.uploader.len());
        Made { files, images }
    }
}

impl FileBatches {
    /// The next batch that has been made; an error where there is none.
    fn receive(&self) -> Result<Made, std::sync::mpsc::RecvError> {
        self.batches.recv()?.recv()
    }

    /// Ends the thread, and panics if it has panicked.
    fn join(&mut self) {
        let (_, none) = sync_channel(0);
        drop(std::mem::replace(&mut self.batches, none));
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
    }
}

impl Iterator for FileBatches {
    type Item = FileBatch;

    fn next(&mut self) -> Option<FileBatch> {
        let Ok(Made { files, images }) = self.receive() else {
            self.join();
            return None;
        };
        let count = files.iter().filter(|file| file.error.is_none()).count();
        let Maker {
            uploader, device, ..
        } = &*self.maker;
        // Uploads happen on the caller's thread: the device would keep a stream for each thread.
        let images = (count > 0).then(|| uploader.upload(images, count, device));
        Some(FileBatch { files, images })
    }
}
