//! The part of this project in the comparison of training steps with PyTorch
//! (`scripts/compare_training.py`).
//!
//! With `--serve` it reads requests from standard input, one JSON object on each line, and answers each
//! with the seconds of steps. The script asks both in turn, so that both have the same conditions.
//! `BURN_DEVICE` selects the device, the CPU's `flex` or that of a GPU's feature, such as `cuda`.

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Int, Tensor};
use cutmix::loss::CrossEntropy;
use cutmix_vision::models::{Optimizer, find};
use cutmix_vision::{AnyNetwork, ModelConfig, ResNetConfig};
use serde::Deserialize;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize, PartialEq)]
struct Network {
    /// The name of a network, `wide16` or `width<N>`.
    network: String,
    /// The shape of the images, `[N, C, H, W]`.
    shape: [usize; 4],
}

#[derive(Deserialize)]
struct Request {
    #[serde(flatten)]
    network: Network,
    /// Whether the network is trained.
    train: bool,
    /// The number of steps that are measured.
    steps: usize,
    /// The number of steps before them.
    warm_up: usize,
}

fn main() {
    if !std::env::args().any(|argument| argument == "--serve") {
        println!("compared with PyTorch by scripts/compare_training.py");
        return;
    }
    // As in the program.
    if std::env::var("RAYON_NUM_THREADS").as_deref() != Ok("1") {
        let pool = rayon::ThreadPoolBuilder::new().use_current_thread();
        pool.build_global().expect("nothing has used it");
    }
    // A network is kept for the next request of the same kind.
    let mut kept: Option<Subject> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("requests are lines of text");
        let request: Request = serde_json::from_str(&line).expect("a request");
        let subject = match kept.take() {
            Some(subject) if subject.network == request.network => subject,
            _ => Subject::new(request.network),
        };
        let mut subject = subject;
        let mut seconds = Vec::new();
        for step in 0..request.warm_up + request.steps {
            let start = Instant::now();
            subject = if request.train {
                subject.train()
            } else {
                subject.evaluate()
            };
            subject.images.device().sync().expect("the device works");
            if step >= request.warm_up {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        println!("{seconds:?}");
        std::io::stdout().flush().expect("someone listens");
        kept = Some(subject);
    }
}

/// What is measured: a network, its optimizer and a batch.
struct Subject {
    network: Network,
    model: AnyNetwork,
    optimizer: ModuleOptimizer,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
}

impl Subject {
    fn new(network: Network) -> Self {
        let device = Device::default().autodiff();
        let [count, channels, height, _] = network.shape;
        let classes = if height > 64 { 1000 } else { 10 };
        let resnet = |width| -> Result<AnyNetwork, _> {
            let config = ResNetConfig::new(classes, vec![2, 2, 2]).with_width(width);
            Ok(config.with_channels(channels).init(&device)?.into())
        };
        let name = network.network.as_str();
        let model = match name.strip_prefix("width").map(str::parse) {
            Some(Ok(width)) => resnet(width),
            _ if name == "wide16" => resnet(64),
            _ => ModelConfig::new(name, classes)
                .with_channels(channels)
                .init(&device),
        };
        let labels: Vec<_> = (0..count).map(|sample| (sample % classes) as i64).collect();
        let optimizer = find(name).map_or(Optimizer::Sgd, |network| network.optimizer);
        Self {
            model: model.expect("a network of the list"),
            optimizer: optimizer.init(5e-4),
            images: Tensor::random(network.shape, Distribution::Normal(0.0, 1.0), &device),
            labels: Tensor::<1, Int>::from_data(labels.as_slice(), &device),
            network,
        }
    }

    fn train(mut self) -> Self {
        let logits = self.model.forward(self.images.clone());
        let loss = CrossEntropy::new().forward(logits, self.labels.clone());
        let gradients = loss.expect("labels of the classes").backward();
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        self.model = self.optimizer.step(1e-3, self.model, gradients);
        self
    }

    fn evaluate(self) -> Self {
        use burn::module::Module;
        let images = self.images.clone().without_autodiff();
        std::hint::black_box(self.model.valid().forward(images).into_data());
        self
    }
}
