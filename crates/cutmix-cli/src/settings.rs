//! The settings of a run: options of `cutmix train` and keys of a configuration file.

mod algorithm;
mod augment;
mod bytes;
mod check;
mod color;
mod file;
mod parse;
mod parts;
mod recipe;
mod resolve;

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Command, Parser, ValueEnum, value_parser};
use cutmix_train::algorithms::Effects;
use cutmix_train::{Duration, Schedule, TrainerConfig};
use cutmix_vision::models::Optimizer;
use cutmix_vision::{AnyNetwork, Augment, Depth, Fit, OnBadImage, Sampler};
use serde::{Deserialize, Serialize};

pub use algorithm::{AlgorithmSpec, check_together, in_order};
use augment::help as augment_help;
pub use bytes::Bytes;
pub use color::Color;
use parse::{library, network_parser, parse_depth};
pub use parse::{parse_algorithm, parse_augment};
pub use parts::{FrozenPart, Multiple};
pub use recipe::RecipeName;
pub use resolve::Resolved;

use crate::embedded::data_parser;
use crate::error::Error;
use crate::metrics::MetricName;
use crate::precision::Precision;

/// Everything that decides a run. Values that depend on the data or the network are `None` until
/// [`Settings::resolve`] has filled them in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Images to learn: a folder, a file, or what is embedded: fashion-mnist or cluttered-fashion
    /// [default: fashion-mnist]
    ///
    /// cluttered-fashion has garments of Fashion-MNIST over fragments of others, 64 x 64 pixels. A folder
    /// of that name in the current folder goes before the embedded data.
    ///
    /// A folder holds a folder of images for each class, or `train`, `val` and `test` with such
    /// folders, or the files of MNIST (IDX, also .gz) or CIFAR (binary version). docs/DATA.md has all
    /// layouts; `cutmix check DATA` says what is found.
    #[arg(long, value_name = "DATA", value_parser = data_parser())]
    pub data: Option<PathBuf>,
    /// Side of the squares that images become, in pixels, 1 to 4096 [default: 64; images that all
    /// have one size already, those of MNIST and CIFAR, keep it]
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<usize>,
    /// Side of the squares in evaluation [default: that of training]
    #[arg(long, value_name = "PIXELS")]
    pub eval_size: Option<usize>,
    /// What happens to images that are no squares: crop the middle, pad with a border, or stretch
    #[arg(
        long,
        value_name = "crop|pad|stretch",
        default_value = "crop",
        hide_possible_values = true
    )]
    pub fit: Fit,
    /// Share of the sides that is cut out of the middle in evaluation, above 0 and up to 1 [default:
    /// 0.875 where training has random crops, otherwise 1]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub crop_share: Option<f64>,
    /// Random changes to training images: none, light, standard, strong, or a list such as
    /// 'random-resized-crop:scale=0.35..1|flip' [default: standard for photographs, light for small
    /// colour images, none for grey ones]
    #[arg(long, value_name = "LIST", value_parser = parse_augment, long_help = augment_help())]
    pub augment: Option<Augment>,
    /// Share of the training images that becomes the validation set, where the data have none;
    /// above 0 and below 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.1,
        allow_negative_numbers = true
    )]
    pub val_fraction: f64,
    /// Weights of the classes in the loss: balanced (in inverse proportion to their images), or a CSV
    /// file of classes and weights [default: all 1]
    #[arg(long, value_name = "balanced|FILE")]
    pub class_weights: Option<PathBuf>,
    /// Which images an epoch has: every one once, or as many of each class
    #[arg(
        long,
        value_name = "shuffled|balanced",
        default_value = "shuffled",
        hide_possible_values = true
    )]
    pub sampler: Sampler,
    /// What to do with an image that cannot be decoded: end the run, or leave it out and count it
    #[arg(
        long,
        value_name = "fail|skip",
        default_value = "fail",
        hide_possible_values = true
    )]
    pub on_bad_image: OnBadImage,
    /// Colour behind transparent pixels: white, black, or red, green and blue as #RRGGBB
    #[arg(long, value_name = "COLOUR", default_value = "white")]
    pub background: Color,
    /// Bits that the values of 16-bit images use, 9 to 16; auto: 12 where no value of an image needs
    /// more
    #[arg(long, value_name = "BITS", default_value = "auto", value_parser = parse_depth)]
    pub depth: Depth,
    /// Memory that all threads together may take to decode images, such as 512MiB
    #[arg(long, value_name = "BYTES", default_value = "1GiB")]
    pub decode_memory: Bytes,
    /// Memory in which images are kept from one epoch to the next; 0 keeps none
    #[arg(long, value_name = "BYTES", default_value = "2GiB")]
    pub cache: Bytes,
    /// Use at most N images of each set, spread over the data, for a quick try [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    /// Network [default: resnet8, for images above 64 pixels resnet18]
    #[arg(long, value_name = "NAME", value_parser = network_parser())]
    pub model: Option<String>,
    /// Start from trained weights: a file (.safetensors, .pth or .pt, of torchvision, timm or this
    /// program), the folder of a run, or a repository of the Hugging Face Hub such as
    /// timm/resnet50.a1_in1k [default: random weights]
    ///
    /// They decide the network (unless --model names it), the size of photographs (unless --size is
    /// given) and the normalisation of images. A head for other classes is replaced by a new one.
    #[arg(long, value_name = "WEIGHTS")]
    pub weights: Option<String>,
    /// Leave out the last residual block for a random share of the training images, and the blocks
    /// before it for smaller shares; 0 or more and below 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub stochastic_depth: f64,
    /// Blur images in front of the layers of a ResNet that have a stride
    #[arg(long)]
    pub blur_pool: bool,
    /// Settings that were published together, for those that are not given; they are written out into
    /// the config.toml of the run [default: those of this program]
    ///
    /// With --weights the network of a recipe is left out, and with --train head everything in it that
    /// changes images.
    #[arg(long, value_name = "NAME")]
    pub recipe: Option<RecipeName>,
    /// Parts of the network that are not trained, separated by commas: backbone (all but the head),
    /// or stages and blocks such as layer1 or layer2.0; with a time until then, as in backbone:2ep
    /// [default: none]
    ///
    /// Batch normalisation uses and keeps its running statistics there, and dropout is off.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub freeze: Vec<FrozenPart>,
    /// What to train: all of the network, or its head on features of the images that are computed once,
    /// in seconds where they are few
    ///
    /// The head is trained without random changes to images: --augment is none, and so is --algorithm
    /// unless it is given, or a recipe has some that do not change images.
    #[arg(
        long,
        value_name = "all|head",
        default_value = "all",
        hide_possible_values = true
    )]
    pub train: Train,
    /// Learning rate of the head, as a multiple of --learning-rate: 10x is usual where only the head
    /// is new
    #[arg(long, value_name = "MULTIPLE", default_value = "1x")]
    pub head_rate: Multiple,
    /// Learning rate of each layer relative to that of the layer behind it, up to the head, above 0
    /// and up to 1: 0.75 is usual for transformers with trained weights
    #[arg(
        long,
        value_name = "FACTOR",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    pub layer_decay: f64,
    #[arg(
        long, value_name = "SPEC", default_value = "cutmix", value_parser = parse_algorithm,
        help = algorithm::ABOUT, long_help = algorithm::help()
    )]
    pub algorithm: Vec<AlgorithmSpec>,
    /// How long to train: 8ep (passes over the data), 500ba (batches), 12800sp (images) or 1h30m
    #[arg(long, value_name = "TIME", default_value = "5ep", value_parser = library::<Duration>)]
    pub duration: Duration,
    /// Images in a training step; at most all training images
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub batch_size: usize,
    /// Peak learning rate, above 0; see --schedule [default: what suits the network, the optimizer
    /// and the batch size]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,
    /// Weight decay of convolutions and linear layers, at least 0 [default: what suits the network
    /// and the optimizer]
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    pub weight_decay: Option<f64>,
    /// Optimizer: SGD with Nesterov momentum of 0.9, or AdamW [default: what suits the network]
    #[arg(long, value_name = "NAME")]
    pub optimizer: Option<Optimizer>,
    /// How the learning rate continues from its peak: cosine, constant, step:every=30ep,factor=0.1 or
    /// one-cycle
    #[arg(long, value_name = "SHAPE", default_value = "cosine", value_parser = library::<Schedule>)]
    pub schedule: Schedule,
    /// How long the learning rate rises to its peak, for example 500ba or 0.1dur [default: 0.05dur,
    /// with one-cycle 0.3dur]
    #[arg(long, value_name = "TIME", value_parser = library::<Duration>)]
    pub warmup: Option<Duration>,
    /// Make each batch of N parts, whose gradients are added up, for batches that do not fit into
    /// memory; divides the batch size
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub accumulate: usize,
    /// How processes that `mpirun` has started add up their gradients: exact, to the bits of one process,
    /// or fast, as MPI does it
    #[arg(
        long,
        value_name = "exact|fast",
        default_value = "exact",
        hide_possible_values = true
    )]
    pub gradient_sum: GradientSum,
    /// Type of weights and activations, where the device has it; for f16 the loss is not scaled
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub precision: Precision,
    /// What to do when a loss or gradient is not a finite number: stop, or skip the batch
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    pub on_nan: OnNan,

    /// How often to evaluate: a time like 1ep, 500ba, 0.1dur (a share of the run) or 10m
    #[arg(long, value_name = "TIME", default_value = "1ep", value_parser = library::<Duration>)]
    pub eval_interval: Duration,
    /// How often to save a checkpoint: a time as for --eval-interval
    #[arg(long, value_name = "TIME", default_value = "1ep", value_parser = library::<Duration>)]
    pub save_interval: Duration,
    /// Number of the last checkpoints to keep, at least 1
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub keep: usize,
    /// Logs to write besides metrics.csv, separated by commas [default: none]
    #[arg(long, value_name = "LOG", value_delimiter = ',')]
    pub log: Vec<Log>,
    /// What to measure besides loss and accuracy, separated by commas; may be given several times
    /// [default: nothing]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub metric: Vec<MetricName>,
    /// Keep the best model instead of the last, by a score such as val/accuracy, val/loss,
    /// train/loss or val/f-score (see --metric) [default: the last]
    #[arg(long, value_name = "SCORE")]
    pub best: Option<String>,
    /// End the run when N evaluations in a row were no better than an earlier one, by the score of
    /// --best or else val/loss; at least 1 [default: never]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
    /// Seed of everything random: the same seed repeats the run
    // TOML, in which the run is written down, has no larger number.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: u64,
    /// Where to compute: auto (the first GPU or else the CPU), cpu, vulkan, vulkan:1, cuda, rocm,
    /// metal, webgpu or wgpu
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
}

/// What to do when a loss or gradient is not a finite number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OnNan {
    /// End the run.
    Stop,
    /// Leave out the batch.
    Skip,
}

/// How several processes add up their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum GradientSum {
    /// Adds up in the order of one process.
    Exact,
    /// Leaves the order to MPI.
    Fast,
}

/// What a run trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Train {
    /// All of the network.
    All,
    /// The head, on features that are computed once.
    Head,
}

/// What a run writes besides `metrics.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Log {
    /// log.jsonl: every batch, with what the algorithms logged, and every report.
    Jsonl,
    /// tensorboard/: event files that TensorBoard reads.
    Tensorboard,
}

/// The heading of an option in the help.
fn heading(option: &str) -> &'static str {
    match option {
        "data" | "size" | "eval_size" | "fit" | "crop_share" | "augment" | "val_fraction"
        | "class_weights" | "sampler" | "on_bad_image" | "background" | "depth"
        | "decode_memory" | "cache" | "limit" => "Data",
        "model" | "weights" | "stochastic_depth" | "blur_pool" | "recipe" | "freeze" | "train"
        | "head_rate" | "layer_decay" | "algorithm" | "duration" | "batch_size"
        | "learning_rate" | "weight_decay" | "optimizer" | "schedule" | "warmup" | "accumulate"
        | "gradient_sum" | "precision" | "on_nan" => "Training",
        _ => "Run",
    }
}

/// `cutmix train` with its options under headings.
pub fn with_headings(train: Command) -> Command {
    train.mut_args(|option| {
        let heading = heading(option.get_id().as_str());
        option.help_heading(heading)
    })
}

impl Default for Settings {
    /// The defaults of the options.
    fn default() -> Self {
        #[derive(Parser)]
        struct Options {
            #[command(flatten)]
            settings: Settings,
        }

        Options::parse_from(["cutmix"]).settings
    }
}

impl Settings {
    /// Whether a setting of this name says where things are on a machine and how it works, and nothing of
    /// what a run does.
    pub fn is_of_machine(name: &str) -> bool {
        [
            "data",
            "weights",
            "class-weights",
            "device",
            "cache",
            "decode-memory",
        ]
        .contains(&name)
    }

    /// Makes a part of each batch for each of so many processes, unless batches have parts already.
    pub fn divide(&mut self, processes: usize) -> Result<(), Error> {
        if self.accumulate == 1 {
            if !self.batch_size.is_multiple_of(processes) {
                let expected = multiple_of(processes);
                return Err(Error::option("batch-size", self.batch_size, expected));
            }
            self.accumulate = processes;
        }
        self.check_parts(processes)
    }

    /// Checks that so many processes can make as many parts of each batch.
    pub fn check_parts(&self, processes: usize) -> Result<(), Error> {
        if self.accumulate.is_multiple_of(processes) {
            return Ok(());
        }
        let expected = multiple_of(processes);
        Err(Error::option("accumulate", self.accumulate, expected))
    }

    /// The effects of all algorithms together.
    pub fn effects(&self) -> Effects {
        let algorithms = self
            .algorithm
            .iter()
            .filter_map(AlgorithmSpec::init::<AnyNetwork>);
        let effects = algorithms.map(|algorithm| algorithm.effects());
        effects.fold(Effects::default(), Effects::or)
    }

    /// The settings of the trainer, with this learning rate.
    pub fn trainer(&self, learning_rate: f64) -> TrainerConfig {
        let mut config = TrainerConfig::new(self.duration)
            .with_eval_interval(self.eval_interval)
            .with_learning_rate(learning_rate)
            .with_schedule(self.schedule)
            .with_accumulate(self.accumulate)
            .with_seed(self.seed)
            .with_on_nan(match self.on_nan {
                OnNan::Stop => cutmix_train::OnNan::Stop,
                OnNan::Skip => cutmix_train::OnNan::Skip,
            });
        config.warmup = self.warmup;
        config.best = self.best.clone();
        if let Some(reports) = self.patience {
            let score = self.best.as_deref().unwrap_or("val/loss");
            config = config.with_patience(score, reports);
        }
        config
    }
}

fn multiple_of(processes: usize) -> String {
    format!("a multiple of the number of processes, {processes}")
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jsonl => "log.jsonl",
            Self::Tensorboard => "tensorboard/",
        })
    }
}
