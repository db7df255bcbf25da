//! CutMix as an algorithm that the trainer runs at the right moments, with a metric of Burn's and a
//! test set that is measured once.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example trainer [DURATION]
//! ```

use std::sync::Arc;

use burn::tensor::Device;
use burn::train::metric::TopKAccuracyMetric;
use cutmix::loss::CrossEntropy;
use cutmix_train::algorithms::CutMix;
use cutmix_train::{Evaluator, TrainerConfig};
use cutmix_vision::{ImageLoader, LoaderConfig, ModelConfig, Normalize, fashion_mnist};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let duration = std::env::args().nth(1).unwrap_or("1ep".into());
    let device = Device::default();
    device.seed(42);
    let model = ModelConfig::new("resnet8", 10)
        .with_channels(1)
        .init(&device)?;

    let data = fashion_mnist().split_val(0.1, 42)?;
    let normalize = Normalize::of(&data.train)?;
    let train = LoaderConfig::new(128, normalize.clone()).with_seed(42);
    let train = ImageLoader::train(data.train, train)?;
    let val = data.val.ok_or("the split makes a validation set")?;
    let val = ImageLoader::eval(val, LoaderConfig::new(500, normalize.clone()))?;

    let fit = TrainerConfig::new(duration.parse()?)
        .with_seed(42)
        .with_best("val/accuracy")
        .init(model, Arc::new(train))
        .eval("val", Arc::new(val))
        .metric("top2", TopKAccuracyMetric::new(2))
        .algorithm(CutMix::new().with_alpha(1.0))
        .fit()?;

    let test = data.test.ok_or("the data have a test set")?;
    let test = ImageLoader::eval(test, LoaderConfig::new(500, normalize))?;
    let evaluator = Evaluator::new(CrossEntropy::new());
    for score in evaluator.run("test", &fit.model, &test, &device)? {
        println!("{} {:.4}", score.name, score.value);
    }
    Ok(())
}
