//! `cutmix predict`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use burn::tensor::activation::{sigmoid, softmax};
use clap::value_parser;
use cutmix_vision::{AnyNetwork, load_image, to_tensor};

use crate::device;
use crate::error::Error;
use crate::precision::Precision;
use crate::run_folder::{ModelCard, RunFolder};
use crate::settings::Bytes;
use crate::terminal::{self, line};

/// Predict the classes of image files.
#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    run: PathBuf,
    /// Image files: JPEG, PNG, WebP, GIF, TIFF or BMP
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Number of classes to show for each image, most likely first
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    top: u32,
    /// Memory that all threads together may take to decode images [default: as the run did]
    #[arg(long, value_name = "BYTES")]
    decode_memory: Option<Bytes>,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    device: String,
}

/// Classifies image files. One that cannot be read is reported, and the others are still
/// classified.
pub fn run(args: PredictArgs) -> Result<(), Error> {
    let device = device::choose(&args.device)?.device;
    let folder = RunFolder::open(&args.run)?;
    let (mut card, model) = folder.load_model(&device, Precision::F32)?;
    if let Some(memory) = args.decode_memory {
        card.decoding.memory = memory.0;
    }
    let top = (args.top as usize).min(card.classes.len());
    let mut failed = 0;
    for path in &args.images {
        match probabilities(path, &card, &model, &device) {
            Ok(probabilities) => line(format!(
                "{}  {}",
                path.display(),
                most_likely(&card, &probabilities, top)
            )),
            Err(error) => {
                failed += 1;
                terminal::error(error.without_advice());
            }
        }
    }
    if failed > 0 {
        let total = args.images.len();
        return Err(Error::Images { failed, total });
    }
    Ok(())
}

/// The probability of each class by the model.
fn probabilities(
    path: &Path,
    card: &ModelCard,
    model: &AnyNetwork,
    device: &Device,
) -> Result<Vec<f32>, Error> {
    let image = load_image(path, &card.view, &card.decoding)?;
    let image = to_tensor(&[image], &card.normalize, device)?;
    let logits = model.forward(image);
    let probabilities = if card.is_multi_label {
        sigmoid(logits)
    } else {
        softmax(logits, 1)
    };
    let probabilities = probabilities.try_into_data();
    let probabilities = probabilities.map_err(cutmix_train::Error::other)?;
    Ok(probabilities.iter::<f32>().collect())
}

fn most_likely(card: &ModelCard, probabilities: &[f32], top: usize) -> String {
    let mut named: Vec<_> = probabilities.iter().zip(&card.classes).collect();
    named.sort_by(|a, b| b.0.total_cmp(a.0));
    let named = named.iter().take(top);
    let named = named.map(|(probability, class)| format!("{class} {:.1} %", 100.0 * **probability));
    named.collect::<Vec<_>>().join("  ")
}
