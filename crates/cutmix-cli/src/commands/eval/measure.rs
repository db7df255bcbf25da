//! The scores of a model on a set.

use burn::tensor::{Device, Tensor};
use cutmix::loss::{BinaryCrossEntropy, CrossEntropy};
use cutmix_train::{Evaluator, Loader, Outputs, Score};
use cutmix_vision::{AnyNetwork, ImageLoader};

use crate::progress::counted;
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

/// The scores of a model on a set. A terminal shows how far it is.
pub fn measure(
    evaluator: &Evaluator,
    set: &str,
    model: &AnyNetwork,
    loader: &ImageLoader,
    device: &Device,
    mut observe: impl FnMut(&Outputs) -> Result<(), cutmix_train::Error>,
) -> Result<Vec<Score>, cutmix_train::Error> {
    let things = format!("images, evaluating {set}");
    counted(&things, loader.num_samples(), |progress| {
        evaluator.run_observed(set, model, loader, device, |outputs| {
            observe(outputs)?;
            progress(outputs.logits.dims()[0]);
            Ok(())
        })
    })
}
