//! `cutmix eval`.

use std::path::{Path, PathBuf};

use burn::tensor::{Int, Tensor};
use cutmix_train::{LabelScores, Loader, Outputs};
use cutmix_vision::{
    Change, Changes, DataError, Dataset, ImageLoader, LoaderConfig, Manifest, OnBadImage, Split,
    Splits, open,
};

use super::train::{evaluator, measure, own_splits};
use crate::data::{self, eval_batch_size};
use crate::device;
use crate::error::Error;
use crate::precision::Precision;
use crate::report::summary::{named_scores, print_skipped};
use crate::report::table::{ClassTable, label_table};
use crate::run_folder::{ModelCard, RunFolder};
use crate::settings::{Bytes, Settings};
use crate::terminal::{alternatives, count, line, warning};

/// Measure a trained network: loss, accuracy, and accuracy of each class.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    run: PathBuf,
    /// Set to measure on [default: the first of test, val and train that there is]
    #[arg(long, value_name = "SET", value_parser = ["test", "val", "train"])]
    split: Option<String>,
    /// Where the data of the run are now, or other data to measure on: as for `cutmix train --data`;
    /// all images count where they are not divided into sets
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// What to do with an image that cannot be decoded: end with an error, or leave it out and count it
    /// [default: as the run did]
    #[arg(long, value_name = "fail|skip", hide_possible_values = true)]
    on_bad_image: Option<OnBadImage>,
    /// Memory that all threads together may take to decode images [default: as the run did]
    #[arg(long, value_name = "BYTES")]
    decode_memory: Option<Bytes>,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    device: String,
}

/// The sets in the order in which one is chosen, with their titles.
const SETS: [(Split, &str); 3] = [
    (Split::Test, "test set"),
    (Split::Val, "validation set"),
    (Split::Train, "training set"),
];

/// Measures a trained network and prints the result.
pub fn run(args: EvalArgs) -> Result<(), Error> {
    let chosen = device::choose(&args.device)?;
    let folder = RunFolder::open(&args.run)?;
    let mut settings = Settings::read(&folder.config())?;
    if let Some(what) = args.on_bad_image {
        settings.on_bad_image = what;
    }
    if let Some(memory) = args.decode_memory {
        settings.decode_memory = memory;
    }
    // Scores are those of the training only in its own type.
    let precision = settings.precision;
    if precision.is_supported(&chosen) {
        precision.set(&chosen)?;
    } else {
        let name = &chosen.name;
        warning(format!(
            "device {name} does not have {precision}, the type of the run; f32 is used"
        ));
        settings.precision = Precision::F32;
    }
    let device = chosen.device;
    let (card, model) = folder.load_model(&device, settings.precision)?;
    let Opened { splits, changes } = open_data(&args, &mut settings, &folder, &card)?;
    let (set, title, data) = choose_set(args.split.as_deref(), &splits)?;
    let name = data::name(args.data.as_deref().or(settings.data.as_deref()));
    if data.is_multi_label() != card.is_multi_label && !data.is_empty() {
        let kinds = ["one class each", "any number of classes"];
        let [found, expected] = [data.is_multi_label(), card.is_multi_label];
        let value = format!("{name} with images of {}", kinds[usize::from(found)]);
        let expected = format!("images of {}", kinds[usize::from(expected)]);
        return Err(Error::option("data", value, expected));
    }
    let loader = eval_loader(data.clone(), &settings, &card)?;
    let mut table = ClassTable::new(card.classes.len());
    let mut labels = LabelScores::new(card.classes.len());
    let count_batch = |outputs: &Outputs| {
        if card.is_multi_label {
            labels.add(outputs).map_err(cutmix_train::Error::other)
        } else {
            count_classes(&mut table, outputs)
        }
    };
    let evaluator = evaluator(&settings, &card, &device);
    let scores = measure(&evaluator, &set, &model, &loader, &device, count_batch)?;
    let skipped = loader.skipped();
    let images = loader.num_samples() - skipped.len();
    line(format!("{name}, {title}: {}", count(images, "image")));
    if let Some(changes) = changes {
        line(format!(
            "these are not the data of the run, though most of its images are among them: {changes}"
        ));
    }
    print_skipped(&skipped);
    line(named_scores(scores.iter()));
    line("");
    if !card.is_multi_label {
        table.print(&card.classes);
        return Ok(());
    }
    let val = splits.val.as_ref().filter(|val| !val.is_empty());
    let val = val.filter(|_| set != Split::Val.to_string());
    let chosen_on = match val {
        Some(val) => {
            let loader = eval_loader(val.clone(), &settings, &card)?;
            let mut scores = LabelScores::new(card.classes.len());
            let add = |outputs: &Outputs| scores.add(outputs).map_err(cutmix_train::Error::other);
            measure(&evaluator, "val", &model, &loader, &device, add)?;
            scores
        }
        None => labels.clone(),
    };
    label_table(&labels, &chosen_on, &card.classes);
    if val.is_none() {
        line("");
        line("The thresholds are the best ones for these images themselves.");
    }
    Ok(())
}

/// The loader of a set under the classes of the model.
fn eval_loader(data: Dataset, settings: &Settings, card: &ModelCard) -> Result<ImageLoader, Error> {
    let data = data.with_view(card.view)?;
    let data = data.with_classes(card.classes.clone(), matching_classes(&data, card)?)?;
    let config = LoaderConfig::new(eval_batch_size(&data), card.normalize.clone())
        .with_on_bad_image(settings.on_bad_image);
    Ok(ImageLoader::eval(data, config)?)
}

/// What is measured.
struct Opened {
    splits: Splits,
    /// The changes from the data of the run, where most of these are there and some are not.
    changes: Option<Changes>,
}

/// The data of the run in its own sets, or those of `--data`.
fn open_data(
    args: &EvalArgs,
    settings: &mut Settings,
    folder: &RunFolder,
    card: &ModelCard,
) -> Result<Opened, Error> {
    let manifest = folder.read_manifest()?;
    let of_run = |splits| Opened {
        splits,
        changes: None,
    };
    let Some(data) = &args.data else {
        let instead = "measure the data as they are with --data";
        return own_splits(settings, &manifest, instead).map(of_run);
    };
    if let Some(splits) = moved(settings, &manifest, data) {
        return Ok(of_run(splits));
    }
    // All images count, so there is no validation set unless the data have one.
    let config = settings.data_config().with_multi_label(card.is_multi_label);
    let known = config.clone().with_classes(Some(card.classes.clone()));
    let splits = match open(data, &known) {
        // Classes that are numbers may be those of the network by their order.
        Err(unknown @ DataError::UnknownClass { .. }) => {
            let opened = open(data, &config).ok();
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
    Ok(Opened { splits, changes })
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

/// The set that was asked for, or the first one that there is, with its name and its title.
fn choose_set<'a>(
    asked: Option<&str>,
    splits: &'a Splits,
) -> Result<(String, &'static str, &'a Dataset), Error> {
    let found = SETS.iter().filter_map(|(split, title)| {
        let set = splits.set(*split).filter(|set| !set.is_empty())?;
        Some((split.to_string(), *title, set))
    });
    let found: Vec<_> = found.collect();
    let is_chosen = |(name, ..): &&(String, _, _)| asked.is_none_or(|asked| asked == name);
    found.iter().find(is_chosen).cloned().ok_or_else(|| {
        let names = alternatives(found.iter().map(|(name, ..)| name.as_str()));
        let expected = format!("{names}, the sets of the data");
        Error::option("split", asked.unwrap_or_default(), expected)
    })
}

/// The model's class for each class of the data: by name, or by number where the data have only
/// numbers, as IDX files do.
fn matching_classes(data: &Dataset, card: &ModelCard) -> Result<Vec<usize>, Error> {
    let is_known = |name: &String| card.classes.contains(name);
    let by_number = is_numbered(data)
        && data.classes().len() <= card.classes.len()
        && !data.classes().iter().any(is_known);
    if by_number {
        return Ok((0..data.classes().len()).collect());
    }
    let find = |name: &String| {
        let known = || card.classes.iter().map(String::as_str);
        let at = known().position(|class| class == name);
        at.ok_or_else(|| Error::unknown("class of the data", name, known()))
    };
    data.classes().iter().map(find).collect()
}

/// Whether the classes are called `0`, `1` and so on.
fn is_numbered(data: &Dataset) -> bool {
    let mut names = data.classes().iter().enumerate();
    names.all(|(at, name)| *name == at.to_string())
}

/// Counts the classes that were predicted for the classes of a batch.
fn count_classes(table: &mut ClassTable, outputs: &Outputs) -> Result<(), cutmix_train::Error> {
    let read = |tensor: Tensor<1, Int>| tensor.try_into_data().map_err(cutmix_train::Error::other);
    let predicted = read(outputs.logits.clone().argmax(1).squeeze_dim(1))?;
    let classes = read(outputs.targets.clone().into_indices("evaluation")?)?;
    for (class, predicted) in classes.iter::<i64>().zip(predicted.iter::<i64>()) {
        table.count(class as usize, predicted as usize);
    }
    Ok(())
}
