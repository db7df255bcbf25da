//! Modules with the parameters of Burn's.

use burn::module::{Flag, Module, Param, RunningState};
use burn::nn::{self, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm, batch_norm_train, conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions, PadMode};
use burn::tensor::{Tensor, s};
#[cfg(feature = "flex")]
use burn::{
    backend::{Dispatch, DispatchTensorKind},
    tensor::{DType, Device},
};

#[cfg(feature = "flex")]
use crate::backend::NnOps;

/// A convolution with the parameters of [`burn::nn::conv::Conv2d`], from which it is made.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// The weights `[O, C / groups, h, w]`.
    pub weight: Param<Tensor<4>>,
    /// A number for each output channel, `[O]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The distance of output positions in the input, by rows and by columns.
    pub stride: [usize; 2],
    /// The height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// The distance of the elements of the kernel in the input.
    pub dilation: [usize; 2],
    /// The number of groups of channels, which are convolved each by itself.
    pub groups: usize,
    /// The zeros around the input.
    #[module(skip)]
    pub padding: PaddingConfig2d,
}

impl From<nn::conv::Conv2d> for Conv2d {
    fn from(conv: nn::conv::Conv2d) -> Self {
        Self {
            weight: conv.weight,
            bias: conv.bias,
            stride: conv.stride,
            kernel_size: conv.kernel_size,
            dilation: conv.dilation,
            groups: conv.groups,
            padding: conv.padding,
        }
    }
}

impl Conv2d {
    /// Convolves images `[N, C, H, W]` to `[N, O, H', W']`.
    ///
    /// # Panics
    ///
    /// Where the shapes do not match or the kernel does not fit into the images, as Burn does.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let options = self.options(&images);
        let weight = self.weight.val();
        let bias = self.bias.as_ref().map(|bias| bias.val());
        #[cfg(feature = "flex")]
        if self.has_kernels(&images) {
            let bias = bias.map(Tensor::into_dispatch).into();
            let (images, weight) = (images.into_dispatch(), weight.into_dispatch());
            return Tensor::from_dispatch(Dispatch::fast_conv2d(images, weight, bias, options));
        }
        conv2d(images, weight, bias, options)
    }

    /// Convolves images and normalises the result, which for inference is one pass.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward) and [`BatchNorm::forward`].
    pub fn forward_norm(&self, images: Tensor<4>, norm: &BatchNorm) -> Tensor<4> {
        self.normalised(images, norm, None, false)
    }

    /// As [`forward_norm`](Self::forward_norm), and sets negative numbers to 0.
    ///
    /// # Panics
    ///
    /// As [`forward_norm`](Self::forward_norm).
    pub fn forward_norm_relu(&self, images: Tensor<4>, norm: &BatchNorm) -> Tensor<4> {
        self.normalised(images, norm, None, true)
    }

    /// As [`forward_norm`](Self::forward_norm), adds `residual`, of the shape of the result, and sets
    /// negative numbers to 0.
    ///
    /// # Panics
    ///
    /// As [`forward_norm`](Self::forward_norm), and where the shapes differ.
    pub fn forward_norm_add_relu(
        &self,
        images: Tensor<4>,
        norm: &BatchNorm,
        residual: Tensor<4>,
    ) -> Tensor<4> {
        self.normalised(images, norm, Some(residual), true)
    }

    fn normalised(
        &self,
        images: Tensor<4>,
        norm: &BatchNorm,
        residual: Option<Tensor<4>>,
        has_relu: bool,
    ) -> Tensor<4> {
        #[cfg(feature = "flex")]
        if self.has_kernels(&images) && norm.is_plain(&images, residual.as_ref()) && self.is_plain()
        {
            let options = self.options(&images);
            let conv = crate::flex::conv(images.dims(), self.weight.dims(), &options);
            check_shapes(conv.output(), norm, residual.as_ref());
            let (scale, mut shift) = norm.scale_and_shift(&images.device());
            if let Some(bias) = &self.bias {
                shift = shift + bias.val() * scale.clone();
            }
            return Tensor::from_dispatch(Dispatch::fast_conv2d_scale(
                images.into_dispatch(),
                self.weight.val().into_dispatch(),
                scale.into_dispatch(),
                shift.into_dispatch(),
                residual.map(Tensor::into_dispatch).into(),
                options,
                has_relu,
            ));
        }
        norm.apply(self.forward(images), residual, has_relu)
    }

    /// Whether no gradients of the parameters are tracked.
    #[cfg(feature = "flex")]
    fn is_plain(&self) -> bool {
        let bias = self.bias.as_ref().map(|bias| bias.val().device());
        !self.weight.val().device().is_autodiff() && !bias.is_some_and(|bias| bias.is_autodiff())
    }

    fn options(&self, images: &Tensor<4>) -> ConvOptions<2> {
        let [_, channels, height, width] = images.dims();
        let expected = self.weight.dims()[1] * self.groups;
        assert_eq!(channels, expected, "the number of channels");
        let size = [height, width];
        let padding = padding(&self.padding, size, self.kernel_size, self.stride);
        ConvOptions::new_with_padding(self.stride, padding, self.dilation, self.groups)
    }

    /// Whether the kernels of this crate can run and are faster: a group has enough output channels for
    /// a vector, or each channel is convolved by itself.
    #[cfg(feature = "flex")]
    fn has_kernels(&self, images: &Tensor<4>) -> bool {
        let [outputs, of_group, ..] = self.weight.dims();
        let is_depthwise = of_group == 1 && outputs == self.groups;
        let fills_vectors = self.groups == 1 || outputs / self.groups >= 8 || is_depthwise;
        fills_vectors && self.weight.dtype() == DType::F32 && has_kernels(images)
    }
}

/// The positions around images of this size, before and after, as Burn has them.
fn padding(
    config: &PaddingConfig2d,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
) -> [(usize, usize); 2] {
    match *config {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => [0, 1].map(|axis| {
            let steps = size[axis].div_ceil(stride[axis]).saturating_sub(1);
            let total = (steps * stride[axis] + kernel[axis]).saturating_sub(size[axis]);
            (total / 2, total - total / 2)
        }),
    }
}

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

    fn apply(&self, images: Tensor<4>, residual: Option<Tensor<4>>, has_relu: bool) -> Tensor<4> {
        check_shapes(images.dims(), self, residual.as_ref());
        let is_autodiff = images.device().is_autodiff();
        if is_autodiff && self.training.is_enabled() {
            return self.train(images, residual, has_relu);
        }
        let device = images.device();
        #[cfg(feature = "flex")]
        if has_kernels(&images) && self.is_plain(&images, residual.as_ref()) {
            let (scale, shift) = self.scale_and_shift(&device);
            return Tensor::from_dispatch(Dispatch::fast_scale(
                images.into_dispatch(),
                scale.into_dispatch(),
                shift.into_dispatch(),
                residual.map(Tensor::into_dispatch).into(),
                has_relu,
            ));
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

    /// Whether all numbers are of f32, and no gradients are tracked.
    #[cfg(feature = "flex")]
    fn is_plain(&self, images: &Tensor<4>, residual: Option<&Tensor<4>>) -> bool {
        let parameters = [self.gamma.val(), self.beta.val()].map(|tensor| tensor.device());
        let of_residual = residual.map(|residual| residual.device());
        let mut devices = parameters.into_iter().chain(of_residual);
        let is_f32 = residual.is_none_or(|residual| residual.dtype() == DType::F32);
        is_f32
            && self.gamma.dtype() == DType::F32
            && !images.device().is_autodiff()
            && !devices.any(|device| device.is_autodiff())
    }

    /// The factor and the summand of each channel for inference.
    #[cfg(feature = "flex")]
    fn scale_and_shift(&self, device: &Device) -> (Tensor<1>, Tensor<1>) {
        let mean = self.running_mean.value().to_device(device);
        let variance = self.running_var.value().to_device(device);
        let scale = self.gamma.val() / (variance + self.epsilon).sqrt();
        let shift = self.beta.val() - mean * scale.clone();
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

/// A max pooling with the settings of [`burn::nn::pool::MaxPool2d`], from which it is made.
#[derive(Module, Debug)]
pub struct MaxPool2d {
    /// The distance of two windows, by rows and by columns.
    pub stride: [usize; 2],
    /// The height and width of the windows.
    pub kernel_size: [usize; 2],
    /// The positions around the images, which are never the largest.
    #[module(skip)]
    pub padding: PaddingConfig2d,
    /// The distance of two rows and of two columns of a window.
    pub dilation: [usize; 2],
    /// Whether a window may begin in the images and end behind their padding.
    pub ceil_mode: bool,
}

impl From<nn::pool::MaxPool2d> for MaxPool2d {
    fn from(pool: nn::pool::MaxPool2d) -> Self {
        Self {
            stride: pool.stride,
            kernel_size: pool.kernel_size,
            padding: pool.padding,
            dilation: pool.dilation,
            ceil_mode: pool.ceil_mode,
        }
    }
}

impl MaxPool2d {
    /// The largest numbers of the windows of images `[N, C, H, W]`.
    ///
    /// # Panics
    ///
    /// Where Burn does.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = images.dims();
        let size = [height, width];
        let padding = padding(&self.padding, size, self.kernel_size, self.stride);
        let options = MaxPoolOptions::new(self.kernel_size)
            .with_stride(self.stride)
            .with_padding_pairs(padding)
            .with_dilation(self.dilation)
            .with_ceil_mode(self.ceil_mode);
        #[cfg(feature = "flex")]
        if !self.ceil_mode
            && has_kernels(&images)
            && crate::flex::pool(images.dims(), &options)
                .output_size()
                .is_some()
        {
            let images = images.into_dispatch();
            return Tensor::from_dispatch(Dispatch::fast_max_pool2d(images, options));
        }
        max_pool2d(images, options)
    }
}

/// The mean `[N, C]` over the positions of images `[N, C, H, W]`, known as global average pooling.
pub fn global_mean(images: Tensor<4>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if has_kernels(&images) {
        return Tensor::from_dispatch(Dispatch::fast_global_mean(images.into_dispatch()));
    }
    images.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
}

/// Every `stride`-th position of images `[N, C, H, W]`, followed by channels of 0 up to `channels`: the
/// shortcut without parameters of a residual network (He et al., arXiv:1512.03385, section 3.3, A).
///
/// # Panics
///
/// Where `channels` is less than `C`, or a stride is 0.
pub fn subsample(images: Tensor<4>, stride: [usize; 2], channels: usize) -> Tensor<4> {
    let missing = channels.checked_sub(images.dims()[1]);
    let missing = missing.expect("at least as many channels as before");
    if stride == [1, 1] && missing == 0 {
        return images;
    }
    #[cfg(feature = "flex")]
    if has_kernels(&images) {
        let images = images.into_dispatch();
        return Tensor::from_dispatch(Dispatch::fast_subsample(images, stride, channels));
    }
    let [y, x] = stride.map(|stride| stride as isize);
    images
        .slice(s![.., .., ..;y, ..;x])
        .permute([0, 2, 3, 1])
        .pad([(0, missing)], PadMode::Constant(0.0))
        .permute([0, 3, 1, 2])
}

/// Checks the shape of images in front of a normalisation, and that of what is added to them.
fn check_shapes(images: [usize; 4], norm: &BatchNorm, residual: Option<&Tensor<4>>) {
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

/// Whether the kernels of this crate can run on a tensor.
#[cfg(feature = "flex")]
pub(crate) fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    fn is_flex(kind: &DispatchTensorKind) -> bool {
        match kind {
            DispatchTensorKind::Flex(_) => true,
            DispatchTensorKind::Autodiff(inner) => is_flex(inner),
            #[allow(unreachable_patterns)] // depends on the backends that are compiled in
            _ => false,
        }
    }

    tensor.dtype() == DType::F32
        && !tensor.dims().contains(&0)
        && crate::host::is_available()
        && is_flex(&tensor.clone().into_dispatch().kind)
}
