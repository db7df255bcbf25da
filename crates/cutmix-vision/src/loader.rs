//! Batches for training and evaluation, made on a thread of their own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Int, Tensor, TensorData};
use cutmix::Batch;
use cutmix::plan::Stream;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::transform::upload;
use crate::{Augment, DataError, Dataset, Normalize};

/// Batches made ahead of the one in use.
const PREFETCH: usize = 2;
/// Lanes of the random stream, far from those of a trainer's algorithms, which start at 0.
const ORDER: u64 = 1 << 32;
const AUGMENT: u64 = ORDER + 1;

/// How [`Loader::train`] makes batches.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Samples in a batch, in 1..=the number of samples.
    pub batch_size: usize,
    /// Seed of the order and of the augmentation.
    pub seed: u64,
    /// Random changes to the images.
    pub augment: Augment,
    /// Mean and standard deviation of the channels.
    pub normalize: Normalize,
    /// Leave out the last samples of an epoch that do not fill a batch.
    pub drop_last: bool,
}

/// Hands out the samples of a [`Dataset`] as batches: images of shape `[N, C, H, W]`, normalised,
/// and class indices.
///
/// A loader for training goes through the set in a new order in each epoch. Order and augmentation
/// are a function of the seed, the epoch and the sample. The epoch is the number of earlier calls
/// of [`iter`](DataLoader::iter) on this loader, its clones and its copies on other devices, which
/// share the count; [`set_epoch`](Self::set_epoch) sets it.
///
/// Batches are made by a thread that keeps two ahead and begins with the first call of `next`; only
/// the upload to the device is done by the caller. `nth` before that passes over batches without
/// making them. Dropping the iterator ends the thread. An image that cannot be read is an
/// error item that names it, and the last item.
///
/// ```
/// use std::sync::Arc;
/// use burn::data::dataloader::DataLoader;
/// use cutmix_vision::{Augment, Loader, LoaderOptions, Normalize};
///
/// let (train, test) = cutmix_vision::fashion_mnist();
/// let normalize = Normalize::of(&train)?;
/// let eval = Loader::eval(test, 256, normalize.clone())?;
/// let train = Loader::train(train, LoaderOptions {
///     batch_size: 128,
///     seed: 42,
///     augment: Augment::NONE,
///     normalize,
///     drop_last: true,
/// })?;
/// let batch = train.iter().next().unwrap().unwrap();
/// assert_eq!(batch.images.dims(), [128, 1, 28, 28]);
/// let eval: Arc<dyn DataLoader<cutmix::Batch<4>>> = Arc::new(eval);
/// assert_eq!(eval.num_items(), 10_000);
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
#[derive(Clone)]
pub struct Loader {
    recipe: Arc<Recipe>,
    epoch: Arc<AtomicUsize>,
    /// The part of each epoch's order that this loader hands out.
    range: Range<usize>,
    device: Device,
}

struct Recipe {
    dataset: Dataset,
    table: Vec<[f32; 256]>,
    batch_size: usize,
    drop_last: bool,
    /// Seed and augmentation of a loader for training.
    shuffle: Option<(u64, Augment)>,
}

impl Loader {
    /// A loader for training, with batches on the default device until
    /// [`to_device`](DataLoader::to_device).
    ///
    /// # Errors
    /// [`DataError::Argument`] where the set is empty, or an option is out of range or does not fit
    /// its images.
    pub fn train(dataset: Dataset, options: LoaderOptions) -> Result<Self, DataError> {
        let (len, [_, height, width]) = (dataset.len(), dataset.shape());
        let reach = height.min(width);
        if options.augment.crop_padding > reach {
            let expected = format!("at most the shorter side, {reach}");
            let value = options.augment.crop_padding;
            return Err(DataError::argument("crop_padding", value, expected));
        }
        if options.batch_size > len && len > 0 {
            let expected = format!("1 to the number of samples, {len}");
            return Err(DataError::argument(
                "batch_size",
                options.batch_size,
                expected,
            ));
        }
        let shuffle = Some((options.seed, options.augment));
        let mut loader = Self::eval(dataset, options.batch_size, options.normalize)?;
        let recipe = Arc::get_mut(&mut loader.recipe).expect("made above, not shared yet");
        (recipe.shuffle, recipe.drop_last) = (shuffle, options.drop_last);
        Ok(loader)
    }

    /// A loader that hands out every sample once, in order and unchanged; the last batch may be
    /// smaller.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the set is empty, `batch_size` is 0, or `normalize` does not
    /// fit the images.
    pub fn eval(
        dataset: Dataset,
        batch_size: usize,
        normalize: Normalize,
    ) -> Result<Self, DataError> {
        if dataset.is_empty() {
            return Err(DataError::argument("dataset", "empty", "at least 1 sample"));
        }
        if batch_size == 0 {
            return Err(DataError::argument("batch_size", 0, "at least 1"));
        }
        Ok(Self {
            range: 0..dataset.len(),
            recipe: Arc::new(Recipe {
                table: normalize.table(dataset.shape()[0])?,
                dataset,
                batch_size,
                drop_last: false,
                shuffle: None,
            }),
            epoch: Arc::default(),
            device: Device::default(),
        })
    }

    /// Makes the next call of [`iter`](DataLoader::iter) epoch `epoch`, counted from 0: what a
    /// resumed run needs. Copies made by [`slice`](DataLoader::slice) before this keep their own
    /// count.
    pub fn set_epoch(&self, epoch: usize) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }
}

impl DataLoader<Batch<4>> for Loader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch<4>> + 'a> {
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) as u64;
        Box::new(Batches {
            recipe: self.recipe.clone(),
            epoch,
            range: self.range.start..self.range.start + self.num_items(),
            source: Source::Idle,
            device: self.device.clone(),
            handed_out: 0,
            total: self.num_items(),
        })
    }

    /// The samples of an epoch, less those that `drop_last` leaves out.
    fn num_items(&self) -> usize {
        match self.recipe.drop_last {
            true => self.range.len() - self.range.len() % self.recipe.batch_size,
            false => self.range.len(),
        }
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch<4>>> {
        Arc::new(Self {
            device: device.clone(),
            ..self.clone()
        })
    }

    /// The part `start..end` of each epoch: of its order, so that several parts share out all
    /// samples anew in each epoch. Its epochs go on from here with a count of their own.
    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch<4>>> {
        let at = |position: usize| (self.range.start.saturating_add(position)).min(self.range.end);
        Arc::new(Self {
            range: at(start)..at(end).max(at(start)),
            epoch: Arc::new(self.epoch.load(Ordering::Relaxed).into()),
            ..self.clone()
        })
    }
}

/// A batch on the host.
struct HostBatch {
    images: Vec<f32>,
    labels: Vec<i32>,
}

impl Recipe {
    /// Sends the batches of an epoch until there is no more, one fails, or nobody listens.
    fn produce(
        &self,
        epoch: u64,
        range: Range<usize>,
        sender: &SyncSender<Result<HostBatch, DataError>>,
    ) {
        let order = self.order(epoch);
        for indices in order[range].chunks(self.batch_size) {
            let batch = self.batch(epoch, indices);
            let failed = batch.is_err();
            if sender.send(batch).is_err() || failed {
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

    fn batch(&self, epoch: u64, indices: &[usize]) -> Result<HostBatch, DataError> {
        let shape = self.dataset.shape();
        let len = shape.iter().product();
        let mut images = vec![0.0; indices.len() * len];
        let failure = images
            .par_chunks_exact_mut(len)
            .zip(indices)
            .find_map_first(|(values, &index)| {
                let placement = match self.shuffle {
                    Some((seed, augment)) => {
                        augment.draw(Stream::new(seed).lane(AUGMENT), epoch, index)
                    }
                    None => crate::transform::Placement::NONE,
                };
                match self.dataset.borrow_pixels(index) {
                    Ok(pixels) => {
                        placement.write(&pixels, shape, &self.table, values);
                        None
                    }
                    Err(error) => Some(error),
                }
            });
        let labels = indices
            .iter()
            .map(|&index| self.dataset.label(index) as i32);
        match failure {
            Some(error) => Err(error),
            None => Ok(HostBatch {
                labels: labels.collect(),
                images,
            }),
        }
    }
}

/// The batches of one epoch.
struct Batches {
    recipe: Arc<Recipe>,
    epoch: u64,
    /// The samples to hand out, until the thread that makes them has begun.
    range: Range<usize>,
    source: Source,
    device: Device,
    handed_out: usize,
    total: usize,
}

/// Where batches come from.
enum Source {
    /// Nobody has asked for one.
    Idle,
    /// The thread that makes them.
    Worker(Receiver<Result<HostBatch, DataError>>, JoinHandle<()>),
    /// After the last item.
    Done,
}

impl Batches {
    fn begin(&mut self) -> Result<(), DatasetError> {
        if !matches!(self.source, Source::Idle) {
            return Ok(());
        }
        let (recipe, epoch, range) = (self.recipe.clone(), self.epoch, self.range.clone());
        let (sender, receiver) = sync_channel(PREFETCH);
        let worker = std::thread::Builder::new()
            .name("image loader".into())
            .spawn(move || recipe.produce(epoch, range, &sender));
        match worker {
            Ok(worker) => self.source = Source::Worker(receiver, worker),
            Err(error) => {
                self.source = Source::Done;
                return Err(DatasetError::new(error));
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        if let Source::Worker(receiver, worker) = std::mem::replace(&mut self.source, Source::Done)
        {
            // Without a listener the worker ends at its next batch, so the join does not block
            // for long.
            drop(receiver);
            // A panic was reported by `next`; there is nobody to tell here.
            let _ = worker.join();
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch<4>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.begin() {
            return Some(Err(error));
        }
        let Source::Worker(receiver, _) = &self.source else {
            return None;
        };
        match receiver.recv() {
            Ok(Ok(HostBatch { images, labels })) => {
                let count = labels.len();
                self.handed_out += count;
                let labels = TensorData::new(labels, [count]);
                let labels = Tensor::<1, Int>::from_data(labels, &self.device);
                // Uploads happen here: a stream of the device for each epoch's thread would leak.
                Some(Ok(Batch {
                    images: upload(images, self.recipe.dataset.shape(), &self.device),
                    targets: labels.into(),
                }))
            }
            Ok(Err(error)) => {
                self.end();
                Some(Err(DatasetError::new(error)))
            }
            Err(_) => {
                self.end();
                (self.handed_out < self.total).then(|| {
                    let error = std::io::Error::other("the image loader's thread panicked");
                    Err(DatasetError::new(error))
                })
            }
        }
    }

    /// Passes over batches without making them, as long as none has been asked for: what a run
    /// that is resumed within an epoch needs.
    fn nth(&mut self, count: usize) -> Option<Self::Item> {
        if matches!(self.source, Source::Idle) {
            let samples = (count.saturating_mul(self.recipe.batch_size)).min(self.range.len());
            self.range.start += samples;
            self.handed_out += samples;
        } else {
            for _ in 0..count {
                if let Err(error) = self.next()? {
                    return Some(Err(error));
                }
            }
        }
        self.next()
    }
}

impl DataLoaderIterator<Batch<4>> for Batches {
    fn progress(&self) -> Progress {
        Progress::new(self.handed_out, self.total, Some("items".into()))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.end();
    }
}
