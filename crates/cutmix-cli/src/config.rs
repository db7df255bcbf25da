//! The settings of a run: as given, and as resolved.

use std::path::{Path, PathBuf};

use cutmix::time::Duration;
use cutmix::trainer::{Goal, OnNan, Patience, Schedule};
use cutmix_vision::{Architecture, Dataset, OnBadImage};
use serde::{Deserialize, Serialize};

use crate::data::DataOptions;
use crate::device::{self, Chosen};
use crate::error::Error;
use crate::precision::Precision;
use crate::schedule::Shape;
use crate::spec::{Spec, check_together};

/// Settings as given by options or in a configuration file. What is not given has a default, which
/// may depend on the data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Folder with images to learn [default: the embedded Fashion-MNIST]
    ///
    /// It holds a folder of JPEG, PNG, WebP or BMP files for each class, or `train` and `val` with
    /// such folders, or the files of MNIST (IDX, also .gz) or CIFAR (binary version).
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub data: Option<PathBuf>,
    /// Side of the square that photographs are resized to, in pixels, 1 to 4096 [default: 64]
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    pub size: Option<usize>,
    /// Share of the images kept apart to measure accuracy on, where the data have no validation
    /// set; above 0 and below 1 [default: 0.1]
    #[arg(
        long,
        value_name = "SHARE",
        help_heading = "Data",
        allow_negative_numbers = true
    )]
    pub val_fraction: Option<f64>,
    /// What to do with an image that cannot be decoded: stop, or leave it out and count it
    /// [default: fail]
    #[arg(long, value_name = "fail|skip", help_heading = "Data")]
    pub on_bad_image: Option<String>,
    /// Use no more than N images to train and N to evaluate, spread over the data: for a quick try
    /// [default: all]
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub limit: Option<usize>,

    /// Network: resnet8 or resnet20 for images of 28 to 64 pixels, resnet18, resnet34 or resnet50
    /// for larger ones [default: resnet8, above 64 pixels resnet18]
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    pub model: Option<String>,
    /// What to do to the training images and labels; may be given several times [default: cutmix]
    ///
    /// Settings follow a colon: `--algorithm cutmix:alpha=0.5,until=0.9dur --algorithm cutout`.
    ///
    /// cutmix: fills a box of each image from another one, and mixes the labels by area.
    ///   alpha=A, above 0: near 0 the box is almost nothing or almost everything, 1 makes all
    ///     sizes as likely [default: 1].
    ///   sampler=paper: as published; sampler=uniform: covers the border as often as the middle;
    ///     sampler=min-max:0.2..0.8: a box inside the image with sides of these shares
    ///     [default: paper].
    ///   mode=batch: one box for all images of a batch; mode=pair: one for each pair;
    ///     mode=sample: one for each image [default: batch].
    ///   interpolate-loss: mix two losses instead of the labels.
    /// mixup: blends each image with another one, and the labels by the same shares.
    ///   alpha=A [default: 0.2], mode=M, interpolate-loss: as for cutmix.
    /// mixup-or-cutmix: one of the two for each batch.
    ///   mixup-alpha=A [default: 0.8], cutmix-alpha=A [default: 1].
    ///   switch=P, 0 to 1: the share of the batches that are for cutmix [default: 0.5].
    /// one-of(A|B|...): one of these for each batch: cutmix, mixup, cutout or label-smoothing,
    ///   with settings of their own: 'one-of(mixup:alpha=0.8|cutmix:weight=3):until=0.9dur'.
    ///   weight=W, 0 or above, of each: how often it is chosen, relative to the others [default: 1].
    /// cutout: fills a square of each image with the mean colour; labels stay.
    ///   length=L: its side, in whole pixels like 16, or as a share of the image's smallest side
    ///     like 0.5 [default: 0.5].
    ///   mode=batch: the same square for all images of a batch; mode=sample: one for each
    ///     [default: sample].
    /// label-smoothing:S, 0 to below 1: moves this share of each label to all classes
    ///   [default: 0.1].
    /// none: no algorithm.
    ///
    /// Each can be told when to act:
    ///   probability=P, 0 to 1: on this share of the batches [default: 1].
    ///   from=TIME, until=TIME: in this part of the run, 0.5dur (a share of it), 3ep, 500ba,
    ///     12800sp or 1h30m; the end is excluded [default: all of it].
    ///
    /// They act in the order given, label-smoothing after all that mix images.
    #[arg(
        long,
        value_name = "SPEC",
        help_heading = "Training",
        verbatim_doc_comment
    )]
    pub algorithm: Option<Vec<String>>,
    /// How long to train: 8ep (passes over the data), 500ba (batches), 12800sp (images) or 1h30m
    /// [default: 5ep]
    #[arg(long, value_name = "TIME", help_heading = "Training")]
    pub duration: Option<String>,
    /// Images in a training step, 1 to the number of training images [default: 32]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub batch_size: Option<usize>,
    /// Peak learning rate of SGD with momentum, above 0; see --schedule [default: 0.2]
    #[arg(
        long,
        value_name = "RATE",
        help_heading = "Training",
        allow_negative_numbers = true
    )]
    pub learning_rate: Option<f64>,
    /// Pull of the weights towards 0, at least 0 [default: 0.0005]
    #[arg(
        long,
        value_name = "DECAY",
        help_heading = "Training",
        allow_negative_numbers = true
    )]
    pub weight_decay: Option<f64>,
    /// How the learning rate goes on from its peak: cosine, constant, step:every=30ep,factor=0.1 or
    /// one-cycle [default: cosine]
    #[arg(long, value_name = "SHAPE", help_heading = "Training")]
    pub schedule: Option<String>,
    /// How long the learning rate rises to its peak, for example 500ba or 0.1dur
    /// [default: 0.1dur, with one-cycle 0.3dur]
    #[arg(long, value_name = "TIME", help_heading = "Training")]
    pub warmup: Option<String>,
    /// Make each batch of N parts, whose gradients are added up: for batches that do not fit into
    /// memory, or for several devices, which share the parts out; divides the batch size
    /// [default: 1 for each device]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub accumulate: Option<usize>,
    /// Clip the gradient of each parameter to this norm, above 0 [default: not clipped]
    #[arg(
        long,
        value_name = "NORM",
        help_heading = "Training",
        allow_negative_numbers = true
    )]
    pub clip_norm: Option<f64>,
    /// Evaluate and keep a moving average of the weights, of which this share remains after each
    /// batch, above 0 and below 1; 0.999 is usual [default: the weights themselves]
    #[arg(
        long,
        value_name = "DECAY",
        help_heading = "Training",
        allow_negative_numbers = true
    )]
    pub average: Option<f64>,
    /// Numbers that weights and activations are made of: f32, bf16 or f16, where the device has them;
    /// for f16 the loss is not scaled [default: f32]
    #[arg(long, value_name = "TYPE", help_heading = "Training")]
    pub precision: Option<String>,
    /// What to do when the loss is not a number: stop, or skip the batch [default: stop]
    #[arg(long, value_name = "stop|skip", help_heading = "Training")]
    pub on_nan: Option<String>,
    /// Mirror and shift training images at random [default: for colour images]
    #[arg(
        long,
        num_args = 0,
        default_missing_value = "true",
        help_heading = "Training"
    )]
    pub augment: Option<bool>,

    /// How often to evaluate: a time like 1ep, 500ba, 0.1dur (a share of the run) or 10m
    /// [default: 1ep]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    pub eval_interval: Option<String>,
    /// How often to save a checkpoint, a time as above [default: 1ep]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    pub save_interval: Option<String>,
    /// How many of the last checkpoints to keep, at least 1 [default: 2]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub keep: Option<usize>,
    /// Write more than metrics.csv: jsonl (log.jsonl: each batch, with what the algorithms did) and
    /// tensorboard (the same as event files), separated by commas [default: neither]
    #[arg(long, value_name = "LOG", value_delimiter = ',', help_heading = "Run")]
    pub log: Option<Vec<String>>,
    /// Keep the best model instead of the last, by eval-loss, eval-accuracy, train-loss or
    /// train-accuracy [default: the last]
    #[arg(long, value_name = "SCORE", help_heading = "Run")]
    pub best: Option<String>,
    /// End the run when N evaluations in a row were no better than an earlier one, by the score of
    /// --best or else the evaluation loss; at least 1 [default: never]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub patience: Option<usize>,
    /// Seed of everything random: the same seed repeats the run [default: 0]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub seed: Option<u64>,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    /// [default: auto, the first GPU or else the CPU]
    ///
    /// Several, with commas between them, share out the parts of each batch: cuda:0,cuda:1. Among
    /// them can be workers on other machines, started with `cutmix serve`: remote:HOST:PORT (build
    /// with --features remote). The first one keeps the weights and evaluates. The same --accumulate
    /// gives the same mixtures on any number of devices.
    #[arg(
        long,
        value_name = "DEVICE[,...]",
        visible_alias = "devices",
        help_heading = "Run"
    )]
    #[serde(alias = "devices")]
    pub device: Option<String>,
}

/// Everything that decides a run, as written to its `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    #[serde(flatten)]
    pub data: DataOptions,
    pub model: Architecture,
    pub algorithm: Vec<Spec>,
    pub duration: Duration,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub schedule: Shape,
    pub warmup: Duration,
    pub accumulate: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    pub precision: Precision,
    pub on_nan: OnNan,
    pub augment: bool,
    pub eval_interval: Duration,
    pub save_interval: Duration,
    pub keep: usize,
    pub log: Vec<Log>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Goal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    pub seed: u64,
    pub device: String,
}

/// What a run writes besides `metrics.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Log {
    Jsonl,
    Tensorboard,
}

/// Photographs above this side get a network made for them.
const SMALL: usize = 64;

impl Settings {
    /// Reads a configuration file; relative paths in it count from the working folder.
    pub fn read(path: &Path) -> Result<Self, Error> {
        parse(path)
    }

    /// These settings, and where they say nothing, `other`'s.
    pub fn or(self, other: Self) -> Self {
        Self {
            data: self.data.or(other.data),
            size: self.size.or(other.size),
            val_fraction: self.val_fraction.or(other.val_fraction),
            on_bad_image: self.on_bad_image.or(other.on_bad_image),
            limit: self.limit.or(other.limit),
            model: self.model.or(other.model),
            algorithm: self.algorithm.or(other.algorithm),
            duration: self.duration.or(other.duration),
            batch_size: self.batch_size.or(other.batch_size),
            learning_rate: self.learning_rate.or(other.learning_rate),
            weight_decay: self.weight_decay.or(other.weight_decay),
            schedule: self.schedule.or(other.schedule),
            warmup: self.warmup.or(other.warmup),
            accumulate: self.accumulate.or(other.accumulate),
            clip_norm: self.clip_norm.or(other.clip_norm),
            average: self.average.or(other.average),
            precision: self.precision.or(other.precision),
            on_nan: self.on_nan.or(other.on_nan),
            augment: self.augment.or(other.augment),
            eval_interval: self.eval_interval.or(other.eval_interval),
            save_interval: self.save_interval.or(other.save_interval),
            keep: self.keep.or(other.keep),
            log: self.log.or(other.log),
            best: self.best.or(other.best),
            patience: self.patience.or(other.patience),
            seed: self.seed.or(other.seed),
            device: self.device.or(other.device),
        }
    }

    /// Which data to open.
    pub fn data(&self) -> Result<DataOptions, Error> {
        let on_bad_image = match self.on_bad_image.as_deref() {
            None | Some("fail") => OnBadImage::Fail,
            Some("skip") => OnBadImage::Skip,
            Some(other) => return Err(Error::option("on-bad-image", other, "fail or skip")),
        };
        if self.limit == Some(0) {
            return Err(Error::option("limit", 0, "at least 1 image"));
        }
        let val_fraction = self.val_fraction.unwrap_or(0.1);
        if !(val_fraction > 0.0 && val_fraction < 1.0) {
            let expected = "a number above 0 and below 1";
            return Err(Error::option("val-fraction", val_fraction, expected));
        }
        // TOML, in which the run is written down, has no larger one.
        let seed = self.seed.unwrap_or(0);
        if seed > i64::MAX as u64 {
            return Err(Error::option("seed", seed, "a number up to 2^63 - 1"));
        }
        Ok(DataOptions {
            data: self.data.clone(),
            size: self.size,
            val_fraction: Some(val_fraction),
            skip_bad_images: on_bad_image == OnBadImage::Skip,
            limit: self.limit,
            seed,
        })
    }

    /// Checks what does not need the data, so that a mistake shows before they are read.
    pub fn check(&self) -> Result<(), Error> {
        self.model()?;
        self.duration()?;
        self.algorithms()?;
        self.shape()?;
        self.precision()?;
        self.on_nan()?;
        self.best()?;
        self.log()?;
        self.warmup()?;
        self.eval_interval()?;
        self.save_interval()?;
        let counts = [
            ("accumulate", self.accumulate, "at least 1 part"),
            ("keep", self.keep, "at least 1 checkpoint"),
            ("patience", self.patience, "at least 1 evaluation"),
        ];
        for (option, count, expected) in counts {
            if count == Some(0) {
                return Err(Error::option(option, 0, expected));
            }
        }
        let is_share = |share: f64| share > 0.0 && share < 1.0;
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        let is_not_negative = |value: f64| value.is_finite() && value >= 0.0;
        type Numbers = [(&'static str, Option<f64>, fn(f64) -> bool, &'static str); 4];
        let numbers: Numbers = [
            (
                "learning-rate",
                self.learning_rate,
                is_positive,
                "a number above 0",
            ),
            (
                "weight-decay",
                self.weight_decay,
                is_not_negative,
                "a number of at least 0",
            ),
            ("clip-norm", self.clip_norm, is_positive, "a number above 0"),
            (
                "average",
                self.average,
                is_share,
                "a number above 0 and below 1",
            ),
        ];
        for (option, value, accepts, expected) in numbers {
            if let Some(value) = value
                && !accepts(value)
            {
                return Err(Error::option(option, value, expected));
            }
        }
        Ok(())
    }

    fn model(&self) -> Result<Option<Architecture>, Error> {
        let parse = |name: &String| {
            let known = Architecture::ALL.map(Architecture::name);
            name.parse()
                .map_err(|_| Error::unknown("model", name, known))
        };
        self.model.as_ref().map(parse).transpose()
    }

    fn duration(&self) -> Result<Duration, Error> {
        let Some(text) = &self.duration else {
            return Ok(Duration::Epochs(5));
        };
        let parsed = text.parse().ok();
        let parsed = parsed
            .filter(|duration: &Duration| !duration.is_zero())
            .filter(|duration| !matches!(duration, Duration::Share(_)));
        parsed.ok_or_else(|| {
            let expected = "a whole number of at least 1 and a unit, like 8ep (passes over the \
                            data), 500ba (batches), 12800sp (images), or time like 1h30m";
            Error::option("duration", text, expected)
        })
    }

    fn warmup(&self) -> Result<Option<Duration>, Error> {
        time("warmup", &self.warmup, |_| true)
    }

    fn eval_interval(&self) -> Result<Option<Duration>, Error> {
        time("eval-interval", &self.eval_interval, |time| !time.is_zero())
    }

    fn save_interval(&self) -> Result<Option<Duration>, Error> {
        time("save-interval", &self.save_interval, |time| !time.is_zero())
    }

    fn shape(&self) -> Result<Shape, Error> {
        self.schedule
            .as_ref()
            .map_or(Ok(Shape::default()), |text| text.parse())
    }

    fn precision(&self) -> Result<Precision, Error> {
        let parsed = self.precision.as_ref().map(|text| text.parse());
        parsed.unwrap_or(Ok(Precision::default()))
    }

    /// What to do when the loss is not a number.
    pub fn on_nan(&self) -> Result<OnNan, Error> {
        match self.on_nan.as_deref() {
            None | Some("stop") => Ok(OnNan::Stop),
            Some("skip") => Ok(OnNan::Skip),
            Some(other) => Err(Error::option("on-nan", other, "stop or skip")),
        }
    }

    fn log(&self) -> Result<Vec<Log>, Error> {
        let mut logs = Vec::new();
        for name in self.log.iter().flatten() {
            let log = match name.as_str() {
                "jsonl" => Log::Jsonl,
                "tensorboard" => Log::Tensorboard,
                _ => return Err(Error::unknown("log", name, ["jsonl", "tensorboard"])),
            };
            if !logs.contains(&log) {
                logs.push(log);
            }
        }
        Ok(logs)
    }

    fn best(&self) -> Result<Option<Goal>, Error> {
        let parse = |text: &String| {
            let known = Goal::ALL.map(|goal| goal.to_string());
            let known = known.iter().map(String::as_str);
            (text.parse()).map_err(|_| Error::unknown("score for --best", text, known))
        };
        self.best.as_ref().map(parse).transpose()
    }

    fn algorithms(&self) -> Result<Vec<Spec>, Error> {
        let Some(texts) = &self.algorithm else {
            return Ok(vec![Spec::default()]);
        };
        let specs: Vec<Spec> = texts
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?;
        check_together(&specs)?;
        Ok(specs)
    }

    /// Fills in the defaults for these data and checks every value that does not need the rest of
    /// the library to be checked. `data` are those opened, `devices` those chosen.
    pub fn resolve(
        &self,
        data: DataOptions,
        train: &Dataset,
        devices: &[Chosen],
    ) -> Result<Config, Error> {
        let [channels, height, width] = train.shape();
        let small = height.max(width) <= SMALL;
        let model = self.model()?.unwrap_or(match small {
            true => Architecture::ResNet8,
            false => Architecture::ResNet18,
        });
        let shape = self.shape()?;
        let config = Config {
            model,
            algorithm: self.algorithms()?,
            duration: self.duration()?,
            batch_size: self.batch_size.unwrap_or(32),
            learning_rate: self.learning_rate.unwrap_or(0.2),
            weight_decay: self.weight_decay.unwrap_or(5e-4),
            schedule: shape,
            warmup: self.warmup()?.unwrap_or(shape.warmup()),
            accumulate: self.accumulate.unwrap_or(devices.len()),
            clip_norm: self.clip_norm,
            average: self.average,
            precision: self.precision()?,
            on_nan: self.on_nan()?,
            // Mirrored digits or letters are other signs, and most grey data sets are of those.
            augment: self.augment.unwrap_or(channels == 3),
            eval_interval: self.eval_interval()?.unwrap_or(Duration::Epochs(1)),
            save_interval: self.save_interval()?.unwrap_or(Duration::Epochs(1)),
            keep: self.keep.unwrap_or(2),
            log: self.log()?,
            best: self.best()?,
            patience: self.patience,
            seed: data.seed,
            data,
            device: device::list(devices),
        };
        config.check_devices(devices)?;
        if config.batch_size > train.len() {
            let expected = format!("1 to the number of images, {}", train.len());
            return Err(Error::option("batch-size", config.batch_size, expected));
        }
        if self.accumulate.is_none() && !config.batch_size.is_multiple_of(devices.len()) {
            let expected = format!("a multiple of {}, the number of devices", devices.len());
            return Err(Error::option("batch-size", config.batch_size, expected));
        }
        (config.algorithm.iter()).try_for_each(|spec| spec.check_images(&[height, width]))?;
        config.check()?;
        Ok(config)
    }
}

impl Config {
    /// Checks what has to fit together, of values that are each within their range.
    pub fn check(&self) -> Result<(), Error> {
        if !self.batch_size.is_multiple_of(self.accumulate) {
            let expected = format!("a divisor of the batch size, {}", self.batch_size);
            return Err(Error::option("accumulate", self.accumulate, expected));
        }
        if let Some(average) = self.average
            && self.precision != Precision::F32
        {
            let expected = "none with --precision bf16 or f16, in which it soon stands still";
            return Err(Error::option("average", average, expected));
        }
        Ok(())
    }

    /// Reads the `config.toml` of a run.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut config: Self = parse(path)?;
        config.data.seed = config.seed;
        Ok(config)
    }

    /// As it is written to a run folder. TOML has no path that is not UTF-8, and no number above
    /// 2^63.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let settings = toml::to_string(self)?;
        let version = env!("CARGO_PKG_VERSION");
        Ok(format!(
            "# Written by cutmix {version}. `cutmix train --config FILE` repeats the run.\n{settings}"
        ))
    }

    /// Whether these devices find work in each batch, and can do it.
    pub fn check_devices(&self, devices: &[Chosen]) -> Result<(), Error> {
        let count = devices.len();
        if self.accumulate < count {
            let expected = format!(
                "at most {}, one for each part of a batch (--accumulate)",
                self.accumulate
            );
            return Err(Error::option("devices", device::list(devices), expected));
        }
        if self.precision != Precision::F32 && (count > 1 || devices[0].is_remote()) {
            let expected = "f32 with several devices or workers, for which batches are made in f32";
            return Err(Error::option("precision", self.precision, expected));
        }
        Ok(())
    }

    /// How the learning rate changes.
    pub fn schedule(&self) -> Schedule {
        self.schedule.with(self.warmup)
    }

    /// When the run ends early.
    pub fn patience(&self) -> Option<Patience> {
        self.patience.map(|reports| Patience {
            goal: self.best.unwrap_or_default(),
            reports,
        })
    }
}

/// A length of time that may be a share of the run.
fn time(
    option: &str,
    text: &Option<String>,
    accepts: fn(&Duration) -> bool,
) -> Result<Option<Duration>, Error> {
    let parse = |text: &String| {
        let parsed = text.parse().ok().filter(accepts);
        parsed.ok_or_else(|| {
            let expected = "a number and a unit, like 2ep (passes over the data), 500ba (batches), \
                            12800sp (images), 0.1dur (of the run), or time like 10m";
            Error::option(option, text, expected)
        })
    };
    text.as_ref().map(parse).transpose()
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let wrong = |reason: String| Error::Config {
        path: path.into(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| {
        let line = (error.span()).map(|span| text[..span.start].matches('\n').count() + 1);
        let line = line.map_or_else(String::new, |line| format!("line {line}: "));
        wrong(format!("{line}{}", error.message().replace('\n', " ")))
    })
}
