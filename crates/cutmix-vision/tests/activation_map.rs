//! Class activation maps: exact ones against the weights of the head, others against gradients by hand.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use cutmix_train::Network;
use cutmix_vision::models::{Classifier, Features, class_activation_map};
use cutmix_vision::{AnyNetwork, ModelConfig, ModelError};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn resnet(device: &Device) -> AnyNetwork {
    device.seed(3);
    ModelConfig::new("resnet8", 5).init(device).unwrap()
}

#[test]
fn maps_of_a_network_with_mean_pooling_are_those_of_the_weights_of_its_head() {
    let device = Device::default();
    let model = resnet(&device).valid();
    let images = Tensor::random([3, 3, 20, 28], Distribution::Default, &device);
    let classes = [4, 0, 2];
    let features = model.features(images.clone());
    let maps = class_activation_map(&model, features.clone(), &classes).unwrap();
    assert_eq!(maps.dims(), [3, 5, 7]);

    let (weights, bias) = (model.head().weight.val(), model.head().bias.as_ref());
    let bias = values(bias.unwrap().val());
    let logits = values(model.forward(images));
    for (image, class) in classes.into_iter().enumerate() {
        let map = features.map.clone().slice_dim(0, image..image + 1);
        let weights = weights.clone().slice_dim(1, class..class + 1);
        let expected = (map * weights.reshape([1, -1, 1, 1])).sum_dim(1);
        let expected = expected.reshape([5, 7]);
        let found: Tensor<2> = maps.clone().slice_dim(0, image..image + 1).squeeze_dim(0);
        let (found, expected) = (found.into_data(), expected.into_data());
        found.assert_approx_eq::<f32>(&expected, Tolerance::default());
        let mean = found.iter::<f32>().sum::<f32>() / 35.0;
        assert!((mean + bias[class] - logits[5 * image + class]).abs() < 1e-4);
    }
}

/// A network whose head sees the sum of `tanh(k * x)` over the places, with `k = 1` for the first
/// channel and 2 for the second, and the first token.
#[derive(Module, Debug)]
struct Bent {
    head: Linear,
}

impl Network for Bent {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.pool(self.features(images)))
    }
}

impl Classifier for Bent {
    fn features(&self, images: Tensor<4>) -> Features {
        images.into()
    }

    fn pool(&self, features: Features) -> Tensor<2> {
        let factors = Tensor::<1>::from_floats([1.0, 2.0], &features.map.device());
        let bent = tanh(features.map * factors.reshape([1, 2, 1, 1]));
        let sums: Tensor<2> = bent.sum_dim(3).sum_dim(2).flatten(1, 3);
        match features.tokens {
            Some(tokens) => sums + tokens.slice_dim(1, 0..1).squeeze_dim::<2>(1),
            None => sums,
        }
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}

#[test]
fn maps_of_other_networks_are_those_of_grad_cam() {
    let device = Device::default();
    let mut head = LinearConfig::new(2, 2).init(&device);
    head.weight = head
        .weight
        .map(|weight| Tensor::from_floats([[0.5, -1.0], [1.5, 2.0]], &weight.device()));
    let model = Bent { head };
    let map = [[[[0.1f32, -0.4], [0.3, 0.8]], [[0.2, 0.5], [-0.6, 0.0]]]];
    let map = Tensor::<4>::from_floats(map, &device);
    let tokens = Some(Tensor::ones([1, 1, 2], &device));
    let features = Features {
        map: map.clone(),
        tokens,
    };
    let found = values(class_activation_map(&model, features, &[1]).unwrap());

    // The derivative of tanh(k x) is k (1 - tanh(k x)^2), summed over the places of a channel and
    // multiplied with the weight of the channel for class 1.
    let map = values(map);
    let slope = |k: f32, x: f32| k * (1.0 - (k * x).tanh().powi(2));
    let first: f32 = -map[..4].iter().map(|&x| slope(1.0, x)).sum::<f32>();
    let second: f32 = map[4..].iter().map(|&x| slope(2.0, x)).sum::<f32>() * 2.0;
    for place in 0..4 {
        let expected = first * map[place] + second * map[4 + place];
        assert!((found[place] - expected).abs() < 1e-5, "{found:?}");
    }
}

#[test]
fn a_network_in_training_is_evaluated_and_stays_as_it_is() {
    let device = Device::default().autodiff();
    let model = resnet(&device);
    let images = Tensor::random([2, 3, 16, 16], Distribution::Default, &device);
    let before = values(model.valid().forward(images.clone().without_autodiff()));
    // In training, the features are those of an autodiff graph.
    let evaluated = model.valid().features(images.clone().without_autodiff());
    let tracked = Features::from(evaluated.map.clone().autodiff());
    let maps = |features| class_activation_map(&model, features, &[1, 1]).unwrap();
    assert_eq!(values(maps(tracked)), values(maps(evaluated)));
    let after = values(model.valid().forward(images.without_autodiff()));
    assert_eq!(before, after);
}

#[test]
fn classes_that_do_not_fit_are_errors() {
    let device = Device::default();
    let model = resnet(&device).valid();
    let features = model.features(Tensor::ones([2, 3, 8, 8], &device));
    for (classes, message) in [
        (
            &[1][..],
            "classes is of length 1, expected one for each of 2 images",
        ),
        (&[1, 5], "classes is 5, expected classes below 5"),
    ] {
        let error = class_activation_map(&model, features.clone(), classes).unwrap_err();
        assert!(matches!(error, ModelError::Argument { .. }));
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn networks_of_every_family_have_maps() {
    let device = Device::default();
    for (name, averages) in [
        ("resnet18", true),
        ("wrn16-4", true),
        ("mobilenetv2", true),
        ("efficientnet-b0", true),
        ("convnext-tiny", false),
        ("vit-tiny", false),
    ] {
        device.seed(5);
        let model = ModelConfig::new(name, 4).init(&device).unwrap().valid();
        let images = Tensor::random([1, 3, 64, 64], Distribution::Default, &device);
        let features = model.features(images.clone());
        let map = values(class_activation_map(&model, features, &[2]).unwrap());
        let is_number = map.iter().all(|value| value.is_finite());
        assert!(is_number && map.iter().any(|value| *value != 0.0), "{name}");
        if averages {
            let bias = values(model.head().bias.as_ref().unwrap().val())[2];
            let logit = values(model.forward(images))[2];
            let mean = map.iter().sum::<f32>() / map.len() as f32;
            assert!(
                (mean + bias - logit).abs() < 1e-3 * (1.0 + logit.abs()),
                "{name}"
            );
        }
    }
}
