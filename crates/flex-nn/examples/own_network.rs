//! A network of one's own with the layers of Burn and with those of this crate: two types are replaced.
//! Both are trained for some steps, and the images per second of each are printed.
//!
//!     cargo run --release -p flex-nn --example own_network

use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor};

/// Channels of the images and behind each convolution.
const CHANNELS: [usize; 4] = [3, 32, 64, 64];
const CLASSES: usize = 10;
const BATCH: usize = 32;
const STEPS: usize = 10;

/// Before: the layers of Burn. (Both networks end in `global_mean`, which any backend runs.)
#[derive(Module, Debug)]
struct Before {
    convs: Vec<burn::nn::conv::Conv2d>,
    norms: Vec<burn::nn::BatchNorm>,
    classifier: Linear,
}

/// After: the fields have other types, and the names and parameters that they had.
#[derive(Module, Debug)]
struct After {
    convs: Vec<flex_nn::Conv2d>,
    norms: Vec<flex_nn::BatchNorm>,
    classifier: Linear,
}

impl Before {
    fn new(device: &Device) -> Self {
        let conv = |channels: &[usize]| {
            burn::nn::conv::Conv2dConfig::new([channels[0], channels[1]], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(false)
                .init(device)
        };
        Self {
            convs: CHANNELS.windows(2).map(conv).collect(),
            norms: (CHANNELS[1..].iter())
                .map(|channels| BatchNormConfig::new(*channels).init(device))
                .collect(),
            classifier: LinearConfig::new(CHANNELS[3], CLASSES).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let layers = self.convs.iter().zip(&self.norms);
        let x = layers.fold(images, |x, (conv, norm)| {
            relu(norm.forward(conv.forward(x)))
        });
        self.classifier.forward(flex_nn::global_mean(x))
    }
}

impl From<Before> for After {
    fn from(network: Before) -> Self {
        Self {
            convs: network.convs.into_iter().map(Into::into).collect(),
            norms: network.norms.into_iter().map(Into::into).collect(),
            classifier: network.classifier,
        }
    }
}

impl After {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let layers = self.convs.iter().zip(&self.norms);
        // `norm.forward_relu(conv.forward(x))` trains as fast; this is also one pass for inference.
        let x = layers.fold(images, |x, (conv, norm)| conv.forward_norm_relu(x, norm));
        self.classifier.forward(flex_nn::global_mean(x))
    }
}

/// Trains on one batch, and prints the loss and the images per second.
fn train<M: Module>(
    name: &str,
    mut network: M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    device: &Device,
) {
    device.seed(1);
    let images = Tensor::random([BATCH, 3, 32, 32], Distribution::Normal(0.0, 1.0), device);
    let labels = Tensor::<1, Int>::arange(0..BATCH as i64, device) % CLASSES as i64;
    let loss = CrossEntropyLossConfig::new().init(device);
    let mut optimizer = SgdConfig::new().init();
    let mut value = 0.0;
    let start = Instant::now();
    for _ in 0..STEPS {
        let loss = loss.forward(forward(&network, images.clone()), labels.clone());
        value = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(0.05, network, gradients);
    }
    let rate = (STEPS * BATCH) as f64 / start.elapsed().as_secs_f64();
    println!("{name}: loss {value:.4}, {rate:.0} images/s");
}

fn main() {
    let device = Device::flex().autodiff();
    device.seed(42);
    let before = Before::new(&device);
    let after = After::from(before.clone());
    train("Burn's layers", before, Before::forward, &device);
    train("flex-nn's", after, After::forward, &device);
}
