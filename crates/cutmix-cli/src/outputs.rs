//! What networks put out, on the host.

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softmax};

use crate::error::Error;
use crate::run_folder::ModelCard;

/// The numbers of a tensor, in order, on the host.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    let data = tensor.try_into_data().map_err(cutmix_train::Error::other)?;
    Ok(data.iter::<f32>().collect())
}

/// The probability of each class for logits `[N, K]`, one image after another.
pub fn probabilities(logits: Tensor<2>, card: &ModelCard) -> Result<Vec<f32>, Error> {
    read(if card.is_multi_label {
        sigmoid(logits)
    } else {
        softmax(logits, 1)
    })
}

/// The `top` most likely classes of an image, the most likely one first.
pub fn most_likely(probabilities: &[f32], top: usize) -> Vec<usize> {
    let mut classes: Vec<_> = (0..probabilities.len()).collect();
    classes.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
    classes.truncate(top);
    classes
}
