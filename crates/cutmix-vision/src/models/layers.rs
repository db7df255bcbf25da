//! Layers that several families share.

use burn::module::{Flag, Module, ModuleVisitor, Param};
use burn::nn::conv::Conv2dConfig;
use burn::nn::{BatchNormConfig, Initializer, LinearConfig, PaddingConfig2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use flex_nn::{BatchNorm, Conv2d, conv2d};

/// Weights drawn as by He et al., arXiv:1502.01852: normal, by the number of outputs that an input
/// reaches.
pub(super) const HE_FAN_OUT: Initializer = Initializer::KaimingNormal {
    gain: std::f64::consts::SQRT_2,
    fan_out_only: true,
};

/// A square convolution without bias, padded by half its kernel.
pub(super) fn conv(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
    device: &Device,
) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_groups(groups)
        .with_bias(false)
        .with_initializer(HE_FAN_OUT)
        .init(device)
        .into()
}

/// A batch normalisation as PyTorch makes it.
pub(super) fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device).into()
}

/// A linear layer, drawn as PyTorch does.
pub(super) fn linear(inputs: usize, outputs: usize, device: &Device) -> burn::nn::Linear {
    LinearConfig::new(inputs, outputs).init(device)
}

/// Blurs images `[N, C, H, W]` with the filter `[1, 2, 1]` along both axes, keeps every `stride`-th
/// position, and takes the positions around the images as 0: the low-pass filter in front of a layer
/// with a stride (Zhang, "Making Convolutional Networks Shift-Invariant Again", arXiv:1904.11486).
pub(super) fn blur(images: Tensor<4>, stride: usize) -> Tensor<4> {
    const FILTER: [f32; 9] = [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0];
    let channels = images.dims()[1];
    let filter = Tensor::<1>::from_floats(FILTER, &images.device()) / 16.0;
    let filter = filter.reshape([1, 1, 3, 3]).expand([channels, 1, 3, 3]);
    let filter = filter.cast(images.dtype());
    let options = ConvOptions::new([stride, stride], [1, 1], [1, 1], channels);
    conv2d(images, filter, None, options)
}

/// Leaves out the path of a residual block for random samples in training and scales it for the others
/// (Huang et al., "Deep Networks with Stochastic Depth", arXiv:1603.09382).
#[derive(Module, Debug)]
pub(super) struct DropPath {
    /// The probability that a sample skips the path, 0..1.
    rate: f64,
    training: Param<Flag>,
}

impl DropPath {
    /// The layer of block `index` of `count`; the rates rise in equal steps from 0 to `last`. `None`
    /// where the rate is 0.
    pub(super) fn of_block(last: f64, index: usize, count: usize) -> Option<Self> {
        let rate = last * index as f64 / (count.max(2) - 1) as f64;
        (rate > 0.0).then(|| Self {
            rate,
            training: Param::from_bool(true),
        })
    }

    /// The output `[N, ...]` of a path through this layer, where there is one.
    pub(super) fn apply<const D: usize>(layer: &Option<Self>, path: Tensor<D>) -> Tensor<D> {
        match layer {
            Some(layer) => layer.forward(path),
            None => path,
        }
    }

    /// The output `[N, ...]` of the path.
    pub(super) fn forward<const D: usize>(&self, path: Tensor<D>) -> Tensor<D> {
        let device = path.device();
        if !self.training.is_enabled() || !device.is_autodiff() {
            return path;
        }
        let mut shape = [1; D];
        shape[0] = path.dims()[0];
        let keep = 1.0 - self.rate;
        let kept = Tensor::<D>::random(shape, Distribution::Bernoulli(keep), &device);
        path * (kept / keep)
    }
}

/// Draws the weights of a module in the order in which it names them. Burn draws a parameter when it
/// is first used; drawn here, the weights depend on the seed alone and not on what else is drawn
/// between making and using the network.
pub(super) fn draw<M: Module>(module: M) -> M {
    struct Draw;

    impl ModuleVisitor for Draw {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            param.val();
        }
    }

    module.visit(&mut Draw);
    module
}
