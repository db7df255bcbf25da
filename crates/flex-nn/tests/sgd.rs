//! The optimizer against Burn's, on the same network.

use burn::nn::{Linear, LinearConfig};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Distribution, Tensor};
use flex_nn::Sgd;

/// Both optimizers with the same settings.
fn optimizers(nesterov: bool, weight_decay: f32) -> [ModuleOptimizer; 2] {
    let momentum = MomentumConfig {
        momentum: 0.9,
        dampening: 0.0,
        nesterov,
    };
    let decay = (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay));
    let burn = SgdConfig::new()
        .with_momentum(Some(momentum))
        .with_weight_decay(decay);
    let ours = Sgd {
        momentum: 0.9,
        nesterov,
        weight_decay,
    };
    [burn.init(), ours.into()]
}

fn step(optimizer: &mut ModuleOptimizer, model: Linear, images: &Tensor<2>) -> Linear {
    let loss = model.forward(images.clone()).powi_scalar(2).mean();
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    optimizer.step(0.1, model, gradients)
}

/// The bits of all parameters.
fn bits(model: &Linear) -> Vec<u32> {
    let bias = model.bias.as_ref().map(|bias| bias.val().into_data());
    let parameters = [Some(model.weight.val().into_data()), bias];
    let numbers = parameters.iter().flatten();
    numbers
        .flat_map(|data| data.iter::<f32>().map(f32::to_bits))
        .collect()
}

#[test]
fn steps_are_those_of_burn_bit_for_bit() {
    let device = Device::flex().autodiff();
    for nesterov in [false, true] {
        for weight_decay in [0.0, 0.01] {
            // More numbers than a thread works on at a time.
            let model = LinearConfig::new(300, 70).init(&device);
            let images = Tensor::random([8, 300], Distribution::Normal(0.0, 1.0), &device);
            let [mut burn, mut ours] = optimizers(nesterov, weight_decay);
            let (mut expected, mut found) = (model.clone(), model);
            for _ in 0..4 {
                // Somebody else may hold the weights.
                let held = (found.clone(), bits(&found));
                expected = step(&mut burn, expected, &images);
                found = step(&mut ours, found, &images);
                assert_eq!(bits(&found), bits(&expected));
                assert_eq!(bits(&held.0), held.1);
            }
        }
    }
}

#[test]
fn records_of_either_optimizer_are_read_by_the_other() {
    let device = Device::flex().autodiff();
    let model: Linear = LinearConfig::new(5, 3).init(&device);
    let images = Tensor::random([4, 5], Distribution::Normal(0.0, 1.0), &device);
    let [mut burn, mut ours] = optimizers(true, 0.01);
    let started = step(&mut burn, model, &images);
    ours = ours.load_record(burn.to_record());
    let [other, _] = optimizers(true, 0.01);
    let mut back = other.load_record(ours.to_record());
    let expected = bits(&step(&mut burn, started.clone(), &images));
    assert_eq!(bits(&step(&mut ours, started.clone(), &images)), expected);
    assert_eq!(bits(&step(&mut back, started, &images)), expected);
}
