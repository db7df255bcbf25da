//! A network whose gradient is known, and gradients through the networks of this crate.

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Distribution, Int, Tensor};
use cutmix::loss::{CrossEntropy, Reduction};
use cutmix_train::{Error, Network};
use cutmix_vision::measures::FgsmConfig;
use cutmix_vision::models::differentiable;
use cutmix_vision::{AnyNetwork, ModelConfig};

use super::{Images, Recorder, normalize, values};

/// A linear network of four pixels and two classes: the logits are `w x` and `-w x`.
#[derive(Module, Debug)]
struct Plain {
    linear: Linear,
    recorder: Recorder,
}

impl Plain {
    fn new(weights: [f32; 4], device: &Device) -> Self {
        let mut linear = LinearConfig::new(4, 2).with_bias(false).init(device);
        let rows = weights.map(|weight| [weight, -weight]);
        linear.weight = (linear.weight).map(|old| Tensor::from_floats(rows, &old.device()));
        Self {
            linear,
            recorder: Recorder::new(),
        }
    }
}

impl Network for Plain {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        if !images.is_autodiff() {
            self.recorder.forward(images.clone());
        }
        self.linear.forward(images.flatten(1, 3))
    }
}

/// The pixel that is seen as this number.
fn pixel(seen: f32) -> f32 {
    255.0 * (seen * 0.25 + 0.5)
}

#[test]
fn pixels_move_by_whole_levels_against_the_weights_and_stay_between_black_and_white() {
    let device = Device::default();
    // The loss of the first class rises where w x falls. The last pixel has no effect.
    let model = Plain::new([0.5, -0.25, 1.0, 0.0], &device);
    let seen = [100.0f32, 254.0, 1.0, 7.0].map(|pixel| (pixel / 255.0 - 0.5) / 0.25);
    let pixels = [seen, seen].concat();
    let images = Images::new([1, 2, 2], pixels, vec![0, 1]);
    let config = FgsmConfig::new();
    assert_eq!(config.levels, [1.0, 2.0, 4.0, 8.0]);
    config
        .measure(&model, &images, &normalize(), &device)
        .unwrap();
    let seen = model.recorder.seen();
    let expected = [
        [[99.0, 255.0, 0.0, 7.0], [101.0, 253.0, 2.0, 7.0]],
        [[98.0, 255.0, 0.0, 7.0], [102.0, 252.0, 3.0, 7.0]],
        [[96.0, 255.0, 0.0, 7.0], [104.0, 250.0, 5.0, 7.0]],
        [[92.0, 255.0, 0.0, 7.0], [108.0, 246.0, 9.0, 7.0]],
    ];
    assert_eq!(seen.len(), expected.len());
    for (seen, expected) in seen.iter().zip(expected) {
        for (&seen, expected) in seen.iter().zip(expected.as_flattened()) {
            assert!(
                (pixel(seen) - expected).abs() < 1e-3,
                "{expected:?}: {seen:?}"
            );
        }
    }
}

#[test]
fn accuracy_falls_where_the_margin_is_smaller_than_the_change() {
    let device = Device::default();
    let model = Plain::new([1.0, 1.0, 1.0, 1.0], &device);
    // Images that are `distance` levels of all pixels away from the border between the classes.
    let distances = [0.5, 1.5, 3.0, 5.0, 20.0f32];
    let seen = |distance: f32| [(127.5 + distance).min(255.0); 4];
    let pixels = distances.map(seen).concat();
    let pixels = pixels
        .iter()
        .map(|pixel| (pixel / 255.0 - 0.5) / 0.25)
        .collect();
    let images = Images::new([1, 2, 2], pixels, vec![0; 5]).in_batches_of(2);
    let config = FgsmConfig::new().with_levels(vec![0.0, 1.0, 2.0, 4.0, 8.0, 255.0]);
    let fgsm = config
        .measure(&model, &images, &normalize(), &device)
        .unwrap();
    assert_eq!(fgsm.accuracy, [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]);
}

#[test]
fn images_that_a_network_does_not_look_at_stay_as_they_are() {
    let recorder = Recorder::new();
    let images = Images::new([1, 1, 2], vec![0.5, -0.5, 1.0, -1.0], vec![0, 1]);
    let fgsm = FgsmConfig::new().measure(&recorder, &images, &normalize(), &Device::default());
    assert_eq!(fgsm.unwrap().accuracy, [0.5; 4]);
    assert!(recorder.seen().iter().all(|seen| *seen == images.pixels));
}

#[test]
fn levels_out_of_range_are_errors() {
    let images = Images::new([1, 1, 1], vec![0.0], vec![0]);
    for levels in [vec![], vec![-1.0], vec![256.0], vec![f64::NAN]] {
        let config = FgsmConfig::new().with_levels(levels.clone());
        let error = config.measure(&Recorder::new(), &images, &normalize(), &Device::default());
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Argument { .. }));
        let expected =
            format!("`levels` is {levels:?}; accepted: at least one number, each in 0..=255");
        assert_eq!(error.to_string(), expected);
    }
}

/// A network whose running statistics are those of some random images.
fn trained(name: &str, device: &Device) -> AnyNetwork {
    device.seed(7);
    let config = ModelConfig::new(name, 4).with_stochastic_depth(0.5);
    let model = config.init(device).unwrap().train();
    for _ in 0..3 {
        let images = Tensor::random([8, 3, 64, 64], Distribution::Normal(0.3, 2.0), device);
        model.forward(images.autodiff());
    }
    model
}

/// The parameters and the running statistics of a network.
fn all_values(model: &AnyNetwork) -> Vec<Vec<f32>> {
    struct All(Vec<Vec<f32>>);

    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(values(param.val()));
        }
    }

    let mut all = All(Vec::new());
    // The last update of the statistics is applied by `valid`.
    model.valid().visit(&mut all);
    all.0
}

#[test]
fn a_differentiable_network_predicts_as_one_that_evaluates() {
    let device = Device::default();
    for name in [
        "resnet8",
        "resnet50",
        "wrn16-4",
        "efficientnet-b0",
        "convnext-tiny",
        "vit-tiny",
    ] {
        let model = trained(name, &device);
        let plain = model.valid();
        let tracking = differentiable(&model);
        let images = Tensor::<4>::random([6, 3, 64, 64], Distribution::Default, &device);
        let expected = plain.forward(images.clone());
        let before = all_values(&tracking);
        let tracked = images.autodiff().require_grad();
        let logits = tracking.forward(tracked.clone());
        assert!(logits.is_tracked(), "{name}");
        let gradients = logits.clone().sum().backward();
        let gradient = values(tracked.grad(&gradients).unwrap());
        assert!(gradient.iter().all(|value| value.is_finite()), "{name}");
        assert!(gradient.iter().any(|value| *value != 0.0), "{name}");

        let (found, expected) = (logits.without_autodiff(), expected);
        let classes = |logits: &Tensor<2>| logits.clone().argmax(1).into_data();
        assert_eq!(classes(&found), classes(&expected), "{name}");
        for (found, expected) in values(found).into_iter().zip(values(expected)) {
            assert!(
                (found - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                "{name}"
            );
        }
        assert_eq!(all_values(&tracking), before, "{name}");
    }
}

#[test]
fn a_step_along_the_sign_of_the_gradient_raises_the_loss_by_its_size() {
    let device = Device::default();
    let model = trained("resnet8", &device);
    let images = Tensor::<4>::random([4, 3, 16, 16], Distribution::Default, &device);
    let classes = Tensor::<1, Int>::from_data([0, 1, 2, 3], &device);
    let loss = |model: &AnyNetwork, images: Tensor<4>| {
        let classes = classes.clone().to_device(&images.device());
        let loss = CrossEntropy::new().with_reduction(Reduction::Sum);
        loss.forward(model.forward(images), classes).unwrap()
    };
    let tracked = images.clone().autodiff().require_grad();
    let gradients = loss(&differentiable(&model), tracked.clone()).backward();
    let gradient = tracked.grad(&gradients).unwrap();
    let step = gradient.clone().sign() * 1e-4;
    let plain = model.valid();
    let [above, below] = [images.clone() + step.clone(), images - step]
        .map(|images| loss(&plain, images).into_scalar::<f32>());
    let expected = 2e-4 * gradient.abs().sum().into_scalar::<f32>();
    let risen = above - below;
    assert!(
        (risen - expected).abs() < 0.05 * expected,
        "{risen}, expected {expected}"
    );
}
