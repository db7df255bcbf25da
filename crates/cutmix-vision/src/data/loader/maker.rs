//! How a batch is made of its samples.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;
use cutmix::plan::Stream;
use cutmix_train::Share;

use super::cache::Cache;
use super::order::{Order, Sampler};
use super::upload::{Images, Uploader};
use super::{LoaderConfig, OnBadImage};
use crate::data::augment::{Augment, Frame, Transform};
use crate::data::dataset::Read;
use crate::data::{DataError, Dataset, Image, Label, SkippedImage};

/// Lane of the random stream of the augmentation; that of the order is in `order`.
const AUGMENT: u64 = (1 << 32) + 1;

/// Everything that decides what a batch is.
#[derive(Debug)]
pub(super) struct BatchMaker {
    pub dataset: Dataset,
    pub uploader: Uploader,
    pub batch_size: usize,
    drop_last: bool,
    on_bad_image: OnBadImage,
    /// How the samples of a loader for training are changed and ordered.
    training: Option<Training>,
    cache: Cache,
    /// Bad images that have been left out, by their index.
    skipped: Mutex<BTreeMap<usize, SkippedImage>>,
}

#[derive(Debug)]
struct Training {
    seed: u64,
    augment: Augment,
    sampler: Sampler,
    /// Mean colour of the data.
    mean: [u8; 3],
}

/// A batch before it is on the device.
pub(super) struct Made {
    pub images: Images,
    pub labels: Vec<Label>,
    /// Where it ends among the samples of the epoch.
    pub end: usize,
}

/// One epoch, while its batches are drawn.
pub(super) struct Epoch<'a> {
    maker: &'a BatchMaker,
    number: u64,
    /// The samples in order, each with the number of times that it has come before.
    samples: Arc<Vec<(u32, u32)>>,
    share: Share,
    /// The sample from which the share counts.
    skip: usize,
    position: usize,
    reader: Option<Reader<'a>>,
}

/// A batch that has been drawn and, where samples are read in order, read.
pub(super) struct Drawn<'a> {
    maker: &'a BatchMaker,
    epoch: u64,
    samples: Arc<Vec<(u32, u32)>>,
    /// Its places among the samples.
    places: Range<usize>,
    read: Vec<MaybeRead<'a>>,
}

/// What has been read of a sample, where that was done beforehand.
type MaybeRead<'a> = Option<Result<Read<'a>, DataError>>;

/// Samples that are read one after another, in another order than they are handed out.
struct Reader<'a> {
    /// The samples that have not been read, in the order of reading.
    left: std::vec::IntoIter<u32>,
    read: HashMap<u32, Result<Read<'a>, DataError>>,
    /// Whether each sample is among these. Those in the cache are not read.
    is_due: Vec<bool>,
}

impl<'a> Reader<'a> {
    /// Reads on until `sample` has been read; `None` where it is not due.
    fn take(&mut self, sample: u32, dataset: &'a Dataset) -> MaybeRead<'a> {
        if !std::mem::take(&mut self.is_due[sample as usize]) {
            return None;
        }
        loop {
            if let Some(read) = self.read.remove(&sample) {
                return Some(read);
            }
            let next = self.left.next()?;
            let read = dataset.content(next as usize);
            // The buffer may hold more than the memory for files, and this thread would wait for
            // itself.
            let read = read.map(|(content, _)| (content, None));
            self.read.insert(next, read);
        }
    }
}

impl BatchMaker {
    pub fn new(
        dataset: Dataset,
        config: LoaderConfig,
        is_training: bool,
    ) -> Result<Self, DataError> {
        if dataset.is_empty() {
            return Err(DataError::argument("dataset", "empty", "at least 1 sample"));
        }
        if config.batch_size == 0 {
            return Err(DataError::argument("batch_size", 0, "at least 1"));
        }
        if dataset.labels().any(|label| label == Label::Unknown) {
            let expected = "samples that all have a label";
            return Err(DataError::argument(
                "dataset",
                "without a label for some",
                expected,
            ));
        }
        let uploader = Uploader::new(dataset.shape(), &config.normalize)?;
        if is_training {
            config.augment.check()?;
            config.sampler.check(&dataset)?;
        }
        let training = is_training.then(|| Training {
            seed: config.seed,
            mean: config.normalize.mean_color(),
            augment: config.augment,
            sampler: config.sampler,
        });
        let is_in_memory = dataset.source().is_in_memory();
        let cache = if is_in_memory { 0 } else { config.cache };
        Ok(Self {
            cache: Cache::new(dataset.len(), cache),
            uploader,
            dataset,
            batch_size: config.batch_size,
            drop_last: config.drop_last && is_training,
            on_bad_image: config.on_bad_image,
            training,
            skipped: Mutex::default(),
        })
    }

    /// Number of samples in an epoch.
    pub fn num_samples(&self) -> usize {
        let len = self.dataset.len();
        if self.drop_last {
            len - len % self.batch_size
        } else {
            len
        }
    }

    /// The bad images that have been left out, in the order of the samples.
    pub fn skipped(&self) -> Vec<SkippedImage> {
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.values().cloned().collect()
    }

    /// The indices of the bad images that have been left out.
    pub fn bad(&self) -> BTreeSet<usize> {
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.keys().copied().collect()
    }

    /// Whether samples are changed and shuffled.
    pub fn is_training(&self) -> bool {
        self.training.is_some()
    }

    /// The epoch after this one. All epochs of an evaluation are the same.
    pub fn after(&self, epoch: u64) -> u64 {
        epoch + u64::from(self.training.is_some())
    }

    /// The first sample of the first batch of a share that starts at the sample `start` of an epoch or
    /// after it; the number of samples or more where there is none. The share counts from the sample
    /// `skip`.
    pub fn next_of(&self, share: &Share, skip: usize, start: usize) -> usize {
        let samples = self.num_samples();
        let [first, mut batch] = [skip, start].map(|at| at.min(samples).div_ceil(self.batch_size));
        while !share.has(batch - first) && batch * self.batch_size < samples {
            batch += 1;
        }
        batch * self.batch_size
    }

    /// An epoch without its first `skip` samples, of which the batches of a share are made.
    pub fn epoch(&self, number: u64, skip: usize, share: &Share) -> Epoch<'_> {
        let order = match &self.training {
            Some(training) => training.sampler.order(&self.dataset, training.seed, number),
            None => Order::own(&self.dataset),
        };
        let mut samples = numbered(order.samples, self.dataset.len());
        samples.truncate(self.num_samples());
        let samples = Arc::new(samples);
        let position = skip.min(samples.len());
        let reader = order.reading.map(|mut reading| {
            let mut is_due = vec![false; self.dataset.len()];
            for (place, &(sample, _)) in samples.iter().enumerate().skip(position) {
                let is_own = share.has((place - position) / self.batch_size);
                is_due[sample as usize] |= is_own && !self.cache.has(sample as usize);
            }
            reading.retain(|&sample| is_due[sample as usize]);
            Reader {
                left: reading.into_iter(),
                read: HashMap::new(),
                is_due,
            }
        });
        Epoch {
            maker: self,
            number,
            samples,
            share: share.clone(),
            skip: position,
            position,
            reader,
        }
    }

    /// The image of sample `index` as the network sees it in an epoch, for the first time or, as
    /// balanced drawing may want it, after so many `repetitions`.
    pub fn image(
        &self,
        (epoch, repetitions): (u64, u32),
        index: usize,
        read: MaybeRead<'_>,
    ) -> Result<Image, DataError> {
        let dataset = &self.dataset;
        let read = || read.unwrap_or_else(|| dataset.content(index));
        let shape @ [channels, ..] = dataset.shape();
        let target = dataset.view().size();
        let Some(training) = &self.training else {
            return self
                .cache
                .image(index, shape, || dataset.fitted(index, &read()?.0));
        };
        let mut stream = Stream::new(training.seed).lane(AUGMENT).within(epoch);
        if repetitions > 0 {
            stream = stream.within(repetitions.into());
        }
        let mut rng = stream.at(index as u64);
        let mut draw = |size| {
            let frame = Frame {
                size,
                target,
                mean: training.mean,
            };
            training.augment.draw(frame, &mut rng)
        };
        if training.augment.resizes() {
            let (content, _reserved) = self.cache.file(index, read)?;
            let opened = dataset.open(index, &content)?;
            let transforms = draw(opened.size());
            let image = dataset.transformed(index, opened, channels, &transforms)?;
            return dataset.view().fitted(image);
        }
        let image = self
            .cache
            .image(index, shape, || dataset.fitted(index, &read()?.0))?;
        let image = Transform::apply_all(&draw(target), image)?;
        dataset.view().fitted(image)
    }

    /// Remembers a bad image that is left out, or gives the error back.
    fn skip(&self, index: usize, error: DataError) -> Result<(), DataError> {
        if self.on_bad_image == OnBadImage::Fail || !error.is_of_image() {
            return Err(error);
        }
        let image = SkippedImage {
            name: self.dataset.name(index),
            reason: error.to_string(),
        };
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.insert(index, image);
        Ok(())
    }
}

impl<'a> Epoch<'a> {
    /// Whether samples are read while batches are drawn.
    pub fn is_read_in_order(&self) -> bool {
        self.reader.is_some()
    }

    /// Draws the next batch of the share; `None` at the end of the epoch.
    pub fn next(&mut self) -> Option<Drawn<'a>> {
        let next = (self.maker).next_of(&self.share, self.skip, self.position);
        self.position = next.min(self.samples.len());
        let end = (self.position + self.maker.batch_size).min(self.samples.len());
        let places = self.position..end;
        if places.is_empty() {
            return None;
        }
        self.position = end;
        let samples = self.samples[places.clone()].iter();
        let read = samples.map(|&(sample, _)| {
            let reader = self.reader.as_mut()?;
            reader.take(sample, &self.maker.dataset)
        });
        Some(Drawn {
            maker: self.maker,
            epoch: self.number,
            read: read.collect(),
            samples: self.samples.clone(),
            places,
        })
    }
}

impl Drawn<'_> {
    /// Makes the batch for a device.
    ///
    /// Bad images are left out where they may be. Where all images of a batch are bad, it is empty
    /// in evaluation; in training, which needs one, the next good one of the epoch stands in for
    /// them.
    ///
    /// It is no batch any more where `is_over`, which ends the work at the next image.
    pub fn make(mut self, device: &Device, is_over: &AtomicBool) -> Result<Made, DataError> {
        let read = std::mem::take(&mut self.read);
        let mut made = self.good_ones(self.places.clone(), read, device, is_over)?;
        if self.maker.training.is_some() {
            let mut others = (self.places.end..self.samples.len()).chain(0..self.places.start);
            while made.1.is_empty() {
                let other = others.next().ok_or_else(|| self.no_good_image())?;
                made = self.good_ones(other..other + 1, vec![None], device, is_over)?;
            }
        }
        let (images, labels) = made;
        Ok(Made {
            images,
            labels,
            end: self.places.end,
        })
    }

    fn no_good_image(&self) -> DataError {
        let first = self.maker.skipped().into_iter().next();
        DataError::NoGoodImage {
            count: self.samples.len(),
            reason: first.map_or(String::new(), |image| image.reason),
        }
    }

    /// The good ones of the samples at these places of the epoch.
    fn good_ones(
        &self,
        places: Range<usize>,
        read: Vec<MaybeRead<'_>>,
        device: &Device,
        is_over: &AtomicBool,
    ) -> Result<(Images, Vec<Label>), DataError> {
        let maker = self.maker;
        let samples = &self.samples[places];
        let inputs = samples.iter().zip(read).collect();
        let mut images = Images::new(samples.len() * maker.uploader.len(), device);
        let made = images.fill(&maker.uploader, inputs, |(&(sample, repetitions), read)| {
            if is_over.load(Ordering::Relaxed) {
                return Err(interrupted());
            }
            maker.image((self.epoch, repetitions), sample as usize, read)
        });
        if is_over.load(Ordering::Relaxed) {
            // Its images are no bad ones.
            return Err(interrupted());
        }
        let mut good = Vec::with_capacity(samples.len());
        for (at, (&(index, _), result)) in samples.iter().zip(made).enumerate() {
            match result {
                Ok(()) => good.push(at),
                Err(error) => maker.skip(index as usize, error)?,
            }
        }
        images.keep(&good, maker.uploader.len());
        let label = |&at: &usize| maker.dataset.label(samples[at].0 as usize);
        Ok((images, good.iter().map(label).collect()))
    }
}

/// The error of a batch that nobody takes.
fn interrupted() -> DataError {
    DataError::io("batch".as_ref(), ErrorKind::Interrupted.into())
}

/// Each sample with the number of times that it has come before.
fn numbered(samples: Vec<u32>, len: usize) -> Vec<(u32, u32)> {
    let mut times = vec![0; len];
    let number = |sample: u32| {
        let before = times[sample as usize];
        times[sample as usize] += 1;
        (sample, before)
    };
    samples.into_iter().map(number).collect()
}
