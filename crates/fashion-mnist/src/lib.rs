//! The first 10,000 training images and all 10,000 test images of Fashion-MNIST, as bytes that are
//! part of the program.
//!
//! This crate holds data and nothing that decodes them, so that a program carries the 8 MB only
//! where it asks for them: `cutmix-vision` reads them with its feature `fashion-mnist`.
//!
//! The images are by Zalando SE, under the MIT licence in `data/LICENSE-fashion-mnist`. All 70,000
//! are at <https://github.com/zalandoresearch/fashion-mnist>.
//!
//! Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
//! Learning Algorithms", arXiv:1708.07747.

/// The training images: a grey PNG file of [`COUNT`] images, row by row, [`COLUMNS`] in a row.
pub static TRAIN_PNG: &[u8] = include_bytes!("../data/fashion-mnist-train.png");

/// The test images, laid out as in [`TRAIN_PNG`].
pub static TEST_PNG: &[u8] = include_bytes!("../data/fashion-mnist-test.png");

/// The labels, one byte for each training image and then one for each test image; each is an index
/// into [`CLASSES`].
pub static LABELS: &[u8] = include_bytes!("../data/fashion-mnist-labels.bin");

/// The names of the classes.
pub const CLASSES: [&str; 10] = [
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

/// Height and width of an image in pixels.
pub const SIDE: usize = 28;

/// Number of images in a row of [`TRAIN_PNG`] and [`TEST_PNG`].
pub const COLUMNS: usize = 100;

/// Number of images in each of the two sets.
pub const COUNT: usize = 10_000;
