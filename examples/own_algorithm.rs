//! An algorithm of your own, in a dozen lines.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example own_algorithm [DURATION]
//! ```

use std::sync::Arc;

use burn::tensor::Device;
use cutmix_train::algorithms::{Algorithm, CutMix};
use cutmix_train::{Error, Event, State, TrainerConfig};
use cutmix_vision::{ImageLoader, LoaderConfig, ModelConfig, Normalize, fashion_mnist};
use rand::RngExt;

/// Shows the network some batches upside down, fewer and fewer as the run continues.
struct UpsideDown;

impl<M> Algorithm<M> for UpsideDown {
    fn name(&self) -> String {
        "upside-down".into()
    }

    fn apply(&mut self, event: Event, state: &mut State<M>) -> Result<(), Error> {
        let probability = 0.5 * (1.0 - state.time().progress);
        if event == Event::BeforeForward && state.rng().random::<f64>() < probability {
            state.map_images(|images| Ok(images.flip([2])))?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let duration = std::env::args().nth(1).unwrap_or("1ep".into());
    let data = fashion_mnist().split_val(0.1, 42)?;
    let normalize = Normalize::of(&data.train)?;
    let val = data.val.ok_or("the split makes a validation set")?;
    let train = ImageLoader::train(data.train, LoaderConfig::new(128, normalize.clone()))?;
    let val = ImageLoader::eval(val, LoaderConfig::new(500, normalize))?;

    let model = ModelConfig::new("resnet8", 10)
        .with_channels(1)
        .init(&Device::default())?;
    TrainerConfig::new(duration.parse()?)
        .init(model, Arc::new(train))
        .eval("val", Arc::new(val))
        .algorithm(UpsideDown)
        .algorithm(CutMix::new())
        .fit()?;
    Ok(())
}
