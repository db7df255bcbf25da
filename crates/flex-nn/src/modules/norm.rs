//! Batch normalisation.

use burn::module::{Flag, Module, Param, RunningState};
use burn::nn;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm, batch_norm_train};
#[cfg(feature = "flex")]
use burn::{
    backend::Dispatch,
    tensor::{DType, Device},
};

#[cfg(feature = "flex")]
use super::{has_kernels, is_untracked, without_autodiff};
#[cfg(feature = "flex")]
use crate::backend::NnOps;

/// A batch normalisation with the parameters of [`burn::nn::BatchNorm`], from which it is made. Unlike
/// that one it takes images alone, and can add a residual and apply a rectifier in the same pass.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// The scale of each channel.
    pub gamma: Param<Tensor<1>>,
    /// The shift of each channel.
    pub beta: Param<Tensor<1>>,
    /// Whether the layer trains, where its device tracks gradients.
    pub training: Param<Flag>,
    /// The running mean of each channel.
    pub running_mean: RunningState<Tensor<1>>,
    /// The running variance of each channel.
    pub running_var: RunningState<Tensor<1>>,
    /// The share of a batch in the running statistics.
    pub momentum: f64,
    /// The number that is added to the variance.
    pub epsilon: f64,
}

impl From<nn::BatchNorm> for BatchNorm {
    fn from(norm: nn::BatchNorm) -> Self {
        Self {
            gamma: norm.gamma,
            beta: norm.beta,
            training: norm.training,
            running_mean: norm.running_mean,
            running_var: norm.running_var,
            momentum: norm.momentum,
            epsilon: norm.epsilon,
        }
    }
}

impl BatchNorm {
    /// Normalises images `[N, C, H, W]`.
    ///
    /// # Panics
    ///
    /// Where `C` is not the number of channels of the layer.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.apply(images, None, false)
    }

    /// As [`forward`](Self::forward), and sets negative numbers to 0.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_relu(&self, images: Tensor<4>) -> Tensor<4> {
        self.apply(images, None, true)
    }

    /// As [`forward`](Self::forward), adds `residual`, of the shape of the images, and sets negative
    /// numbers to 0.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward), and where the shapes differ.
    pub fn forward_add_relu(&self, images: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        self.apply(images, Some(residual), true)
    }

    pub(super) fn apply(
        &self,
        images: Tensor<4>,
        residual: Option<Tensor<4>>,
        has_relu: bool,
    ) -> Tensor<4> {
        check_shapes(images.dims(), self, residual.as_ref());
        if self.is_training(&images) {
            return self.train(images, residual, has_relu);
        }
        let device = images.device();
        #[cfg(feature = "flex")]
        if has_kernels(&images) && self.is_plain(&images, residual.as_ref()) {
            return without_autodiff(images, |images| {
                let (scale, shift) = self.scale_and_shift(&images.device());
                let residual = residual.map(Tensor::without_autodiff);
                Tensor::from_dispatch(Dispatch::fast_scale(
                    images.into_dispatch(),
                    scale.into_dispatch(),
                    shift.into_dispatch(),
                    residual.map(Tensor::into_dispatch).into(),
                    has_relu,
                ))
            });
        }
        let mean = self.running_mean.value().to_device(&device);
        let variance = self.running_var.value().to_device(&device);
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        finish(
            batch_norm(images, gamma, beta, mean, variance, self.epsilon),
            residual,
            has_relu,
        )
    }

    /// Whether the statistics are those of the batch.
    fn is_training(&self, images: &Tensor<4>) -> bool {
        images.is_autodiff() && self.training.is_enabled()
    }

    /// Whether all numbers are of f32, the statistics are the running ones, and no gradients are
    /// tracked.
    #[cfg(feature = "flex")]
    pub(super) fn is_plain(&self, images: &Tensor<4>, residual: Option<&Tensor<4>>) -> bool {
        let is_f32 = residual.is_none_or(|residual| residual.dtype() == DType::F32);
        is_f32
            && self.gamma.dtype() == DType::F32
            && !self.is_training(images)
            && is_untracked(images)
            && is_untracked(&self.gamma.val())
            && is_untracked(&self.beta.val())
            && residual.is_none_or(is_untracked)
    }

    /// The factor and the summand of each channel for inference.
    #[cfg(feature = "flex")]
    pub(super) fn scale_and_shift(&self, device: &Device) -> (Tensor<1>, Tensor<1>) {
        let [mean, variance] = [&self.running_mean, &self.running_var]
            .map(|running| running.value().without_autodiff().to_device(device));
        let [gamma, beta] =
            [&self.gamma, &self.beta].map(|parameter| parameter.val().without_autodiff());
        let scale = gamma / (variance + self.epsilon).sqrt();
        let shift = beta - mean * scale.clone();
        (scale, shift)
    }

    fn train(&self, images: Tensor<4>, residual: Option<Tensor<4>>, has_relu: bool) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        #[cfg(feature = "flex")]
        if has_kernels(&images) && gamma.dtype() == DType::F32 {
            let (output, mean, variance) = Dispatch::fast_norm_train(
                images.into_dispatch(),
                gamma.into_dispatch(),
                beta.into_dispatch(),
                residual.map(Tensor::into_dispatch).into(),
                self.epsilon,
                has_relu,
            );
            self.update(Tensor::from_dispatch(mean), Tensor::from_dispatch(variance));
            return Tensor::from_dispatch(output);
        }
        let result = batch_norm_train(images, gamma, beta, self.epsilon);
        self.update(result.mean.detach(), result.variance.detach());
        finish(result.output, residual, has_relu)
    }

    /// Moves the running statistics towards those of a batch.
    fn update(&self, mean: Tensor<1>, variance: Tensor<1>) {
        for (running, batch) in [(&self.running_mean, mean), (&self.running_var, variance)] {
            let value = running.value_sync().to_device(&batch.device());
            let value = value * (1.0 - self.momentum) + batch * self.momentum;
            running.update(value.detach());
        }
    }
}

/// Checks the shape of images in front of a normalisation, and that of what is added to them.
pub(super) fn check_shapes(images: [usize; 4], norm: &BatchNorm, residual: Option<&Tensor<4>>) {
    assert_eq!(images[1], norm.gamma.dims()[0], "the number of channels");
    if let Some(residual) = residual {
        assert_eq!(images, residual.dims(), "the shapes of images and residual");
    }
}

fn finish(images: Tensor<4>, residual: Option<Tensor<4>>, has_relu: bool) -> Tensor<4> {
    let images = match residual {
        Some(residual) => images + residual,
        None => images,
    };
    if has_relu { relu(images) } else { images }
}
