//! Data from a source of your own: pictures of circles and squares that are drawn when they are
//! asked for.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example own_source [DURATION]
//! ```

use std::sync::Arc;

use burn::tensor::Device;
use cutmix::loss::CrossEntropy;
use cutmix::plan::Stream;
use cutmix_train::{Evaluator, TrainerConfig};
use cutmix_vision::{
    Content, DataError, Dataset, Image, ImageLoader, Label, LoaderConfig, ModelConfig, Normalize,
    Size, Source, View,
};
use rand::RngExt;

/// Side of the pictures in pixels.
const SIDE: usize = 32;

/// Circles and squares of the same area, in turn.
#[derive(Debug)]
struct Shapes {
    seed: u64,
    count: usize,
}

impl Source for Shapes {
    fn len(&self) -> usize {
        self.count
    }

    fn name(&self, index: usize) -> String {
        format!("#{index}")
    }

    fn label(&self, index: usize) -> Label {
        Label::Class(index % 2)
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        // A function of the index, so that a picture is the same whenever it is drawn.
        let mut rng = Stream::new(self.seed).at(index as u64);
        let (x, y) = (rng.random_range(10.0..22.0), rng.random_range(10.0..22.0));
        let radius: f64 = rng.random_range(4.0..9.0);
        let is_inside = |at: usize| {
            let (right, down) = ((at % SIDE) as f64 - x, (at / SIDE) as f64 - y);
            if index.is_multiple_of(2) {
                right.hypot(down) < radius
            } else {
                right.abs().max(down.abs()) < 0.886 * radius
            }
        };
        let pixels = (0..SIDE * SIDE).map(|at| if is_inside(at) { 220 } else { 30 });
        let size = Size::new(SIDE, SIDE);
        Ok(Content::Image(Image::new(size, 1, pixels.collect())?))
    }
}

fn shapes(seed: u64, count: usize) -> Result<Dataset, DataError> {
    let classes = ["circle", "square"].map(String::from).to_vec();
    let source = Arc::new(Shapes { seed, count });
    Dataset::from_source(classes, View::new([1, SIDE, SIDE]), source)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let duration = std::env::args().nth(1).unwrap_or("1ep".into());
    let device = Device::default();
    device.seed(42);
    let (train, test) = (shapes(1, 4_000)?, shapes(2, 1_000)?);
    let normalize = Normalize::of(&train)?;
    let train = ImageLoader::train(train, LoaderConfig::new(64, normalize.clone()))?;
    let test = ImageLoader::eval(test, LoaderConfig::new(500, normalize))?;

    let model = ModelConfig::new("resnet8", 2)
        .with_channels(1)
        .init(&device)?;
    let fit = TrainerConfig::new(duration.parse()?)
        .with_seed(42)
        .init(model, Arc::new(train))
        .fit()?;
    let evaluator = Evaluator::new(CrossEntropy::new());
    for score in evaluator.run("test", &fit.model, &test, &device)? {
        println!("{} {:.4}", score.name, score.value);
    }
    Ok(())
}
