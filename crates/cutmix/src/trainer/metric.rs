//! What a step reports, and the accuracy that is shown.

use std::sync::Arc;

use burn::tensor::{ExecutionError, Int, IntDType, Tensor, TensorReadError};
use burn::train::ItemLazy;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, LossInput, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric,
    NumericAttributes, NumericEntry, SerializedEntry,
};

use crate::Targets;
use crate::algorithms::{Interpolation, Note};

/// The outcome of a training or evaluation step, still on its device.
pub(super) struct StepOutput {
    pub loss: Tensor<1>,
    pub logits: Tensor<2>,
    pub targets: Targets,
    pub interpolation: Option<Interpolation>,
    pub notes: Vec<Note>,
}

impl ItemLazy for StepOutput {
    /// Dispatches the pending work and leaves the autodiff graph; the metrics, on a thread of
    /// their own, read back one number each.
    fn sync(self) -> Result<Self, ExecutionError> {
        self.loss.device().flush()?;
        Ok(Self {
            loss: self.loss.without_autodiff(),
            logits: self.logits.without_autodiff(),
            targets: without_autodiff(self.targets),
            interpolation: self.interpolation.map(|partners| Interpolation {
                targets: without_autodiff(partners.targets),
                lambda: partners.lambda,
            }),
            notes: self.notes,
        })
    }
}

fn without_autodiff(targets: Targets) -> Targets {
    match targets {
        Targets::Indices(indices) => Targets::Indices(indices.without_autodiff()),
        Targets::Dense(dense) => Targets::Dense(dense.without_autodiff()),
    }
}

impl Adaptor<LossInput> for StepOutput {
    /// Repeated for each sample, so that a short last batch counts for its samples.
    fn adapt(&self) -> LossInput {
        let [batch, _] = self.logits.dims();
        LossInput::new(self.loss.clone().expand([batch]))
    }
}

/// The input of [`AccuracyMetric`].
pub struct AccuracyInput {
    logits: Tensor<2>,
    targets: Targets,
    interpolation: Option<Interpolation>,
}

impl AccuracyInput {
    /// Logits `[N, K]` and the targets of the samples, with those of their partners where the loss
    /// is interpolated.
    pub fn new(
        logits: Tensor<2>,
        targets: impl Into<Targets>,
        interpolation: Option<Interpolation>,
    ) -> Self {
        Self {
            logits,
            targets: targets.into(),
            interpolation,
        }
    }
}

impl Adaptor<AccuracyInput> for StepOutput {
    fn adapt(&self) -> AccuracyInput {
        AccuracyInput::new(
            self.logits.clone(),
            self.targets.clone(),
            self.interpolation.clone(),
        )
    }
}

/// Accuracy, in percent, under the name "Accuracy".
///
/// It is the share of the target that lies on the predicted class, averaged over samples. For
/// class indices that is the ordinary accuracy. For a sample mixed of two classes it is lambda if
/// the prediction is its own class, `1 - lambda` if it is the partner's, and so at most
/// `max(lambda, 1 - lambda)`: under CutMix a training accuracy of 75 % can be as good as it gets.
/// It is NaN where the targets are not of the logits' width.
#[derive(Clone)]
pub struct AccuracyMetric {
    name: MetricName,
    state: NumericMetricState,
}

impl AccuracyMetric {
    /// The metric, before any batch.
    pub fn new() -> Self {
        Self {
            name: Arc::new("Accuracy".into()),
            state: NumericMetricState::default(),
        }
    }

    fn format(&self) -> FormatOptions {
        FormatOptions::new(self.name()).unit("%").precision(2)
    }
}

impl Default for AccuracyMetric {
    fn default() -> Self {
        Self::new()
    }
}

/// The share of each sample's target that lies on its predicted class, shape `[N, 1]`.
fn share(predicted: Tensor<2, Int>, targets: Targets) -> Tensor<2> {
    match targets {
        Targets::Indices(indices) => {
            // Backends compare like with like.
            let indices = indices.cast(IntDType::from(predicted.dtype()));
            predicted.equal(indices.unsqueeze_dim(1)).float()
        }
        Targets::Dense(dense) => dense.gather(1, predicted),
    }
}

impl Metric for AccuracyMetric {
    type Input = AccuracyInput;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn description(&self) -> Option<String> {
        Some("share of the target on the predicted class".into())
    }

    fn attributes(&self) -> MetricAttributes {
        MetricAttributes::Numeric(NumericAttributes {
            unit: Some("%".into()),
            higher_is_better: true,
        })
    }

    fn update(
        &mut self,
        input: &AccuracyInput,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        let [batch, classes] = input.logits.dims();
        if let Targets::Dense(dense) = &input.targets
            && dense.dims()[1] != classes
        {
            // A regression, say: there is no predicted class.
            self.state.update(f64::NAN, batch);
            return Ok(self.state.compute_update(self.format()));
        }
        let predicted = input.logits.clone().argmax(1);
        let own = share(predicted.clone(), input.targets.clone());
        let shares = match input.interpolation.clone() {
            None => own,
            Some(partners) => {
                own * partners.lambda + share(predicted, partners.targets) * (1.0 - partners.lambda)
            }
        };
        let accuracy = shares.mean().try_into_scalar::<f64>()?;
        self.state.update(100.0 * accuracy, batch);
        Ok(self.state.compute_update(self.format()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl Numeric for AccuracyMetric {
    fn value(&self) -> Option<NumericEntry> {
        Some(self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}
