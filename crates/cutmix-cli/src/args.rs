//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Settings;

/// Train image classifiers with CutMix.
///
/// CutMix cuts a box out of every training image, fills it from another image, and mixes the two
/// labels by area, so that a network learns to recognise things from any part of them.
///
/// Start with `cutmix train`: without options it trains a small network on Fashion-MNIST, which is
/// part of the program.
#[derive(Debug, Parser)]
#[command(name = "cutmix", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do; each is described at its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    Train(Box<TrainArgs>),
    Eval(EvalArgs),
    Predict(PredictArgs),
    Preview(PreviewArgs),
    Bench(BenchArgs),
    Serve(ServeArgs),
}

/// Train a network on images and write it to a run folder.
///
/// The folder holds config.toml (repeats the run: `cutmix train --config runs/001/config.toml`),
/// metrics.csv, model.safetensors, curves.png (loss and accuracy over the epochs), batch.png
/// (what the network saw in its first batch) and checkpoints, from which `cutmix train --resume`
/// goes on. Ctrl-C ends the run after its batch and saves it; a second one ends it at once.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub settings: Settings,
    /// Show the network the images as they are
    #[arg(long, conflicts_with = "augment", help_heading = "Training")]
    pub no_augment: bool,
    /// Take settings from this file, such as the config.toml of a run; options given here win
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,
    /// Folder for the results, new or empty [default: runs/001, runs/002, ...]
    #[arg(long, short, value_name = "DIR", help_heading = "Run")]
    pub output: Option<PathBuf>,
    /// Go on with the run in this folder, which was stopped or killed, from its last checkpoint
    ///
    /// On the CPU it ends with the weights with which it would have ended. Its settings hold; of the
    /// other options only --device, --on-nan and --dashboard can be given.
    #[arg(long, value_name = "RUN", help_heading = "Run", conflicts_with_all = ["config", "output", "no_augment"])]
    pub resume: Option<PathBuf>,
    /// Show Burn's dashboard, with curves of loss and accuracy, instead of a line and a bar
    ///
    /// Arrows choose a metric and a plot. q asks how to end: s as Ctrl-C does, k at once. Build with
    /// --features dashboard to have it.
    #[arg(long, help_heading = "Run")]
    pub dashboard: bool,
}

/// Measure a trained network: loss, accuracy, and accuracy of each class.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    pub run: PathBuf,
    /// Measure on these data instead: a folder as for `cutmix train --data`, of which the
    /// validation set counts or, where it has none, all of it
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// Say what is on image files.
#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    pub run: PathBuf,
    /// Image files: JPEG, PNG, WebP or BMP
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// How many classes to show for each image, most likely first
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// Draw what an algorithm does to images: originals, partners and mixtures in one picture.
#[derive(Debug, clap::Args)]
pub struct PreviewArgs {
    /// Folder with images, as for `cutmix train --data` [default: the embedded Fashion-MNIST]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Side of the square that photographs are resized to, in pixels, 1 to 4096 [default: 64]
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<usize>,
    /// Columns of the picture, each a sample of one batch
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=64))]
    pub count: u32,
    /// Algorithm that changes images, as for `cutmix train --algorithm`: cutmix, mixup,
    /// mixup-or-cutmix or cutout
    #[arg(long, value_name = "SPEC", default_value = "cutmix")]
    pub algorithm: String,
    /// Another number draws other images and another region
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// PNG file to write; one of this name is replaced
    #[arg(long, short, value_name = "FILE", default_value = "preview.png")]
    pub output: PathBuf,
}

/// Measure what mixing a batch costs on a device, beside a plain copy.
///
/// paste is CutMix, blend is MixUp and fill is CutOut, each with one box for the batch, one for each
/// pair of images and one for each image. All change a batch where it is; `paste, shared` writes a
/// new one, because something else still holds the batch. `paste, reference` is the same in plain
/// tensor calls, `targets, smoothed` is mixing and then label smoothing, and `targets, one-hot` goes by
/// way of two one-hot matrices. On a GPU the plain copy is the kernel with which Burn assigns a
/// slice, and extra memory what is still in use after a call.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Samples, channels, height and width of the batch
    #[arg(long, value_name = "NxCxHxW", default_value = "64x3x224x224")]
    pub shape: String,
    /// Type of the elements: f32, f16, bf16, f64 or u8
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub dtype: String,
    /// Classes of the targets
    #[arg(long, value_name = "K", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub classes: u32,
    /// How many random plans to measure each operation with
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub plans: u32,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Print JSON, with the time of each plan
    #[arg(long)]
    pub json: bool,
}

/// Lend a device of this machine to a training run on another one.
///
/// The run names it: `cutmix train --devices remote:HOST:PORT`, among other devices or alone. It
/// sends the weights and its part of each batch, and gets gradients back. Ctrl-C ends the worker.
///
/// What travels is not encrypted. Where the environment variable CUTMIX_TOKEN is set, the worker
/// serves those runs alone that are started with the same one: that keeps strangers out, but does
/// not keep them from reading along.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Which device: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Address and port to listen on; 0.0.0.0:7001 is open to all machines that reach this one, and
    /// port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7001")]
    pub listen: String,
}
