//! The operations on Burn's CPU backend.

use std::borrow::Cow;

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{DType, Flex};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Bytes, Shape};

use crate::backend::{Maybe, NnGradients, NnOps, NormGradients, NormState};
use crate::host::{Conv, Images, Norm, Statistics, bias_gradient, channels_last_strides};

impl NnOps for Flex {
    fn fast_conv2d(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let conv = conv(&images, &weight, &options);
        let bias = bias.get();
        let bias = bias.as_ref().map(values);
        let output = conv.forward(&view(&images), &values(&weight), bias.as_deref());
        channels_last(output, conv.output())
    }

    fn fast_norm_train(
        images: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Maybe<Self>,
        epsilon: f64,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = shape(&images);
        let residual = residual.get();
        let residual = residual.as_ref().map(positions);
        let images = positions(&images);
        let statistics = Statistics::of(&images, shape[1]);
        let norm = Norm::new(&statistics, &values(&gamma), &values(&beta), epsilon, relu);
        let output = norm.forward(&images, residual.as_deref());
        (
            channels_last(output, shape),
            vector(statistics.mean),
            vector(statistics.variance),
        )
    }

    fn fast_scale(
        images: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: Maybe<Self>,
        relu: bool,
    ) -> FloatTensor<Self> {
        let norm = Norm {
            scale: values(&scale).into_owned(),
            shift: values(&shift).into_owned(),
            relu,
        };
        let residual = residual.get();
        let residual = residual.as_ref().map(positions);
        let output = norm.forward(&positions(&images), residual.as_deref());
        channels_last(output, shape(&images))
    }
}

impl NnGradients for Flex {
    fn conv2d_input_gradient(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let conv = conv(&images, &weight, &options);
        let gradient = conv.input_gradient(&view(&gradient), &values(&weight));
        channels_last(gradient, conv.input)
    }

    fn conv2d_weight_gradient(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let conv = conv(&images, &weight, &options);
        let gradient = conv.weight_gradient(&view(&images), &view(&gradient));
        tensor(
            gradient,
            Layout::contiguous(weight.layout().shape().clone()),
        )
    }

    fn conv2d_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        vector(bias_gradient(&view(&gradient)))
    }

    fn norm_gradient(state: NormState<Self>, gradient: FloatTensor<Self>) -> NormGradients<Self> {
        let shape = shape(&state.images);
        let statistics = Statistics {
            mean: values(&state.mean).into_owned(),
            variance: values(&state.variance).into_owned(),
        };
        let gamma = values(&state.gamma);
        // The shift has no part in the gradient.
        let beta = vec![0.0; gamma.len()];
        let norm = Norm::new(&statistics, &gamma, &beta, state.epsilon, state.relu);
        let gradients = norm.backward(
            &statistics,
            state.epsilon,
            &positions(&state.images),
            &positions(&state.output),
            &positions(&gradient),
            state.has_residual,
        );
        NormGradients {
            images: channels_last(gradients.input, shape),
            gamma: vector(gradients.gamma),
            beta: vector(gradients.beta),
            residual: (gradients.residual).map(|residual| channels_last(residual, shape)),
        }
    }
}

fn shape(images: &FlexTensor) -> [usize; 4] {
    let shape = images.layout().shape().as_slice();
    shape.try_into().expect("images have four dimensions")
}

fn conv(images: &FlexTensor, weight: &FlexTensor, options: &ConvOptions<2>) -> Conv {
    let [channels, _, height, width] = shape(weight);
    Conv {
        input: shape(images),
        channels,
        kernel: [height, width],
        stride: options.stride,
        padding: padding(options),
        dilation: options.dilation,
        groups: options.groups,
    }
}

fn padding(options: &ConvOptions<2>) -> [[usize; 2]; 2] {
    [0, 1].map(|axis| [options.padding[axis].0, options.padding[axis].1])
}

fn view(images: &FlexTensor) -> Images<'_> {
    let layout = images.layout();
    let strides = layout
        .strides()
        .try_into()
        .expect("images have four dimensions");
    Images::new(
        images.storage(),
        shape(images),
        strides,
        layout.start_offset(),
    )
}

/// The numbers `[N, H, W, C]` of images.
fn positions(images: &FlexTensor) -> Cow<'_, [f32]> {
    view(images).to_channels_last()
}

/// The numbers of a tensor in the order of its dimensions.
fn values(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    match tensor.as_slice::<f32>() {
        Some(values) => values.into(),
        None => tensor.to_contiguous().storage::<f32>().to_vec().into(),
    }
}

fn tensor(values: Vec<f32>, layout: Layout) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

fn vector(values: Vec<f32>) -> FlexTensor {
    let layout = Layout::contiguous(Shape::new([values.len()]));
    tensor(values, layout)
}

/// Images of the shape `[N, C, H, W]` whose numbers are `[N, H, W, C]`.
fn channels_last(values: Vec<f32>, shape: [usize; 4]) -> FlexTensor {
    let strides = channels_last_strides(shape);
    tensor(values, Layout::new(Shape::new(shape), strides.to_vec(), 0))
}
