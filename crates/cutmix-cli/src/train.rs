//! `cutmix train`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::SgdConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use cutmix::algorithms::Algorithm;
use cutmix::trainer::{
    Checkpoint, Checkpoints, Csv, Goal, History, JsonLines, Logger, Report, Stop, TensorBoard,
    Trainer,
};
use cutmix_vision::{Augment, Loader, LoaderOptions, Normalize, ResNet, Splits};
use indicatif::ProgressBar;

use crate::args::TrainArgs;
use crate::config::{Config, Log, Settings};
use crate::dashboard::Dashboard;
use crate::device::{self, Chosen};
use crate::error::Error;
use crate::picture::curves;
use crate::progress::{self, Live, Size};
use crate::run_folder::{ModelCard, RunFolder};
use crate::say::{clock, count, grouped, say};
use crate::snapshot::Snapshot;
use crate::spec::in_order;

/// Images of `[C, H, W]` in a batch where nothing is learned: only speed and memory depend on it.
pub fn eval_batch([_, height, width]: [usize; 3]) -> usize {
    // The activations of a network grow with the pixels.
    const PIXELS: usize = 256 * 64 * 64;
    (PIXELS / (height * width)).clamp(1, 256)
}

/// The exit code of a run that was told to stop, as of a program that SIGINT ends.
pub const STOPPED: u8 = 130;

const MIXED: &str = "mixed accuracy: the share of each mixed label on the predicted class, lower than \
                     on whole images";

/// Trains as told and reports; a run that was stopped has an exit code of its own.
pub fn run(args: TrainArgs) -> Result<ExitCode, Error> {
    if args.dashboard {
        Dashboard::check()?;
    }
    match args.resume.clone() {
        Some(run) => resume(args.settings, &run, args.dashboard),
        None => begin(args),
    }
}

fn begin(args: TrainArgs) -> Result<ExitCode, Error> {
    let mut settings = args.settings;
    settings.augment = settings.augment.or(args.no_augment.then_some(false));
    if let Some(path) = &args.config {
        settings = settings.or(Settings::read(path)?);
    }
    settings.check()?;
    let devices = device::choose_several(settings.device.as_deref().unwrap_or("auto"))?;
    RunFolder::check(args.output.as_deref())?;
    let (data, splits) = settings.data()?.open()?;
    let config = settings.resolve(data, &splits.train, &devices)?;
    let prepared = Prepared::new(config, splits, devices)?;
    // From here on there are results.
    let folder = RunFolder::create(args.output.as_deref())?;
    folder.write_config(&prepared.config)?;
    prepared.train(folder, None, args.dashboard)
}

fn resume(settings: Settings, run: &Path, dashboard: bool) -> Result<ExitCode, Error> {
    let on_nan = settings.on_nan()?;
    let asked = Settings {
        device: settings.device.clone(),
        on_nan: settings.on_nan.clone(),
        ..Settings::default()
    };
    if settings != asked {
        return Err(Error::ResumeSettings);
    }
    let folder = RunFolder::resume(run)?;
    // Somebody may have edited it.
    Settings::read(&folder.config())?.check()?;
    let mut config = Config::read(&folder.config())?;
    config.check()?;
    if settings.on_nan.is_some() {
        config.on_nan = on_nan;
    }
    let devices = device::choose_several(settings.device.as_deref().unwrap_or(&config.device))?;
    config.check_devices(&devices)?;
    let checkpoint = folder.latest_checkpoint()?;
    let (_, splits) = config.data.clone().open()?;
    Prepared::new(config, splits, devices)?.train(folder, checkpoint, dashboard)
}

/// A run that only needs a folder.
struct Prepared {
    config: Config,
    splits: Splits,
    devices: Vec<Chosen>,
    train: Loader,
    eval: Option<Loader>,
    card: ModelCard,
    model: ResNet,
}

impl Prepared {
    fn new(config: Config, splits: Splits, devices: Vec<Chosen>) -> Result<Self, Error> {
        let normalize = Normalize::of(&splits.train)?;
        let (train, eval) = loaders(&config, &splits, &normalize)?;
        let card = ModelCard {
            architecture: config.model,
            classes: splits.train.classes().to_vec(),
            shape: splits.train.shape(),
            normalize,
        };
        config.precision.set(&devices[0])?;
        let nursery = devices[0].nursery();
        nursery.seed(config.seed);
        let model = card.network(&nursery.autodiff())?;
        Ok(Self {
            config,
            splits,
            devices,
            train,
            eval,
            card,
            model,
        })
    }

    fn train(
        self,
        folder: RunFolder,
        from: Option<Checkpoint>,
        dashboard: bool,
    ) -> Result<ExitCode, Error> {
        let Self {
            config,
            splits,
            devices,
            train,
            eval,
            card,
            model,
        } = self;
        let specs = config.algorithm.iter();
        let algorithms: Vec<_> = specs
            .filter_map(|spec| spec.build(card.classes.len()))
            .collect();
        let mixes = algorithms
            .iter()
            .any(|algorithm| Algorithm::<4>::effects(algorithm).mixes_targets);
        let described: Vec<_> = devices.iter().map(Chosen::describe).collect();
        header(
            &config,
            &splits,
            &described.join(", "),
            model.num_params(),
            &folder,
        );
        if let Some(checkpoint) = &from {
            say!(
                "resumed    after batch {}",
                grouped(checkpoint.batches() as usize)
            );
        }
        if mixes {
            say!("{MIXED}");
        }
        say!();

        let view = View::choose(dashboard);
        let stop = Stop::new();
        stop_on_signals(stop.clone(), view.clone());
        let mut trainer = Trainer::new(model, Arc::new(train))
            .max_duration(config.duration)
            .eval_interval(config.eval_interval)
            .optimizer(optimizer(&config))
            .learning_rate(config.learning_rate)
            .schedule(config.schedule())
            .accumulate(config.accumulate)
            .seed(config.seed)
            .devices(devices.iter().map(|chosen| chosen.device.clone()).collect())
            .on_nan(config.on_nan)
            .stop(stop.clone())
            .checkpoints(
                Checkpoints::new(folder.checkpoints())
                    .every(config.save_interval)
                    .keep(config.keep),
            )
            .logger(Csv::new(folder.metrics()))
            .logger(view.clone());
        for log in &config.log {
            trainer = match log {
                Log::Jsonl => trainer.logger(JsonLines::new(folder.json_lines())),
                Log::Tensorboard => trainer.logger(TensorBoard::new(folder.tensorboard())),
            };
        }
        let samples = splits.train.len();
        trainer = match view.clone() {
            View::Lines => trainer,
            View::Bar(bar) => {
                let (whole, parts) = (config.batch_size, config.accumulate);
                let size = Size::new(config.duration, samples, whole, parts);
                trainer.renderer(move |clock| Box::new(Live::new(bar, clock, size, mixes)))
            }
            View::Dashboard(_) => trainer
                .renderer(move |clock| Dashboard::open(clock, config.duration, samples, stop)),
        };
        if let Some(eval) = eval {
            trainer = trainer.eval_loader(Arc::new(eval));
        }
        if let Some(decay) = config.average {
            trainer = trainer.average(decay);
        }
        if let Some(goal) = config.best {
            trainer = trainer.best(goal);
        }
        if let Some(patience) = config.patience() {
            trainer = trainer.early_stopping(patience);
        }
        if let Some(checkpoint) = from {
            trainer = trainer.resume(checkpoint);
        }
        for algorithm in algorithms {
            trainer = trainer.algorithm(algorithm);
        }
        let fit = trainer
            .algorithm(Snapshot {
                path: folder.batch(),
                title: format!(
                    "First training batch, after {}",
                    in_order(&config.algorithm, "\nthen ")
                ),
                classes: card.classes.clone(),
                normalize: card.normalize.clone(),
            })
            .fit();
        view.tell_the_rest();
        let fit = fit.map_err(|error| in_folder(error, &folder, &devices))?;

        let curves = curves::write(&folder.curves(), &fit.history, mixes);
        curves.map_err(|reason| Error::write(&folder.curves(), reason))?;
        if !fit.is_complete {
            let path = folder.path().display();
            say!();
            say!("stopped and saved; go on with: cutmix train --resume {path}");
            return Ok(ExitCode::from(STOPPED));
        }
        folder.save_model(&fit.model, &card)?;
        summary(&config, &fit.history, &folder);
        Ok(ExitCode::SUCCESS)
    }
}

/// How a run is watched.
#[derive(Clone)]
enum View {
    /// A line for each report.
    Lines,
    /// The same, above a bar.
    Bar(ProgressBar),
    /// The whole terminal, on which nothing else may write; what is told meanwhile follows when it
    /// is gone.
    Dashboard(Arc<Mutex<Vec<String>>>),
}

impl View {
    fn choose(dashboard: bool) -> Self {
        match dashboard {
            true => Self::Dashboard(Arc::default()),
            false => progress::bar().map_or(Self::Lines, Self::Bar),
        }
    }

    /// Tells the rest of what there was to tell.
    fn tell_the_rest(&self) {
        if let Self::Dashboard(told) = self {
            let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
            told.iter().for_each(|line| say!("{line}"));
        }
    }
}

/// Tells the reports.
impl Logger for View {
    fn report(&mut self, report: &Report) -> Result<(), cutmix::Error> {
        match self {
            Self::Lines => say!("{report}"),
            Self::Bar(bar) => bar.suspend(|| say!("{report}")),
            Self::Dashboard(told) => {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                told.push(report.to_string());
            }
        }
        Ok(())
    }
}

/// Ctrl-C and its like end the run after the batch in progress; a second one at once.
fn stop_on_signals(stop: Stop, view: View) {
    let handler = move || {
        if stop.is_requested() {
            match view {
                View::Dashboard(_) => Dashboard::exit(),
                View::Lines | View::Bar(_) => std::process::exit(STOPPED.into()),
            }
        }
        stop.request();
        let tell =
            || eprintln!("stopping after this batch or evaluation; Ctrl-C again stops at once");
        match &view {
            View::Lines => tell(),
            View::Bar(bar) => bar.suspend(tell),
            View::Dashboard(_) => {}
        }
    };
    // Without a handler Ctrl-C ends the program, as it does by itself.
    let _ = ctrlc::set_handler(handler);
}

/// What to do about an error, where the folder of the run matters.
fn in_folder(error: cutmix::Error, folder: &RunFolder, devices: &[Chosen]) -> Error {
    // It reads a checkpoint, which most errors need not.
    let saved = || {
        let latest = Checkpoint::latest(&folder.checkpoints()).ok();
        latest.map(|latest| latest.checkpoint.batches())
    };
    match error {
        cutmix::Error::NotFinite { batch, loss, .. } => {
            let run = folder.path().display();
            let go_on = saved().map(|saved| {
                format!(": cutmix train --resume {run} --on-nan skip goes on from batch {saved}")
            });
            Error::NotFinite {
                batch,
                loss,
                go_on: go_on.unwrap_or_default(),
            }
        }
        cutmix::Error::Worker { device, reason } => Error::Worker {
            device: devices[device].name.clone(),
            is_remote: devices[device].is_remote(),
            reason,
            run: folder.path().into(),
            saved: saved().unwrap_or(0),
        },
        error => error.into(),
    }
}

fn loaders(
    config: &Config,
    splits: &Splits,
    normalize: &Normalize,
) -> Result<(Loader, Option<Loader>), Error> {
    let [_, height, width] = splits.train.shape();
    let options = LoaderOptions {
        batch_size: config.batch_size / config.accumulate,
        seed: config.seed,
        augment: match config.augment {
            true => Augment::standard(height.min(width)),
            false => Augment::NONE,
        },
        normalize: normalize.clone(),
        // Batch normalisation learns nothing good from a last batch of a few.
        drop_last: true,
    };
    let train = Loader::train(splits.train.clone(), options)?;
    let eval = (splits.val.clone())
        .map(|val| Loader::eval(val, eval_batch(splits.train.shape()), normalize.clone()))
        .transpose()?;
    Ok((train, eval))
}

fn optimizer(config: &Config) -> burn::optim::ModuleOptimizer {
    let momentum = MomentumConfig {
        momentum: 0.9,
        dampening: 0.0,
        nesterov: true,
    };
    let decay =
        (config.weight_decay > 0.0).then(|| WeightDecayConfig::new(config.weight_decay as f32));
    SgdConfig::new()
        .with_momentum(Some(momentum))
        .with_weight_decay(decay)
        .with_gradient_clipping(
            (config.clip_norm).map(|norm| GradientClippingConfig::Norm(norm as f32)),
        )
        .init()
}

fn header(config: &Config, splits: &Splits, device: &str, parameters: usize, folder: &RunFolder) {
    let [channels, height, width] = splits.train.shape();
    let evaluated = match &splits.val {
        Some(val) => format!("{} to evaluate", grouped(val.len())),
        None => "none to evaluate".into(),
    };
    say!("data       {}", config.data.name());
    say!(
        "           {} to train, {evaluated}; {} classes; {channels} x {height} x {width}{}",
        count(splits.train.len(), "image"),
        splits.train.classes().len(),
        if config.augment {
            ", mirrored and shifted"
        } else {
            ""
        },
    );
    if !splits.skipped.is_empty() {
        let (skipped, first) = (splits.skipped.len(), &splits.skipped[0]);
        say!(
            "           {} skipped, the first {}: {}",
            count(skipped, "bad image"),
            first.path.display(),
            first.reason
        );
    }
    say!(
        "model      {}, {} parameters",
        config.model,
        grouped(parameters)
    );
    let algorithms = in_order(&config.algorithm, "\n           then ");
    say!("algorithm  {algorithms}");
    say!(
        "training   {}, batches of {}, learning rate {}",
        config.duration,
        config.batch_size,
        config.learning_rate
    );
    say!("device     {device}");
    say!("output     {}", folder.path().display());
}

fn summary(config: &Config, history: &History, folder: &RunFolder) {
    let Some(last) = history.reports.last() else {
        return;
    };
    let reports = history.reports.iter();
    let train_seconds: f64 = reports.map(|report| report.train_seconds).sum();
    let speed = last.samples as f64 / train_seconds.max(1e-9);
    say!();
    say!(
        "trained on {} in {}: {} images/s, with evaluation {} in all",
        count(last.samples as usize, "image"),
        clock(train_seconds),
        grouped(speed as usize),
        clock(last.seconds)
    );
    let goal = config.best.unwrap_or(Goal::EvalAccuracy);
    let best = goal
        .best(&history.reports)
        .map(|best| &history.reports[best]);
    if let (Some(eval), Some(best)) = (last.eval, best) {
        let score = goal.score(best).unwrap_or(f64::NAN);
        let best = match config.best {
            None => format!("best: {score:.2} % {}", at(best)),
            Some(goal) => format!("kept: {goal} {score:.4} {}", at(best)),
        };
        say!(
            "eval loss {:.4}, eval accuracy {:.2} % ({best})",
            eval.loss,
            eval.accuracy
        );
    }
    let path = folder.path().display();
    let logs = config.log.iter().map(|log| match log {
        Log::Jsonl => "  log.jsonl",
        Log::Tensorboard => "  tensorboard/",
    });
    let logs: String = logs.collect();
    say!();
    say!(
        "{path}/  config.toml  metrics.csv  model.safetensors  curves.png  batch.png  checkpoints/{logs}"
    );
    say!("evaluate   cutmix eval {path}");
    say!("predict    cutmix predict {path} IMAGE...");
}

fn at(report: &Report) -> String {
    match report.epoch.fract() == 0.0 {
        true => format!("in epoch {}", report.epoch),
        false => format!("at batch {}", report.batches),
    }
}
