//! The adaptor for Burn's metrics.

use burn::data::dataloader::Progress;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Int, Tensor};
use burn::train::metric::{
    AccuracyInput, Adaptor, ConfusionStatsInput, HammingScoreInput, LossInput, Metric,
    MetricAttributes, MetricMetadata, Numeric, PerplexityInput, TopKAccuracyInput,
};
use cutmix::Targets;

use crate::Error;
use crate::parameters::widen;

/// The outputs of a network for a batch of an evaluation set. A metric of your own can take them
/// as its input.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The logits, shape `[N, K]`.
    pub logits: Tensor<2>,
    /// The targets of the samples.
    pub targets: Targets,
    /// The loss, shape `[1]`.
    pub loss: Tensor<1>,
}

impl Outputs {
    /// The class of each sample, shape `[N]`; of a distribution, the most likely one.
    fn classes(&self) -> Tensor<1, Int> {
        match &self.targets {
            Targets::Indices(indices) => indices.clone(),
            Targets::Dense(dense) => dense.clone().argmax(1).squeeze_dim(1),
        }
    }

    /// Whether each sample has each class, shape `[N, K]`; of a distribution, with at least one half.
    pub(super) fn labels(&self) -> Tensor<2, Bool> {
        let [_, classes] = self.logits.dims();
        match &self.targets {
            Targets::Indices(indices) => indices.clone().one_hot::<2>(classes).bool(),
            Targets::Dense(dense) => dense.clone().greater_equal_elem(0.5),
        }
    }

    fn probabilities(&self) -> Tensor<2> {
        softmax(widen(self.logits.clone()), 1)
    }
}

impl Adaptor<Outputs> for Outputs {
    fn adapt(&self) -> Outputs {
        self.clone()
    }
}

impl Adaptor<LossInput> for Outputs {
    fn adapt(&self) -> LossInput {
        // Once for each sample, so that a short last batch counts for its samples.
        let [batch, _] = self.logits.dims();
        LossInput::new(self.loss.clone().expand([batch]))
    }
}

impl Adaptor<AccuracyInput> for Outputs {
    fn adapt(&self) -> AccuracyInput {
        AccuracyInput::new(widen(self.logits.clone()), self.classes())
    }
}

impl Adaptor<TopKAccuracyInput> for Outputs {
    fn adapt(&self) -> TopKAccuracyInput {
        TopKAccuracyInput::new(widen(self.logits.clone()), self.classes())
    }
}

impl Adaptor<ConfusionStatsInput> for Outputs {
    fn adapt(&self) -> ConfusionStatsInput {
        ConfusionStatsInput::new(self.probabilities(), self.labels())
    }
}

impl Adaptor<HammingScoreInput> for Outputs {
    fn adapt(&self) -> HammingScoreInput {
        HammingScoreInput::new(widen(self.logits.clone()), self.labels().int())
    }
}

impl Adaptor<PerplexityInput> for Outputs {
    fn adapt(&self) -> PerplexityInput {
        PerplexityInput::new(widen(self.logits.clone()), self.classes())
    }
}

/// A metric of any input.
pub(crate) trait DynMetric: Send + Sync {
    /// The same metric before any sample.
    fn fresh(&self) -> Box<dyn DynMetric>;
    fn higher_is_better(&self) -> bool;
    fn update(&mut self, outputs: &Outputs) -> Result<(), Error>;
    fn value(&mut self) -> Result<f64, Error>;
}

/// A metric of Burn's.
pub(crate) struct BurnMetric<Me>(pub Me);

impl<Me> DynMetric for BurnMetric<Me>
where
    Me: Metric + Numeric + 'static,
    Outputs: Adaptor<Me::Input>,
{
    fn fresh(&self) -> Box<dyn DynMetric> {
        let mut metric = self.0.clone();
        metric.clear();
        Box::new(Self(metric))
    }

    fn higher_is_better(&self) -> bool {
        match self.0.attributes() {
            MetricAttributes::Numeric(attributes) => attributes.higher_is_better,
            MetricAttributes::None => true,
        }
    }

    fn update(&mut self, outputs: &Outputs) -> Result<(), Error> {
        let metadata = MetricMetadata {
            progress: Progress::new(0, 0, None),
            iteration: None,
            lr: None,
        };
        let input = Adaptor::<Me::Input>::adapt(outputs);
        self.0.update(&input, &metadata).map_err(Error::device)?;
        Ok(())
    }

    fn value(&mut self) -> Result<f64, Error> {
        self.0.compute().map_err(Error::device)?;
        Ok(self.0.final_value().current())
    }
}
