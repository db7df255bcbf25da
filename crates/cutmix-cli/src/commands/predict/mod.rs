//! `cutmix predict`.

mod files;
mod rows;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Instant;

use clap::value_parser;
use cutmix_vision::{FileBatchesConfig, ImageFile};

use self::files::files;
use self::rows::{Format, Prediction, Rows};
use crate::data::batch_size_of;
use crate::device;
use crate::error::Error;
use crate::outputs::{most_likely, probabilities};
use crate::precision::Precision;
use crate::run_folder::RunFolder;
use crate::settings::Bytes;
use crate::terminal::{clock, count, note};

/// Predict the classes of images.
///
/// There is a row for each image, in the order of the paths. An image that cannot be read is a row with
/// its error, or in text a line on standard error; the others are still predicted, and the exit code is
/// 1. A run that was stopped or is in progress predicts with its best or last checkpoint and says which.
#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    run: PathBuf,
    /// Images (JPEG, PNG, WebP, GIF, TIFF or BMP), folders of images, or - for a list of paths on
    /// standard input
    ///
    /// Of a folder these are all image files in it and below it, sorted by path; hidden files are left
    /// out. The list has one path in each line.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Number of classes to show for each image, most likely first
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    top: u32,
    /// Format of the rows
    ///
    /// Each row is written as soon as its image has been predicted, so json is a document for each image
    /// (JSON Lines) and not one for all. Bytes of a path that are not UTF-8 become U+FFFD. Otherwise names are
    /// written as they are: in csv, one that starts with = is a formula to a spreadsheet.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Number of images that the network takes at once [default: by their size, up to 256]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
    /// Memory that all threads together may take to decode images [default: as the run did]
    #[arg(long, value_name = "BYTES")]
    decode_memory: Option<Bytes>,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    device: String,
}

/// Classifies images. One that cannot be read is reported, and the others are still classified.
pub fn run(args: PredictArgs) -> Result<(), Error> {
    match predict(args) {
        // Nobody reads the rows any more, as in `cutmix predict runs/001 photos | head`.
        Err(Error::Write { source, .. }) if source.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn predict(args: PredictArgs) -> Result<(), Error> {
    let device = device::choose(&args.device)?.device;
    let folder = RunFolder::open(&args.run)?;
    let (mut card, model) = folder.load_model(&device, Precision::F32)?;
    if let Some(memory) = args.decode_memory {
        card.decoding.memory = memory.0;
    }
    let batch_size = args.batch_size.map(|size| size as usize);
    let batch_size = batch_size.unwrap_or_else(|| batch_size_of(card.view.shape));
    let config = FileBatchesConfig::new(batch_size, card.view, card.normalize.clone())
        .with_decoding(card.decoding.clone());

    let start = Instant::now();
    let (mut total, mut failed) = (0, 0);
    let top = (args.top as usize).min(card.classes.len());
    let rows = Rows::start(args.format, top)?;
    for batch in config.init(files(args.paths), &device)? {
        let probabilities = match batch.images {
            Some(images) => probabilities(model.forward(images), &card)?,
            None => Vec::new(),
        };
        let mut probabilities = probabilities.chunks_exact(card.classes.len());
        for ImageFile { path, error } in batch.files {
            total += 1;
            match error {
                Some(error) => {
                    failed += 1;
                    rows.failed(&path, Error::from(error).without_advice())?;
                }
                None => {
                    let probabilities = probabilities.next().unwrap_or_default();
                    let likely = most_likely(probabilities, top).into_iter();
                    let predictions = likely.map(|class| Prediction {
                        class: &card.classes[class],
                        probability: probabilities[class],
                    });
                    rows.predicted(&path, &predictions.collect::<Vec<_>>())?;
                }
            }
        }
    }
    note_speed(total - failed, start.elapsed().as_secs_f64());
    if failed > 0 {
        return Err(Error::Images { failed, total });
    }
    Ok(())
}

/// Notes the speed, which of a single image says nothing.
fn note_speed(images: usize, seconds: f64) {
    if images > 1 {
        let speed = images as f64 / seconds;
        let (images, time) = (count(images, "image"), clock(seconds));
        note(format!("{images} in {time}: {speed:.1} images/s"));
    }
}
