//! CutMix as an algorithm that the trainer runs at the right moments.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example trainer [DURATION]
//! ```

use std::sync::Arc;

use burn::tensor::Device;
use cutmix::algorithms::CutMix;
use cutmix::trainer::Trainer;
use cutmix_vision::{Architecture, Augment, Loader, LoaderOptions, Normalize, ResNetConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let duration = std::env::args().nth(1).unwrap_or("1ep".into());
    let device = Device::default();
    device.seed(42);
    let model = ResNetConfig::new(Architecture::ResNet8, 10)
        .with_channels(1)
        .init(&device)?;
    let (train, test) = cutmix_vision::fashion_mnist();
    let normalize = Normalize::of(&train)?;
    let eval_loader = Loader::eval(test, 500, normalize.clone())?;
    let train_loader = Loader::train(
        train,
        LoaderOptions {
            batch_size: 128,
            seed: 42,
            augment: Augment::NONE,
            normalize,
            drop_last: true,
        },
    )?;

    let cutmix = CutMix::new(10).alpha(1.0);
    let fit = Trainer::new(model, Arc::new(train_loader))
        .eval_loader(Arc::new(eval_loader))
        .max_duration(duration.parse()?)
        .algorithm(cutmix)
        .seed(42)
        .fit()?;

    if let Some(scores) = fit.history.last_eval() {
        println!("test accuracy {:.2} %", scores.accuracy);
    }
    Ok(())
}
