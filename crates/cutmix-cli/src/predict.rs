//! `cutmix predict`.

use std::path::Path;

use burn::tensor::Device;
use burn::tensor::activation::softmax;
use cutmix_vision::{ResNet, load_image, to_tensor};

use crate::args::PredictArgs;
use crate::device;
use crate::error::Error;
use crate::run_folder::{ModelCard, RunFolder};
use crate::say::say;

/// Classifies files; one that cannot be read does not keep the others from it.
pub fn run(args: PredictArgs) -> Result<(), Error> {
    let device = device::choose(&args.device)?.device;
    let folder = RunFolder::open(&args.run)?;
    let (card, model) = folder.load_model(&device)?;
    let [_, height, width] = card.shape;
    if height != width {
        return Err(Error::Model {
            path: folder.model(),
            reason: format!(
                "it takes images of {height} x {width} pixels, and files become squares"
            ),
        });
    }
    let top = (args.top as usize).min(card.classes.len());
    let mut failed = 0;
    for path in &args.images {
        match shares(path, &card, &model, &device) {
            Ok(shares) => say!("{}  {}", path.display(), line(&card, &shares, top)),
            Err(error) => {
                failed += 1;
                eprintln!("error: {}", error.without_hint());
            }
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(Error::Images {
            failed,
            total: args.images.len(),
        }),
    }
}

/// What the model gives each class.
fn shares(
    path: &Path,
    card: &ModelCard,
    model: &ResNet,
    device: &Device,
) -> Result<Vec<f32>, Error> {
    let [channels, size, _] = card.shape;
    let pixels = load_image(path, size, channels)?;
    let image = to_tensor(&pixels, card.shape, &card.normalize, device)?;
    let shares = softmax(model.forward(image), 1).try_into_data();
    let shares = shares.map_err(|error| cutmix::Error::Device(error.to_string()))?;
    Ok(shares.iter::<f32>().collect())
}

fn line(card: &ModelCard, shares: &[f32], top: usize) -> String {
    let mut named: Vec<_> = shares.iter().zip(&card.classes).collect();
    named.sort_by(|a, b| b.0.total_cmp(a.0));
    let named = named.iter().take(top);
    let named: Vec<_> = named
        .map(|(share, class)| format!("{class} {:.1} %", 100.0 * **share))
        .collect();
    named.join("  ")
}
