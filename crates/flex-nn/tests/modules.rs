//! The modules against Burn's, on the same weights.

use burn::module::Module;
use burn::nn::conv::{Conv2d as BurnConv2d, Conv2dConfig};
use burn::nn::{BatchNorm as BurnBatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Distribution, FloatDType, Tensor, TensorData};
use flex_nn::{BatchNorm, Conv2d};

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Checks that numbers differ by no more than this share of the largest one.
fn assert_close(found: TensorData, expected: TensorData, share: f32, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let pairs = || found.iter::<f32>().zip(expected.iter::<f32>());
    let largest = pairs().fold(1e-3f32, |largest, (_, x)| largest.max(x.abs()));
    let worst = pairs().fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
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

#[test]
fn numbers_that_are_not_finite_pass_through_as_in_burn() {
    let device = Device::flex();
    let burn: BurnConv2d = Conv2dConfig::new([2, 3], [3, 3]).init(&device);
    let ours = Conv2d::from(burn.clone());
    let norm = BatchNorm::from(BatchNormConfig::new(3).init(&device));
    let mut numbers = vec![1.0f32; 2 * 25];
    (numbers[12], numbers[30]) = (f32::NAN, f32::INFINITY);
    let images = Tensor::<4>::from_data(TensorData::new(numbers, [1, 2, 5, 5]), &device);
    let marks = |output: Tensor<4>| -> Vec<_> {
        output
            .into_data()
            .iter::<f32>()
            .map(|x| (x.is_nan(), x.is_infinite()))
            .collect()
    };
    let output = ours.forward(images.clone());
    assert_eq!(marks(output.clone()), marks(burn.forward(images)));
    let expected = marks(relu(output.clone()));
    let found = marks(norm.forward_relu(output));
    assert_eq!(
        found.iter().map(|mark| mark.0).collect::<Vec<_>>(),
        expected.iter().map(|mark| mark.0).collect::<Vec<_>>()
    );
}
