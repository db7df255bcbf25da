//! The part of this project in the comparison with other libraries (`scripts/compare_peers.py`).
//!
//! With `--serve` it reads requests from standard input, one JSON object on each line, and answers each
//! with the seconds that calls took: plan, images and dense targets, as in a training loop. The script
//! asks all libraries in turn, so that all have the same conditions.

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::tensor::{Device, Distribution, Int, IntDType, Tensor};
use cutmix::plan::{Mode, PlanSampler, Stream};
use cutmix::{Error, Targets, ops};
use serde::Deserialize;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize)]
struct Request {
    /// `[N, ..., H, W]`.
    shape: Vec<usize>,
    /// `f32` or `u8`.
    dtype: String,
    mode: Mode,
    classes: usize,
    /// The steps of the plans, one for each call.
    steps: Vec<u64>,
    /// The seconds of calls before those that are measured.
    warm_up: f64,
}

fn main() {
    if !std::env::args().any(|argument| argument == "--serve") {
        println!("compared with other libraries by scripts/compare_peers.py");
        return;
    }
    let device = Device::default();
    // A batch is kept for the next request of the same shape and type.
    let mut batch: Option<(Vec<usize>, String, Images)> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("requests are lines of text");
        let request: Request = serde_json::from_str(&line).expect("a request");
        let images = match batch.take() {
            Some((shape, dtype, images)) if shape == request.shape && dtype == request.dtype => {
                images
            }
            _ => Images::new(&request.shape, &request.dtype, &device),
        };
        let (images, seconds) = measure(images, &request, &device);
        println!("{seconds:?}");
        std::io::stdout().flush().expect("someone listens");
        batch = Some((request.shape, request.dtype, images));
    }
}

/// Measures the seconds of each call.
fn measure(mut images: Images, request: &Request, device: &Device) -> (Images, Vec<f64>) {
    let labels: Vec<_> = (0..request.shape[0])
        .map(|i| (i * 7 % request.classes) as i64)
        .collect();
    let labels = Tensor::<1, Int>::from_data(labels.as_slice(), device);
    let mut seconds = Vec::new();
    let mut other_steps = 1_000_000..;
    let mut warm_up = || other_steps.next().expect("steps without end");
    let begin = Instant::now();
    let mut next = 0;
    while next < request.steps.len() {
        let is_warm = begin.elapsed().as_secs_f64() > request.warm_up;
        let labels = Targets::from(labels.clone());
        let start = Instant::now();
        // Each call has a new plan, also while warming up.
        let step = if is_warm {
            request.steps[next]
        } else {
            warm_up()
        };
        let mixed = images.mix(labels, request, step);
        let (mixed, targets) = mixed.expect("a valid request");
        targets.device().sync().expect("the device works");
        if is_warm {
            seconds.push(start.elapsed().as_secs_f64());
            next += 1;
        }
        images = mixed;
    }
    (images, seconds)
}

enum Images {
    F32x4(Tensor<4>),
    F32x5(Tensor<5>),
    U8x4(Tensor<4, Int>),
    U8x5(Tensor<5, Int>),
}

impl Images {
    fn new(shape: &[usize], dtype: &str, device: &Device) -> Self {
        let all = Distribution::Uniform(0.0, 255.0);
        match (dtype, shape) {
            ("f32", &[n, c, h, w]) => Self::F32x4(Tensor::random([n, c, h, w], all, device)),
            ("f32", &[n, t, c, h, w]) => Self::F32x5(Tensor::random([n, t, c, h, w], all, device)),
            ("u8", &[n, c, h, w]) => {
                let images = Tensor::<4>::random([n, c, h, w], all, device).int();
                Self::U8x4(images.cast(IntDType::U8))
            }
            ("u8", &[n, t, c, h, w]) => {
                let images = Tensor::<5>::random([n, t, c, h, w], all, device).int();
                Self::U8x5(images.cast(IntDType::U8))
            }
            _ => panic!("no images of {dtype} {shape:?}"),
        }
    }

    fn mix(
        self,
        targets: Targets,
        request: &Request,
        step: u64,
    ) -> Result<(Self, Tensor<2>), Error> {
        let (batch, spatial) = (request.shape[0], &request.shape[request.shape.len() - 2..]);
        let sampler = PlanSampler::new(1.0).with_mode(request.mode);
        let plan = sampler.draw(batch, spatial, &mut Stream::new(0).at(step))?;
        let targets = targets.mix(request.classes, &plan)?;
        let images = match self {
            Self::F32x4(images) => Self::F32x4(ops::paste(images, &plan)?),
            Self::F32x5(images) => Self::F32x5(ops::paste(images, &plan)?),
            Self::U8x4(images) => Self::U8x4(ops::paste(images, &plan)?),
            Self::U8x5(images) => Self::U8x5(ops::paste(images, &plan)?),
        };
        Ok((images, targets))
    }
}
