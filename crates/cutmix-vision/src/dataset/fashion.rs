//! The data set that is part of the crate.

use std::sync::OnceLock;

use super::Dataset;

/// Pages of 100 x 100 images of 28 x 28 pixels, row by row; `examples/make_fashion_mnist.rs` makes
/// them.
static TRAIN: &[u8] = include_bytes!("../../data/fashion-mnist-train.png");
static TEST: &[u8] = include_bytes!("../../data/fashion-mnist-test.png");
/// A byte for each training image, then for each test image.
static LABELS: &[u8] = include_bytes!("../../data/fashion-mnist-labels.bin");

const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const SIDE: usize = 28;
const COLUMNS: usize = 100;
const COUNT: usize = 10_000;

/// Fashion-MNIST, embedded: `(train, test)` with the first 10,000 training images and all 10,000
/// test images, grey, 28 x 28, in 10 classes. Decoded at the first call and shared by all later
/// ones.
///
/// The images are by Zalando SE, under the MIT licence (`data/LICENSE-fashion-mnist`). All 60,000
/// training images are read by [`idx`](crate::idx) from the files at
/// <https://github.com/zalandoresearch/fashion-mnist>.
///
/// Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
/// Learning Algorithms", arXiv:1708.07747.
pub fn fashion_mnist() -> (Dataset, Dataset) {
    static SETS: OnceLock<(Dataset, Dataset)> = OnceLock::new();
    SETS.get_or_init(|| {
        let (train, test) = LABELS.split_at(COUNT);
        (read(TRAIN, train), read(TEST, test))
    })
    .clone()
}

fn read(page: &[u8], labels: &[u8]) -> Dataset {
    let page = image::load_from_memory(page)
        .expect("the embedded pages are tested to decode")
        .into_luma8();
    let mut pixels = Vec::with_capacity(COUNT * SIDE * SIDE);
    for sample in 0..COUNT {
        let (top, left) = (sample / COLUMNS * SIDE, sample % COLUMNS * SIDE);
        for row in top..top + SIDE {
            pixels.extend_from_slice(&page.as_raw()[row * COLUMNS * SIDE + left..][..SIDE]);
        }
    }
    Dataset::new(
        CLASSES.map(String::from).into(),
        [1, SIDE, SIDE],
        pixels,
        labels.iter().map(|&label| label.into()).collect(),
    )
    .expect("the embedded data are tested to be a data set")
}
