//! The memory of a training step, in multiples of the weights. A process of its own, which counts
//! every allocation.

mod common;

use std::alloc::System;
use std::sync::{Arc, Mutex};

use burn::module::{Module, Param};
use burn::optim::SgdConfig;
use burn::tensor::{Device, Tensor};
use cap::Cap;
use cutmix_train::algorithms::Ema;
use cutmix_train::{Event, Network, OnNan, State, Trainer, TrainerConfig};

use common::*;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// A layer of 8 MiB, whose outputs are added up to logits.
#[derive(Module, Debug)]
struct Large {
    weight: Param<Tensor<2>>,
}

const WIDTH: usize = CLASSES << 15;
const BYTES: usize = 16 * WIDTH * 4;

impl Network for Large {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [batch, ..] = images.dims();
        let outputs = images.flatten::<2>(1, 3).matmul(self.weight.val());
        let outputs = outputs.reshape([batch, CLASSES, WIDTH / CLASSES]);
        outputs.mean_dim(2).squeeze_dim(2)
    }
}

/// What a step takes.
struct Step {
    /// The bytes that it allocates, in multiples of the weights.
    allocated: f64,
    /// The bytes that it allocates between the gradients and its end.
    optimizer: f64,
    /// The bytes that are in use between two steps.
    in_use: f64,
}

/// Measures the later steps of a run.
fn measure(settings: TrainerConfig, with: impl FnOnce(Trainer<Large>) -> Trainer<Large>) -> Step {
    let before = ALLOCATOR.allocated();
    // One allocation that the model owns alone.
    let weight = Tensor::full([16, WIDTH], 0.01, &Device::default());
    let model = Large {
        weight: Param::from_tensor(weight),
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    let watch = move |event: Event, _: &State<Large>| {
        let now = (event, ALLOCATOR.total_allocated(), ALLOCATOR.allocated());
        record.lock().unwrap().push(now);
        Ok(())
    };
    let trainer = settings.init(model, Samples::new(8, 1).loader());
    with(trainer.optimizer(SgdConfig::new().init()))
        .callback(watch)
        .logger(LogRecorder::default())
        .fit()
        .unwrap();
    let seen = seen.lock().unwrap();
    let last = |event| *seen.iter().rfind(|(seen, ..)| *seen == event).unwrap();
    let starts: Vec<_> = seen
        .iter()
        .filter(|(seen, ..)| *seen == Event::BatchStart)
        .collect();
    let (first, in_use) = (starts[4].1, last(Event::BatchStart).2);
    let weights = |bytes: usize| bytes as f64 / BYTES as f64;
    Step {
        allocated: weights(last(Event::BatchStart).1 - first) / 3.0,
        optimizer: weights(last(Event::BatchEnd).1 - last(Event::BeforeStep).1),
        in_use: weights(in_use.saturating_sub(before)),
    }
}

#[test]
fn a_step_copies_no_weights() {
    let plain = measure(config("8ba"), |trainer| trainer);
    // The initial weights are gone, and the optimizer changes the weights in place.
    assert!(plain.in_use < 1.1, "{}", plain.in_use);
    assert!(plain.optimizer < 0.1, "{}", plain.optimizer);

    // The squares of the gradient are added up; the model is not copied.
    let skip = measure(config("8ba").with_on_nan(OnNan::Skip), |trainer| trainer);
    assert!(skip.in_use < 1.1, "{}", skip.in_use);
    let more = skip.allocated - plain.allocated;
    assert!(more < 1.1, "{more}");

    // There is one average, which is changed in place by a product with the weights.
    let ema = measure(config("8ba"), |trainer| trainer.algorithm(Ema::new(0.9)));
    assert!(ema.in_use < 2.1, "{}", ema.in_use);
    let more = ema.allocated - plain.allocated;
    assert!(more < 1.1, "{more}");
}
