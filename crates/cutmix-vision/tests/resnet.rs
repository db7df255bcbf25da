//! The networks: published parameter counts, shapes, gradients, and weights that a seed decides.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use cutmix_vision::{Architecture, ResNet, ResNetConfig};
use std::sync::Mutex;

/// The random numbers of a device are shared by the process.
static RANDOM: Mutex<()> = Mutex::new(());

fn init(architecture: Architecture, classes: usize, channels: usize, device: &Device) -> ResNet {
    ResNetConfig::new(architecture, classes)
        .with_channels(channels)
        .init(device)
        .unwrap()
}

/// The parameters that are trained: all but the running statistics.
#[derive(Default)]
struct Trained {
    tensors: usize,
    values: usize,
}

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.tensors += 1;
            self.values += param.shape().num_elements();
        }
    }
}

fn trained(model: &ResNet) -> Trained {
    let mut trained = Trained::default();
    model.visit(&mut trained);
    trained
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let _random = RANDOM.lock();
    let device = Device::default().autodiff();
    for (architecture, classes, count) in [
        (Architecture::ResNet8, 10, 75_290),
        (Architecture::ResNet20, 10, 269_722),
        (Architecture::ResNet18, 1000, 11_689_512),
        (Architecture::ResNet34, 1000, 21_797_672),
        (Architecture::ResNet50, 1000, 25_557_032),
    ] {
        let model = init(architecture, classes, 3, &device);
        assert_eq!(trained(&model).values, count, "{architecture}");
    }
}

#[test]
fn any_image_size_gives_logits() {
    let _random = RANDOM.lock();
    let device = Device::default();
    for architecture in Architecture::ALL {
        for shape in [[2, 1, 28, 28], [1, 3, 32, 48], [3, 3, 33, 17], [1, 1, 1, 1]] {
            let model = init(architecture, 7, shape[1], &device);
            let logits = model.forward(Tensor::random(shape, Distribution::Default, &device));
            assert_eq!(logits.dims(), [shape[0], 7], "{architecture} {shape:?}");
        }
    }
}

#[test]
fn every_parameter_of_a_trained_network_gets_a_gradient() {
    let _random = RANDOM.lock();
    let device = Device::default().autodiff();
    for architecture in Architecture::ALL {
        let model = init(architecture, 5, 1, &device);
        let images = Tensor::random([4, 1, 28, 28], Distribution::Default, &device);
        let loss = model.forward(images).powf_scalar(2.0).mean();
        let grads = loss.backward();
        let grads = GradientsParams::from_grads(grads, &model);
        assert_eq!(grads.len(), trained(&model).tensors, "{architecture}");
    }
}

#[test]
fn the_seed_of_the_device_decides_the_weights() {
    let _random = RANDOM.lock();
    let device = Device::default();
    let image = Tensor::<4>::ones([1, 3, 28, 28], &device);
    let logits = |seed, first_use_last: bool| {
        device.seed(seed);
        let model = init(Architecture::ResNet8, 10, 3, &device);
        if first_use_last {
            // Random numbers drawn between making and using the network do not change it.
            let _ = Tensor::<1>::random([100], Distribution::Default, &device);
        }
        model.forward(image.clone()).into_data()
    };
    let first = logits(1, false);
    assert_eq!(first, logits(1, true));
    assert_ne!(first, logits(2, false));
}

#[test]
fn convolutions_start_with_the_variance_of_he() {
    let _random = RANDOM.lock();
    let device = Device::default();
    device.seed(0);
    let model = init(Architecture::ResNet18, 10, 3, &device);
    struct Std(Vec<(usize, f64)>);
    impl ModuleVisitor for Std {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let [out, _, kernel, ..] = param.dims()[..] else {
                return;
            };
            let std = param.val().var(0).mean().sqrt().into_scalar::<f64>();
            self.0.push((out * kernel * kernel, std));
        }
    }
    let mut stds = Std(Vec::new());
    model.visit(&mut stds);
    assert_eq!(stds.0.len(), 20);
    for (fan_out, std) in stds.0 {
        let expected = (2.0 / fan_out as f64).sqrt();
        assert!(
            (std / expected - 1.0).abs() < 0.05,
            "{fan_out} {std} {expected}"
        );
    }
}

#[test]
fn names_are_read_and_written() {
    for architecture in Architecture::ALL {
        assert_eq!(architecture.to_string().parse(), Ok(architecture));
    }
    let error = "resnet19".parse::<Architecture>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown architecture `resnet19`, expected resnet8, resnet20, resnet18, resnet34 or resnet50"
    );
}
