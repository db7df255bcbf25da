//! `cutmix preview`.

use std::path::PathBuf;

use clap::value_parser;
use cutmix::plan::Stream;
use cutmix_train::algorithms::ALGORITHMS;
use cutmix_train::{Batch, Event, State};
use cutmix_vision::{
    AnyNetwork, Augment, Dataset, Image, ImageLoader, LoaderConfig, ModelConfig, Normalize,
    to_targets, to_tensor,
};

use crate::embedded::data_parser;
use crate::error::Error;
use crate::outputs::read;
use crate::picture::{Grid, Row, Tile, tiles};
use crate::settings::{AlgorithmSpec, Bytes, Settings, parse_algorithm, parse_augment};
use crate::terminal::{alternatives, line};
use crate::{data, device};

/// Draw what an algorithm or augmentations do to images: originals, partners and results in one
/// picture. Where the data know the box of an object, the original has it as a frame.
#[derive(Debug, clap::Args)]
pub struct PreviewArgs {
    /// Images, as for `cutmix train --data` [default: fashion-mnist, which is embedded]
    #[arg(long, value_name = "DATA", value_parser = data_parser())]
    data: Option<PathBuf>,
    /// Side of the squares that images become, in pixels, 1 to 4096 [default: as for `cutmix train`]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Columns of the picture, each a sample of one batch
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = value_parser!(u32).range(2..=64))]
    count: u32,
    /// Algorithm that changes images, as for `cutmix train --algorithm` [default: cutmix, with
    /// --augment none]
    #[arg(long, value_name = "SPEC", value_parser = parse_algorithm)]
    algorithm: Option<AlgorithmSpec>,
    /// Random changes to images, as for `cutmix train --augment` [default: none]
    #[arg(long, value_name = "LIST", value_parser = parse_augment)]
    augment: Option<Augment>,
    /// Memory that all threads together may take to decode images
    #[arg(long, value_name = "BYTES", default_value = "1GiB")]
    decode_memory: Bytes,
    /// Seed by which the images are chosen and the changes are drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// PNG file to write; one of this name is replaced
    #[arg(long, short, value_name = "FILE", default_value = "preview.png")]
    output: PathBuf,
}

/// Rows of augmented images, each drawn in another epoch.
const DRAWS: u64 = 4;

/// Draws what augmentations and an algorithm do to one batch.
pub fn run(args: PreviewArgs) -> Result<(), Error> {
    draw(&args).map_err(Error::without_advice)
}

fn draw(args: &PreviewArgs) -> Result<(), Error> {
    let algorithm = match (&args.algorithm, &args.augment) {
        (Some(algorithm), _) => algorithm.clone(),
        (None, Some(_)) => AlgorithmSpec::none(),
        (None, None) => AlgorithmSpec::default(),
    };
    check(args, &algorithm)?;
    let mut settings = Settings {
        data: args.data.clone(),
        size: args.size,
        decode_memory: args.decode_memory,
        ..Settings::default()
    };
    settings.data_config().check()?;
    let splits = settings.open_whole_data()?;
    let samples = choose_samples(&splits.train, args.count as usize, args.seed)?;
    algorithm.check_images(&samples.shape()[1..])?;
    // Normalised as for training, where CutOut fills with the mean.
    let normalize = Normalize::of(&samples)?;

    let originals = (0..samples.len()).map(|index| samples.image(index));
    let originals: Vec<_> = originals.collect::<Result<_, _>>()?;
    let mut original = row(&samples, "original", &originals, 0..samples.len());
    for (index, tile) in original.tiles.iter_mut().enumerate() {
        tile.frame = samples.object_box(index)?;
    }
    let mut rows = vec![original];
    let mut title = Vec::new();
    let mut images = originals.clone();
    if let Some(augment) = &args.augment {
        title.push(augment.to_string());
        for epoch in 0..DRAWS {
            images = augmented(&samples, augment, &normalize, (args.seed, epoch))?;
            rows.push(row(&samples, "augmented", &images, 0..samples.len()));
        }
    }
    let changed = changes(&algorithm, &samples, &images, &normalize, args.seed)?;
    if !algorithm.is_none() {
        title.push(algorithm.to_string());
    }
    let mut title = format!(
        "{} of {}, seed {}",
        title.join(", then "),
        data::name(args.data.as_deref()),
        args.seed
    );
    let mut logged = Vec::new();
    for Change { label, state } in &changed {
        if let Some(mixture) = &state.mixture {
            let partners = mixture.partners().iter().copied();
            rows.push(row(&samples, "partner", &images, partners));
        }
        rows.push(Row {
            label: label.clone(),
            tiles: tiles(state, samples.classes(), &normalize, samples.len())?,
        });
        let numbers = state.logged().iter();
        let numbers: Vec<_> = numbers
            .map(|one| format!("{} {:.4}", one.name, one.value))
            .collect();
        title += &format!("\n{}", numbers.join(", "));
        logged.push(numbers.join(", "));
    }
    let grid = Grid { title, rows };
    let written = grid.write(&args.output).map_err(std::io::Error::other);
    written.map_err(|error| Error::write(&args.output, error))?;
    let logged = logged.join("; ");
    let separator = if logged.is_empty() { "" } else { ": " };
    line(format!("{}{separator}{logged}", args.output.display()));
    Ok(())
}

fn check(args: &PreviewArgs, algorithm: &AlgorithmSpec) -> Result<(), Error> {
    let augments_alone = algorithm.is_none() && args.augment.is_some();
    if !algorithm.changes_images() && !augments_alone {
        let names = ALGORITHMS.iter().filter(|info| info.changes_images());
        let names = alternatives(names.map(|info| info.name));
        let expected = format!("one that changes images: {names}");
        return Err(Error::option("algorithm", algorithm, expected));
    }
    let extension = args.output.extension();
    if !extension.is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        let expected = "a name that ends in .png";
        return Err(Error::option("output", args.output.display(), expected));
    }
    Ok(())
}

/// The samples as training sees them in an epoch.
fn augmented(
    samples: &Dataset,
    augment: &Augment,
    normalize: &Normalize,
    (seed, epoch): (u64, u64),
) -> Result<Vec<Image>, Error> {
    let config = LoaderConfig::new(samples.len(), normalize.clone())
        .with_seed(seed)
        .with_augment(augment.clone());
    let loader = ImageLoader::train(samples.clone(), config)?;
    let images = (0..samples.len()).map(|index| loader.image(epoch, index));
    Ok(images.collect::<Result<_, _>>()?)
}

/// A batch that an algorithm has changed.
struct Change {
    label: String,
    state: State<AnyNetwork>,
}

/// The number of batches that are tried. The one that shows most is drawn, and of an algorithm that
/// chooses between several ways, one for each.
const BATCHES: u64 = 32;

/// The batch in which most samples show what the algorithm does; where it chooses between several ways,
/// one for each.
fn changes(
    algorithm: &AlgorithmSpec,
    samples: &Dataset,
    images: &[Image],
    normalize: &Normalize,
    seed: u64,
) -> Result<Vec<Change>, Error> {
    let mut changes: Vec<Change> = Vec::new();
    let Some(mut running) = algorithm.init() else {
        return Ok(changes);
    };
    let device = device::choose("auto")?.device;
    let [channels, ..] = samples.shape();
    let classes = samples.classes().len();
    // The state of a run has a network; algorithms that change images do not look at it.
    let model = ModelConfig::new("resnet8", classes)
        .with_channels(channels)
        .init(&device)?;
    let images = to_tensor(images, normalize, &device)?;
    let labels: Vec<_> = samples.labels().collect();
    let targets = to_targets(&labels, classes, samples.is_multi_label(), &device);
    let original = read(images.clone())?;
    for position in 0..BATCHES {
        let batch = Batch {
            images: images.clone(),
            targets: targets.clone(),
        };
        let mut state = State::preview(model.clone(), batch, classes, seed, position);
        running.apply(Event::BeforeForward, &mut state)?;
        if !is_changed(&original, &read(state.images()?.clone())?, samples.len()) {
            continue;
        }
        let label = way(&state);
        match changes.iter_mut().find(|change| change.label == label) {
            None => changes.push(Change { label, state }),
            Some(known) if mixed_samples(&state) > mixed_samples(&known.state) => {
                known.state = state;
            }
            Some(_) => {}
        }
    }
    Ok(changes)
}

/// The number of samples that show both images of which they are mixed.
fn mixed_samples(state: &State<AnyNetwork>) -> usize {
    state.mixture.as_ref().map_or(0, |mixture| {
        let shows_both = |&sample: &usize| {
            mixture.partners()[sample] != sample && (0.1..0.9).contains(&mixture.lambda(sample))
        };
        (0..mixture.batch()).filter(shows_both).count()
    })
}

/// The name of the algorithm that has changed a batch, as far as it has logged something.
fn way(state: &State<AnyNetwork>) -> String {
    let names = state
        .logged()
        .iter()
        .filter_map(|logged| logged.name.split_once('/'));
    let mut names = names
        .map(|(algorithm, _)| algorithm)
        .filter(|name| *name != "one-of");
    names.next().unwrap_or("changed").into()
}

/// Whether at least half of the samples have changed.
fn is_changed(before: &[f32], after: &[f32], samples: usize) -> bool {
    if before.len() != after.len() {
        return true;
    }
    let size = before.len() / samples;
    let pairs = before.chunks(size).zip(after.chunks(size));
    2 * pairs.filter(|(before, after)| before != after).count() >= samples
}

/// Samples of as many classes as possible, drawn with the seed.
fn choose_samples(train: &Dataset, count: usize, seed: u64) -> Result<Dataset, Error> {
    use rand::seq::SliceRandom;
    let mut order: Vec<_> = (0..train.len()).collect();
    // A lane of its own, apart from those of algorithms.
    order.shuffle(&mut Stream::new(seed).lane(1 << 40).at(0));
    let mut seen = vec![0usize; train.classes().len() + 1];
    let turns = order.into_iter().map(|index| {
        let class = train.label(index).classes().first().copied();
        // The last count is that of samples without a class.
        let turn = &mut seen[class.unwrap_or(train.classes().len())];
        *turn += 1;
        (*turn, index)
    });
    let mut turns: Vec<_> = turns.collect();
    // First one sample of every class, then a second one of each.
    turns.sort_by_key(|(turn, _)| *turn);
    let indices = turns.into_iter().map(|(_, index)| index).take(count);
    Ok(train.subset(&indices.collect::<Vec<_>>())?)
}

/// A row of some of the images of the samples.
fn row(
    samples: &Dataset,
    label: &str,
    images: &[Image],
    indices: impl Iterator<Item = usize>,
) -> Row {
    let name = |class: &usize| samples.classes()[*class].clone();
    let tile = |index: usize| Tile {
        image: images[index].clone(),
        frame: None,
        caption: samples.label(index).classes().iter().map(name).collect(),
    };
    Row {
        label: label.into(),
        tiles: indices.map(tile).collect(),
    }
}
