//! `cutmix eval`.

use std::path::PathBuf;

use burn::tensor::{Int, Tensor};
use cutmix_train::Outputs;
use cutmix_vision::{Dataset, ImageLoader, OnBadImage, Split, Splits, open};

use super::train::{evaluator, own_splits};
use crate::data::{self, eval_batch_size};
use crate::device;
use crate::error::Error;
use crate::precision::Precision;
use crate::report::summary::named_scores;
use crate::report::table::ClassTable;
use crate::run_folder::{ModelCard, RunFolder};
use crate::settings::Settings;
use crate::terminal::{alternatives, count, line, warning};

/// Measure a trained network: loss, accuracy, and accuracy of each class.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    run: PathBuf,
    /// Set to measure on [default: the first of test, val and train that there is]
    #[arg(long, value_name = "SET", value_parser = ["test", "val", "train"])]
    split: Option<String>,
    /// Measure on these data instead of the run's own: a folder as for `cutmix train --data`, of
    /// which all images count where it is not divided into sets
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
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
    let splits = open_data(&args, &mut settings, &folder, &card)?;
    let (set, title, data) = choose_set(args.split.as_deref(), &splits)?;
    let name = data::name(args.data.as_deref().or(settings.data.as_deref()));
    if data.shape() != card.shape {
        let value = format!("{name} with images of shape {:?}", data.shape());
        let expected = format!("{:?}, the shape that the model takes", card.shape);
        return Err(Error::option("data", value, expected));
    }

    let data = data.with_classes(card.classes.clone(), matching_classes(data, &card)?)?;
    let (images, batch_size) = (data.len(), eval_batch_size(&data));
    let loader = ImageLoader::eval(data, batch_size, card.normalize.clone())?;
    let mut table = ClassTable::new(card.classes.len());
    let count_batch = |outputs: &Outputs| count_classes(&mut table, outputs);
    let evaluator = evaluator(&settings);
    let scores = evaluator.run_observed(&set, &model, &loader, &device, count_batch)?;
    line(format!("{name}, {title}: {}", count(images, "image")));
    line(named_scores(scores.iter()));
    line("");
    table.print(&card.classes);
    Ok(())
}

/// The data of the run in its own sets, or those of `--data`.
fn open_data(
    args: &EvalArgs,
    settings: &mut Settings,
    folder: &RunFolder,
    card: &ModelCard,
) -> Result<Splits, Error> {
    let Some(dir) = &args.data else {
        let advice = "measure the data as they are with --data";
        return own_splits(settings, &folder.read_manifest()?, advice);
    };
    let config = (settings.data_config())
        .with_size(card.shape[1])
        .with_channels(Some(card.shape[0]))
        // All images count, unless the folder has a validation set of its own.
        .with_val_fraction(None);
    let splits = open(dir, &config).map_err(|error| Error::from(error).without_advice())?;
    if config.on_bad_image == OnBadImage::Skip && !splits.skipped.is_empty() {
        warning(format!(
            "{} skipped",
            count(splits.skipped.len(), "bad image")
        ));
    }
    Ok(splits)
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
    let is_numbered = (data.classes().iter().enumerate()).all(|(at, name)| *name == at.to_string());
    let is_known = |name: &String| card.classes.contains(name);
    let by_number = is_numbered
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
