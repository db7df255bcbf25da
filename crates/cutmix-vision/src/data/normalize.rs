//! From pixels to the numbers that a network sees.

use burn::tensor::{Device, Int, Tensor, TensorData};
use cutmix::Targets;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::Fit;
use super::loader::{Images, Uploader};
use super::{ClassMap, DataError, Dataset, Image, Label};

/// Largest number of samples from which [`Normalize::of`] computes its statistics.
const SAMPLES: usize = 10_000;
/// The same where they have to be decoded.
const FILES: usize = 1_000;

/// Mean of the ImageNet training set for red, green and blue, of pixels scaled to 0..=1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of the ImageNet training set for red, green and blue, of pixels scaled to
/// 0..=1.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Mean and standard deviation of each channel, of pixels scaled to 0..=1. A network sees `(pixel /
/// 255 - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// One mean for each channel.
    pub mean: Vec<f32>,
    /// One standard deviation for each channel, above 0.
    pub std: Vec<f32>,
}

impl Normalize {
    /// Statistics of `dataset`, from 10,000 samples spread over it, of images that have to be decoded
    /// from 1,000, or from all where there are fewer. Bad images are left out. A channel that is the
    /// same everywhere gets the standard deviation 1.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the set is empty, and the error of the first image where all
    /// are bad.
    pub fn of(dataset: &Dataset) -> Result<Self, DataError> {
        if dataset.is_empty() {
            return Err(DataError::argument("dataset", "empty", "at least 1 sample"));
        }
        // Without the borders of a view that pads.
        let view = dataset.view().with_fit(Fit::Crop);
        let count = if dataset.is_of_files() {
            FILES
        } else {
            SAMPLES
        };
        let sample = dataset.truncate(count).with_view(view)?;
        let sums: Vec<_> = (0..sample.len())
            .into_par_iter()
            .map(|index| sample.image(index).map(|image| Sums::of(&image)))
            .collect();
        let mut total = Sums::default();
        let mut failure: Option<DataError> = None;
        for sums in sums {
            match sums {
                Ok(sums) => total.add(&sums),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if total.pixels == 0 || !error.is_of_image() => Err(error),
            _ => Ok(total.normalize(dataset.shape()[0])),
        }
    }

    /// Statistics of ImageNet: [`IMAGENET_MEAN`] and [`IMAGENET_STD`].
    pub fn imagenet() -> Self {
        Self {
            mean: IMAGENET_MEAN.into(),
            std: IMAGENET_STD.into(),
        }
    }

    /// The mean colour: grey or red, green and blue.
    pub(crate) fn mean_color(&self) -> [u8; 3] {
        std::array::from_fn(|channel| {
            let mean = self.mean.get(channel).or(self.mean.first());
            (255.0 * mean.copied().unwrap_or(0.5)).round() as u8
        })
    }

    /// Value of each of the 256 pixel values in each channel, after checking that they fit
    /// images of `channels` channels.
    pub(crate) fn table(&self, channels: usize) -> Result<Vec<[f32; 256]>, DataError> {
        let fits = self.mean.len() == channels && self.std.len() == channels;
        let valid = |(mean, std): (&f32, &f32)| mean.is_finite() && std.is_finite() && *std > 0.0;
        if !fits || !self.mean.iter().zip(&self.std).all(valid) {
            let value = format!("mean {:?}, std {:?}", self.mean, self.std);
            let expected = format!("{channels} finite means and {channels} deviations above 0");
            return Err(DataError::argument("normalize", value, expected));
        }
        let row = |(mean, std): (&f32, &f32)| {
            std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
        };
        Ok(self.mean.iter().zip(&self.std).map(row).collect())
    }
}

/// Sums over pixels. Of integers, so that the order of the addition does not matter.
#[derive(Default)]
struct Sums {
    pixels: u64,
    values: [u64; 3],
    squares: [u64; 3],
}

impl Sums {
    fn of(image: &Image) -> Self {
        let mut sums = Self::default();
        for pixel in image.pixels().chunks_exact(image.channels()) {
            sums.pixels += 1;
            for (channel, &value) in pixel.iter().enumerate() {
                sums.values[channel] += u64::from(value);
                sums.squares[channel] += u64::from(value) * u64::from(value);
            }
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        self.pixels += other.pixels;
        for channel in 0..3 {
            self.values[channel] += other.values[channel];
            self.squares[channel] += other.squares[channel];
        }
    }

    fn normalize(&self, channels: usize) -> Normalize {
        let count = self.pixels as f64;
        let of_channel = |channel: usize| {
            let mean = self.values[channel] as f64 / count;
            let variance = self.squares[channel] as f64 / count - mean * mean;
            let std = variance.max(0.0).sqrt();
            let std = if std == 0.0 { 255.0 } else { std };
            ((mean / 255.0) as f32, (std / 255.0) as f32)
        };
        let (mean, std) = (0..channels).map(of_channel).unzip();
        Normalize { mean, std }
    }
}

/// Turns `N` images of one size into a batch of shape `[N, C, H, W]` on `device`.
///
/// # Errors
/// [`DataError::Argument`] where there is no image, they differ in size or channels, or `normalize`
/// does not fit the channels.
pub fn to_tensor(
    images: &[Image],
    normalize: &Normalize,
    device: &Device,
) -> Result<Tensor<4>, DataError> {
    let Some(first) = images.first() else {
        return Err(DataError::argument("images", "empty", "at least 1 image"));
    };
    let (size, channels) = (first.size(), first.channels());
    let differs = |image: &&Image| (image.size(), image.channels()) != (size, channels);
    if let Some(other) = images.iter().find(differs) {
        let expected = format!("all as the first one, {first:?}");
        return Err(DataError::argument(
            "images",
            format!("{other:?}"),
            expected,
        ));
    }
    let uploader = Uploader::new([channels, size.height, size.width], normalize)?;
    let mut batch = Images::new(images.len() * uploader.len(), device);
    let inputs = images.iter().collect();
    let filled = batch.fill(&uploader, inputs, |image: &Image| Ok::<_, DataError>(image));
    filled.into_iter().collect::<Result<(), _>>()?;
    Ok(uploader.upload(batch, images.len(), device))
}

/// Turns `N` maps of classes of one size into a batch of shape `[N, H, W]` on `device`.
///
/// # Errors
/// [`DataError::Argument`] where there is no map or they differ in size.
pub fn maps_to_tensor(maps: &[ClassMap], device: &Device) -> Result<Tensor<3, Int>, DataError> {
    let Some(first) = maps.first() else {
        return Err(DataError::argument("maps", "empty", "at least 1 map"));
    };
    let size = first.size();
    if let Some(other) = maps.iter().find(|map| map.size() != size) {
        let expected = format!("all {size}, as the first one");
        return Err(DataError::argument("maps", other.size(), expected));
    }
    let classes = maps.iter().flat_map(ClassMap::classes);
    let classes: Vec<_> = classes.map(|&class| i32::from(class)).collect();
    let shape = [maps.len(), size.height, size.width];
    Ok(Tensor::from_data(TensorData::new(classes, shape), device))
}

/// The targets of samples: `[N]` class indices or, where samples have any number of `classes` classes
/// (`is_multi_label`), `[N, classes]` numbers that are 1 for the classes of a sample and 0 for others.
///
/// The class of a sample without one is 0.
///
/// # Panics
/// Where a sample with any number of classes has one that is not below `classes`.
pub fn to_targets(
    labels: &[Label],
    classes: usize,
    is_multi_label: bool,
    device: &Device,
) -> Targets {
    if !is_multi_label {
        let of = |label: &Label| label.class().unwrap_or(0) as i32;
        let indices = TensorData::new(labels.iter().map(of).collect(), [labels.len()]);
        return Tensor::<1, Int>::from_data(indices, device).into();
    }
    let mut values = vec![0.0f32; labels.len() * classes];
    for (row, label) in values.chunks_exact_mut(classes.max(1)).zip(labels) {
        label.classes().iter().for_each(|&class| row[class] = 1.0);
    }
    Tensor::<2>::from_data(TensorData::new(values, [labels.len(), classes]), device).into()
}
