//! Networks.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use cutmix_train::Network;

use super::{CLASSES, Shared, random, values};

/// One linear layer on images of 1 x 4 x 4, which records every batch that it is given.
#[derive(Module, Debug)]
pub struct Tiny {
    pub linear: Linear,
    #[module(skip)]
    pub seen: Shared<Vec<f32>>,
}

impl Tiny {
    pub fn new(device: &Device) -> Self {
        Self::with_seed(1, device)
    }

    pub fn with_seed(seed: u64, device: &Device) -> Self {
        Self {
            linear: Linear {
                weight: Param::from_tensor(random([16, CLASSES], seed, device) - 0.5),
                bias: None,
            },
            seen: Shared::default(),
        }
    }

    pub fn weights(&self) -> Vec<f32> {
        values(self.linear.weight.val())
    }
}

impl Network for Tiny {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let seen: Vec<f32> = images.clone().into_data().try_into_vec_as().unwrap();
        self.seen.lock().unwrap().push(seen);
        self.linear.forward(images.flatten(1, 3))
    }
}

/// With everything that has a state of its own: running statistics, and dropout.
#[derive(Module, Debug)]
pub struct Stateful {
    pub norm: BatchNorm,
    dropout: Dropout,
    pub tiny: Tiny,
}

impl Stateful {
    pub fn new(device: &Device) -> Self {
        Self::with_dropout(0.3, device)
    }

    pub fn with_dropout(probability: f64, device: &Device) -> Self {
        Self {
            norm: BatchNormConfig::new(1).init(device),
            dropout: DropoutConfig::new(probability).init(),
            tiny: Tiny::new(device),
        }
    }

    /// The running statistics.
    pub fn statistics(&self) -> Vec<f32> {
        let statistics = [&self.norm.running_mean, &self.norm.running_var];
        statistics.map(|one| values(one.value_sync())).concat()
    }
}

impl Network for Stateful {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let images = self.dropout.forward(self.norm.forward(images));
        self.tiny.forward(images)
    }
}
