//! Whether the confidence tells images of the classes from images of other things.

use std::cmp::Ordering;

use burn::tensor::Device;
use cutmix_train::{Error, Loader, Network, Prediction};
use serde::{Deserialize, Serialize};

use super::{for_each_batch, read};

/// How well the confidence of a network, its highest softmax probability, tells images of its classes
/// from images that show none of them.
///
/// After Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples
/// in Neural Networks", arXiv:1610.02136 (2016).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Detection {
    /// Area under the ROC curve, in 0..=1: see [`auroc`].
    pub auroc: f64,
    /// Number of images of the classes.
    pub images: usize,
    /// Number of images that show none of the classes.
    pub unlike_images: usize,
}

impl Detection {
    /// The result for the confidences of images of the classes, and of images that show none of them;
    /// `None` where there are no images of one kind.
    ///
    /// ```
    /// use cutmix_vision::measures::Detection;
    ///
    /// let detection = Detection::new(&[0.9, 0.6], &[0.6, 0.2]).expect("there are images of both kinds");
    /// // Of the four pairs three are in order, and one is a tie.
    /// assert_eq!(detection.auroc, 3.5 / 4.0);
    /// ```
    pub fn new(known: &[f64], unlike: &[f64]) -> Option<Self> {
        Some(Self {
            auroc: auroc(known, unlike)?,
            images: known.len(),
            unlike_images: unlike.len(),
        })
    }
}

/// The area under the ROC curve of numbers that are meant to be high and of others that are meant to be
/// low: the share of the pairs of both in which the first is above the second, where equal numbers count
/// one half. `None` where one of both is empty. NaN is above all numbers.
pub fn auroc(high: &[f64], low: &[f64]) -> Option<f64> {
    if high.is_empty() || low.is_empty() {
        return None;
    }
    let mut low = low.to_vec();
    low.sort_unstable_by(f64::total_cmp);
    // Twice the pairs, so that all is exact.
    let doubled = high.iter().map(|high| {
        let below = low.partition_point(|low| low.total_cmp(high) == Ordering::Less);
        let up_to = low.partition_point(|low| low.total_cmp(high) != Ordering::Greater);
        (below + up_to) as u128
    });
    let pairs = high.len() as f64 * low.len() as f64;
    Some(doubled.sum::<u128>() as f64 / (2.0 * pairs))
}

/// The confidence of a network for each image of `loader`, in order: the highest softmax probability.
/// The network is on `device`. The classes of the images do not matter.
///
/// # Errors
/// [`Error::Argument`] where there is no image, [`Error::Data`] where one cannot be read, [`Error::Device`] where the device fails.
pub fn confidences(
    model: &impl Network,
    loader: &dyn Loader,
    device: &Device,
) -> Result<Vec<f64>, Error> {
    let model = model.valid();
    let mut confidences = Vec::with_capacity(loader.num_samples());
    for_each_batch(loader, device, |batch| {
        let logits = model.forward(batch.images);
        let [_, classes] = logits.dims();
        let logits: Vec<f32> = read(logits)?;
        for logits in logits.chunks_exact(classes) {
            confidences.push(Prediction::new(0, logits)?.confidence());
        }
        Ok(())
    })?;
    Ok(confidences)
}
