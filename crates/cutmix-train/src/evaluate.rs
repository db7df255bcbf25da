//! Evaluation of a model on a set.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData, Transaction};
use burn::train::metric::{Adaptor, Metric, Numeric};
use cutmix::Targets;
use serde::{Deserialize, Serialize};

use crate::history::Score;
use crate::loss::Loss;
use crate::metrics::{BurnMetric, DynMetric, Evaluation, Outputs};
use crate::network::Network;
use crate::world::{Alone, Share, World, gather};
use crate::{Batch, Error, Loader};

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
    world: Arc<dyn World>,
}

impl Evaluator {
    /// Measures this loss, and accuracy.
    pub fn new(loss: impl Loss + 'static) -> Self {
        Self {
            loss: Arc::new(loss),
            metrics: Vec::new(),
            world: Arc::new(Alone),
        }
    }

    /// Shares the batches out among the processes of a [`World`], all of which evaluate the same model.
    /// Each of them is given all outputs and all scores.
    pub fn world(mut self, world: Arc<dyn World>) -> Self {
        self.world = world;
        self
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
        let share = Share::of(self.world.as_ref(), self.world.size());
        let mut batches = loader.batches_of(&share, 0, 0, device).fuse();
        loop {
            let batch = batches.next().transpose();
            let batch = batch.map_err(|source| Error::Data {
                set: set.into(),
                source,
            })?;
            let is_over = batch.is_none();
            let outputs = match batch.filter(|batch| batch.size() > 0) {
                Some(batch) => Some(self.outputs(&model, batch.on_device(device))?),
                None => None,
            };
            let (is_over, all) = self.gather(is_over, outputs, device)?;
            if is_over {
                break;
            }
            for outputs in all {
                is_empty = false;
                observe(&outputs)?;
                evaluation.add(outputs)?;
            }
        }
        ensure_not_empty(set, is_empty)?;
        evaluation.scores()
    }
}

impl Evaluator {
    fn outputs<M: Network<D>, const D: usize>(
        &self,
        model: &M,
        batch: Batch<D>,
    ) -> Result<Outputs, Error> {
        let logits = model.forward(batch.images);
        let loss = self.loss.forward(logits.clone(), batch.targets.clone())?;
        Ok(Outputs {
            logits,
            targets: batch.targets,
            loss,
        })
    }

    /// Whether all processes are over, and the outputs of all for their next batches, those of process 0
    /// first.
    fn gather(
        &self,
        is_over: bool,
        own: Option<Outputs>,
        device: &Device,
    ) -> Result<(bool, Vec<Outputs>), Error> {
        if self.world.size() == 1 {
            return Ok((is_over, own.into_iter().collect()));
        }
        let own = own.map(SentOutputs::new).transpose()?;
        let all: Vec<(bool, Option<SentOutputs>)> = gather(self.world.as_ref(), &(is_over, own))?;
        let is_over = all.iter().all(|(is_over, _)| *is_over);
        let sent = all.into_iter().filter_map(|(_, sent)| sent);
        Ok((is_over, sent.map(|sent| sent.on_device(device)).collect()))
    }
}

/// Outputs on their way to other processes.
#[derive(Serialize, Deserialize)]
struct SentOutputs {
    logits: TensorData,
    is_dense: bool,
    targets: TensorData,
    loss: TensorData,
}

impl SentOutputs {
    fn new(outputs: Outputs) -> Result<Self, Error> {
        let read = Transaction::default()
            .register(outputs.logits)
            .register(outputs.loss);
        let is_dense = matches!(outputs.targets, Targets::Dense(_));
        let read = match outputs.targets {
            Targets::Indices(indices) => read.register(indices),
            Targets::Dense(dense) => read.register(dense),
        };
        let mut read = read.try_execute().map_err(Error::device)?.into_iter();
        let mut next = || read.next().expect("three tensors were read");
        Ok(Self {
            logits: next(),
            loss: next(),
            targets: next(),
            is_dense,
        })
    }

    fn on_device(self, device: &Device) -> Outputs {
        let dtypes = [&self.logits, &self.loss, &self.targets].map(|data| data.dtype());
        let [logits, loss, targets] = dtypes;
        Outputs {
            logits: Tensor::from_data(self.logits, (device, logits)),
            loss: Tensor::from_data(self.loss, (device, loss)),
            targets: if self.is_dense {
                Tensor::<2>::from_data(self.targets, (device, targets)).into()
            } else {
                Tensor::<1, Int>::from_data(self.targets, (device, targets)).into()
            },
        }
    }
}

/// [`Error::Argument`] for a set without samples.
pub(crate) fn ensure_not_empty(set: &str, is_empty: bool) -> Result<(), Error> {
    let value = format!("{set}, without samples");
    Error::ensure(!is_empty, "loader", value, "at least one sample")
}
