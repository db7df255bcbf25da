//! The parts of the networks, and learning rates of their own for layers.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use cutmix_train::{is_part_of, parameter_names};
use cutmix_vision::models::{LayerRates, Optimizer, architectures, backbone, find, layers, stages};
use cutmix_vision::{AnyNetwork, ModelConfig};

fn network(name: &str) -> AnyNetwork {
    let config = ModelConfig::new(name, 5).with_channels(3);
    config.init(&Device::default().autodiff()).unwrap().train()
}

#[test]
fn every_parameter_is_in_one_layer() {
    for architecture in architectures() {
        let network = network(architecture.name);
        let layers = layers(&network, architecture.head);
        let name = architecture.name;
        let mut divided: Vec<_> = layers.iter().flat_map(|layer| &layer.parameters).collect();
        let mut all = parameter_names(&network);
        divided.sort();
        all.sort();
        assert!(divided.into_iter().eq(&all), "{name}");
        assert!(layers.len() > 3, "{name}");
        let head = layers.last().unwrap();
        assert_eq!(head.name, architecture.head, "{name}");
        assert!(head.parameters.len() <= 2, "{name}: {head:?}");
    }
}

#[test]
fn the_backbone_is_all_but_the_head() {
    for architecture in architectures() {
        let network = network(architecture.name);
        let parts = backbone(&network, architecture.head);
        for name in parameter_names(&network) {
            let is_backbone = parts.iter().any(|part| is_part_of(&name, part));
            assert_ne!(is_backbone, is_part_of(&name, architecture.head), "{name}");
        }
        assert!(parts.len() <= 12, "{parts:?}");
        // In front of the head, whose features it drops.
        assert!(!parts.contains(&"dropout".into()), "{parts:?}");
    }
}

#[test]
fn a_residual_network_has_the_stages_of_the_paper() {
    let resnet = network("resnet18");
    let expected = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"];
    assert_eq!(stages(&resnet), expected);
    assert_eq!(backbone(&resnet, "fc"), expected[..6]);
    let layers = layers(&resnet, "fc");
    assert_eq!(layers.len(), 1 + 8 + 1);
    let stem = &layers[0];
    assert!(
        stem.parameters.contains(&"conv1.weight".to_string()),
        "{stem:?}"
    );
    assert!(
        stem.parameters.contains(&"bn1.gamma".to_string()),
        "{stem:?}"
    );
    let strided = &layers[3];
    assert_eq!(strided.name, "layer2.0");
    assert!(
        strided
            .parameters
            .iter()
            .any(|name| name.contains("downsample"))
    );
}

/// The trained parameters by name.
fn values(network: &AnyNetwork) -> BTreeMap<String, Vec<f32>> {
    #[derive(Default)]
    struct Values {
        found: BTreeMap<String, Vec<f32>>,
        path: Vec<String>,
    }

    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                let values = param.val().into_data().iter::<f32>().collect();
                self.found.insert(self.path.join("."), values);
            }
        }

        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
    }

    let mut values = Values::default();
    network.visit(&mut values);
    values.found
}

/// The gradients of a loss on fixed images, times `scale`.
fn gradients(network: &AnyNetwork, scale: f32) -> GradientsParams {
    let images = Tensor::<1>::from_floats(pixels().as_slice(), &Device::default().autodiff());
    let logits = network.forward(images.reshape([2, 3, 8, 8]));
    let loss = logits.powf_scalar(2.0).sum() * scale;
    GradientsParams::from_grads(loss.backward(), network)
}

fn pixels() -> Vec<f32> {
    (0..2 * 3 * 64).map(|at| (at as f32 * 0.37).sin()).collect()
}

#[test]
fn each_layer_learns_at_its_own_rate() {
    const RATE: f64 = 0.02;
    let rates = LayerRates::new().with_head(10.0).with_decay(0.5);
    let model = network("resnet8");
    let layers = layers(&model, find("resnet8").unwrap().head);
    for optimizer in Optimizer::ALL {
        let mut with_layers = optimizer.init_layers(0.1, &layers, rates);
        let after = values(&with_layers.step(RATE, model.clone(), gradients(&model, 1.0)));
        for (depth, layer) in layers.iter().rev().enumerate() {
            let expected = [10.0, 0.5, 0.25, 0.125, 0.0625][depth];
            assert_eq!(rates.factor(depth), expected);
            let mut alone = optimizer.init(0.1);
            let alone = alone.step(RATE * expected, model.clone(), gradients(&model, 1.0));
            let alone = values(&alone);
            for name in &layer.parameters {
                assert_eq!(after.get(name), alone.get(name), "{optimizer} {name}");
            }
        }
    }
}

/// Without a gradient, only weight decay changes a parameter.
#[test]
fn norms_and_biases_do_not_decay_in_any_layer() {
    let model = network("resnet8");
    let layers = layers(&model, find("resnet8").unwrap().head);
    let rates = LayerRates::new().with_head(2.0).with_decay(0.9);
    let before = values(&model);
    for optimizer in Optimizer::ALL {
        let mut with_layers = optimizer.init_layers(0.1, &layers, rates);
        let after = values(&with_layers.step(0.5, model.clone(), gradients(&model, 0.0)));
        for (name, before) in &before {
            let is_same = *before == after[name];
            assert_eq!(is_same, !name.ends_with("weight"), "{optimizer} {name}");
        }
    }
}

#[test]
fn a_saved_optimizer_continues_in_its_groups() {
    let model = network("resnet8");
    let layers = layers(&model, find("resnet8").unwrap().head);
    let rates = LayerRates::new().with_head(3.0).with_decay(0.7);
    for optimizer in Optimizer::ALL {
        let mut first = optimizer.init_layers(0.1, &layers, rates);
        let model = first.step(0.1, model.clone(), gradients(&model, 1.0));
        let record = first.to_record();
        let mut loaded = optimizer
            .init_layers(0.1, &layers, rates)
            .load_record(record);
        let [continued, resumed] = [&mut first, &mut loaded]
            .map(|optimizer| values(&optimizer.step(0.1, model.clone(), gradients(&model, 1.0))));
        assert_eq!(continued, resumed, "{optimizer}");
    }
}

#[test]
fn rates_out_of_range_are_refused_by_name() {
    let new = LayerRates::new;
    assert!(new().with_head(100.0).with_decay(1.0).check().is_ok());
    for (rates, name) in [
        (new().with_head(0.0), "head_rate"),
        (new().with_head(-1.0), "head_rate"),
        (new().with_head(f64::INFINITY), "head_rate"),
        (new().with_decay(0.0), "layer_decay"),
        (new().with_decay(1.01), "layer_decay"),
        (new().with_decay(f64::NAN), "layer_decay"),
    ] {
        let error = rates.check().unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}
