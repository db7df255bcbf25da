//! `cutmix export`.

use std::io;
use std::path::PathBuf;

use burn::store::{BurnpackStore, ModuleSnapshot, burn_pack};
use cutmix_vision::AnyNetwork;

use crate::device;
use crate::error::Error;
use crate::precision::Precision;
use crate::run_folder::{CARD, ModelCard, RunFolder, model_file, write_whole};
use crate::terminal::line;

/// Write the network of a run to a file for other programs.
///
/// An ONNX model takes normalised images of any number and computes logits. Its metadata tell how:
/// classes, mean and std of pixels scaled to 0..1, color, input_size, fit and crop_share, the background
/// behind transparent pixels, the depth of 16-bit images, and the activation that turns logits into
/// probabilities.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    run: PathBuf,
    /// Format of the file
    #[arg(long, value_enum, default_value_t = Format::Onnx)]
    format: Format,
    /// File to write, which must not exist [default: model.onnx, weights.safetensors or model.bpk in
    /// the folder of the run]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The formats of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For ONNX Runtime, OpenVINO, TensorRT and others: weights and computation
    Onnx,
    /// Weights with the names of PyTorch, as in the run's own model.safetensors
    Safetensors,
    /// Weights for programs that use Burn
    Burnpack,
}

impl Format {
    /// The name of the file in the folder of the run. `model.safetensors` there is the model of a finished
    /// run.
    fn file_name(self) -> &'static str {
        match self {
            Self::Onnx => "model.onnx",
            Self::Safetensors => "weights.safetensors",
            Self::Burnpack => "model.bpk",
        }
    }
}

/// Writes the network of a run to a file of its own.
pub fn run(args: ExportArgs) -> Result<(), Error> {
    let folder = RunFolder::open(&args.run)?;
    let in_folder = || folder.path().join(args.format.file_name());
    let output = args.output.unwrap_or_else(in_folder);
    if output.exists() {
        return Err(Error::FileTaken(output));
    }
    let device = device::choose("auto")?.for_new_weights(Precision::F32);
    let (card, model) = folder.load_model(&device, Precision::F32)?;
    let bytes = match args.format {
        Format::Onnx => onnx(&model, &card)?,
        Format::Safetensors => model_file(&model, &card)?,
        Format::Burnpack => burnpack(&model, &card)
            .map_err(|error| Error::write(&output, io::Error::other(error.to_string())))?,
    };
    write_whole(&output, &bytes)?;
    line(format!("{} written to {}", card.model, output.display()));
    Ok(())
}

#[cfg(feature = "onnx")]
fn onnx(model: &AnyNetwork, card: &ModelCard) -> Result<Vec<u8>, Error> {
    use cutmix_vision::weights::onnx::OnnxConfig;

    fn json(value: impl serde::Serialize) -> String {
        serde_json::to_string(&value).expect("texts and numbers are JSON")
    }

    let is_grey = card.view.shape[0] == 1;
    let activation = if card.is_multi_label {
        "sigmoid"
    } else {
        "softmax"
    };
    let config = OnnxConfig::new(&card.model, card.view.shape)
        .with_metadata("classes", json(&card.classes))
        .with_metadata("mean", json(&card.normalize.mean))
        .with_metadata("std", json(&card.normalize.std))
        .with_metadata("color", if is_grey { "grey" } else { "rgb" })
        .with_metadata("input_size", json(card.view.shape))
        .with_metadata("fit", json(card.view.fit).trim_matches('"'))
        .with_metadata("crop_share", json(card.view.crop_share))
        .with_metadata("background", json(card.decoding.background))
        .with_metadata("depth", card.decoding.depth.to_string())
        .with_metadata("activation", activation);
    Ok(config.encode(model)?)
}

#[cfg(not(feature = "onnx"))]
fn onnx(_model: &AnyNetwork, _card: &ModelCard) -> Result<Vec<u8>, Error> {
    let expected = "safetensors or burnpack in this build; build with --features onnx to add it";
    Err(Error::option("format", "onnx", expected))
}

/// The bytes of a file of Burn's own format, with the card in the metadata.
fn burnpack(model: &AnyNetwork, card: &ModelCard) -> Result<Vec<u8>, burn_pack::Error> {
    let mut store = BurnpackStore::from_bytes(None).metadata(CARD, card.to_json());
    model.save_into(&mut store)?;
    Ok(store.get_bytes()?.to_vec())
}
