//! The operations on Burn's CPU backend.

use std::borrow::Cow;

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{DType, Flex};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Bytes, Shape};

use crate::backend::{ConvState, Maybe, NnGradients, NnOps, NormState};
use crate::host::{
    Conv, Epilogue, Images, MaxPool, Norm, SgdStep, Statistics, Subsample, bias_gradient,
    channels_last_strides, give_back, global_mean, global_mean_gradient,
};

impl NnOps for Flex {
    fn fast_conv2d(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let conv = conv(shape(&images), shape(&weight), &options);
        let bias = bias.into_option();
        let bias = bias.as_ref().map(values);
        let epilogue = Epilogue {
            shift: bias.as_deref(),
            ..Epilogue::default()
        };
        let output = conv.forward(&view(&images), &values(&weight), epilogue);
        recycle(images);
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
        let residual = residual.into_option();
        let images = positions(&images);
        let statistics = Statistics::of(&images, shape[1]);
        let norm = Norm::new(&statistics, &values(&gamma), &values(&beta), epsilon, relu);
        let output = norm.forward(&images, residual.as_ref().map(positions).as_deref());
        residual.into_iter().for_each(recycle);
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
        let shape = shape(&images);
        let norm = Norm {
            scale: values(&scale).into_owned(),
            shift: values(&shift).into_owned(),
            relu,
        };
        let residual = residual.into_option();
        let output = norm.forward(
            &positions(&images),
            residual.as_ref().map(positions).as_deref(),
        );
        recycle(images);
        residual.into_iter().for_each(recycle);
        channels_last(output, shape)
    }

    fn fast_conv2d_scale(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: Maybe<Self>,
        options: ConvOptions<2>,
        relu: bool,
    ) -> FloatTensor<Self> {
        let conv = conv(shape(&images), shape(&weight), &options);
        let epilogue = Epilogue {
            scale: Some(&values(&scale)),
            shift: Some(&values(&shift)),
            residual: residual.into_option().map(into_positions),
            relu,
        };
        let output = conv.forward(&view(&images), &values(&weight), epilogue);
        recycle(images);
        channels_last(output, conv.output())
    }

    fn fast_max_pool2d(images: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self> {
        let pool = pool(shape(&images), &options);
        let output = pool.forward(&positions(&images));
        recycle(images);
        channels_last(output, pool.output())
    }

    fn fast_global_mean(images: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = shape(&images);
        let means = global_mean(&positions(&images), shape);
        recycle(images);
        let [n, channels, ..] = shape;
        tensor(means, Layout::contiguous(Shape::new([n, channels])))
    }

    fn fast_subsample(
        images: FloatTensor<Self>,
        stride: [usize; 2],
        channels: usize,
    ) -> FloatTensor<Self> {
        let subsample = Subsample {
            input: shape(&images),
            stride,
            channels,
        };
        let output = subsample.forward(&positions(&images));
        recycle(images);
        channels_last(output, subsample.output())
    }

    fn fast_sgd(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: Maybe<Self>,
        step: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let layout = Layout::contiguous(parameter.layout().shape().clone());
        let mut parameter = into_values(parameter);
        let velocity = velocity.into_option().map(into_values);
        let velocity = step.apply(&mut parameter, into_values(gradient), velocity);
        (tensor(parameter, layout.clone()), tensor(velocity, layout))
    }
}

impl NnGradients for Flex {
    fn conv2d_gradients(
        state: ConvState<Self>,
        gradient: FloatTensor<Self>,
        wanted: [bool; 3],
        sum: Option<FloatTensor<Self>>,
    ) -> [Option<FloatTensor<Self>>; 3] {
        let conv = conv(shape(&state.images), shape(&state.weight), &state.options);
        let [of_images, of_weight, of_bias] = wanted;
        let of_images = of_images.then(|| {
            let weight = values(&state.weight);
            let sum = sum.map(into_positions);
            channels_last(
                conv.input_gradient(&view(&gradient), &weight, sum),
                conv.input,
            )
        });
        let of_weight = of_weight.then(|| {
            let values = conv.weight_gradient(&view(&state.images), &view(&gradient));
            let shape = state.weight.layout().shape().clone();
            tensor(values, Layout::contiguous(shape))
        });
        let of_bias = of_bias.then(|| vector(bias_gradient(&view(&gradient))));
        recycle(state.images);
        recycle(gradient);
        [of_images, of_weight, of_bias]
    }

    fn norm_gradients(
        state: NormState<Self>,
        gradient: FloatTensor<Self>,
    ) -> [Option<FloatTensor<Self>>; 4] {
        let shape = shape(&state.images);
        let statistics = Statistics {
            mean: values(&state.mean).into_owned(),
            variance: values(&state.variance).into_owned(),
        };
        let (gamma, beta) = (values(&state.gamma), values(&state.beta));
        let norm = Norm::new(&statistics, &gamma, &beta, state.epsilon, state.relu);
        let gradients = norm.backward(
            &statistics,
            state.epsilon,
            &positions(&state.images),
            state.output.as_ref().map(positions).as_deref(),
            into_positions(gradient),
        );
        recycle(state.images);
        state.output.into_iter().for_each(recycle);
        [
            Some(channels_last(gradients.input, shape)),
            Some(vector(gradients.gamma)),
            Some(vector(gradients.beta)),
            (gradients.residual).map(|residual| channels_last(residual, shape)),
        ]
    }

    fn max_pool2d_gradient(
        images: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: MaxPoolOptions<2>,
    ) -> FloatTensor<Self> {
        let pool = pool(shape(&images), &options);
        let output = pool.backward(&positions(&images), &positions(&gradient));
        recycle(images);
        recycle(gradient);
        channels_last(output, pool.input)
    }

    fn global_mean_gradient(images: Shape, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = images.dims();
        channels_last(global_mean_gradient(&values(&gradient), shape), shape)
    }

    fn subsample_gradient(
        images: Shape,
        gradient: FloatTensor<Self>,
        stride: [usize; 2],
        sum: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        let subsample = Subsample {
            input: images.dims(),
            stride,
            channels: shape(&gradient)[1],
        };
        let output = subsample.backward(&positions(&gradient), sum.map(into_positions));
        recycle(gradient);
        channels_last(output, subsample.input)
    }
}

fn shape(images: &FlexTensor) -> [usize; 4] {
    let shape = images.layout().shape().as_slice();
    shape.try_into().expect("images have four dimensions")
}

/// The convolution of images with weights of these shapes.
pub fn conv(input: [usize; 4], weight: [usize; 4], options: &ConvOptions<2>) -> Conv {
    let [channels, _, height, width] = weight;
    Conv {
        input,
        channels,
        kernel: [height, width],
        stride: options.stride,
        padding: options.padding.map(|(before, after)| [before, after]),
        dilation: options.dilation,
        groups: options.groups,
    }
}

/// The pooling of images of this shape.
pub fn pool(input: [usize; 4], options: &MaxPoolOptions<2>) -> MaxPool {
    MaxPool {
        input,
        kernel: options.kernel_size,
        stride: options.stride,
        padding: options.padding.map(|(before, after)| [before, after]),
        dilation: options.dilation,
    }
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

/// The numbers `[N, H, W, C]` of images, in their memory where nobody else holds it.
fn into_positions(images: FlexTensor) -> Vec<f32> {
    if !fills_memory(&images) || view(&images).as_channels_last().is_none() {
        return view(&images).into_channels_last();
    }
    into_memory(images).unwrap_or_else(|images| view(&images).into_channels_last())
}

/// The numbers of a tensor in the order of its dimensions, in their memory where nobody else holds it.
fn into_values(tensor: FlexTensor) -> Vec<f32> {
    if !fills_memory(&tensor) || !tensor.is_contiguous() {
        return values(&tensor).into_owned();
    }
    into_memory(tensor).unwrap_or_else(|tensor| values(&tensor).into_owned())
}

/// Whether the memory of a tensor has as many numbers as its shape.
fn fills_memory(tensor: &FlexTensor) -> bool {
    tensor.storage::<f32>().len() == tensor.layout().num_elements()
}

/// The memory of a tensor that nobody else holds.
fn into_memory(tensor: FlexTensor) -> Result<Vec<f32>, FlexTensor> {
    if !tensor.is_unique() {
        return Err(tensor);
    }
    let (layout, len) = (tensor.layout().clone(), tensor.storage::<f32>().len());
    let flat = tensor.with_layout(Layout::contiguous(Shape::new([len])));
    let (bytes, ..) = flat.into_data().into_parts();
    let memory = bytes.try_into_vec();
    memory.map_err(|bytes| FlexTensor::new(bytes, layout, DType::F32))
}

/// Keeps the memory of a tensor that nobody else holds for the next results.
fn recycle(tensor: FlexTensor) {
    if let Ok(memory) = into_memory(tensor) {
        give_back(memory);
    }
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
