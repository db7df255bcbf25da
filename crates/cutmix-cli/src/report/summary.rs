//! What `cutmix train` prints before and after a run.

use std::path::Path;

use cutmix_train::{Checkpoint, Event, History, Report, Score};
use cutmix_vision::models::LayerRates;
use cutmix_vision::{Augment, Dataset, Fit, SkippedImage, Splits};

use crate::error::with_option;
use crate::metrics;
use crate::settings::{Resolved, Settings, Train, in_order};
use crate::terminal::{clock, count, grouped, line, quoted, warning};

const MIXED: &str = "mixed accuracy: the weight of the predicted class in each mixed label, lower than \
                     on whole images";

/// What the header of a run shows.
pub struct Header<'a> {
    pub settings: &'a Settings,
    pub resolved: &'a Resolved,
    pub splits: &'a Splits,
    pub device: &'a str,
    pub parameters: usize,
    /// The weights that the run starts from.
    pub loaded: &'a [String],
    pub folder: &'a Path,
    /// The checkpoint that the run is resumed from.
    pub checkpoint: Option<&'a Checkpoint>,
}

/// Prints what a run is going to do.
pub fn print_header(header: &Header) {
    let Header {
        settings, resolved, ..
    } = header;
    print_data(settings, header.splits);
    if let Some(recipe) = settings.recipe {
        line(format!("recipe     {recipe}: {}", recipe.source()));
    }
    let parameters = grouped(header.parameters);
    line(format!(
        "model      {}, {parameters} parameters",
        resolved.architecture.name
    ));
    for (index, text) in header.loaded.iter().enumerate() {
        let label = if index == 0 { "weights" } else { "" };
        line(format!("{label:<11}{text}"));
    }
    for (index, algorithm) in in_order(&settings.algorithm, Event::FitEnd, "\n")
        .lines()
        .enumerate()
    {
        let label = if index == 0 {
            "algorithm  "
        } else {
            "           then "
        };
        line(format!("{label}{algorithm}"));
    }
    print_parts(settings);
    line(format!(
        "training   {}, batches of {}, {} with a peak learning rate of {}",
        settings.duration, settings.batch_size, resolved.optimizer, resolved.learning_rate
    ));
    line(format!("device     {}", header.device));
    line(format!("output     {}", header.folder.display()));
    if let Some(checkpoint) = header.checkpoint {
        print_resumed(checkpoint, settings, resolved);
    }
    if settings.effects().mixes_targets {
        line(MIXED);
    }
    line("");
}

/// Prints which parts of the network are trained in their own way.
fn print_parts(settings: &Settings) {
    if settings.train == Train::Head {
        line("trained    the head, on features that are computed once");
    }
    if !settings.freeze.is_empty() {
        let parts: Vec<_> = settings
            .freeze
            .iter()
            .map(|part| part.to_string())
            .collect();
        line(format!("frozen     {}", parts.join(", ")));
    }
    if settings.layer_rates() != LayerRates::new() {
        line(format!(
            "rates      {} for the head, {} from each layer to the one in front of it",
            settings.head_rate, settings.layer_decay
        ));
    }
}

fn print_data(settings: &Settings, splits: &Splits) {
    let [channels, height, width] = splits.train.shape();
    let size = |set: &Option<Dataset>| set.as_ref().map_or("none".into(), |set| grouped(set.len()));
    line(format!("data       {}", settings.data_name()));
    line(format!(
        "           {} to train, {} to validate, {} to test; {} classes; {channels} x {height} x \
         {width}",
        count(splits.train.len(), "image"),
        size(&splits.val),
        size(&splits.test),
        splits.train.classes().len(),
    ));
    print_changes(settings, splits);
    if !splits.unused.is_empty() {
        line(format!("           not used: {}", splits.unused));
    }
    if let Some(folder) = &splits.unlabelled {
        warning(format!(
            "{} has images without class folders, which cannot be a test set; it is not used",
            folder.display()
        ));
    }
}

/// Prints what is done to the images on the way to the network.
fn print_changes(settings: &Settings, splits: &Splits) {
    let view = settings.eval_view(&splits.train);
    let fitted = match settings.fit {
        Fit::Crop if view.crop_share < 1.0 => {
            format!("the middle {:.3} of the sides", view.crop_share)
        }
        Fit::Crop => "the middle".into(),
        Fit::Pad => "the whole image with a border".into(),
        Fit::Stretch => "the whole image, stretched".into(),
    };
    let [_, height, width] = view.shape;
    let is_changed = settings
        .augment
        .as_ref()
        .is_some_and(|list| !list.is_empty());
    let augment = match &settings.augment {
        Some(list) if is_changed => list.to_string(),
        _ => Augment::new().to_string(),
    };
    if splits.train.is_of_files() || is_changed {
        line(format!(
            "augment    {augment}; evaluation sees {fitted} as {height} x {width}"
        ));
    }
    let seen = splits
        .train
        .clone()
        .with_view(view)
        .map_or(1.0, |set| set.seen_share());
    if seen < 0.5 {
        line(format!(
            "           evaluation sees {:.0} % of the area of most images; --fit pad or stretch shows \
             all of it",
            100.0 * seen
        ));
    }
    let left_over = splits.train.len() % (settings.batch_size / settings.accumulate);
    if left_over > 0 {
        line(format!(
            "           each epoch leaves out {}, different ones each time, which do not fill a batch",
            count(left_over, "image")
        ));
    }
}

/// Prints where a run is resumed and, if it has another length now, what the schedule does.
fn print_resumed(checkpoint: &Checkpoint, settings: &Settings, resolved: &Resolved) {
    line(format!(
        "resumed    after batch {}",
        grouped(checkpoint.batches() as usize)
    ));
    let (before, now) = (checkpoint.max_duration(), settings.duration);
    if before == now {
        return;
    }
    if checkpoint.is_complete() {
        line(format!(
            "extended   from {before} to {now}: a new cycle of the schedule {} starts, with a peak \
             learning rate of {}",
            settings.schedule, resolved.learning_rate
        ));
    } else {
        line(format!(
            "extended   from {before} to {now}: the schedule {} continues as if the run had been that \
             long from the start",
            settings.schedule
        ));
    }
}

/// Prints the result of a finished run: `test` are the scores of its model on the test set.
pub fn print_result(
    settings: &Settings,
    history: &History,
    test: &[Score],
    skipped: &[SkippedImage],
    folder: &Path,
) {
    line("");
    print_skipped(skipped);
    if let Some(last) = history.reports.last() {
        let sum =
            |seconds: fn(&Report) -> f64| -> f64 { history.reports.iter().map(seconds).sum() };
        let seconds = sum(|report| report.train_seconds).max(1e-9);
        line(format!(
            "trained on {} in {}: {} images/s, {:.0} % of the time waiting for images; with \
             evaluation {} in all",
            count(last.samples as usize, "image"),
            clock(seconds),
            grouped((last.samples as f64 / seconds) as usize),
            100.0 * sum(|report| report.data_seconds) / seconds,
            clock(last.seconds)
        ));
        print_validation(settings, history, last);
    }
    if !test.is_empty() {
        let model = if settings.best.is_some() {
            "best"
        } else {
            "last"
        };
        let scores = named_scores(test.iter());
        line(format!("test       {scores} ({model} model)"));
    }
    let logs: String = settings.log.iter().map(|log| format!("  {log}")).collect();
    let picture = match settings.train {
        Train::All => "batch.png  ",
        // The network is given no images.
        Train::Head => "",
    };
    let run = quoted(folder);
    line("");
    line(format!(
        "{}/  report.html  config.toml  given.toml  metrics.csv  batches.csv  model.safetensors  \
         curves.png  {picture}manifest.json  card.json  checkpoints/  eval/{logs}",
        folder.display()
    ));
    line(format!("evaluate   cutmix eval {run}"));
    line(format!("predict    cutmix predict {run} PATH..."));
    line(format!("explain    cutmix explain {run} IMAGE..."));
}

/// Prints how many bad images were left out.
pub fn print_skipped(skipped: &[SkippedImage]) {
    if let Some(first) = skipped.first() {
        let number = count(skipped.len(), "bad image");
        let reason = with_option(&first.reason);
        line(format!("{number} skipped, the first: {reason}"));
    }
}

fn print_validation(settings: &Settings, history: &History, last: &Report) {
    let scores: Vec<_> = (last.scores.iter())
        .filter(|score| score.set_and_metric().0 == "val")
        .collect();
    if scores.is_empty() {
        return;
    }
    let (name, verb) = match &settings.best {
        Some(name) => (name.as_str(), "kept"),
        None => ("val/accuracy", "best"),
    };
    let best = history.best(name).and_then(|report| {
        let score = report.score(name)?;
        let value = metrics::text(score.set_and_metric().1, score.value);
        let place = report.place();
        Some(format!(" ({verb}: {name} {value} at {place})"))
    });
    let scores = named_scores(scores.into_iter());
    line(format!("validation {scores}{}", best.unwrap_or_default()));
}

/// Scores without the name of their set: `loss 0.3412, accuracy 87.31 %`.
pub fn named_scores<'a>(scores: impl Iterator<Item = &'a Score>) -> String {
    let scores = scores.map(|score| {
        let (_, metric) = score.set_and_metric();
        format!("{metric} {}", metrics::text(metric, score.value))
    });
    scores.collect::<Vec<_>>().join(", ")
}
