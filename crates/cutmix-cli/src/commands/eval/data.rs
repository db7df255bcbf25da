//! The images on which a network is measured.

use std::path::Path;

use cutmix_vision::{Change, Changes, DataError, Dataset, Manifest, Split, Splits};

use super::EvalArgs;
use super::trained_on::trained_on;
use crate::data::{open, own_splits};
use crate::error::Error;
use crate::evaluate::{Measured, is_numbered};
use crate::report::evaluation::Evaluation;
use crate::run_folder::{ModelCard, RunFolder};
use crate::settings::Settings;
use crate::terminal::alternatives;

/// The data that are measured.
pub struct Opened {
    pub splits: Splits,
    /// The data of the run.
    run: Manifest,
    /// Whether they are those of the run, in its sets.
    pub is_of_run: bool,
    /// The changes from the data of the run, where most of these are there and some are not.
    pub changes: Option<Changes>,
}

impl Opened {
    fn of_run(splits: Splits, run: Manifest) -> Self {
        Self {
            splits,
            run,
            is_of_run: true,
            changes: None,
        }
    }

    /// The set that was asked for, or the first one that there is of test, validation and training set.
    /// Other data that are not divided into sets are none of them.
    pub fn choose_set(&self, asked: Option<&str>) -> Result<(Option<Split>, &Dataset), Error> {
        let has_sets = self.is_of_run || self.splits.val.is_some() || self.splits.test.is_some();
        let found = [Split::Test, Split::Val, Split::Train].into_iter();
        let found = found.filter_map(|split| {
            let set = self.splits.set(split).filter(|set| !set.is_empty())?;
            Some((split, set))
        });
        let found: Vec<_> = found.collect();
        let is_chosen =
            |(split, _): &&(Split, _)| asked.is_none_or(|asked| asked == split.to_string());
        let chosen = found.iter().find(is_chosen);
        let chosen = chosen.map(|&(split, set)| (has_sets.then_some(split), set));
        chosen.ok_or_else(|| {
            let names: Vec<_> = found.iter().map(|(split, _)| split.to_string()).collect();
            let names = alternatives(names.iter().map(String::as_str));
            let expected = format!("{names}, as the data are divided");
            Error::option("split", asked.unwrap_or_default(), expected)
        })
    }

    /// The number of images that were measured and are in the training set of the run.
    pub fn trained_on(&self, measured: &Measured) -> usize {
        let Evaluation {
            set,
            images,
            skipped,
            ..
        } = &measured.evaluation;
        match set {
            Some(Split::Train) if self.is_of_run => *images,
            _ if self.is_of_run => 0,
            _ => trained_on(&self.run, measured.data(), skipped).min(*images),
        }
    }
}

/// The data of the run in its own sets, or those of `--data`.
pub fn open_data(
    args: &EvalArgs,
    settings: &mut Settings,
    folder: &RunFolder,
    card: &ModelCard,
) -> Result<Opened, Error> {
    let manifest = folder.read_manifest()?;
    let Some(data) = &args.data else {
        let instead = "measure the data as they are with --data";
        let splits = own_splits(settings, &manifest, instead)?;
        return Ok(Opened::of_run(splits, manifest));
    };
    if let Some(splits) = moved(settings, &manifest, data) {
        return Ok(Opened::of_run(splits, manifest));
    }
    // All images count, so there is no validation set unless the data have one.
    let config = settings.data_config().with_multi_label(card.is_multi_label);
    let known = config.clone().with_classes(Some(card.classes.clone()));
    let splits = match open(Some(data), &known) {
        // Classes that are numbers may be those of the network by their order.
        Err(unknown @ DataError::UnknownClass { .. }) => {
            let opened = open(Some(data), &config).ok();
            opened
                .filter(|opened| is_numbered(&opened.train))
                .ok_or(unknown)
        }
        opened => opened,
    };
    let splits = splits.map_err(|error| Error::from(error).without_advice())?;
    let (_, changes) = manifest.apply(&splits);
    let changes = Some(changes).filter(|changes| {
        let changed = changes.iter().map(|change| match change {
            Change::Removed(names) | Change::Relabelled(names) | Change::Resized(names) => {
                names.len()
            }
            _ => 0,
        });
        2 * changed.sum::<usize>() < manifest.samples.len() && !changes.is_empty()
    });
    Ok(Opened {
        splits,
        run: manifest,
        is_of_run: false,
        changes,
    })
}

/// The data of the run in its own sets, where they are in `data` now.
fn moved(settings: &Settings, manifest: &Manifest, data: &Path) -> Option<Splits> {
    let mut settings = Settings {
        data: Some(data.into()),
        ..settings.clone()
    };
    let (splits, changes) = manifest.apply(&settings.open_whole_data().ok()?);
    changes.is_empty().then_some(splits)
}
