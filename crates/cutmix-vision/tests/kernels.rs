//! Whole networks with the kernels of `flex-nn` against the same networks with Burn's operations.

use std::process::Command;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Int, Tensor};
use cutmix::loss::CrossEntropy;
use cutmix_vision::models::Optimizer;
use cutmix_vision::{ResNet, ResNetConfig};

/// Where it is set, this process prints the losses of Burn's operations.
const PRINTS: &str = "CUTMIX_PRINT_LOSSES";

/// The losses of some steps on one batch, in which the network comes to know it by heart.
fn losses(config: &ResNetConfig, [batch, side]: [usize; 2], steps: usize) -> Vec<f64> {
    let device = Device::flex().autodiff();
    device.seed(7);
    let mut model: ResNet = config.init(&device).unwrap();
    let mut optimizer = Optimizer::Sgd.init(5e-4);
    let images = Tensor::<4>::random(
        [batch, 3, side, side],
        Distribution::Normal(0.0, 1.0),
        &device,
    );
    let labels: Vec<_> = (0..batch).map(|sample| (sample % 10) as i64).collect();
    let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
    let steps = (0..steps).map(|_| {
        let logits = model.forward(images.clone());
        let loss = CrossEntropy::new().forward(logits, labels.clone()).unwrap();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.02, model.clone(), gradients);
        loss.try_into_scalar::<f64>().unwrap()
    });
    steps.collect()
}

/// The losses of all networks. A deep one is compared at its first step alone: where the sum of a block
/// is about 0, rounding decides whether the gradient passes, and one such position changes all
/// gradients before it by a percent.
fn all() -> Vec<Vec<f64>> {
    vec![
        losses(&ResNetConfig::resnet8(10), [16, 28], 20),
        losses(&ResNetConfig::resnet20(10), [8, 32], 20),
        losses(&ResNetConfig::resnet18(10).with_width(16), [8, 64], 20),
        losses(&ResNetConfig::resnet50(10).with_width(16), [16, 64], 1),
    ]
}

#[test]
fn networks_train_as_with_the_operations_of_burn_for_20_steps() {
    if std::env::var_os(PRINTS).is_some() {
        println!("losses {:?}", all());
        return;
    }
    // Without vectors the modules run Burn's operations.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--test-threads", "1"])
        .env(PRINTS, "1")
        .env("FLEX_NN_ARCH", "scalar")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let line = shown.lines().find_map(|line| line.split("losses ").nth(1));
    let expected: Vec<Vec<f64>> = serde_json::from_str(line.unwrap()).unwrap();
    let found = all();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.len(), expected.len());
        let pairs = found.iter().zip(expected).enumerate();
        for (step, (found, expected)) in pairs {
            // Differences grow from step to step.
            let limit = if step == 0 { 1e-5 } else { 2e-2 };
            let difference = (found - expected).abs() / expected.abs().max(0.1);
            assert!(difference < limit, "step {step}: {found} {expected}");
        }
    }
    // The networks have learned something.
    assert!(found[0][19] < 0.8 * found[0][0], "{:?}", found[0]);
}
