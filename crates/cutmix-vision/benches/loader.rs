//! How fast a folder of photographs becomes batches.
//!
//!     cargo bench -p cutmix-vision --bench loader -- DIR [--size 224] [--batch 32] [--images 2000] [--rounds 5]
//!
//! prints the images per second of each round as JSON. `scripts/compare_loaders.py` runs it beside
//! other loaders.

use std::error::Error;
use std::time::Instant;

use burn::tensor::Device;
use cutmix_train::Loader;
use cutmix_vision::{Augment, DataConfig, ImageLoader, LoaderConfig, Normalize, open};
use mimalloc::MiMalloc;

/// That of the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: usize| -> Result<usize, Box<dyn Error>> {
        let at = arguments.iter().position(|argument| argument == name);
        match at.and_then(|at| arguments.get(at + 1)) {
            Some(value) => Ok(value.parse()?),
            None => Ok(default),
        }
    };
    // Cargo adds options of its own; without a folder there is nothing to measure.
    let Some(folder) = arguments.get(1).filter(|first| !first.starts_with('-')) else {
        println!("usage: loader DIR [--size N] [--batch N] [--images N] [--rounds N]");
        return Ok(());
    };
    let (size, batch) = (option("--size", 224)?, option("--batch", 32)?);
    let (images, rounds) = (option("--images", 2_000)?, option("--rounds", 5)?);

    let train = open(folder, &DataConfig::new().with_size(size))?.train;
    let config = LoaderConfig::new(batch.min(train.len()), Normalize::imagenet())
        .with_augment(Augment::standard());
    let loader = ImageLoader::train(train, config)?;
    let device = Device::default();
    let mut epochs = (0..).flat_map(|epoch| loader.batches(epoch, 0, &device));
    let mut next = || -> Result<usize, Box<dyn Error>> {
        let batch = epochs.next().ok_or("the folder has no batch")?;
        Ok(batch.map_err(|error| error.to_string())?.size())
    };
    // The first batches warm the caches of the processor and of the system.
    for _ in 0..4 {
        next()?;
    }
    let mut speeds = Vec::new();
    for _ in 0..rounds {
        let (start, mut count) = (Instant::now(), 0);
        while count < images {
            count += next()?;
        }
        speeds.push(count as f64 / start.elapsed().as_secs_f64());
    }
    println!("{}", serde_json::json!({ "images_per_second": speeds }));
    Ok(())
}
