//! Makes the files of the crate `cutmix-fashion-mnist` from the IDX files of Fashion-MNIST:
//!
//! ```text
//! cargo run -p cutmix-vision --example make_fashion_mnist -- DIR
//! ```
//!
//! `DIR` holds the four files of <https://github.com/zalandoresearch/fashion-mnist>; Debian has
//! them as the package `dataset-fashion-mnist`. The files written are the same, byte for byte, at
//! every run with the locked dependencies.

use std::error::Error;
use std::fs;
use std::path::Path;

use cutmix_vision::Dataset;
use cutmix_vision::data::sources::idx;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

const COLUMNS: usize = 100;
const COUNT: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args()
        .nth(1)
        .ok_or("usage: make_fashion_mnist DIR")?;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fashion-mnist/data");
    let splits = idx(dir)?;
    let test = splits.test.ok_or("DIR has no t10k files")?;
    let mut labels = Vec::new();
    for (name, set) in [("train", splits.train), ("test", test)] {
        fs::write(data.join(format!("fashion-mnist-{name}.png")), page(&set)?)?;
        let classes = set.labels().filter_map(|label| label.class());
        labels.extend(classes.take(COUNT).map(|class| class as u8));
    }
    fs::write(data.join("fashion-mnist-labels.bin"), labels)?;
    Ok(())
}

/// The first `COUNT` images side by side, `COLUMNS` in a row, as a PNG file.
fn page(set: &Dataset) -> Result<Vec<u8>, Box<dyn Error>> {
    let [_, height, width] = set.shape();
    let (page_width, page_height) = (COLUMNS * width, COUNT / COLUMNS * height);
    let mut page = vec![0; page_width * page_height];
    for sample in 0..COUNT {
        let (top, left) = (sample / COLUMNS * height, sample % COLUMNS * width);
        for (row, line) in set.image(sample)?.pixels().chunks_exact(width).enumerate() {
            page[(top + row) * page_width + left..][..width].copy_from_slice(line);
        }
    }
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive)
        .write_image(
            &page,
            page_width as u32,
            page_height as u32,
            ExtendedColorType::L8,
        )?;
    Ok(png)
}
