//! The operations on the CPU, beside a plain copy of as many bytes.
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
use cutmix::plan::{Drawer, Mode, Plan, Region, Stream};
use divan::Bencher;
use divan::counter::BytesCount;

/// As in the program.
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

/// A box of about 30 % of the image, as CutMix's is on average with alpha 1; where there are many,
/// the border clips some.
fn plan([n, _, h, w]: [usize; 4], mode: Mode) -> Plan {
    let drawer = match mode {
        Mode::Batch => Drawer::new(1.0).region(Region::new([h / 4..h * 4 / 5, w / 4..w * 4 / 5])),
        _ => Drawer::new(1.0).mode(mode).lambda(0.7),
    };
    let plan = drawer.draw(n, &[h, w], &mut Stream::new(0).at(0));
    plan.expect("the settings are valid")
}

/// The elements of all regions.
fn elements([n, c, ..]: [usize; 4], plan: &Plan) -> usize {
    (0..n).map(|sample| c * plan.region(sample).volume()).sum()
}

fn images(shape: [usize; 4]) -> Tensor<4> {
    Tensor::random(shape, Distribution::Default, &Device::default())
}

fn labels(count: usize) -> Tensor<1, Int> {
    Tensor::arange(0..count as i64, &Device::default())
}

/// Calls an operation on a batch that it owns alone, again and again.
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

/// From memory into other memory, on as many threads as the operations take.
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

/// Someone else holds the batch, so that a new one is written.
#[divan::bench(args = SHAPES)]
fn paste_shared(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Batch);
    let images = images(shape);
    bencher
        .counter(BytesCount::of_many::<f32>(elements(shape, &plan)))
        .bench_local(|| ops::paste(images.clone(), &plan));
}

/// The same in plain tensor calls.
#[divan::bench(args = SHAPES)]
fn paste_reference(bencher: Bencher, shape: [usize; 4]) {
    let plan = plan(shape, Mode::Batch);
    in_place(bencher, shape, &plan, |images| {
        reference::paste(images, plan.partners(), plan.regions())
    });
}

/// All of each image, as MixUp does.
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

/// The whole call, with its plan and targets.
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

/// Mixed targets of 256 samples from class indices.
#[divan::bench(args = CLASSES)]
fn targets(bencher: Bencher, classes: usize) {
    let plan = plan([256, 3, 32, 32], Mode::Batch);
    let labels = labels(256) % classes as i64;
    bencher.bench_local(|| Targets::from(labels.clone()).mix(classes, &plan));
}

/// The same by way of two one-hot matrices.
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
