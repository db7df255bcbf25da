//! The targets of a batch.

use burn::tensor::{Device, Int, Tensor};

use crate::ops::reference::{one_hot, upload};
use crate::plan::Mixture;
use crate::{Error, ops};

/// The targets of a minibatch of `N` samples.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Class indices, shape `[N]`, each in `0..K`.
    Indices(Tensor<1, Int>),
    /// One row of `K` values for each sample, shape `[N, K]`: a class distribution, several labels at
    /// once, or values to regress.
    Dense(Tensor<2>),
}

impl Targets {
    /// The number of samples.
    pub fn batch(&self) -> usize {
        match self {
            Self::Indices(indices) => indices.dims()[0],
            Self::Dense(dense) => dense.dims()[0],
        }
    }

    /// Converts the targets to rows of `num_classes` values, shape `[N, num_classes]`. Indices become
    /// one-hot rows, and dense targets stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if dense targets have another number of columns, if `num_classes` is 0,
    /// or if a class index is not in `0..num_classes`. Indices on a GPU are not read back to be
    /// checked. There the row of an index out of range becomes NaN, and so does the loss, so that
    /// training does not continue silently.
    pub fn into_dense(self, num_classes: usize) -> Result<Tensor<2>, Error> {
        if num_classes == 0 {
            return Err(Error::argument("num_classes", 0, "at least one class"));
        }
        match self {
            Self::Indices(indices) => {
                check_classes(&indices, num_classes)?;
                Ok(one_hot(indices, num_classes))
            }
            Self::Dense(dense) if dense.dims()[1] == num_classes => Ok(dense),
            Self::Dense(dense) => Err(Error::argument(
                "targets",
                format!("of shape {:?}", dense.dims()),
                format!("dense targets with num_classes = {num_classes} columns"),
            )),
        }
    }

    /// Returns the class indices, for code that accepts nothing else. `receiver` names this code in the
    /// message of the error.
    ///
    /// # Errors
    ///
    /// [`Error::DenseTargets`] for dense targets. It names code that accepts them.
    pub fn into_indices(self, receiver: &str) -> Result<Tensor<1, Int>, Error> {
        match self {
            Self::Indices(indices) => Ok(indices),
            Self::Dense(dense) => Err(Error::DenseTargets {
                shape: dense.dims(),
                receiver: receiver.into(),
                instead: "loss::CrossEntropy, which accepts both, or the interpolated loss \
                    (with_interpolate_loss, loss::interpolate)"
                    .into(),
            }),
        }
    }

    /// Returns the targets of the partner of each sample in `plan`, a [`Plan`](crate::plan::Plan) or a
    /// [`Mixture`]. They are of the same kind as these.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the batch is not of the plan's size.
    pub fn partners(&self, plan: &impl AsRef<Mixture>) -> Result<Self, Error> {
        let plan = plan.as_ref();
        self.check_batch(plan)?;
        Ok(match self {
            Self::Indices(indices) => {
                let partners = upload(plan.partners(), &indices.device());
                Self::Indices(indices.clone().select(0, partners))
            }
            Self::Dense(dense) => {
                let partners = upload(plan.partners(), &dense.device());
                Self::Dense(dense.clone().select(0, partners))
            }
        })
    }

    /// Mixes the targets as `plan` says, a [`Plan`](crate::plan::Plan) or a [`Mixture`]: `lambda` times
    /// the target of a sample plus `1 - lambda` times that of its partner. The result has the shape
    /// `[N, num_classes]`.
    ///
    /// Indices become mixed rows in one pass, without one-hot rows in between.
    ///
    /// # Errors
    ///
    /// As [`into_dense`](Self::into_dense) and [`partners`](Self::partners).
    pub fn mix(self, num_classes: usize, plan: &impl AsRef<Mixture>) -> Result<Tensor<2>, Error> {
        let plan = plan.as_ref();
        self.check_batch(plan)?;
        match self {
            Self::Indices(indices) if !plan.is_identity() && num_classes > 0 => {
                check_classes(&indices, num_classes)?;
                Ok(ops::mix_classes(indices, num_classes, plan))
            }
            targets => {
                let dense = targets.into_dense(num_classes)?;
                if plan.is_identity() {
                    Ok(dense)
                } else {
                    Ok(ops::mix_whole(dense, plan))
                }
            }
        }
    }

    fn check_batch(&self, plan: &Mixture) -> Result<(), Error> {
        if self.batch() != plan.batch() {
            return Err(Error::argument(
                "targets",
                format!("for {} samples", self.batch()),
                format!("one for each of the {} samples of the plan", plan.batch()),
            ));
        }
        Ok(())
    }
}

impl From<Tensor<1, Int>> for Targets {
    fn from(indices: Tensor<1, Int>) -> Self {
        Self::Indices(indices)
    }
}

impl From<Tensor<2>> for Targets {
    fn from(dense: Tensor<2>) -> Self {
        Self::Dense(dense)
    }
}

/// Checks class indices that the host can read.
pub(crate) fn check_classes(indices: &Tensor<1, Int>, num_classes: usize) -> Result<(), Error> {
    if !is_cpu(&indices.device()) {
        return Ok(());
    }
    // A failed read shows again, with its cause, in the operation that follows.
    let Ok(data) = indices.clone().try_into_data() else {
        return Ok(());
    };
    let wrong = (data.iter::<i64>().enumerate())
        .find(|(_, class)| !(0..num_classes as i64).contains(class));
    if let Some((sample, class)) = wrong {
        return Err(Error::argument(
            "targets",
            format!("class {class} for sample {sample}"),
            format!("classes in 0..{num_classes}"),
        ));
    }
    Ok(())
}

/// Whether the memory of the device is that of the host, so that reading it is no transfer.
fn is_cpu(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return *device == Device::flex();
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}
