//! What the trainer costs over a hand-written Burn loop, and what CutMix adds to a training step.
//!
//! ```sh
//! cargo bench --workspace --bench training [-- ROUNDS]
//! ```
//!
//! Everything is compared inside one run: the contestants take turns, round by round, on the same
//! model, batches and optimizer, and the medians of the rounds' ratios are printed, each with its
//! standard error, from the distance between the quartiles.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Int, Tensor};
use cutmix::Targets;
use cutmix::functional::cutmix_batch;
use cutmix::loss::CrossEntropy;
use cutmix::plan::Stream;
use cutmix_train::algorithms::CutMix;
use cutmix_train::loggers::Logger;
use cutmix_train::{Batch, Loader, Schedule, TrainerConfig};
use cutmix_vision::{ResNet, ResNetConfig};

/// Batches of a run.
const BATCHES: usize = 8;

fn main() {
    // `cargo bench` passes `--bench`.
    let rounds = (std::env::args().skip(1))
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(30);
    println!("medians of {rounds} rounds of {BATCHES} batches, first round not counted\n");
    compare("resnet8", ResNetConfig::resnet8, [32, 1, 28, 28], rounds);
    compare("resnet20", ResNetConfig::resnet20, [16, 3, 32, 32], rounds);
    share_of_step("resnet18", ResNetConfig::resnet18, [8, 3, 224, 224], rounds);
}

/// A layout by its number of classes.
type Network = fn(usize) -> ResNetConfig;

fn compare(name: &str, network: Network, shape: [usize; 4], rounds: usize) {
    let device = Device::default();
    let batches = Batches::new(shape, &device);
    let time = |run: &dyn Fn(ResNet)| {
        let model = model(network, shape, &device);
        seconds(|| run(model))
    };
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..=rounds {
        times[0].push(time(&|model| hand_written(model, &batches, false)));
        times[1].push(time(&|model| trained(model, &batches, None)));
        times[2].push(time(&|model| hand_written(model, &batches, true)));
        times[3].push(time(&|model| trained(model, &batches, Some(CutMix::new()))));
    }
    let [plain, trainer, mixed, trainer_mixed] = times;
    println!(
        "{name} {shape:?}: {:.1} ms a step by hand",
        1e3 * median(&plain[1..]) / BATCHES as f64
    );
    println!(
        "  trainer / by hand                 {}",
        ratio(&trainer, &plain)
    );
    println!(
        "  by hand with CutMix / without     {}",
        ratio(&mixed, &plain)
    );
    println!(
        "  trainer with CutMix / without     {}",
        ratio(&trainer_mixed, &trainer)
    );
    println!(
        "  trainer / by hand, both CutMix    {}",
        ratio(&trainer_mixed, &mixed)
    );
    share_of_step(name, network, shape, rounds);
}

/// CutMix alone against a step, which shows what the ratios above are too noisy to show.
fn share_of_step(name: &str, network: Network, shape: [usize; 4], rounds: usize) {
    let device = Device::default();
    let batches = Batches::new(shape, &device);
    let few = Batches {
        epoch: 3,
        ..batches.clone()
    };
    let mut times: [Vec<f64>; 2] = Default::default();
    // Owned alone, so that it is mixed in place, as a batch from a loader is.
    let mut images = Some(Batches::new(shape, &device).images);
    for round in 0..=rounds {
        let model = model(network, shape, &device);
        times[0].push(seconds(|| hand_written(model, &few, false)) / 3.0);
        times[1].push(seconds(|| {
            let mut rng = Stream::new(0).at(round as u64);
            let owned = images.take().expect("put back in each round");
            let mixed = cutmix_batch(owned, batches.targets.clone(), 10, 1.0, &mut rng);
            let (mixed, _) = mixed.expect("the arguments are in range");
            device.sync().expect("the device works");
            images = Some(mixed);
        }));
    }
    println!(
        "{name} {shape:?}: CutMix alone is {:.2} ms of a step of {:.1} ms: {}\n",
        1e3 * median(&times[1][1..]),
        1e3 * median(&times[0][1..]),
        ratio(&times[1], &times[0])
    );
}

fn model(network: Network, shape: [usize; 4], device: &Device) -> ResNet {
    device.seed(0);
    network(10)
        .with_channels(shape[1])
        .init(device)
        .expect("the sizes are above 0")
}

fn optimizer() -> burn::optim::ModuleOptimizer {
    SgdConfig::new().init()
}

/// The loop that a user of Burn would write, with the loss read once at the end.
fn hand_written(model: ResNet, batches: &Batches, cutmix: bool) {
    let mut model = model.train();
    let mut optimizer = optimizer();
    let loss_fn = CrossEntropy::new();
    let device = Device::default().autodiff();
    let mut last = None;
    for (step, batch) in batches.batches(0, 0, &device).enumerate() {
        let Batch {
            images,
            mut targets,
        } = batch.expect("batches in memory");
        let mut images = images;
        if cutmix {
            let mut rng = Stream::new(0).at(step as u64);
            let mixed = cutmix_batch(images, targets, 10, 1.0, &mut rng);
            let (x, y) = mixed.expect("the arguments are in range");
            (images, targets) = (x, y.into());
        }
        let loss = loss_fn.forward(model.forward(images), targets);
        let loss = loss.expect("the shapes fit");
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.01, model, gradients);
        last = Some(loss);
    }
    last.map(|loss| loss.into_scalar::<f32>());
}

/// Prints nothing.
struct Quiet;

impl Logger for Quiet {}

fn trained(model: ResNet, batches: &Batches, cutmix: Option<CutMix>) {
    let duration = "1ep".parse().expect("it is a duration");
    let mut trainer = TrainerConfig::new(duration)
        .with_learning_rate(0.01)
        .with_schedule(Schedule::Constant)
        .init(model, Arc::new(batches.clone()))
        .optimizer(optimizer())
        .logger(Quiet);
    if let Some(cutmix) = cutmix {
        trainer = trainer.algorithm(cutmix);
    }
    trainer.fit().expect("the run is valid");
}

fn seconds(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn quantile(values: &[f64], at: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * at).round() as usize]
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The median ratio of rounds, without the first, and its standard error.
fn ratio(times: &[f64], base: &[f64]) -> String {
    let ratios: Vec<_> = times.iter().zip(base).skip(1).map(|(t, b)| t / b).collect();
    // The quartiles of a normal distribution are 1.349 standard deviations apart, and the median of
    // n samples errs by 1.253 / sqrt(n) of them.
    let deviation = (quantile(&ratios, 0.75) - quantile(&ratios, 0.25)) / 1.349;
    let error = 1.253 * deviation / (ratios.len() as f64).sqrt();
    format!("{:.4} +- {error:.4}", median(&ratios))
}

/// One batch in memory, handed out again and again.
#[derive(Clone)]
struct Batches {
    images: Tensor<4>,
    targets: Tensor<1, Int>,
    epoch: usize,
}

impl Batches {
    fn new(shape: [usize; 4], device: &Device) -> Self {
        let classes: Vec<_> = (0..shape[0] as i64).map(|i| i % 10).collect();
        Self {
            images: Tensor::random(shape, burn::tensor::Distribution::Default, device),
            targets: Tensor::from_data(classes.as_slice(), device),
            epoch: BATCHES,
        }
    }
}

impl Loader for Batches {
    fn num_samples(&self) -> usize {
        self.images.dims()[0] * self.epoch
    }

    fn num_classes(&self) -> usize {
        10
    }

    fn batches<'a>(&'a self, _: u64, skip: usize, device: &Device) -> cutmix_train::Batches<'a> {
        let batch = if device.is_autodiff() {
            Batch {
                images: self.images.clone().autodiff(),
                targets: Targets::Indices(self.targets.clone().autodiff()),
            }
        } else {
            Batch {
                images: self.images.clone(),
                targets: Targets::Indices(self.targets.clone()),
            }
        };
        Box::new((skip..self.epoch).map(move |_| Ok(batch.clone())))
    }
}
