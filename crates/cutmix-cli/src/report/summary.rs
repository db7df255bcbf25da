//! What `cutmix train` prints before and after a run.

use std::path::Path;

use cutmix_train::{Checkpoint, Event, History, Report, Score};
use cutmix_vision::{Dataset, Splits};

use crate::settings::{Resolved, Settings, in_order};
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
    pub folder: &'a Path,
    /// The checkpoint that the run is resumed from.
    pub checkpoint: Option<&'a Checkpoint>,
}

/// Prints what a run is going to do.
pub fn print_header(header: &Header) {
    let Header {
        settings, resolved, ..
    } = header;
    print_data(settings, resolved, header.splits);
    let parameters = grouped(header.parameters);
    line(format!(
        "model      {}, {parameters} parameters",
        resolved.architecture.name
    ));
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

fn print_data(settings: &Settings, resolved: &Resolved, splits: &Splits) {
    let [channels, height, width] = splits.train.shape();
    let size = |set: &Option<Dataset>| set.as_ref().map_or("none".into(), |set| grouped(set.len()));
    let augmented = if resolved.augment {
        ", mirrored and shifted"
    } else {
        ""
    };
    line(format!("data       {}", settings.data_name()));
    line(format!(
        "           {} to train, {} to validate, {} to test; {} classes; {channels} x {height} x \
         {width}{augmented}",
        count(splits.train.len(), "image"),
        size(&splits.val),
        size(&splits.test),
        splits.train.classes().len(),
    ));
    if let Some(first) = splits.skipped.first() {
        let (path, reason) = (first.path.display(), &first.reason);
        let skipped = count(splits.skipped.len(), "bad image");
        line(format!(
            "           {skipped} skipped, the first {path}: {reason}"
        ));
    }
    if let Some(folder) = &splits.unlabelled {
        warning(format!(
            "{} has images without class folders, which cannot be a test set; it is not used",
            folder.display()
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
pub fn print_result(settings: &Settings, history: &History, test: &[Score], folder: &Path) {
    line("");
    if let Some(last) = history.reports.last() {
        let seconds: f64 = history
            .reports
            .iter()
            .map(|report| report.train_seconds)
            .sum();
        line(format!(
            "trained on {} in {}: {} images/s, with evaluation {} in all",
            count(last.samples as usize, "image"),
            clock(seconds),
            grouped((last.samples as f64 / seconds.max(1e-9)) as usize),
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
    let run = quoted(folder);
    line("");
    line(format!(
        "{}/  config.toml  metrics.csv  model.safetensors  curves.png  batch.png  manifest.json  \
         checkpoints/{logs}",
        folder.display()
    ));
    line(format!("evaluate   cutmix eval {run}"));
    line(format!("predict    cutmix predict {run} IMAGE..."));
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
        let (value, place) = (report.score(name)?.text(), report.place());
        Some(format!(" ({verb}: {name} {value} at {place})"))
    });
    let scores = named_scores(scores.into_iter());
    line(format!("validation {scores}{}", best.unwrap_or_default()));
}

/// Scores without the name of their set: `loss 0.3412, accuracy 87.31 %`.
pub fn named_scores<'a>(scores: impl Iterator<Item = &'a Score>) -> String {
    let scores = scores.map(|score| format!("{} {}", score.set_and_metric().1, score.text()));
    scores.collect::<Vec<_>>().join(", ")
}
