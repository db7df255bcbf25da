//! `cutmix train`.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use cutmix::algorithms::Algorithm;
use cutmix::time::Duration;
use cutmix::trainer::{History, Trainer};
use cutmix_vision::{Augment, Loader, LoaderOptions, Normalize, Splits};

use crate::args::TrainArgs;
use crate::config::{Config, Settings};
use crate::device;
use crate::error::Error;
use crate::metrics::Table;
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

const MIXED: &str = "mixed accuracy: the share of each mixed label on the predicted class, lower than \
                     on whole images";

/// Trains as told and reports.
pub fn run(args: TrainArgs) -> Result<(), Error> {
    let mut settings = args.settings;
    settings.augment = settings.augment.or(args.no_augment.then_some(false));
    if let Some(path) = &args.config {
        settings = settings.or(Settings::read(path)?);
    }
    let device = device::choose(settings.device.as_deref().unwrap_or("auto"))?;
    settings.check()?;
    RunFolder::check(args.output.as_deref())?;
    let (data, splits) = settings.data()?.open()?;
    let config = settings.resolve(data, &splits.train, device.name.clone())?;

    let normalize = Normalize::of(&splits.train)?;
    let (train, eval) = loaders(&config, &splits, &normalize)?;
    let card = ModelCard {
        architecture: config.model,
        classes: splits.train.classes().to_vec(),
        shape: splits.train.shape(),
        normalize,
    };
    device.device.seed(config.seed);
    let model = card.network(&device.device.clone().autodiff())?;
    let algorithms = config
        .algorithm
        .iter()
        .filter_map(|spec| spec.build(card.classes.len()));
    let algorithms: Vec<_> = algorithms.collect();
    let mixes = algorithms
        .iter()
        .any(|algorithm| Algorithm::<4>::effects(algorithm).mixes_targets);

    // From here on there are results.
    let folder = RunFolder::create(args.output.as_deref())?;
    folder.write_config(&config)?;
    let mut table = Table::create(&folder.metrics())?;
    header(
        &config,
        &splits,
        &device.describe(),
        model.num_params(),
        &folder,
    );
    if mixes {
        say!("{MIXED}");
    }
    say!();

    let size = size(&config, splits.train.len());
    let bar = progress::bar();
    let lines = bar.clone();
    let mut trainer = Trainer::new(model, Arc::new(train))
        .max_duration(config.duration)
        .optimizer(optimizer(&config))
        .learning_rate(config.learning_rate)
        .schedule(config.schedule())
        .seed(config.seed)
        .device(device.device.clone())
        .on_epoch(move |epoch| {
            table.row(epoch)?;
            match &lines {
                Some(bar) => bar.suspend(|| say!("{epoch}")),
                None => say!("{epoch}"),
            }
            Ok(())
        });
    if let Some(bar) = bar {
        trainer = trainer.renderer(move |clock| Box::new(Live::new(bar, clock, size, mixes)));
    }
    if let Some(eval) = eval {
        trainer = trainer.eval_loader(Arc::new(eval));
    }
    for algorithm in algorithms {
        trainer = trainer.algorithm(algorithm);
    }
    let start = Instant::now();
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
        .fit()?;
    let seconds = start.elapsed().as_secs_f64();

    folder.save_model(&fit.model, &card)?;
    let curves = curves::write(&folder.curves(), &fit.history, mixes);
    curves.map_err(|reason| Error::write(&folder.curves(), reason))?;
    summary(&fit.history, seconds, &folder);
    Ok(())
}

fn loaders(
    config: &Config,
    splits: &Splits,
    normalize: &Normalize,
) -> Result<(Loader, Option<Loader>), Error> {
    let [_, height, width] = splits.train.shape();
    let options = LoaderOptions {
        batch_size: config.batch_size,
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
        .init()
}

fn size(config: &Config, samples: usize) -> Size {
    let batch_size = config.batch_size as u64;
    let epoch_batches = (samples as u64 / batch_size).max(1);
    let batches = match config.duration {
        Duration::Epochs(epochs) => epochs.saturating_mul(epoch_batches),
        Duration::Batches(batches) => batches,
        Duration::Samples(samples) => samples.div_ceil(batch_size),
        Duration::Share(_) | Duration::Wall(_) => u64::MAX,
    };
    Size {
        epochs: batches.div_ceil(epoch_batches),
        epoch_batches,
        batch_size,
        batches,
    }
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

fn summary(history: &History, seconds: f64, folder: &RunFolder) {
    let Some(last) = history.epochs.last() else {
        return;
    };
    let train_seconds: f64 = history.epochs.iter().map(|epoch| epoch.train_seconds).sum();
    let speed = last.samples as f64 / train_seconds.max(1e-9);
    say!();
    say!(
        "trained on {} in {}: {} images/s, with evaluation {} in all",
        count(last.samples as usize, "image"),
        clock(train_seconds),
        grouped(speed as usize),
        clock(seconds)
    );
    if let Some(eval) = last.eval {
        let accuracy = |epoch: &&cutmix::trainer::Epoch| epoch.eval.map_or(0.0, |e| e.accuracy);
        let best = (history.epochs.iter()).max_by(|a, b| accuracy(a).total_cmp(&accuracy(b)));
        let best = best.map_or_else(String::new, |best| {
            format!(" (best: {:.2} % in epoch {})", accuracy(&best), best.epoch)
        });
        say!(
            "eval loss {:.4}, eval accuracy {:.2} %{best}",
            eval.loss,
            eval.accuracy
        );
    }
    let path = folder.path().display();
    say!();
    say!("{path}/  config.toml  metrics.csv  model.safetensors  curves.png  batch.png");
    say!("evaluate   cutmix eval {path}");
    say!("predict    cutmix predict {path} IMAGE...");
}
