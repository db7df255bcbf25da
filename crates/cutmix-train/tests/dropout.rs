//! SAM and dropout. The generator of the CPU is one for the process, so this test has its own.

use std::sync::{Arc, Mutex};

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::optim::SgdConfig;
use burn::tensor::{Device, Int, Tensor};
use cutmix_train::algorithms::{Algorithm, Sam};
use cutmix_train::{Batch, Batches, Duration, Error, Event, Loader, Network, State, TrainerConfig};

#[derive(Module, Debug)]
struct Dropping {
    dropout: Dropout,
    linear: Linear,
}

impl Network for Dropping {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.linear
            .forward(self.dropout.forward(images.flatten(1, 3)))
    }
}

struct Ones;

impl Loader for Ones {
    fn num_samples(&self) -> usize {
        8
    }

    fn num_classes(&self) -> usize {
        2
    }

    fn batches<'a>(&'a self, _epoch: u64, skip: usize, device: &Device) -> Batches<'a> {
        let device = device.clone();
        Box::new((skip..2).map(move |_| {
            Ok(Batch {
                images: Tensor::ones([4, 1, 8, 8], &device),
                targets: Tensor::<1, Int>::from_data([0, 1, 0, 1], &device).into(),
            })
        }))
    }
}

/// Keeps the gradients of each batch as they are when it acts.
#[derive(Clone, Default)]
struct Gradients(Arc<Mutex<Vec<Vec<f32>>>>);

impl Algorithm<Dropping> for Gradients {
    fn name(&self) -> String {
        "gradients".into()
    }

    fn apply(&mut self, event: Event, state: &mut State<Dropping>) -> Result<(), Error> {
        if event == Event::AfterBackward {
            let gradient = state
                .gradients
                .get::<2>(state.model().linear.weight.id)
                .unwrap();
            self.0
                .lock()
                .unwrap()
                .push(gradient.into_data().try_to_vec().unwrap());
        }
        Ok(())
    }
}

#[test]
fn dropout_masks_of_both_passes_of_sam_are_the_same() {
    let device = Device::default();
    let weight = Tensor::<1, Int>::arange(0..128, &device)
        .float()
        .reshape([64, 2])
        / 128.0;
    let model = Dropping {
        dropout: DropoutConfig::new(0.5).init(),
        linear: Linear {
            weight: Param::from_tensor(weight),
            bias: None,
        },
    };
    let (first, second) = (Gradients::default(), Gradients::default());
    (TrainerConfig::new(Duration::Epochs(1)).init(model, Arc::new(Ones)))
        .optimizer(SgdConfig::new().init())
        .algorithm(first.clone())
        // A distance so small that the gradients are the same, unless other pixels are dropped.
        .algorithm(Sam::new(1e-6))
        .algorithm(second.clone())
        .fit()
        .unwrap();
    let (first, second) = (first.0.lock().unwrap(), second.0.lock().unwrap());
    let difference = |one: &[f32], other: &[f32]| {
        let pairs = one.iter().zip(other);
        pairs
            .map(|(one, other)| (one - other).abs())
            .fold(0.0, f32::max)
    };
    for (first, second) in first.iter().zip(second.iter()) {
        assert!(difference(first, second) < 1e-4);
    }
    // The masks of two batches differ, or the test would show nothing.
    assert_eq!(first.len(), 2);
    assert!(difference(&first[0], &first[1]) > 1e-2);
}
