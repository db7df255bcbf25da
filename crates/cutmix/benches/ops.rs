//! Times of the operations on the CPU and of a plain copy of as many bytes.
//!
//! ```sh
//! cargo bench --workspace --bench ops
//! ```
//!
//! Throughput counts the bytes of the regions. `cutmix bench` measures on any device.

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Int, Tensor};
use cutmix::Targets;
use cutmix::functional::cutmix_batch;
use cutmix::ops::{self, reference};
use cutmix::plan::{Mode, Plan, PlanSampler, Region, RegionSampler, Stream};
use divan::Bencher;
use divan::counter::BytesCount;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const SHAPES: [[usize; 4]; 5] = [
    [8, 1, 28, 28],
    [128, 1, 28, 28],
    [256, 3, 32, 32],
    [64, 3, 224, 224],
    [256, 3, 224, 224],
];

/// A plan with a box of about 30 % of the image, the average of CutMix with alpha 1. In other modes the
/// border clips some of the boxes.
fn plan([n, _, h, w]: [usize; 4], mode: Mode) -> Plan {
    let sampler = match mode {
        Mode::Batch => {
            PlanSampler::new(1.0).with_region(Region::new([h / 4..h * 4 / 5, w / 4..w * 4 / 5]))
        }
        _ => PlanSampler::new(1.0).with_mode(mode).with_lambda(0.7),
    };
    let plan = sampler.draw(n, &[h, w], &mut Stream::new(0).at(0));
    plan.expect("the settings are valid")
}

/// The number of elements in all regions.
fn elements([n, c, ..]: [usize; 4], plan: &Plan) -> usize {
    (0..n).map(|sample| c * plan.region(sample).volume()).sum()
}

fn images(shape: [usize; 4]) -> Tensor<4> {
    Tensor::random(shape, Distribution::Default, &Device::default())
}

fn labels(count: usize) -> Tensor<1, Int> {
    Tensor::arange(0..count as i64, &Device::default())
}

/// Measures an operation on a batch that it owns alone.
fn in_place(
    bencher: Bencher,
    shape: [usize; 4],
    plan: &Plan,
    change: impl Fn(Tensor<4>) -> Tensor<4>,
) {
    let mut batch = Some(images(shape));
    let bytes = BytesCount::new(4 * elements(shape, plan));
    bencher.counter(bytes).bench_local(|| {
        let images = batch.take().expect("put back each time");
        batch = Some(change(images));
    });
}

/// Copies memory on as many threads as the operations use.
#[divan::bench(args = SHAPES)]
fn plain_copy(bencher: Bencher, shape: [usize; 4]) {
    let count = elements(shape, &plan(shape, Mode::Batch));
    let source = vec![1f32; count];
    let mut target = vec![0f32; count];
    bencher
        .counter(BytesCount::of_many::<f32>(count))
        .bench_local(|| {
            if count < 1 << 20 {
                target.copy_from_slice(&source);
            } else {
                let part = count.div_ceil(rayon::current_num_threads());
                rayon::in_place_scope(|scope| {
                    let mut parts = target.chunks_mut(part).zip(source.chunks(part));
                    let own = parts.next();
                    parts.for_each(|(to, from)| scope.spawn(|_| to.copy_from_slice(from)));
                    own.into_iter()
                        .for_each(|(to, from)| to.copy_from_slice(from));
                });
            }
            black_box(&mut target);
        });
}

#[divan::bench(args = SHAPES)]
fn paste(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Batch);
    in_place(bencher, shape, &plan, |images| {
        ops::paste(images, &plan).expect("fits")
    });
}

#[divan::bench(args = SHAPES)]
fn paste_per_pair(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Pair);
    in_place(bencher, shape, &plan, |images| {
        ops::paste(images, &plan).expect("fits")
    });
}

#[divan::bench(args = SHAPES)]
fn paste_per_sample(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Sample);
    in_place(bencher, shape, &plan, |images| {
        ops::paste(images, &plan).expect("fits")
    });
}

/// A plan with a mask of 30 % of the image, as FMix has.
fn mask_plan([n, _, h, w]: [usize; 4]) -> Plan {
    let masks = RegionSampler::LowFrequency { decay_power: 3.0 };
    let sampler = PlanSampler::new(1.0).with_region_sampler(masks);
    let plan = (sampler.with_lambda(0.7)).draw(n, &[h, w], &mut Stream::new(0).at(0));
    plan.expect("the settings are valid")
}

#[divan::bench(args = SHAPES)]
fn draw_mask(bencher: Bencher, shape: [usize; 4]) {
    bencher.bench_local(|| mask_plan(shape));
}

#[divan::bench(args = SHAPES)]
fn paste_mask(bencher: Bencher, shape: [usize; 4]) {
    let plan = mask_plan(shape);
    in_place(bencher, shape, &plan, |images| {
        ops::paste(images, &plan).expect("fits")
    });
}

#[divan::bench(args = SHAPES)]
fn paste_mask_reference(bencher: Bencher, shape: [usize; 4]) {
    let plan = mask_plan(shape);
    in_place(bencher, shape, &plan, |images| {
        reference::paste(images, plan.partners(), plan.regions())
    });
}

/// Pastes resized images, as ResizeMix does.
#[divan::bench(args = SHAPES)]
fn paste_resized(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Batch);
    in_place(bencher, shape, &plan, |images| {
        ops::paste_resized(images, &plan).expect("fits")
    });
}

/// Another tensor shares the batch, so that a new one is written.
#[divan::bench(args = SHAPES)]
fn paste_shared(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Batch);
    let images = images(shape);
    bencher
        .counter(BytesCount::of_many::<f32>(elements(shape, &plan)))
        .bench_local(|| ops::paste(images.clone(), &plan));
}

/// Pastes by plain tensor calls.
#[divan::bench(args = SHAPES)]
fn paste_reference(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Batch);
    in_place(bencher, shape, &plan, |images| {
        reference::paste(images, plan.partners(), plan.regions())
    });
}

/// Blends whole images, as MixUp does.
#[divan::bench(args = SHAPES)]
fn blend(bencher: Bencher, shape: [usize; 4]) {
    let [_, _, h, w] = shape;
    let plan = Plan::new(
        plan(shape, Mode::Batch).partners().to_vec(),
        Region::whole(&[h, w]),
        vec![h, w],
    );
    let plan = plan.expect("the whole image");
    in_place(bencher, shape, &plan, |images| {
        ops::blend(images, plan.partners(), plan.regions(), &[0.7]).expect("fits")
    });
}

#[divan::bench(args = SHAPES)]
fn fill(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Batch);
    in_place(bencher, shape, &plan, |images| {
        ops::fill(images, plan.regions(), 0.0).expect("fits")
    });
}

/// Draws a plan and mixes images and targets.
#[divan::bench(args = SHAPES)]
fn whole_call(bencher: Bencher, shape: [usize; 4]) {
    let labels = labels(shape[0]);
    let mut batch = Some(images(shape));
    let mut step = 0;
    bencher.bench_local(|| {
        let images = batch.take().expect("put back each time");
        let mut rng = Stream::new(0).at(step);
        let (images, targets) =
            cutmix_batch(images, labels.clone(), 1000, 1.0, &mut rng).expect("fits");
        step += 1;
        batch = Some(images);
        targets
    });
}

const CLASSES: [usize; 3] = [10, 1000, 21_841];

/// Mixes the class indices of 256 samples.
#[divan::bench(args = CLASSES)]
fn targets(bencher: Bencher, classes: usize) {
    let plan = plan([256, 3, 32, 32], Mode::Batch);
    let labels = labels(256) % classes as i64;
    bencher.bench_local(|| Targets::from(labels.clone()).mix(classes, &plan));
}

/// Mixes class indices by way of two one-hot matrices.
#[divan::bench(args = CLASSES)]
fn targets_reference(bencher: Bencher, classes: usize) {
    let plan = plan([256, 3, 32, 32], Mode::Batch);
    let labels = labels(256) % classes as i64;
    let lambda = plan.lambda(0);
    bencher.bench_local(|| {
        reference::mix_classes(
            labels.clone(),
            classes,
            plan.partners(),
            &[[lambda, 1.0 - lambda]],
        )
    });
}
