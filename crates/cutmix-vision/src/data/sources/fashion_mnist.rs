//! Fashion-MNIST, embedded in the program.

use std::sync::OnceLock;

use cutmix_fashion_mnist::{CLASSES, COLUMNS, COUNT, LABELS, SIDE, TEST_PNG, TRAIN_PNG};

use crate::data::source::{Memory, Samples};
use crate::data::{DataError, Splits};

/// Fashion-MNIST: the first 10,000 training images and all 10,000 test images, grey, 28 x 28, in 10
/// classes. There is no validation set; [`Splits::split_val`] makes one of training images. The
/// images are decoded at the first call and shared by all later ones.
///
/// The images are by Zalando SE, under the MIT licence, from the crate `cutmix-fashion-mnist`. All
/// 60,000 training images are read by [`idx`](super::idx()) from the files at
/// <https://github.com/zalandoresearch/fashion-mnist>.
///
/// ```
/// let splits = cutmix_vision::fashion_mnist().split_val(0.1, 42)?;
/// let lens = [Some(&splits.train), splits.val.as_ref(), splits.test.as_ref()];
/// assert_eq!(lens.map(|set| set.map(|set| set.len())), [Some(9_000), Some(1_000), Some(10_000)]);
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
///
/// Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
/// Learning Algorithms", arXiv:1708.07747.
pub fn fashion_mnist() -> Splits {
    static SPLITS: OnceLock<Splits> = OnceLock::new();
    let decode = || decode().expect("the tests decode the embedded pages");
    SPLITS.get_or_init(decode).clone()
}

fn decode() -> Result<Splits, DataError> {
    let (train, test) = LABELS.split_at(COUNT);
    let classes = CLASSES.map(String::from).into();
    let (train, test) = (page(TRAIN_PNG, train), page(TEST_PNG, test));
    Memory::of(classes, [1, SIDE, SIDE], train, Some(test))
}

/// The images of a page and their labels.
fn page(png: &[u8], labels: &[u8]) -> Samples {
    let page = image::load_from_memory(png)
        .expect("the tests decode the embedded pages")
        .into_luma8();
    let mut pixels = Vec::with_capacity(COUNT * SIDE * SIDE);
    for sample in 0..COUNT {
        let (top, left) = (sample / COLUMNS * SIDE, sample % COLUMNS * SIDE);
        for row in top..top + SIDE {
            pixels.extend_from_slice(&page.as_raw()[row * COLUMNS * SIDE + left..][..SIDE]);
        }
    }
    Samples {
        labels: labels.iter().map(|&label| label.into()).collect(),
        pixels,
    }
}
