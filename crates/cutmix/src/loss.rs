//! Losses that accept distributions as targets.
//!
//! CutMix gives every sample a mixture of two classes, so the loss has to take dense targets.
//! [`CrossEntropy`] accepts them as well as class indices. [`BinaryCrossEntropy`] is the loss for several
//! labels at once. [`interpolate`] serves losses that only take indices. All of them compute in f32
//! where the logits are f16 or bf16.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, DType, FloatDType, Int, IntDType, Tensor};

use crate::targets::check_classes;
use crate::{Error, Targets};

/// The way in which the losses of the samples become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// The mean of the losses, shape `[1]`.
    #[default]
    Mean,
    /// The sum of the losses, shape `[1]`.
    Sum,
    /// One loss for each sample, shape `[N]`.
    None,
}

/// Cross-entropy of softmax(logits) against class indices or distributions.
///
/// For a sample with the target distribution `t` and class weights `w` it is
/// `-sum_k w_k t'_k log softmax(logits)_k` with `t' = (1 - s) t + s / K` for the label smoothing
/// `s` (Szegedy et al., CVPR 2016, section 7). The mean divides by the number of samples, or, for
/// class indices with weights, by the sum of the samples' weights, as PyTorch does.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix::loss::CrossEntropy;
///
/// let device = Device::default();
/// let logits = Tensor::<2>::from_floats([[2.0, 0.0], [0.0, 2.0]], &device);
/// let targets = Tensor::<2>::from_floats([[0.7, 0.3], [0.3, 0.7]], &device);
/// let loss = CrossEntropy::new().forward(logits, targets)?;
/// assert!((loss.into_scalar::<f32>() - 0.7269).abs() < 1e-3);
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CrossEntropy {
    weights: Option<Tensor<1>>,
    smoothing: f64,
    reduction: Reduction,
}

impl CrossEntropy {
    /// Creates the loss without weights and smoothing, as a mean.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the weights of the classes: shape `[K]`, each at least 0.
    pub fn with_weights(mut self, weights: Tensor<1>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// Sets the share of each target, in `0..=1`, that moves evenly to all classes.
    pub fn with_smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Sets the reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The reduction.
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// The weights of the classes, if there are any.
    pub fn weights(&self) -> Option<&Tensor<1>> {
        self.weights.as_ref()
    }

    /// Returns the number that the mean divides by where it is not the number of samples: for class
    /// indices with class weights the sum of the weights of these classes, shape `[1]`. It is `None` for
    /// dense targets, without weights, and for another reduction than the mean.
    ///
    /// A batch that is computed in parts has the loss of the whole batch if each part counts by this
    /// number.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a class index is out of range. Indices on a GPU are not read back to be
    /// checked; there the number becomes NaN.
    pub fn mean_weight(&self, targets: &Targets) -> Result<Option<Tensor<1>>, Error> {
        let (Some(weights), Targets::Indices(indices), Reduction::Mean) =
            (&self.weights, targets, self.reduction)
        else {
            return Ok(None);
        };
        let [classes] = weights.dims();
        check_classes(indices, classes)?;
        let (inside, wrong) = clamp(indices.clone(), classes);
        let weights = weights.clone().to_device(&indices.device());
        let weights = widen(weights).select(0, inside);
        Ok(Some(weights.mask_fill(wrong, f32::NAN).sum()))
    }

    /// Computes the loss of `logits`, shape `[N, K]`, against indices `[N]` or dense targets `[N, K]`.
    /// It has the shape `[1]`, or `[N]` with [`Reduction::None`].
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if smoothing is out of range, shapes disagree, or a class index is out
    /// of range. Indices on a GPU are not read back to be checked; there the loss becomes NaN.
    pub fn forward(
        &self,
        logits: Tensor<2>,
        targets: impl Into<Targets>,
    ) -> Result<Tensor<1>, Error> {
        let targets = targets.into();
        check(&logits, &targets, &self.weights, self.smoothing)?;
        let logits = widen(logits);
        let dtype = FloatDType::from(logits.dtype());
        let [_, classes] = logits.dims();

        let weights =
            (self.weights.clone()).map(|weights| weights.to_device(&logits.device()).cast(dtype));
        let mut log_probs = log_softmax(logits, 1);
        if let Some(weights) = &weights {
            log_probs = log_probs * weights.clone().unsqueeze_dim(0);
        }
        let smooth = (self.smoothing > 0.0)
            .then(|| log_probs.clone().sum_dim(1) * (self.smoothing / classes as f64));
        let (mut losses, sample_weights) = match targets {
            Targets::Indices(indices) => {
                check_classes(&indices, classes)?;
                // The loss of an index that could not be checked becomes NaN, and nothing outside of
                // the tensor is read.
                let (inside, wrong) = clamp(indices, classes);
                let weights = weights.map(|weights| weights.select(0, inside.clone()));
                let picked = log_probs.gather(1, inside.unsqueeze_dim(1));
                (picked.mask_fill(wrong.unsqueeze_dim(1), f32::NAN), weights)
            }
            Targets::Dense(dense) => ((log_probs * dense.cast(dtype)).sum_dim(1), None),
        };
        if let Some(smooth) = smooth {
            losses = losses * (1.0 - self.smoothing) + smooth;
        }
        let losses = losses.neg().squeeze_dim::<1>(1);
        Ok(match (self.reduction, sample_weights) {
            (Reduction::Mean, Some(weights)) => losses.sum() / weights.sum(),
            (reduction, _) => reduce(losses, reduction),
        })
    }
}

/// Binary cross-entropy of sigmoid(logits), for several labels at once.
///
/// For a sample with the target probabilities `t` and class weights `w` it is the mean over the
/// `K` classes of `-w_k (t'_k log p_k + (1 - t'_k) log(1 - p_k))`, `p = sigmoid(logits)`, with
/// `t' = (1 - s) t + s / 2` for the label smoothing `s`.
#[derive(Clone, Debug, Default)]
pub struct BinaryCrossEntropy {
    weights: Option<Tensor<1>>,
    smoothing: f64,
    reduction: Reduction,
}

impl BinaryCrossEntropy {
    /// Creates the loss without weights and smoothing, as a mean.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the weights of the classes: shape `[K]`, each at least 0.
    pub fn with_weights(mut self, weights: Tensor<1>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// Sets the share, in `0..=1`, by which each target moves towards one half.
    pub fn with_smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Sets the reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The reduction.
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// The weights of the classes, if there are any.
    pub fn weights(&self) -> Option<&Tensor<1>> {
        self.weights.as_ref()
    }

    /// Computes the loss of `logits`, shape `[N, K]`, against dense targets `[N, K]` in `0..=1`. Indices
    /// become one-hot rows. The loss has the shape `[1]`, or `[N]` with [`Reduction::None`].
    ///
    /// # Errors
    ///
    /// As [`CrossEntropy::forward`].
    pub fn forward(
        &self,
        logits: Tensor<2>,
        targets: impl Into<Targets>,
    ) -> Result<Tensor<1>, Error> {
        let targets = targets.into();
        check(&logits, &targets, &self.weights, self.smoothing)?;
        let logits = widen(logits);
        let dtype = FloatDType::from(logits.dtype());
        let [_, classes] = logits.dims();

        let targets = targets.into_dense(classes)?.cast(dtype);
        let targets = targets * (1.0 - self.smoothing) + 0.5 * self.smoothing;
        // -t log p - (1 - t) log(1 - p) = |x| / 2 + (1/2 - t) x + log(1 + exp(-|x|)): no overflow
        // on either side, and with 0 as the slope of |x| at 0 the right gradient there.
        let size = logits.clone().abs();
        let mut losses =
            size.clone() * 0.5 + logits * (targets.neg() + 0.5) + size.neg().exp().log1p();
        if let Some(weights) = self.weights.clone() {
            let weights = weights.to_device(&losses.device()).cast(dtype);
            losses = losses * weights.unsqueeze_dim(0);
        }
        let losses = losses.mean_dim(1).squeeze_dim::<1>(1);
        Ok(reduce(losses, self.reduction))
    }
}

/// Computes `lambda * loss(own) + (1 - lambda) * loss(partners)`, for losses that only take class
/// indices.
///
/// It equals the loss against the mixed distribution where the loss is linear in its targets, as
/// cross-entropy is. (The mean with class weights is not: for indices it divides by the sum of their
/// weights.) `logits` is `[N, K]`, `own` and `partners` are the targets of the samples and of their
/// partners (see [`Targets::partners`]), and `lambda` is that of the plan.
///
/// # Errors
///
/// [`Error::Argument`] for a `lambda` outside `0..=1`, and those of `loss`.
pub fn interpolate(
    logits: Tensor<2>,
    own: impl Into<Targets>,
    partners: impl Into<Targets>,
    lambda: f64,
    loss: impl Fn(Tensor<2>, Targets) -> Result<Tensor<1>, Error>,
) -> Result<Tensor<1>, Error> {
    if !(0.0..=1.0).contains(&lambda) {
        return Err(Error::argument("lambda", lambda, "a number in 0..=1"));
    }
    let own = loss(logits.clone(), own.into())?;
    let partners = loss(logits, partners.into())?;
    Ok(own * lambda + partners * (1.0 - lambda))
}

/// Converts f16 and bf16 to f32: a sum over classes and a mean over samples need the range and the
/// digits.
fn widen<const R: usize>(values: Tensor<R>) -> Tensor<R> {
    match values.dtype() {
        DType::F16 | DType::BF16 => values.cast(FloatDType::F32),
        _ => values,
    }
}

/// Moves class indices into range, and returns with them which ones were out of range.
fn clamp(indices: Tensor<1, Int>, classes: usize) -> (Tensor<1, Int>, Tensor<1, Bool>) {
    let indices = indices.cast(IntDType::I32);
    let inside = indices.clone().clamp(0, classes as i64 - 1);
    let wrong = indices.not_equal(inside.clone());
    (inside, wrong)
}

fn reduce(losses: Tensor<1>, reduction: Reduction) -> Tensor<1> {
    match reduction {
        Reduction::Mean => losses.mean(),
        Reduction::Sum => losses.sum(),
        Reduction::None => losses,
    }
}

fn check(
    logits: &Tensor<2>,
    targets: &Targets,
    weights: &Option<Tensor<1>>,
    smoothing: f64,
) -> Result<(), Error> {
    let [batch, classes] = logits.dims();
    if batch == 0 || classes == 0 {
        return Err(Error::argument(
            "logits",
            format!("of shape {:?}", logits.dims()),
            "at least one sample and one class",
        ));
    }
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(Error::argument("smoothing", smoothing, "a number in 0..=1"));
    }
    if let Some(weights) = weights
        && weights.dims() != [classes]
    {
        return Err(Error::argument(
            "weights",
            format!("of shape {:?}", weights.dims()),
            format!("one weight for each of the {classes} classes"),
        ));
    }
    let fits = match targets {
        Targets::Indices(indices) => indices.dims() == [batch],
        Targets::Dense(dense) => dense.dims() == [batch, classes],
    };
    if !fits {
        let shape = match targets {
            Targets::Indices(indices) => indices.dims().to_vec(),
            Targets::Dense(dense) => dense.dims().to_vec(),
        };
        return Err(Error::argument(
            "targets",
            format!("of shape {shape:?}"),
            format!("class indices [{batch}] or dense targets [{batch}, {classes}]"),
        ));
    }
    Ok(())
}
