//! `cutmix preview`.

use std::fmt;

use burn::tensor::{Device, Tensor};
use cutmix::functional::cutout_plan;
use cutmix::ops;
use cutmix::plan::{Drawer, Mixture, Mode, Plan, Region, Sampler, Stream};
use cutmix_vision::{Dataset, Normalize, to_tensor};

use crate::args::PreviewArgs;
use crate::config::Settings;
use crate::data::DataOptions;
use crate::device;
use crate::error::Error;
use crate::picture::{Grid, Picture, Row, Tile, share};
use crate::say::say;
use crate::spec::{Kind, Spec};

/// Draws what an algorithm does to one batch.
pub fn run(args: PreviewArgs) -> Result<(), Error> {
    let spec: Spec = args.algorithm.parse()?;
    if let Kind::None | Kind::OneOf(_) | Kind::LabelSmoothing { .. } = spec.kind {
        let expected = "one that changes images: cutmix, mixup, mixup-or-cutmix or cutout; of \
                        one-of, one choice at a time";
        return Err(Error::option("algorithm", &args.algorithm, expected));
    }
    let extension = args.output.extension();
    if !extension.is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        let expected = "a name that ends in .png";
        return Err(Error::option("output", args.output.display(), expected));
    }
    let settings = Settings {
        data: args.data,
        size: args.size,
        ..Settings::default()
    };
    let options = DataOptions {
        val_fraction: None,
        ..settings.data()?
    };
    let (data, splits) = options.open().map_err(Error::without_hint)?;
    let batch = sample(&splits.train, args.count as usize, args.seed)?;
    // Normalised as for training, where CutOut fills with the mean.
    let normalize = Normalize::of(&batch)?;
    let images = tensor(&batch, &normalize, &device::choose("auto")?.device)?;

    let changes = changes(&spec.kind, &images, args.seed)?;
    let (name, settings) = in_words(&spec.kind);
    let mut title = format!("{name} of {}: {settings}, seed {}", data.name(), args.seed);
    let mut rows = vec![originals(&batch, "original", 0..batch.len())?];
    // All changes have the same partners.
    if let Some(mixture) = changes.iter().find_map(|change| change.what.mixture()) {
        let partners = mixture.partners().iter().copied();
        rows.push(originals(&batch, "partner", partners)?);
    }
    let mut told = Vec::new();
    for change in &changes {
        title += &format!("\n{}", change.in_words(batch.shape()));
        rows.push(changed(&batch, change, images.clone(), &normalize)?);
        told.push(change.what.to_string());
    }
    let grid = Grid { title, rows };
    (grid.write(&args.output)).map_err(|reason| Error::write(&args.output, reason))?;
    say!("{}: {}", args.output.display(), told.join("; "));
    Ok(())
}

/// A row of the picture.
struct Change {
    label: &'static str,
    mode: Mode,
    what: What,
}

/// What is done to a batch.
enum What {
    CutMix(Plan),
    MixUp(Mixture),
    /// Squares.
    CutOut(Vec<Region>),
}

/// What the algorithm does, or where it has a choice, each of its possibilities.
fn changes(kind: &Kind, images: &Tensor<4>, seed: u64) -> Result<Vec<Change>, Error> {
    let [batch, _, height, width] = images.dims();
    let rng = || Stream::new(seed).at(0);
    // Each sample's partner is its neighbour: a random permutation leaves some as they are.
    let drawer = |alpha, mode| {
        let partners = (0..batch).map(|index| match mode {
            Mode::Pair if index ^ 1 < batch => index ^ 1,
            Mode::Pair => index,
            _ => (index + 1) % batch,
        });
        Drawer::new(alpha).mode(mode).partners(partners.collect())
    };
    let cutmix = |drawer: Drawer| drawer.draw(batch, &[height, width], &mut rng());
    let mixup = |drawer: Drawer| drawer.draw_mixture(batch, &mut rng());
    let change = |label, mode, what| Change { label, mode, what };
    Ok(match *kind {
        Kind::CutMix {
            alpha,
            sampler,
            mode,
            ..
        } => {
            let plan = cutmix(drawer(alpha, mode).sampler(sampler))?;
            vec![change("mixed", mode, What::CutMix(plan))]
        }
        Kind::MixUp { alpha, mode, .. } => {
            let mixture = mixup(drawer(alpha, mode))?;
            vec![change("mixed", mode, What::MixUp(mixture))]
        }
        Kind::MixUpOrCutMix {
            mixup_alpha,
            cutmix_alpha,
            ..
        } => {
            let mixture = mixup(drawer(mixup_alpha, Mode::Batch))?;
            let plan = cutmix(drawer(cutmix_alpha, Mode::Batch))?;
            vec![
                change("MixUp", Mode::Batch, What::MixUp(mixture)),
                change("CutMix", Mode::Batch, What::CutMix(plan)),
            ]
        }
        Kind::CutOut { length, mode } => {
            let squares = cutout_plan(length, mode, images, &mut rng())?;
            vec![change("cut", mode, What::CutOut(squares))]
        }
        Kind::None | Kind::OneOf(_) | Kind::LabelSmoothing { .. } => Vec::new(),
    })
}

/// What the title of a picture says of an algorithm: its name and settings.
fn in_words(kind: &Kind) -> (&'static str, String) {
    match kind {
        Kind::CutMix {
            sampler: sampler @ Sampler::MinMax { .. },
            ..
        } => ("CutMix", format!("sampler {sampler}")),
        Kind::CutMix { alpha, sampler, .. } => {
            ("CutMix", format!("alpha {alpha}, sampler {sampler}"))
        }
        Kind::MixUp { alpha, .. } => ("MixUp", format!("alpha {alpha}")),
        Kind::MixUpOrCutMix {
            mixup_alpha,
            cutmix_alpha,
            ..
        } => (
            "MixUp or CutMix",
            format!("alpha {mixup_alpha} or {cutmix_alpha}"),
        ),
        Kind::CutOut { length, .. } => ("CutOut", format!("length {length}")),
        Kind::None | Kind::OneOf(_) | Kind::LabelSmoothing { .. } => ("", String::new()),
    }
}

impl Change {
    /// A line of the title, for images of this shape.
    fn in_words(&self, [_, height, width]: [usize; 3]) -> String {
        let pixels = format!("{height} x {width} pixels");
        let place = |region: &Region| {
            let [rows, columns] = [0, 1].map(|axis| region.ranges()[axis].clone());
            format!("rows {rows:?}, columns {columns:?} of {pixels}")
        };
        let words = match &self.what {
            What::CutMix(plan) => match plan.regions() {
                [region] => {
                    let (place, lambda) = (place(region), plan.lambda(0));
                    format!("box of {place}, so lambda is {lambda:.2}")
                }
                _ => format!("a box for each {} of {pixels}", self.mode),
            },
            What::MixUp(mixture) => match mixture.lambdas() {
                [lambda] => format!("lambda is {lambda:.2}"),
                _ => format!("a lambda for each {}", self.mode),
            },
            What::CutOut(squares) => match squares.as_slice() {
                [square] => format!("square of {}", place(square)),
                _ => format!("a square for each {} of {pixels}", self.mode),
            },
        };
        match self.label {
            "mixed" | "cut" => words,
            name => format!("{name}: {words}"),
        }
    }
}

impl What {
    fn mixture(&self) -> Option<&Mixture> {
        match self {
            Self::CutMix(plan) => Some(plan.as_ref()),
            Self::MixUp(mixture) => Some(mixture),
            Self::CutOut(_) => None,
        }
    }

    fn apply(&self, images: Tensor<4>) -> Result<Tensor<4>, Error> {
        Ok(match self {
            Self::CutMix(plan) => ops::paste(images, plan)?,
            Self::MixUp(mixture) => ops::mix(images, mixture)?,
            Self::CutOut(regions) => ops::fill(images, regions, 0.0)?,
        })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutMix(plan) => plan.fmt(f),
            Self::MixUp(mixture) => mixture.fmt(f),
            Self::CutOut(regions) => {
                let regions: Vec<_> = regions.iter().map(ToString::to_string).collect();
                write!(f, "squares {}", regions.join(" "))
            }
        }
    }
}

/// Samples of as many classes as possible, drawn with the seed.
fn sample(train: &Dataset, count: usize, seed: u64) -> Result<Dataset, Error> {
    use rand::seq::SliceRandom;
    let mut order: Vec<_> = (0..train.len()).collect();
    // A lane of its own, apart from the plan's.
    order.shuffle(&mut Stream::new(seed).lane(1).at(0));
    let mut seen = vec![0usize; train.classes().len()];
    let mut turns: Vec<_> = order
        .into_iter()
        .map(|index| {
            let turn = &mut seen[train.label(index)];
            *turn += 1;
            (*turn, index)
        })
        .collect();
    // First one sample of every class, then a second one of each.
    turns.sort_by_key(|(turn, _)| *turn);
    let indices: Vec<_> = turns
        .into_iter()
        .map(|(_, index)| index)
        .take(count)
        .collect();
    Ok(train.subset(&indices)?)
}

/// The batch as a network sees it.
fn tensor(batch: &Dataset, normalize: &Normalize, device: &Device) -> Result<Tensor<4>, Error> {
    let mut pixels = Vec::new();
    for index in 0..batch.len() {
        pixels.extend(batch.pixels(index)?);
    }
    Ok(to_tensor(&pixels, batch.shape(), normalize, device)?)
}

fn class(batch: &Dataset, index: usize) -> &str {
    &batch.classes()[batch.label(index)]
}

/// A row of images as they are.
fn originals(
    batch: &Dataset,
    label: &'static str,
    indices: impl Iterator<Item = usize>,
) -> Result<Row, Error> {
    let tile = |index: usize| -> Result<Tile, Error> {
        Ok(Tile {
            picture: Picture {
                shape: batch.shape(),
                pixels: batch.pixels(index)?,
            },
            caption: vec![class(batch, index).into()],
        })
    };
    let tiles = indices.map(tile).collect::<Result<_, _>>()?;
    Ok(Row { label, tiles })
}

/// A row of changed images, made by the library as in training.
fn changed(
    batch: &Dataset,
    change: &Change,
    images: Tensor<4>,
    normalize: &Normalize,
) -> Result<Row, Error> {
    let shape = batch.shape();
    let data = change.what.apply(images)?.try_into_data();
    let data = data.map_err(|error| cutmix::Error::Device(error.to_string()))?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    let images = values.chunks_exact(shape.iter().product()).enumerate();
    let tiles = images.map(|(index, values)| Tile {
        picture: Picture::denormalize(values, shape, normalize),
        caption: match change.what.mixture() {
            Some(mixture) => {
                let (lambda, partner) = (mixture.lambda(index), mixture.partners()[index]);
                vec![
                    share(lambda, class(batch, index)),
                    format!("+ {}", share(1.0 - lambda, class(batch, partner))),
                ]
            }
            None => vec![class(batch, index).into()],
        },
    });
    Ok(Row {
        label: change.label,
        tiles: tiles.collect(),
    })
}
