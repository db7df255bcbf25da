//! The modules against Burn's, on the same weights.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d as BurnConv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d as BurnMaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm as BurnBatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::ops::PadMode;
use burn::tensor::{DType, Device, Distribution, FloatDType, Tensor, TensorData, s};
use flex_nn::{BatchNorm, Conv2d, MaxPool2d, global_mean, subsample};

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Checks that numbers differ by no more than this share of the largest one.
fn assert_close(found: TensorData, expected: TensorData, share: f32, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let pairs = || found.iter::<f32>().zip(expected.iter::<f32>());
    let largest = pairs().fold(1e-3f32, |largest, (_, x)| largest.max(x.abs()));
    let differences = pairs().map(|(a, b)| (a - b).abs());
    // NaN is the largest of all.
    let worst = differences.max_by(f32::total_cmp).unwrap_or(0.0);
    assert!(worst <= share * largest, "{what}: {worst} of {largest}");
}

/// The configurations of convolutions, with the size of the images.
fn convolutions() -> Vec<(Conv2dConfig, [usize; 2])> {
    let same = PaddingConfig2d::Explicit(1, 1, 1, 1);
    vec![
        (
            Conv2dConfig::new([1, 16], [3, 3]).with_padding(same.clone()),
            [28, 28],
        ),
        (
            Conv2dConfig::new([16, 32], [3, 3])
                .with_stride([2, 2])
                .with_padding(same.clone()),
            [14, 13],
        ),
        (
            Conv2dConfig::new([64, 64], [3, 3])
                .with_padding(same.clone())
                .with_bias(false),
            [7, 7],
        ),
        (
            Conv2dConfig::new([3, 20], [7, 7]).with_stride([2, 2]),
            [30, 31],
        ),
        (Conv2dConfig::new([40, 24], [1, 1]), [9, 5]),
        (
            Conv2dConfig::new([8, 8], [2, 4]).with_padding(PaddingConfig2d::Same),
            [10, 10],
        ),
        (
            Conv2dConfig::new([12, 24], [3, 3])
                .with_groups(3)
                .with_dilation([2, 1]),
            [11, 9],
        ),
        (
            Conv2dConfig::new([24, 24], [3, 3])
                .with_groups(24)
                .with_padding(same),
            [8, 8],
        ),
        (
            Conv2dConfig::new([5, 6], [3, 2]).with_padding(PaddingConfig2d::Explicit(2, 0, 1, 3)),
            [6, 7],
        ),
    ]
}

#[test]
fn convolutions_and_their_gradients_equal_those_of_burn() {
    let device = Device::flex().autodiff();
    for (config, [height, width]) in convolutions() {
        let burn: BurnConv2d = config.init(&device);
        let ours = Conv2d::from(burn.clone());
        let images = random([5, config.channels[0], height, width], &device).require_grad();
        let expected = burn.forward(images.clone());
        let found = ours.forward(images.clone());
        assert_close(found.to_data(), expected.to_data(), 1e-5, "output");

        let weights = random(expected.dims(), &device);
        let gradients = |output: Tensor<4>| (output * weights.clone()).sum().backward();
        let (expected, found) = (gradients(expected), gradients(found));
        let of = |gradients: &burn::tensor::Gradients| images.grad(gradients).unwrap().into_data();
        assert_close(of(&found), of(&expected), 1e-5, "images");
        let (a, b) = (
            ours.weight.val().grad(&found),
            burn.weight.val().grad(&expected),
        );
        assert_close(
            a.unwrap().into_data(),
            b.unwrap().into_data(),
            1e-5,
            "weights",
        );
        assert_eq!(ours.bias.is_some(), burn.bias.is_some());
        if let (Some(ours), Some(burn)) = (&ours.bias, &burn.bias) {
            let (a, b) = (ours.val().grad(&found), burn.val().grad(&expected));
            assert_close(a.unwrap().into_data(), b.unwrap().into_data(), 1e-5, "bias");
        }
    }
}

#[test]
fn normalisations_and_their_gradients_equal_those_of_burn() {
    let device = Device::flex().autodiff();
    for (channels, has_relu, has_residual) in [
        (16, false, false),
        (16, true, false),
        (24, true, true),
        (3, true, true),
        (64, true, false),
    ] {
        let mut burn: BurnBatchNorm = BatchNormConfig::new(channels).init(&device);
        burn.gamma = burn
            .gamma
            .map(|gamma| random(gamma.dims(), &device).require_grad());
        burn.beta = burn
            .beta
            .map(|beta| random(beta.dims(), &device).require_grad());
        let ours = BatchNorm::from(burn.clone().fork(&device));
        let images = (random([6, channels, 7, 5], &device) * 2.0 + 3.0)
            .detach()
            .require_grad();
        let residual = random([6, channels, 7, 5], &device).require_grad();
        let plain = |norm: &BurnBatchNorm, images: Tensor<4>, residual: Tensor<4>| {
            let output = norm.forward(images);
            let output = if has_residual {
                output + residual
            } else {
                output
            };
            if has_relu { relu(output) } else { output }
        };
        let fused = |norm: &BatchNorm, images: Tensor<4>, residual: Tensor<4>| match (
            has_relu,
            has_residual,
        ) {
            (false, _) => norm.forward(images),
            (true, false) => norm.forward_relu(images),
            (true, true) => norm.forward_add_relu(images, residual),
        };
        let expected = plain(&burn, images.clone(), residual.clone());
        let found = fused(&ours, images.clone(), residual.clone());
        assert_close(found.to_data(), expected.to_data(), 1e-5, "output");
        let weights = random(expected.dims(), &device);
        let gradients = |output: Tensor<4>| (output * weights.clone()).sum().backward();
        let (expected, found) = (gradients(expected), gradients(found));
        let of = |tensor: &Tensor<4>, gradients| tensor.grad(gradients).map(|g| g.into_data());
        assert_close(
            of(&images, &found).unwrap(),
            of(&images, &expected).unwrap(),
            1e-4,
            "images",
        );
        assert_eq!(of(&residual, &found), of(&residual, &expected));
        for (what, ours, burn) in [
            ("gamma", &ours.gamma, &burn.gamma),
            ("beta", &ours.beta, &burn.beta),
        ] {
            let (a, b) = (ours.val().grad(&found), burn.val().grad(&expected));
            assert_close(a.unwrap().into_data(), b.unwrap().into_data(), 1e-4, what);
        }
        for (what, ours, burn) in [
            ("mean", &ours.running_mean, &burn.running_mean),
            ("variance", &ours.running_var, &burn.running_var),
        ] {
            let (a, b) = (ours.value_sync(), burn.value_sync());
            assert_close(a.into_data(), b.into_data(), 1e-5, what);
        }

        // Inference, by the running statistics.
        let (burn, ours) = (burn.valid(), ours.valid());
        let (images, residual) = (
            images.detach().without_autodiff(),
            residual.detach().without_autodiff(),
        );
        let expected = plain(&burn, images.clone(), residual.clone());
        let found = fused(&ours, images, residual);
        assert_close(found.into_data(), expected.into_data(), 1e-5, "inference");
    }
}

/// The layers of a block, for both kinds of operations.
struct Layers {
    convs: [BurnConv2d; 3],
    norms: [BurnBatchNorm; 3],
}

/// How the images reach the sum at the end of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shortcut {
    Same,
    Projection,
    Subsample,
    /// The images are used a third time, by an operation of Burn.
    Thrice,
}

impl Layers {
    fn new(shortcut: Shortcut, device: &Device) -> Self {
        let (channels, stride) = match shortcut {
            Shortcut::Same | Shortcut::Thrice => (8, 1),
            Shortcut::Projection | Shortcut::Subsample => (24, 2),
        };
        let conv = |inputs, outputs, kernel: usize, stride| {
            let padding = kernel / 2;
            Conv2dConfig::new([inputs, outputs], [kernel; 2])
                .with_stride([stride; 2])
                .with_padding(PaddingConfig2d::Explicit(
                    padding, padding, padding, padding,
                ))
                .with_bias(false)
                .init(device)
        };
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        Self {
            convs: [
                conv(8, channels, 3, stride),
                conv(channels, channels, 3, 1),
                conv(8, channels, 1, stride),
            ],
            norms: [norm(channels), norm(channels), norm(channels)],
        }
    }

    fn burn(&self, images: Tensor<4>, shortcut: Shortcut) -> Tensor<4> {
        let [first, second, third] = &self.convs;
        let [norm1, norm2, norm3] = &self.norms;
        let x = relu(norm1.forward(first.forward(images.clone())));
        let x = norm2.forward(second.forward(x));
        let added = match shortcut {
            Shortcut::Same | Shortcut::Thrice => images.clone(),
            Shortcut::Projection => norm3.forward(third.forward(images.clone())),
            Shortcut::Subsample => images
                .clone()
                .slice(s![.., .., ..;2, ..;2])
                .permute([0, 2, 3, 1])
                .pad([(0, 16)], PadMode::Constant(0.0))
                .permute([0, 3, 1, 2]),
        };
        let output = relu(x + added);
        if shortcut == Shortcut::Thrice {
            output * images
        } else {
            output
        }
    }

    fn ours(&self, images: Tensor<4>, shortcut: Shortcut) -> Tensor<4> {
        let [first, second, third] = self.convs.clone().map(Conv2d::from);
        let [norm1, norm2, norm3] = self.norms.clone().map(BatchNorm::from);
        let x = first.forward_norm_relu(images.clone(), &norm1);
        let added = match shortcut {
            Shortcut::Same | Shortcut::Thrice => images.clone(),
            Shortcut::Projection => third.forward_norm(images.clone(), &norm3),
            Shortcut::Subsample => subsample(images.clone(), [2, 2], 24),
        };
        let output = second.forward_norm_add_relu(x, &norm2, added);
        if shortcut == Shortcut::Thrice {
            output * images
        } else {
            output
        }
    }
}

#[test]
fn gradients_of_images_that_are_used_more_than_once_are_added() {
    let device = Device::flex().autodiff();
    for shortcut in [
        Shortcut::Same,
        Shortcut::Projection,
        Shortcut::Subsample,
        Shortcut::Thrice,
    ] {
        let layers = Layers::new(shortcut, &device);
        let leaf = random([3, 8, 7, 7], &device).require_grad();
        // The images of a block are a result of the block before it, or were made by the user.
        for is_result in [true, false] {
            let images = || {
                if is_result {
                    leaf.clone() * 2.0
                } else {
                    leaf.clone()
                }
            };
            let expected = layers.burn(images(), shortcut);
            let found = layers.ours(images(), shortcut);
            assert_close(found.to_data(), expected.to_data(), 1e-5, "output");
            let weights = random(expected.dims(), &device);
            let gradients = |output: Tensor<4>| (output * weights.clone()).sum().backward();
            let (expected, found) = (gradients(expected), gradients(found));
            let of = |gradients| leaf.grad(gradients).unwrap().into_data();
            let what = format!("{shortcut:?}, {is_result}");
            assert_close(of(&found), of(&expected), 1e-4, &what);
        }
    }
}

#[test]
fn convolutions_with_normalisation_equal_both_layers_for_inference() {
    let device = Device::flex();
    for has_bias in [false, true] {
        let conv: BurnConv2d = Conv2dConfig::new([8, 20], [3, 3])
            .with_bias(has_bias)
            .init(&device);
        let norm: BurnBatchNorm = BatchNormConfig::new(20).init(&device);
        norm.running_mean.update(random([20], &device));
        norm.running_var
            .update(random([20], &device).powi_scalar(2) + 0.1);
        let (ours, our_norm) = (Conv2d::from(conv.clone()), BatchNorm::from(norm.clone()));
        let images = random([2, 8, 6, 6], &device);
        let residual = random([2, 20, 4, 4], &device);
        let before = residual.to_data();
        let expected = norm.forward(conv.forward(images.clone()));
        let found = ours.forward_norm(images.clone(), &our_norm);
        assert_close(found.into_data(), expected.to_data(), 1e-5, "plain");
        let found = ours.forward_norm_relu(images.clone(), &our_norm);
        assert_close(
            found.into_data(),
            relu(expected.clone()).into_data(),
            1e-5,
            "relu",
        );
        let found = ours.forward_norm_add_relu(images, &our_norm, residual.clone());
        let expected = relu(expected + residual.clone());
        assert_close(found.into_data(), expected.into_data(), 1e-5, "sum");
        // The memory of a residual that somebody else holds is not written.
        assert_eq!(residual.into_data(), before);
    }
}

#[test]
fn poolings_and_their_gradients_equal_those_of_burn() {
    let device = Device::flex().autodiff();
    for config in [
        MaxPool2dConfig::new([3, 3])
            .with_strides([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)),
        MaxPool2dConfig::new([2, 2]).with_padding(PaddingConfig2d::Same),
        MaxPool2dConfig::new([3, 2])
            .with_strides([2, 3])
            .with_padding(PaddingConfig2d::Same),
        MaxPool2dConfig::new([2, 3]).with_dilation([2, 1]),
        MaxPool2dConfig::new([2, 2]).with_ceil_mode(true),
    ] {
        let burn: BurnMaxPool2d = config.init();
        let ours = MaxPool2d::from(burn.clone());
        let images = random([3, 5, 9, 7], &device).require_grad();
        let (expected, found) = (burn.forward(images.clone()), ours.forward(images.clone()));
        assert_eq!(found.to_data(), expected.to_data());
        let weights = random(expected.dims(), &device);
        let gradients = |output: Tensor<4>| (output * weights.clone()).sum().backward();
        let (expected, found) = (gradients(expected), gradients(found));
        let of = |gradients| images.grad(gradients).unwrap().into_data();
        assert_close(of(&found), of(&expected), 1e-6, "images");
    }
}

#[test]
fn the_mean_over_positions_and_its_gradient_equal_those_of_burn() {
    let device = Device::flex().autodiff();
    let images = random([3, 20, 5, 7], &device).require_grad();
    let expected = images.clone().mean_dims(&[2, 3]).reshape([3, 20]);
    let found = global_mean(images.clone());
    assert_close(found.to_data(), expected.to_data(), 1e-6, "mean");
    let weights = random(expected.dims(), &device);
    let gradients = |output: Tensor<2>| (output * weights.clone()).sum().backward();
    let (expected, found) = (gradients(expected), gradients(found));
    let of = |gradients| images.grad(gradients).unwrap().into_data();
    assert_close(of(&found), of(&expected), 1e-6, "images");
}

#[test]
fn records_of_either_module_are_read_by_the_other() {
    let device = Device::flex();
    let burn: BurnConv2d = Conv2dConfig::new([3, 4], [3, 3]).init(&device);
    let ours = Conv2d::from(Conv2dConfig::new([3, 4], [3, 3]).init(&device));
    let ours = ours.load_record(burn.clone().into_record());
    assert_eq!(ours.weight.val().into_data(), burn.weight.val().into_data());
    let norm: BurnBatchNorm = BatchNormConfig::new(4).init(&device);
    let ours = BatchNorm::from(norm.clone());
    let back = norm.load_record(ours.into_record());
    assert_eq!(back.gamma.val().dims(), [4]);
}

#[test]
fn other_types_run_the_operations_of_burn() {
    let device = Device::flex();
    let conv = Conv2d::from(Conv2dConfig::new([3, 4], [3, 3]).init(&device));
    let conv = conv.map(&mut Cast);
    let images = random([2, 3, 6, 6], &device).cast(FloatDType::F64);
    let output = conv.forward(images);
    assert_eq!((output.dtype(), output.dims()), (DType::F64, [2, 4, 4, 4]));
}

struct Cast;

impl burn::module::ModuleMapper for Cast {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<Tensor<D>>,
    ) -> burn::module::Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        burn::module::Param::from_mapped_value(id, tensor.cast(FloatDType::F64), mapper)
    }
}

/// Whether each number is NaN, and whether it is infinite.
fn marks(data: TensorData) -> Vec<(bool, bool)> {
    data.iter::<f32>()
        .map(|x| (x.is_nan(), x.is_infinite()))
        .collect()
}

#[test]
fn numbers_that_are_not_finite_stay_where_they_are_in_large_convolutions() {
    let device = Device::flex().autodiff();
    let burn: BurnConv2d = Conv2dConfig::new([32, 32], [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init(&device);
    let ours = Conv2d::from(burn.clone());
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let shape = [6, 32, 13, 14];
        let mut numbers: Vec<_> = random(shape, &device).into_data().iter().collect();
        numbers[30_000] = bad;
        let data = TensorData::new(numbers, shape);
        let images = Tensor::<4>::from_data(data, &device).require_grad();
        let (expected, found) = (burn.forward(images.clone()), ours.forward(images.clone()));
        assert_eq!(marks(found.to_data()), marks(expected.to_data()));
        // The gradient is not finite in another place.
        let mut weights = vec![1.0f32; 6 * 32 * 13 * 14];
        weights[11_111] = bad;
        let weights = Tensor::<4>::from_data(TensorData::new(weights, shape), &device);
        let gradients = |output: Tensor<4>| (output * weights.clone()).sum().backward();
        let (expected, found) = (gradients(expected), gradients(found));
        let of = |gradients| marks(images.grad(gradients).unwrap().into_data());
        assert_eq!(of(&found), of(&expected));
        let of = |conv: &Param<Tensor<4>>, gradients| {
            marks(conv.val().grad(gradients).unwrap().into_data())
        };
        assert_eq!(of(&ours.weight, &found), of(&burn.weight, &expected));
    }
}

#[test]
fn an_image_that_is_added_to_itself_gets_both_gradients() {
    let device = Device::flex().autodiff();
    let norm: BurnBatchNorm = BatchNormConfig::new(16).init(&device);
    let conv: BurnConv2d = Conv2dConfig::new([16, 16], [1, 1]).init(&device);
    let (our_norm, our_conv) = (BatchNorm::from(norm.clone()), Conv2d::from(conv.clone()));
    let leaf = random([4, 16, 6, 6], &device).require_grad();
    let weights = random([4, 16, 6, 6], &device);
    let gradient = |output: Tensor<4>| {
        let gradients = (output * weights.clone()).sum().backward();
        leaf.grad(&gradients).unwrap().into_data()
    };
    let images = || leaf.clone() * 2.0;
    let x = images();
    let expected = gradient(relu(norm.forward(x.clone()) + x));
    let x = images();
    let found = gradient(our_norm.forward_add_relu(x.clone(), x));
    assert_close(found, expected, 1e-4, "norm");
    let x = images();
    let expected = gradient(conv.forward(x.clone()) + conv.forward(x));
    let x = images();
    let found = gradient(our_conv.forward(x.clone()) + our_conv.forward(x));
    assert_close(found, expected, 1e-5, "conv");
}

#[test]
fn images_in_any_order_of_memory_give_the_same_results() {
    let device = Device::flex();
    let conv: BurnConv2d = Conv2dConfig::new([6, 8], [3, 3]).init(&device);
    let ours = Conv2d::from(conv.clone());
    let images = random([5, 7, 6, 9], &device);
    for images in [
        images.clone().swap_dims(1, 2),
        images.clone().swap_dims(1, 2).flip([3]),
        images
            .clone()
            .permute([0, 2, 3, 1])
            .slice([0..5, 0..6, 1..9, 2..7]),
        images.slice([0..1, 0..6, 0..6, 0..9]).expand([3, 6, 6, 9]),
    ] {
        let expected = conv.forward(images.clone());
        let found = ours.forward(images);
        assert_close(found.into_data(), expected.into_data(), 1e-5, "output");
    }
}

#[test]
fn a_plain_normalisation_of_a_tracked_convolution_runs_the_operations_of_burn() {
    // Images and a normalisation without gradients, and a convolution with them.
    let (plain, tracked) = (Device::flex(), Device::flex().autodiff());
    let conv: BurnConv2d = Conv2dConfig::new([4, 8], [3, 3]).init(&tracked);
    let norm: BurnBatchNorm = BatchNormConfig::new(8).init(&plain);
    let images = random([2, 4, 6, 6], &plain);
    let expected = norm.forward(conv.forward(images.clone()));
    let (conv, norm) = (Conv2d::from(conv), BatchNorm::from(norm));
    let found = conv.forward_norm(images, &norm);
    assert_close(found.to_data(), expected.to_data(), 1e-5, "output");
    let gradients = found.sum().backward();
    assert!(conv.weight.val().grad(&gradients).is_some());
}

#[test]
fn shapes_that_do_not_match_panic() {
    let device = Device::flex();
    let conv = Conv2d::from(Conv2dConfig::new([3, 8], [3, 3]).init(&device));
    let norm = BatchNorm::from(BatchNormConfig::new(8).init(&device));
    let other = BatchNorm::from(BatchNormConfig::new(9).init(&device));
    let images = |shape| Tensor::<4>::zeros(shape, &device);
    let panics = |run: &dyn Fn() -> Tensor<4>| {
        let run = std::panic::AssertUnwindSafe(run);
        assert!(std::panic::catch_unwind(run).is_err());
    };
    panics(&|| conv.forward(images([1, 2, 8, 8])));
    panics(&|| conv.forward(images([1, 6, 8, 8])));
    panics(&|| conv.forward(images([1, 3, 2, 8])));
    panics(&|| conv.forward_norm(images([1, 3, 8, 8]), &other));
    panics(&|| norm.forward(images([1, 7, 8, 8])));
    for shape in [[1, 8, 3, 12], [2, 8, 6, 6], [1, 8, 5, 6]] {
        let residual = images(shape);
        panics(&|| conv.forward_norm_add_relu(images([1, 3, 8, 8]), &norm, residual.clone()));
        panics(&|| norm.forward_add_relu(images([1, 8, 6, 6]), residual.clone()));
    }
}

#[test]
fn numbers_that_are_not_finite_pass_through_as_in_burn() {
    let device = Device::flex();
    let burn: BurnConv2d = Conv2dConfig::new([2, 3], [3, 3]).init(&device);
    let ours = Conv2d::from(burn.clone());
    let norm = BatchNorm::from(BatchNormConfig::new(3).init(&device));
    let mut numbers = vec![1.0f32; 2 * 25];
    (numbers[12], numbers[30]) = (f32::NAN, f32::INFINITY);
    let images = Tensor::<4>::from_data(TensorData::new(numbers, [1, 2, 5, 5]), &device);
    let output = ours.forward(images.clone());
    assert_eq!(
        marks(output.to_data()),
        marks(burn.forward(images).into_data())
    );
    let expected = marks(relu(output.clone()).into_data());
    let found = marks(norm.forward_relu(output).into_data());
    assert_eq!(
        found.iter().map(|mark| mark.0).collect::<Vec<_>>(),
        expected.iter().map(|mark| mark.0).collect::<Vec<_>>()
    );
}

/// A convolution with its normalisation, whose running statistics are not those at the start.
fn layer(device: &Device) -> (Conv2d, BatchNorm) {
    let conv: BurnConv2d = Conv2dConfig::new([16, 32], [3, 3]).init(device);
    let mut norm: BurnBatchNorm = BatchNormConfig::new(32).init(device);
    norm.gamma = Param::from_tensor(random([32], device));
    norm.beta = Param::from_tensor(random([32], device));
    let layer = (Conv2d::from(conv), BatchNorm::from(norm));
    if device.is_autodiff() {
        let _ = layer
            .0
            .forward_norm(random([4, 16, 9, 9], device), &layer.1);
    }
    layer.valid().train()
}

#[test]
fn frozen_layers_give_the_bits_of_evaluation() {
    let device = Device::flex().autodiff();
    let layer = layer(&device);
    let (plain, frozen) = (layer.valid(), layer.freeze());
    let images = random([3, 16, 9, 9], &device);
    let residual = random([3, 32, 7, 7], &device);
    let compute = |(conv, norm): &(Conv2d, BatchNorm), images: Tensor<4>, residual: Tensor<4>| {
        let pool = MaxPool2d::from(MaxPool2dConfig::new([2, 2]).init());
        let x = conv.forward_norm_relu(images.clone(), norm);
        [
            x.clone(),
            conv.forward(images.clone()),
            conv.forward_norm_add_relu(images, norm, residual.clone()),
            norm.forward_add_relu(x.clone(), residual),
            pool.forward(x.clone()),
            subsample(x.clone(), [2, 2], 40),
            global_mean(x).unsqueeze_dims(&[2, 3]),
        ]
    };
    let [expected_images, expected_residual] =
        [&images, &residual].map(|tensor| tensor.clone().without_autodiff());
    let expected = compute(&plain, expected_images, expected_residual);
    let found = compute(&frozen, images, residual);
    for (found, expected) in found.into_iter().zip(expected) {
        assert!(found.is_autodiff() && !found.is_tracked());
        assert_eq!(found.into_data(), expected.into_data());
    }
}

#[test]
fn gradients_start_behind_frozen_layers() {
    for device in [
        Device::flex().autodiff(),
        Device::flex().autodiff().gradient_checkpointing(),
    ] {
        let frozen = layer(&device).freeze();
        let head: BurnConv2d = Conv2dConfig::new([32, 8], [1, 1]).init(&device);
        let head = Conv2d::from(head);
        let images = random([3, 16, 9, 9], &device);
        let x = frozen.0.forward_norm_relu(images, &frozen.1);
        let strategy = device.gradient_checkpointing_strategy();
        assert_eq!(x.gradient_checkpointing_strategy(), strategy);
        let gradients = head.forward(x.clone()).sum().backward();
        assert!(frozen.0.weight.val().grad(&gradients).is_none());
        let found = head.weight.val().grad(&gradients).unwrap();
        let expected = x.without_autodiff().sum_dim(0).sum_dim(2).sum_dim(3);
        let expected = expected.repeat_dim(0, 8);
        assert_close(found.into_data(), expected.into_data(), 1e-5, "weights");
    }
}

#[test]
fn gradients_flow_through_frozen_layers() {
    let device = Device::flex().autodiff();
    let (conv, norm) = layer(&device).freeze();
    let images = random([3, 16, 9, 9], &device).require_grad();
    let found = conv.forward_norm_relu(images.clone(), &norm);
    let [gamma, beta, mean, variance] = [
        norm.gamma.val(),
        norm.beta.val(),
        norm.running_mean.value(),
        norm.running_var.value(),
    ]
    .map(|tensor| tensor.reshape([1, 32, 1, 1]));
    let scale = gamma / (variance + norm.epsilon).sqrt();
    let shift = beta - mean * scale.clone();
    let expected = relu(conv.forward(images.clone()) * scale + shift);
    assert_close(found.to_data(), expected.to_data(), 1e-5, "output");
    let [found, expected] = [found, expected].map(|output| {
        images
            .grad(&output.powf_scalar(2.0).sum().backward())
            .unwrap()
    });
    assert_close(found.into_data(), expected.into_data(), 1e-5, "images");
}
