//! `cutmix eval`.

use burn::data::dataloader::DataLoader;
use burn::tensor::Device;
use cutmix::loss::{CrossEntropy, Reduction};
use cutmix::{Batch, Targets};
use cutmix_vision::{Dataset, Loader, OnBadImage, ResNet, open};

use crate::args::EvalArgs;
use crate::config::Config;
use crate::device;
use crate::error::Error;
use crate::run_folder::{ModelCard, RunFolder};
use crate::say::{count, say};
use crate::train::eval_batch;

/// Measures a trained network and prints the result.
pub fn run(args: EvalArgs) -> Result<(), Error> {
    let device = device::choose(&args.device)?.device;
    let folder = RunFolder::open(&args.run)?;
    let config = Config::read(&folder.config())?;
    let (card, model) = folder.load_model(&device)?;
    let (name, data) = data(&args, config, &card)?;
    if data.shape() != card.shape {
        let (found, wanted) = (data.shape(), card.shape);
        let value = format!("{name} with images of shape {found:?}");
        return Err(Error::option(
            "data",
            value,
            format!("{wanted:?}, as the model takes"),
        ));
    }
    let classes = matching(&data, &card)?;
    let table = measure(&data, &card, &model, &classes, &device)?;
    say!("{name}: {}", count(data.len(), "image"));
    say!(
        "loss {:.4}, accuracy {:.2} %",
        table.loss / data.len() as f64,
        100.0 * table.right() as f64 / data.len() as f64
    );
    say!();
    table.print(&card.classes);
    Ok(())
}

/// The data to measure on, and what to call them.
fn data(args: &EvalArgs, config: Config, card: &ModelCard) -> Result<(String, Dataset), Error> {
    let Some(dir) = &args.data else {
        let (options, splits) = config.data.open()?;
        let name = options.name();
        return Ok(match splits.val {
            Some(val) => (format!("{name}, validation set"), val),
            None => (format!("{name}, training set"), splits.train),
        });
    };
    let mut options = config.data;
    options.size = Some(card.shape[1]);
    let mut options = options.folder_options(Some(card.shape[0]));
    // All of it counts, unless it has a validation set of its own.
    options.val_fraction = None;
    let splits = open(dir, &options).map_err(|error| Error::from(error).without_hint())?;
    if options.on_bad_image == OnBadImage::Skip && !splits.skipped.is_empty() {
        say!("{} skipped", count(splits.skipped.len(), "bad image"));
    }
    let name = dir.display().to_string();
    Ok(match splits.val {
        Some(val) => (format!("{name}, validation set"), val),
        None => (name, splits.train),
    })
}

/// The model's class for each class of the data: by name, or by number where the data have only
/// numbers (as IDX files do).
fn matching(data: &Dataset, card: &ModelCard) -> Result<Vec<usize>, Error> {
    let numbered = (data.classes().iter().enumerate()).all(|(at, name)| *name == at.to_string());
    let is_known = |name: &String| card.classes.contains(name);
    let by_number = numbered
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

/// How often each class was taken for each, and the sum of the losses.
struct Table {
    counts: Vec<Vec<usize>>,
    loss: f64,
}

fn measure(
    data: &Dataset,
    card: &ModelCard,
    model: &ResNet,
    classes: &[usize],
    device: &Device,
) -> Result<Table, Error> {
    let mut table = Table {
        counts: vec![vec![0; card.classes.len()]; card.classes.len()],
        loss: 0.0,
    };
    let mut labels = data.labels().map(|label| classes[label]);
    let loader = Loader::eval(data.clone(), eval_batch(card.shape), card.normalize.clone())?
        .to_device(device);
    let loss = CrossEntropy::new().reduction(Reduction::Sum);
    let read = |error: &dyn ToString| cutmix::Error::Device(error.to_string());
    for batch in loader.iter() {
        let Batch { images, .. } =
            batch.map_err(|error| cutmix::Error::Training(std::sync::Arc::new(error.into())))?;
        let logits = model.forward(images);
        let [size, _] = logits.dims();
        let labels: Vec<_> = labels.by_ref().take(size).collect();
        let indices: Vec<_> = labels.iter().map(|&label| label as i32).collect();
        let targets = Targets::Indices(burn::tensor::Tensor::from_data(indices.as_slice(), device));
        let sum = loss
            .forward(logits.clone(), targets)?
            .try_into_scalar::<f64>();
        table.loss += sum.map_err(|error| read(&error))?;
        let predicted = logits
            .argmax(1)
            .try_into_data()
            .map_err(|error| read(&error))?;
        for (label, predicted) in labels.into_iter().zip(predicted.iter::<i64>()) {
            table.counts[label][predicted as usize] += 1;
        }
    }
    Ok(table)
}

impl Table {
    fn right(&self) -> usize {
        (0..self.counts.len())
            .map(|class| self.counts[class][class])
            .sum()
    }

    fn print(&self, classes: &[String]) {
        let width = classes
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .max(5);
        say!("{:width$}  images  accuracy  most often taken for", "class");
        for (class, counts) in self.counts.iter().enumerate() {
            let total: usize = counts.iter().sum();
            if total == 0 {
                continue;
            }
            let share = |count: usize| 100.0 * count as f64 / total as f64;
            let others = counts
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != class);
            // The first of equals, so that the table does not depend on the order of search.
            let worst = others.rev().max_by_key(|(_, count)| **count);
            let worst = match worst {
                Some((other, &count)) if count > 0 => {
                    format!("{} ({:.1} %)", classes[other], share(count))
                }
                _ => "-".into(),
            };
            let name = &classes[class];
            say!(
                "{name:width$}  {total:>6}  {:>6.2} %  {worst}",
                share(counts[class])
            );
        }
    }
}
