//! Batches for training and evaluation, made ahead of their use.

mod cache;
mod features;
mod files;
mod maker;
mod order;
mod prefetch;
mod upload;

use std::sync::Arc;

use burn::tensor::Device;
use cutmix_train::{Batches, Loader, Share};
use serde::{Deserialize, Serialize};

use self::maker::BatchMaker;
use self::prefetch::{EpochBatches, Waiting};
use super::augment::Augment;
use super::{DataError, Dataset, Image, Normalize, OnBadImage, SkippedImage};

pub use features::FeatureLoader;
pub use files::{FileBatch, FileBatches, FileBatchesConfig, ImageFile};
pub use order::Sampler;
pub(super) use upload::{Images, Uploader};

/// How an [`ImageLoader`] makes batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoaderConfig {
    /// Number of samples in a batch, at least 1.
    pub batch_size: usize,
    /// Mean and standard deviation of the channels.
    pub normalize: Normalize,
    /// Seed of the order and of the augmentation. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// Random changes to the images. Default: none.
    #[serde(default)]
    pub augment: Augment,
    /// Which samples an epoch has. Default [`Sampler::Shuffled`].
    #[serde(default)]
    pub sampler: Sampler,
    /// Whether the last samples of an epoch are left out where they do not fill a batch. Default
    /// `false`.
    #[serde(default)]
    pub drop_last: bool,
    /// What happens to bad images. Default [`OnBadImage::Fail`].
    #[serde(default)]
    pub on_bad_image: OnBadImage,
    /// Number of bytes of files, or of decoded images, that are kept in memory. Images of a source
    /// [in memory](super::Source::is_in_memory) are not copied. Default 0.
    #[serde(default)]
    pub cache: u64,
}

impl LoaderConfig {
    /// Batches of `batch_size` samples that are normalised by `normalize` and not augmented, in the
    /// order of seed 0.
    pub fn new(batch_size: usize, normalize: Normalize) -> Self {
        Self {
            batch_size,
            normalize,
            seed: 0,
            augment: Augment::default(),
            sampler: Sampler::Shuffled,
            drop_last: false,
            on_bad_image: OnBadImage::Fail,
            cache: 0,
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

    /// Sets which samples an epoch has.
    pub fn with_sampler(self, sampler: Sampler) -> Self {
        Self { sampler, ..self }
    }

    /// Sets whether the last samples of an epoch are left out where they do not fill a batch.
    pub fn with_drop_last(self, drop_last: bool) -> Self {
        Self { drop_last, ..self }
    }

    /// Sets what happens to bad images.
    pub fn with_on_bad_image(self, on_bad_image: OnBadImage) -> Self {
        Self {
            on_bad_image,
            ..self
        }
    }

    /// Sets the number of bytes of files, or of decoded images, that are kept in memory.
    pub fn with_cache(self, cache: u64) -> Self {
        Self { cache, ..self }
    }
}

/// A [`Loader`] of the samples of a [`Dataset`]: images of shape `[N, C, H, W]`, normalised, and
/// class indices, or dense targets of 0 and 1 for samples of several classes.
///
/// A loader for training yields the samples in a new order in each epoch. Order and augmentation
/// are a function of the seed, the epoch and the sample alone.
///
/// A thread draws batches, from the first call of `next` on and beyond the end of an epoch, and the
/// threads of rayon's pool make them, three at a time. Only the upload to the device is done by the
/// caller, who waits for the pool: where the caller is one of its threads, it must have another.
/// Batches that are skipped are never made. An image that cannot be read is an error item with a
/// [`DataError`] that names it, and the last item; or, with [`OnBadImage::Skip`], it is left out,
/// which makes its batch smaller.
///
/// ```
/// use burn::tensor::Device;
/// use cutmix_train::Loader;
/// use cutmix_vision::{ImageLoader, LoaderConfig, Normalize};
///
/// let splits = cutmix_vision::fashion_mnist().split_val(0.1, 42)?;
/// let normalize = Normalize::of(&splits.train)?;
/// let val = splits.val.expect("it was split off");
/// let val = ImageLoader::eval(val, LoaderConfig::new(256, normalize.clone()))?;
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
    // Dropped first: its thread has the maker.
    waiting: Arc<Waiting>,
    maker: Arc<BatchMaker>,
}

impl ImageLoader {
    /// A loader for training.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the set is empty, an option is out of range or does not fit
    /// its images, or the batches are larger than the set.
    pub fn train(dataset: Dataset, config: LoaderConfig) -> Result<Self, DataError> {
        let (len, value) = (dataset.len(), config.batch_size);
        if value > len && len > 0 {
            let expected = format!("1 to the number of samples, {len}");
            return Err(DataError::argument("batch_size", value, expected));
        }
        Self::new(dataset, config, true)
    }

    /// A loader that yields every sample once in each epoch, in order and unchanged; the last batch
    /// may be smaller. Seed, augmentation, sampler and `drop_last` have no effect.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the set is empty, `batch_size` is 0, or `normalize` does not
    /// fit the images.
    pub fn eval(dataset: Dataset, config: LoaderConfig) -> Result<Self, DataError> {
        Self::new(dataset, config, false)
    }

    fn new(dataset: Dataset, config: LoaderConfig, is_training: bool) -> Result<Self, DataError> {
        Ok(Self {
            waiting: Arc::default(),
            maker: Arc::new(BatchMaker::new(dataset, config, is_training)?),
        })
    }

    /// The samples that are loaded.
    pub fn dataset(&self) -> &Dataset {
        &self.maker.dataset
    }

    /// The image of sample `index` as the network sees it in `epoch`, before it is normalised.
    ///
    /// # Errors
    /// Those of [`Dataset::image`].
    pub fn image(&self, epoch: u64, index: usize) -> Result<Image, DataError> {
        self.maker.image((epoch, 0), index, None)
    }

    /// The number of the sample that a loader for evaluation yields as number `place`, both from 0. Up to the
    /// images that it has yielded, those that have been left out are known.
    pub fn index_at(&self, place: usize) -> usize {
        let bad = self.maker.bad().into_iter();
        bad.fold(place, |index, bad| index + usize::from(bad <= index))
    }

    /// The bad images that have been left out so far, in the order of the samples.
    pub fn skipped(&self) -> Vec<SkippedImage> {
        self.maker.skipped()
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
        self.batches_of(&Share::ALL, epoch, skip, device)
    }

    fn batches_of<'a>(
        &'a self,
        share: &Share,
        epoch: u64,
        skip: usize,
        device: &Device,
    ) -> Batches<'a> {
        let start = (epoch, skip.saturating_mul(self.maker.batch_size));
        let (maker, waiting) = (&self.maker, &self.waiting);
        Box::new(EpochBatches::new(maker, waiting, start, share, device))
    }

    /// Digest of the names, sizes and labels of the samples and of the class names.
    fn digest(&self) -> Option<String> {
        Some(self.maker.dataset.digest())
    }
}
