//! The losses that a trainer minimises.

use burn::tensor::Tensor;
use cutmix::Targets;
pub use cutmix::loss::Reduction;
use cutmix::loss::{BinaryCrossEntropy, CrossEntropy};

use crate::Error;

/// A loss. The trainer has to know how it reduces the losses of the samples to one number, because
/// it adds up the gradients of the parts of a batch and reports the mean loss of a sample.
///
/// [`CrossEntropy`] and [`BinaryCrossEntropy`] are losses, and [`LossFn`] makes one of a closure.
pub trait Loss: Send + Sync {
    /// The loss of logits `[N, K]`, shape `[1]`. With CutMix the targets are dense, unless it
    /// interpolates the loss.
    ///
    /// # Errors
    ///
    /// An error stops the run.
    fn forward(&self, logits: Tensor<2>, targets: Targets) -> Result<Tensor<1>, Error>;

    /// How the losses of the samples become one: [`Reduction::Mean`] or [`Reduction::Sum`].
    fn reduction(&self) -> Reduction;

    /// The number that a mean divides by, shape `[1]`, where it is not the number of samples: the
    /// sum of the class weights of the targets, for example.
    ///
    /// # Errors
    ///
    /// An error stops the run.
    fn mean_weight(&self, _targets: &Targets) -> Result<Option<Tensor<1>>, Error> {
        Ok(None)
    }
}

impl Loss for CrossEntropy {
    fn forward(&self, logits: Tensor<2>, targets: Targets) -> Result<Tensor<1>, Error> {
        Ok(Self::forward(self, logits, targets)?)
    }

    fn reduction(&self) -> Reduction {
        Self::reduction(self)
    }

    fn mean_weight(&self, targets: &Targets) -> Result<Option<Tensor<1>>, Error> {
        Ok(Self::mean_weight(self, targets)?)
    }
}

impl Loss for BinaryCrossEntropy {
    fn forward(&self, logits: Tensor<2>, targets: Targets) -> Result<Tensor<1>, Error> {
        Ok(Self::forward(self, logits, targets)?)
    }

    fn reduction(&self) -> Reduction {
        Self::reduction(self)
    }
}

/// A closure as a [`Loss`], with its reduction.
///
/// ```
/// use burn::tensor::Tensor;
/// use cutmix::Targets;
/// use cutmix_train::{Error, LossFn};
///
/// // The mean squared error of values to regress.
/// let loss = LossFn::mean(|logits: Tensor<2>, targets: Targets| {
///     let width = logits.dims()[1];
///     let error = logits - targets.into_dense(width)?;
///     Ok(error.powi_scalar(2).mean())
/// });
/// ```
pub struct LossFn<F> {
    loss: F,
    reduction: Reduction,
}

impl<F> LossFn<F>
where
    F: Fn(Tensor<2>, Targets) -> Result<Tensor<1>, Error> + Send + Sync,
{
    /// A loss that is the mean over the samples.
    pub fn mean(loss: F) -> Self {
        Self {
            loss,
            reduction: Reduction::Mean,
        }
    }

    /// A loss that is the sum over the samples.
    pub fn sum(loss: F) -> Self {
        Self {
            loss,
            reduction: Reduction::Sum,
        }
    }
}

impl<F> Loss for LossFn<F>
where
    F: Fn(Tensor<2>, Targets) -> Result<Tensor<1>, Error> + Send + Sync,
{
    fn forward(&self, logits: Tensor<2>, targets: Targets) -> Result<Tensor<1>, Error> {
        (self.loss)(logits, targets)
    }

    fn reduction(&self) -> Reduction {
        self.reduction
    }
}
