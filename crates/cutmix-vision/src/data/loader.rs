//! Batches for training and evaluation, made on their own thread.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use burn::tensor::{Device, Int, Tensor, TensorData};
use cutmix::plan::Stream;
use cutmix_train::{Batch, Batches, Loader, LoaderError};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::Placement;
use super::normalize::upload;
use super::{Augment, DataError, Dataset, Normalize};

/// Number of batches that are made ahead of the one in use.
const PREFETCH: usize = 2;
/// Lanes of the random stream, far from those of a trainer's algorithms, which start at 0.
const ORDER: u64 = 1 << 32;
const AUGMENT: u64 = ORDER + 1;

/// How [`ImageLoader::train`] makes batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoaderConfig {
    /// Number of samples in a batch, in 1..=the number of samples.
    pub batch_size: usize,
    /// Mean and standard deviation of the channels.
    pub normalize: Normalize,
    /// Seed of the order and of the augmentation. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// Random changes to the images. Default [`Augment::NONE`].
    #[serde(default)]
    pub augment: Augment,
    /// Whether the last samples of an epoch are left out where they do not fill a batch. Default
    /// `false`.
    #[serde(default)]
    pub drop_last: bool,
}

impl LoaderConfig {
    /// Batches of `batch_size` samples that are normalised by `normalize` and not augmented, in the
    /// order of seed 0.
    pub fn new(batch_size: usize, normalize: Normalize) -> Self {
        Self {
            batch_size,
            normalize,
            seed: 0,
            augment: Augment::NONE,
            drop_last: false,
        }
    }

    /// Sets the seed of the order and of the augmentation.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets the random changes to the images.
    pub fn with_augment(self, augment: Augment) -> Self {
        Self { augment, ..self }
    }

    /// Sets whether the last samples of an epoch are left out where they do not fill a batch.
    pub fn with_drop_last(self, drop_last: bool) -> Self {
        Self { drop_last, ..self }
    }
}

/// A [`Loader`] of the samples of a [`Dataset`]: images of shape `[N, C, H, W]`, normalised, and
/// class indices.
///
/// A loader for training yields the samples in a new order in each epoch. Order and augmentation
/// are a function of the seed, the epoch and the sample; the loader itself has no state.
///
/// Batches are made by a thread that keeps two ahead and starts with the first call of `next`; only
/// the upload to the device is done by the caller. Batches that are skipped are never made. The
/// thread ends when the iterator is dropped. An image that cannot be read is an error item with a
/// [`DataError`] that names it, and the last item.
///
/// ```
/// use burn::tensor::Device;
/// use cutmix_train::Loader;
/// use cutmix_vision::{ImageLoader, LoaderConfig, Normalize};
///
/// let splits = cutmix_vision::fashion_mnist().split_val(0.1, 42)?;
/// let normalize = Normalize::of(&splits.train)?;
/// let val = ImageLoader::eval(splits.val.expect("it was split off"), 256, normalize.clone())?;
/// let config = LoaderConfig::new(128, normalize).with_seed(42).with_drop_last(true);
/// let train = ImageLoader::train(splits.train, config)?;
///
/// let batch = train.batches(0, 0, &Device::default()).next().expect("it has batches")?;
/// assert_eq!(batch.images.dims(), [128, 1, 28, 28]);
/// assert_eq!(val.num_samples(), 1_000);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageLoader {
    maker: Arc<BatchMaker>,
}

/// Everything that decides what a batch is.
#[derive(Debug)]
struct BatchMaker {
    dataset: Dataset,
    table: Vec<[f32; 256]>,
    batch_size: usize,
    drop_last: bool,
    /// Seed and augmentation of a loader for training.
    shuffle: Option<(u64, Augment)>,
}

impl ImageLoader {
    /// A loader for training.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the set is empty, or an option is out of range or does not fit
    /// its images.
    pub fn train(dataset: Dataset, config: LoaderConfig) -> Result<Self, DataError> {
        let (len, [_, height, width]) = (dataset.len(), dataset.shape());
        let side = height.min(width);
        let padding = config.augment.crop_padding;
        if padding > side {
            let expected = format!("at most the shorter side, {side}");
            return Err(DataError::argument("crop_padding", padding, expected));
        }
        if config.batch_size > len && len > 0 {
            let expected = format!("1 to the number of samples, {len}");
            let value = config.batch_size;
            return Err(DataError::argument("batch_size", value, expected));
        }
        let maker = BatchMaker {
            shuffle: Some((config.seed, config.augment)),
            drop_last: config.drop_last,
            ..BatchMaker::in_order(dataset, config.batch_size, &config.normalize)?
        };
        Ok(Self {
            maker: Arc::new(maker),
        })
    }

    /// A loader that yields every sample once in each epoch, in order and unchanged; the last batch
    /// may be smaller.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the set is empty, `batch_size` is 0, or `normalize` does not
    /// fit the images.
    pub fn eval(
        dataset: Dataset,
        batch_size: usize,
        normalize: Normalize,
    ) -> Result<Self, DataError> {
        let maker = BatchMaker::in_order(dataset, batch_size, &normalize)?;
        Ok(Self {
            maker: Arc::new(maker),
        })
    }

    /// The samples that are loaded.
    pub fn dataset(&self) -> &Dataset {
        &self.maker.dataset
    }
}

impl Loader for ImageLoader {
    /// Number of samples in an epoch, without those that `drop_last` leaves out.
    fn num_samples(&self) -> usize {
        self.maker.num_samples()
    }

    fn num_classes(&self) -> usize {
        self.maker.dataset.classes().len()
    }

    fn batches<'a>(&'a self, epoch: u64, skip: usize, device: &Device) -> Batches<'a> {
        let total = self.maker.num_samples();
        let skipped = skip.saturating_mul(self.maker.batch_size).min(total);
        Box::new(EpochBatches {
            maker: self.maker.clone(),
            epoch,
            remaining: skipped..total,
            stage: Stage::Start,
            device: device.clone(),
        })
    }

    /// Digest of the names, sizes and labels of the samples and of the class names.
    fn digest(&self) -> Option<String> {
        Some(self.maker.dataset.digest())
    }
}

/// The values of a batch before they are uploaded to the device.
struct DecodedBatch {
    images: Vec<f32>,
    labels: Vec<i32>,
}

impl BatchMaker {
    fn in_order(
        dataset: Dataset,
        batch_size: usize,
        normalize: &Normalize,
    ) -> Result<Self, DataError> {
        if dataset.is_empty() {
            return Err(DataError::argument("dataset", "empty", "at least 1 sample"));
        }
        if batch_size == 0 {
            return Err(DataError::argument("batch_size", 0, "at least 1"));
        }
        Ok(Self {
            table: normalize.table(dataset.shape()[0])?,
            dataset,
            batch_size,
            drop_last: false,
            shuffle: None,
        })
    }

    fn num_samples(&self) -> usize {
        let len = self.dataset.len();
        if self.drop_last {
            len - len % self.batch_size
        } else {
            len
        }
    }

    /// Sends the batches of a part of an epoch until they are all sent, one fails, or the receiver
    /// is gone.
    fn send_all(
        &self,
        epoch: u64,
        part: Range<usize>,
        sender: &SyncSender<Result<DecodedBatch, DataError>>,
    ) {
        let order = self.order(epoch);
        for indices in order[part].chunks(self.batch_size) {
            let batch = self.batch(epoch, indices);
            let has_failed = batch.is_err();
            if sender.send(batch).is_err() || has_failed {
                return;
            }
        }
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.dataset.len()).collect();
        if let Some((seed, _)) = self.shuffle {
            order.shuffle(&mut Stream::new(seed).lane(ORDER).at(epoch));
        }
        order
    }

    fn placement(&self, epoch: u64, index: usize) -> Placement {
        match self.shuffle {
            Some((seed, augment)) => augment.draw(Stream::new(seed).lane(AUGMENT), epoch, index),
            None => Placement::NONE,
        }
    }

    fn batch(&self, epoch: u64, indices: &[usize]) -> Result<DecodedBatch, DataError> {
        let shape = self.dataset.shape();
        let len = shape.iter().product();
        let mut images = vec![0.0; indices.len() * len];
        let failure = images
            .par_chunks_exact_mut(len)
            .zip(indices)
            .find_map_first(|(values, &index)| {
                let placement = self.placement(epoch, index);
                match self.dataset.borrow_pixels(index) {
                    Ok(pixels) => {
                        placement.write(&pixels, shape, &self.table, values);
                        None
                    }
                    Err(error) => Some(error),
                }
            });
        if let Some(error) = failure {
            return Err(error);
        }
        let labels = (indices.iter()).map(|&index| self.dataset.label(index) as i32);
        Ok(DecodedBatch {
            labels: labels.collect(),
            images,
        })
    }
}

/// The batches of one epoch.
struct EpochBatches {
    maker: Arc<BatchMaker>,
    epoch: u64,
    /// Part of the epoch's order that has not been handed out.
    remaining: Range<usize>,
    stage: Stage,
    device: Device,
}

/// The life of an iterator.
enum Stage {
    /// No batch has been asked for.
    Start,
    /// A thread makes batches.
    Running(Receiver<Result<DecodedBatch, DataError>>, JoinHandle<()>),
    /// The last item has been handed out.
    End,
}

impl EpochBatches {
    fn start(&mut self) -> std::io::Result<()> {
        if !matches!(self.stage, Stage::Start) {
            return Ok(());
        }
        self.stage = Stage::End;
        let (maker, epoch, part) = (self.maker.clone(), self.epoch, self.remaining.clone());
        let (sender, receiver) = sync_channel(PREFETCH);
        let worker = std::thread::Builder::new()
            .name("image loader".into())
            .spawn(move || maker.send_all(epoch, part, &sender))?;
        self.stage = Stage::Running(receiver, worker);
        Ok(())
    }

    fn end(&mut self) {
        if let Stage::Running(receiver, worker) = std::mem::replace(&mut self.stage, Stage::End) {
            // Without a receiver the worker ends at its next batch, so the join is short.
            drop(receiver);
            // `next` reports a panic of the worker.
            let _ = worker.join();
        }
    }

    fn upload(&mut self, DecodedBatch { images, labels }: DecodedBatch) -> Batch {
        let count = labels.len();
        self.remaining.start += count;
        let labels = TensorData::new(labels, [count]);
        // Uploads happen on the caller's thread: the device would keep a stream for each thread.
        Batch {
            images: upload(images, self.maker.dataset.shape(), &self.device),
            targets: Tensor::<1, Int>::from_data(labels, &self.device).into(),
        }
    }
}

impl Iterator for EpochBatches {
    type Item = Result<Batch, LoaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.start() {
            return Some(Err(error.into()));
        }
        let Stage::Running(receiver, _) = &self.stage else {
            return None;
        };
        match receiver.recv() {
            Ok(Ok(batch)) => Some(Ok(self.upload(batch))),
            Ok(Err(error)) => {
                self.end();
                Some(Err(error.into()))
            }
            Err(_) => {
                self.end();
                let is_missing = !self.remaining.is_empty();
                is_missing.then(|| Err("the thread of the image loader panicked".into()))
            }
        }
    }
}

impl Drop for EpochBatches {
    fn drop(&mut self) {
        self.end();
    }
}
