//! What measures a model.

use burn::tensor::{Device, Tensor};
use cutmix::loss::{BinaryCrossEntropy, CrossEntropy};
use cutmix_train::Evaluator;

use crate::run_folder::ModelCard;
use crate::settings::Settings;

/// What measures a model as the trainer does.
pub fn evaluator(settings: &Settings, card: &ModelCard, device: &Device) -> Evaluator {
    let device = device.clone().without_autodiff();
    let weights = card.class_weights.as_ref();
    let weights = weights.map(|weights| Tensor::<1>::from_data(weights.as_slice(), &device));
    let evaluator = if card.is_multi_label {
        let loss = BinaryCrossEntropy::new();
        Evaluator::new(match weights {
            Some(weights) => loss.with_weights(weights),
            None => loss,
        })
    } else {
        let loss = CrossEntropy::new();
        Evaluator::new(match weights {
            Some(weights) => loss.with_weights(weights),
            None => loss,
        })
    };
    (settings.metric.iter()).fold(evaluator, |evaluator, metric| metric.add_to(evaluator))
}
