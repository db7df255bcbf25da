//! Scores of a model on a data set.

use std::sync::Arc;

use burn::data::dataloader::{DataLoader, Progress};
use burn::tensor::{Device, TensorReadError};
use burn::train::TrainingError;
use burn::train::metric::{Adaptor, LossMetric, Metric, MetricMetadata, Numeric};

use super::metric::{AccuracyMetric, StepOutput};
use super::{Classifier, Scores, trainee};
use crate::{Batch, Error};

/// The mean loss and the accuracy of `model` over all batches of `loader`, on `device`.
///
/// No algorithm takes part.
///
/// # Errors
///
/// [`Error::Training`] for a sample that cannot be read, [`Error::Argument`] for a loader without
/// samples, [`Error::Device`] if the device fails, and the errors of the model's loss.
pub fn evaluate<M: Classifier<D>, const D: usize>(
    model: &M,
    loader: &Arc<dyn DataLoader<Batch<D>>>,
    device: &Device,
) -> Result<Scores, Error> {
    if loader.num_items() == 0 {
        return Err(Error::argument(
            "loader",
            "without samples",
            "a loader of at least one sample",
        ));
    }
    // Without autodiff, so that dropout and batch normalisation evaluate.
    let device = device.clone().inner();
    let model = model.valid().to_device(&device);
    let (mut loss, mut accuracy) = (LossMetric::new(), AccuracyMetric::new());
    let loader = loader.to_device(&device);
    for batch in loader.iter() {
        let batch = batch.map_err(|error| Error::Training(Arc::new(TrainingError::from(error))))?;
        let output = trainee::evaluate(&model, batch)?;
        update(&mut loss, &output)?;
        update(&mut accuracy, &output)?;
    }
    Ok(Scores {
        loss: loss.final_value().current(),
        accuracy: accuracy.final_value().current(),
    })
}

fn update<Me: Metric>(metric: &mut Me, output: &StepOutput) -> Result<(), Error>
where
    StepOutput: Adaptor<Me::Input>,
{
    let metadata = MetricMetadata {
        progress: Progress::new(0, 0, None),
        iteration: None,
        lr: None,
    };
    (metric.update(&output.adapt(), &metadata))
        .map(drop)
        .map_err(|error: TensorReadError| Error::Device(error.to_string()))
}
