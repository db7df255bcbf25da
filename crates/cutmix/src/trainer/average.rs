//! A moving average of the weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// An exponential moving average of a model's parameters and running statistics.
#[derive(Clone)]
pub(super) struct Average<M> {
    decay: f64,
    pub model: M,
}

impl<M: Module> Average<M> {
    /// Begins at `model`.
    pub fn new(decay: f64, model: &M) -> Self {
        Self {
            decay,
            model: model.valid(),
        }
    }

    /// Takes the weights after batch `batch`, counted from 0, into the average. Early ones count
    /// for more, or the average would long remember where it began.
    pub fn update(&mut self, model: &M, batch: u64) {
        let decay = self.decay.min((1.0 + batch as f64) / (10.0 + batch as f64));
        let mut collector = Collector(GradientsParams::new());
        model.valid().visit(&mut collector);
        let mut blend = Blend {
            decay,
            values: collector.0,
        };
        self.model = self.model.clone().map(&mut blend);
    }
}

/// Holds the values of parameters by their ids, of any rank.
struct Collector(GradientsParams);

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

struct Blend {
    decay: f64,
    values: GradientsParams,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, average, mapper) = param.consume();
        let average = match self.values.remove::<D>(id) {
            Some(value) => average * self.decay + value * (1.0 - self.decay),
            None => average,
        };
        Param::from_mapped_value(id, average, mapper)
    }
}
