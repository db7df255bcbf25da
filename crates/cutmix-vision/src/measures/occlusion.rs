//! Accuracy where a part of each image is black.

use std::ops::Range;

use burn::tensor::{Bool, Device, Tensor, TensorData};
use cutmix::plan::Stream;
use cutmix_train::{Batch, Error, Loader, Network};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{RightCounts, black_and_white, check_each, classes, for_each_batch};
use crate::data::{Normalize, Size};

/// Lane of the random stream of the places; those of order, augmentation and splits are in `data`.
const PLACES: u64 = (1 << 32) + 3;

/// How much of the images is black, and where.
///
/// ```
/// use burn::tensor::Device;
/// use cutmix_vision::measures::OcclusionConfig;
/// use cutmix_vision::{ImageLoader, LoaderConfig, ModelConfig, Normalize, fashion_mnist};
///
/// let device = Device::default();
/// let test = fashion_mnist().test.expect("it has a test set").truncate(64);
/// let normalize = Normalize::of(&test)?;
/// let loader = ImageLoader::eval(test, LoaderConfig::new(64, normalize.clone()))?;
/// let model = ModelConfig::new("resnet8", 10).with_channels(1).init(&device)?;
///
/// let config = OcclusionConfig::new().with_shares(vec![0.25, 1.0]);
/// let occlusion = config.measure(&model, &loader, &normalize, &device)?;
/// // Of images that are all black nothing can be seen, wherever the box is.
/// assert_eq!(occlusion.random[1], occlusion.centre[1]);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct OcclusionConfig {
    /// Shares of the area of the images that are black, in 0..=1. Default 0.05, 0.1, 0.25, 0.5 and 0.75.
    pub shares: Vec<f64>,
    /// Seed of the random places. Default 0.
    pub seed: u64,
}

/// Accuracy where a part of each image is black, by the place of the part and its share of the area.
///
/// The box has the aspect ratio of the image: its sides are those of the image times the root of the
/// share, rounded. It is black before the normalisation. After Yun et al., "CutMix: Regularization
/// Strategy to Train Strong Classifiers with Localizable Features", arXiv:1905.04899 (2019), which
/// occludes the centre, and everything but the centre.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Occlusion {
    /// Seed of the random places.
    pub seed: u64,
    /// Shares of the area that are black, in 0..=1.
    pub shares: Vec<f64>,
    /// Accuracy for each share where the black box has a random place inside the image, in 0..=1.
    pub random: Vec<f64>,
    /// Accuracy for each share where the black box is in the middle, in 0..=1.
    pub centre: Vec<f64>,
    /// Accuracy for each share where all but a box in the middle is black, in 0..=1.
    pub border: Vec<f64>,
}

impl Default for OcclusionConfig {
    fn default() -> Self {
        Self {
            shares: vec![0.05, 0.1, 0.25, 0.5, 0.75],
            seed: 0,
        }
    }
}

/// Where images are black.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Random,
    Centre,
    Border,
}

impl OcclusionConfig {
    /// The default shares, with random places of seed 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the shares of the area that are black.
    pub fn with_shares(self, shares: Vec<f64>) -> Self {
        Self { shares, ..self }
    }

    /// Sets the seed of the random places.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Measures a network on the images of `loader`, which `normalize` has normalised, on `device`, where
    /// the network is. Each batch is read once.
    ///
    /// The random place of an image is a function of the seed and the place of the image among those of
    /// the loader: larger boxes cover about the same place.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no share or one is out of range, `normalize` does not fit the
    /// images, or there is no image; [`Error::Mix`] where images have several classes; [`Error::Data`]
    /// where one cannot be read; [`Error::Device`] where the device fails.
    pub fn measure(
        &self,
        model: &impl Network,
        loader: &dyn Loader,
        normalize: &Normalize,
        device: &Device,
    ) -> Result<Occlusion, Error> {
        self.check()?;
        let model = model.valid();
        let parts = [Part::Random, Part::Centre, Part::Border];
        let mut right = RightCounts::new(parts.len() * self.shares.len());
        let mut first = 0;
        let images = for_each_batch(loader, device, |Batch { images, targets }| {
            let [black, _] = black_and_white(normalize, &images)?;
            let black = black.expand(images.dims());
            let shares = self.shares.iter();
            let ways = parts
                .iter()
                .flat_map(|part| shares.clone().map(move |share| (part, share)));
            let logits = ways.map(|(part, share)| {
                let mask = self.mask(*part, *share, first, &images);
                model.forward(images.clone().mask_where(mask, black.clone()))
            });
            right.add(logits, &classes(targets)?)?;
            first += images.dims()[0] as u64;
            Ok(())
        })?;
        let mut accuracies = right.shares(images);
        let mut next = || accuracies.by_ref().take(self.shares.len()).collect();
        Ok(Occlusion {
            seed: self.seed,
            shares: self.shares.clone(),
            random: next(),
            centre: next(),
            border: next(),
        })
    }

    fn check(&self) -> Result<(), Error> {
        check_each("shares", &self.shares, 0.0..=1.0)
    }

    /// The pixels that are black, in the shape of the images, of which the first has the number `first`.
    fn mask(&self, part: Part, share: f64, first: u64, images: &Tensor<4>) -> Tensor<4, Bool> {
        let [count, _, height, width] = images.dims();
        let size = Size::new(height, width);
        let masks = match part {
            Part::Random => count,
            Part::Centre | Part::Border => 1,
        };
        let mut mask = vec![part == Part::Border; masks * size.area()];
        for (image, mask) in (first..).zip(mask.chunks_exact_mut(size.area())) {
            let (place, share) = match part {
                Part::Random => {
                    let mut draw = Stream::new(self.seed).lane(PLACES).at(image);
                    ([draw.random(), draw.random()], share)
                }
                Part::Centre => ([0.5; 2], share),
                Part::Border => ([0.5; 2], 1.0 - share),
            };
            let rows = range(height, share, place[0]);
            let columns = range(width, share, place[1]);
            for row in rows {
                mask[row * width..][columns.clone()].fill(part != Part::Border);
            }
        }
        let mask = TensorData::new(mask, [masks, 1, height, width]);
        Tensor::<4, Bool>::from_data(mask, &images.device()).expand(images.dims())
    }
}

/// The pixels of a box along a side of the image; `share` is that of the area, and `place` in 0..1 says
/// which of the possible places it has.
fn range(side: usize, share: f64, place: f64) -> Range<usize> {
    let length = (side as f64 * share.sqrt()).round() as usize;
    let start = ((side - length + 1) as f64 * place) as usize;
    start..start + length
}
