//! Evaluation of a model on a set.

use std::sync::Arc;

use burn::tensor::Device;
use burn::train::metric::{Adaptor, Metric, Numeric};

use crate::history::Score;
use crate::loss::Loss;
use crate::metrics::{BurnMetric, DynMetric, Evaluation, Outputs};
use crate::network::Network;
use crate::{Error, Loader};

/// Measures a model on a set: loss, accuracy, and metrics of Burn's or your own.
///
/// ```
/// # use burn::tensor::Device;
/// # use cutmix_train::{Error, Loader, Network};
/// use burn::train::metric::TopKAccuracyMetric;
/// use cutmix_train::Evaluator;
/// use cutmix::loss::CrossEntropy;
///
/// # fn run(model: &impl Network, test: &dyn Loader, device: &Device) -> Result<(), Error> {
/// let evaluator = Evaluator::new(CrossEntropy::new()).metric("top5", TopKAccuracyMetric::new(5));
/// for score in evaluator.run("test", model, test, device)? {
///     println!("{} {}", score.name, score.value);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Evaluator {
    pub(crate) loss: Arc<dyn Loss>,
    metrics: Vec<(String, Box<dyn DynMetric>)>,
}

impl Evaluator {
    /// Measures this loss, and accuracy.
    pub fn new(loss: impl Loss + 'static) -> Self {
        Self {
            loss: Arc::new(loss),
            metrics: Vec::new(),
        }
    }

    /// Adds a metric under a name; one of the same name is replaced.
    pub fn metric<Me>(mut self, name: impl Into<String>, metric: Me) -> Self
    where
        Me: Metric + Numeric + 'static,
        Outputs: Adaptor<Me::Input>,
    {
        let name = name.into();
        self.metrics.retain(|(other, _)| *other != name);
        self.metrics.push((name, Box::new(BurnMetric(metric))));
        self
    }

    /// Checks the names of the metrics.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let accepted = "a name without a slash that is not `loss` or `accuracy`, which are measured \
                        in any case";
        self.metrics.iter().try_for_each(|(name, _)| {
            let is_free = name != "loss" && name != "accuracy" && !name.contains('/');
            Error::ensure(is_free, "metric", name, accepted)
        })
    }

    /// The names of all metrics.
    pub(crate) fn metric_names(&self) -> impl Iterator<Item = &str> {
        let added = self.metrics.iter().map(|(name, _)| name.as_str());
        ["loss", "accuracy"].into_iter().chain(added)
    }

    /// The scores of `model` on all batches of `loader`, computed on `device`. Their names start with
    /// that of the set: `test/accuracy`, in percent.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for a sample that cannot be read, [`Error::Argument`] for a loader without
    /// samples or a metric named `loss` or `accuracy`, [`Error::Device`] if the device fails, and the errors of the loss.
    pub fn run<M: Network<D>, const D: usize>(
        &self,
        set: &str,
        model: &M,
        loader: &dyn Loader<D>,
        device: &Device,
    ) -> Result<Vec<Score>, Error> {
        self.run_observed(set, model, loader, device, |_| Ok(()))
    }

    /// As [`run`](Self::run); `observe` is given the outputs of each batch.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and those of `observe`.
    pub fn run_observed<M: Network<D>, const D: usize>(
        &self,
        set: &str,
        model: &M,
        loader: &dyn Loader<D>,
        device: &Device,
        mut observe: impl FnMut(&Outputs) -> Result<(), Error>,
    ) -> Result<Vec<Score>, Error> {
        self.check()?;
        // Without autodiff, dropout and batch normalisation evaluate.
        let device = &device.clone().without_autodiff();
        let model = model.valid().to_device(device);
        let mut evaluation = Evaluation::new(set, self.loss.reduction(), &self.metrics);
        let mut is_empty = true;
        for batch in loader.batches(0, 0, device) {
            let batch = batch.map_err(|source| Error::Data {
                set: set.into(),
                source,
            })?;
            let batch = batch.on_device(device);
            is_empty = false;
            let logits = model.forward(batch.images);
            let loss = self.loss.forward(logits.clone(), batch.targets.clone())?;
            let outputs = Outputs {
                logits,
                targets: batch.targets,
                loss,
            };
            observe(&outputs)?;
            evaluation.add(outputs)?;
        }
        ensure_not_empty(set, is_empty)?;
        evaluation.scores()
    }
}

/// [`Error::Argument`] for a set without samples.
pub(crate) fn ensure_not_empty(set: &str, is_empty: bool) -> Result<(), Error> {
    let value = format!("{set}, without samples");
    Error::ensure(!is_empty, "loader", value, "at least one sample")
}
