//! An algorithm of your own, in a dozen lines.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example own_algorithm [DURATION]
//! ```

use std::sync::Arc;

use burn::tensor::Device;
use cutmix::Error;
use cutmix::algorithms::{Algorithm, CutMix, Step};
use cutmix::trainer::Trainer;
use cutmix_vision::{Architecture, Augment, Loader, LoaderOptions, Normalize, ResNetConfig};
use rand::RngExt;

/// Shows the network some batches upside down, fewer and fewer as the run goes on.
struct UpsideDown;

impl Algorithm for UpsideDown {
    fn name(&self) -> String {
        "upside-down".into()
    }

    fn before_forward(&self, step: &mut Step) -> Result<(), Error> {
        if step.rng().random::<f64>() < 0.5 * (1.0 - step.time().progress) {
            step.map_images(|images| Ok(images.flip([2])))?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let duration = std::env::args().nth(1).unwrap_or("1ep".into());
    let device = Device::default();
    device.seed(42);
    let (train, test) = cutmix_vision::fashion_mnist();
    let normalize = Normalize::of(&train)?;
    let options = LoaderOptions {
        batch_size: 128,
        seed: 42,
        augment: Augment::NONE,
        normalize: normalize.clone(),
        drop_last: true,
    };
    let model = ResNetConfig::new(Architecture::ResNet8, 10)
        .with_channels(1)
        .init(&device)?;
    Trainer::new(model, Arc::new(Loader::train(train, options)?))
        .eval_loader(Arc::new(Loader::eval(test, 500, normalize)?))
        .max_duration(duration.parse()?)
        .algorithm(UpsideDown)
        .algorithm(CutMix::new(10))
        .fit()?;
    Ok(())
}
