//! CutMix by its functional interface, in a training loop of your own.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example functional_loop [BATCHES]
//! ```

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;
use cutmix::functional::cutmix_batch;
use cutmix::loss::CrossEntropy;
use cutmix::plan::Stream;
use cutmix_train::Loader;
use cutmix_vision::{ImageLoader, LoaderConfig, ModelConfig, Normalize, fashion_mnist};

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let batches = std::env::args().nth(1).map_or(Ok(78), |n| n.parse())?;
    let device = Device::default().autodiff();
    device.seed(42);
    let mut model = ModelConfig::new("resnet8", 10)
        .with_channels(1)
        .init(&device)?
        .train();
    let train = fashion_mnist().train;
    let normalize = Normalize::of(&train)?;
    let train = ImageLoader::train(train, LoaderConfig::new(128, normalize).with_seed(42))?;

    let mut optimizer = AdamConfig::new().init();
    let loss_fn = CrossEntropy::new();
    let stream = Stream::new(42);
    for (step, batch) in train.batches(0, 0, &device).take(batches).enumerate() {
        let batch = batch?;
        let mut rng = stream.at(step as u64);
        // The one line: images and labels in, mixed images and dense targets out.
        let (x, y) = cutmix_batch(batch.images, batch.targets, 10, 1.0, &mut rng)?;

        let loss = loss_fn.forward(model.forward(x), y)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(1e-3, model, gradients);
        if step % 20 == 0 {
            println!("batch {step:3}  loss {:.4}", loss.into_scalar::<f32>());
        }
    }
    Ok(())
}
