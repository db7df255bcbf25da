//! From pixels to the numbers that a network sees.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::Placement;
use super::{DataError, Dataset};

/// Largest number of samples from which [`Normalize::of`] computes its statistics.
const SAMPLES: usize = 10_000;

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
    /// Statistics of `dataset`, from 10,000 samples spread over it or all where there are
    /// fewer. A channel that is the same everywhere gets the standard deviation 1.
    ///
    /// # Errors
    /// [`DataError::Argument`] where the set is empty, and those of [`Dataset::pixels`].
    pub fn of(dataset: &Dataset) -> Result<Self, DataError> {
        let sample = dataset.truncate(SAMPLES);
        if sample.is_empty() {
            return Err(DataError::argument("dataset", "empty", "at least 1 sample"));
        }
        let [channels, height, width] = dataset.shape();
        let plane = height * width;
        // Sums of integers: the same in whatever order the threads add them up.
        let zero = || vec![(0u64, 0u64); channels];
        let sums = (0..sample.len())
            .into_par_iter()
            .map(|index| {
                let pixels = sample.borrow_pixels(index)?;
                let sums = pixels.chunks_exact(plane).map(|plane| {
                    let square = |&value: &u8| u64::from(value) * u64::from(value);
                    let sum = plane.iter().map(|&value| u64::from(value)).sum();
                    (sum, plane.iter().map(square).sum())
                });
                Ok(sums.collect())
            })
            .try_reduce(zero, |a: Vec<(u64, u64)>, b| {
                Ok::<_, DataError>(
                    a.iter()
                        .zip(b)
                        .map(|(a, b)| (a.0 + b.0, a.1 + b.1))
                        .collect(),
                )
            })?;
        let count = (sample.len() * plane) as f64;
        let (mean, std) = sums
            .into_iter()
            .map(|(sum, squares)| {
                let mean = sum as f64 / count;
                let std = (squares as f64 / count - mean * mean).max(0.0).sqrt();
                let std = if std == 0.0 { 255.0 } else { std };
                ((mean / 255.0) as f32, (std / 255.0) as f32)
            })
            .unzip();
        Ok(Self { mean, std })
    }

    /// Statistics of ImageNet: [`IMAGENET_MEAN`] and [`IMAGENET_STD`].
    pub fn imagenet() -> Self {
        Self {
            mean: IMAGENET_MEAN.into(),
            std: IMAGENET_STD.into(),
        }
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

/// Turns the pixels of `N` images into a batch of shape `[N, C, H, W]` on `device`.
///
/// `shape` is `[C, H, W]`; `pixels` holds `N * C * H * W` values as [`Dataset::pixels`] and
/// [`load_image`](crate::load_image) return them, one image after another.
///
/// # Errors
/// [`DataError::Argument`] where `pixels` is no whole number of images, or `normalize` does not fit
/// `C` channels.
pub fn to_tensor(
    pixels: &[u8],
    shape: [usize; 3],
    normalize: &Normalize,
    device: &Device,
) -> Result<Tensor<4>, DataError> {
    let [channels, height, width] = shape;
    let len = channels * height * width;
    if pixels.is_empty() || len == 0 || !pixels.len().is_multiple_of(len) {
        let found = format!("{} bytes", pixels.len());
        let expected = format!("one or more images of shape {shape:?}");
        return Err(DataError::argument("pixels", found, expected));
    }
    let table = normalize.table(channels)?;
    let mut values = vec![0.0; pixels.len()];
    for (image, values) in pixels.chunks_exact(len).zip(values.chunks_exact_mut(len)) {
        Placement::NONE.write(image, shape, &table, values);
    }
    Ok(upload(values, shape, device))
}

pub(crate) fn upload(values: Vec<f32>, [c, h, w]: [usize; 3], device: &Device) -> Tensor<4> {
    let n = values.len() / (c * h * w);
    Tensor::from_data(TensorData::new(values, [n, c, h, w]), device)
}
