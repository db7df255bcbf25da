//! `cutmix preview`.

use burn::tensor::Device;
use burn::tensor::Tensor;
use cutmix::ops::paste;
use cutmix::plan::{Mode, Plan, Stream};
use cutmix_vision::{Dataset, Normalize, to_tensor};

use crate::args::PreviewArgs;
use crate::config::Settings;
use crate::data::DataOptions;
use crate::device;
use crate::error::Error;
use crate::picture::{Grid, Picture, Row, Tile, share};
use crate::say::say;
use crate::spec::Spec;

/// Draws one mixed batch.
pub fn run(args: PreviewArgs) -> Result<(), Error> {
    let spec: Spec = args.algorithm.parse()?;
    let drawer = spec.drawer().ok_or_else(|| {
        Error::option("algorithm", &spec, "one that mixes images, such as cutmix")
    })?;
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
    let [_, height, width] = batch.shape();

    // Each sample's partner is its neighbour: a random permutation leaves some as they are.
    let partners = (0..batch.len()).map(|index| match spec.mode() {
        Mode::Pair if index ^ 1 < batch.len() => index ^ 1,
        Mode::Pair => index,
        _ => (index + 1) % batch.len(),
    });
    let drawer = drawer.partners(partners.collect());
    let plan = drawer.draw(
        batch.len(),
        &[height, width],
        &mut Stream::new(args.seed).at(0),
    )?;
    let mixed = mix(&batch, &plan, &device::choose("auto")?.device)?;
    let boxes = match plan.regions() {
        [region] => format!(
            "box of rows {:?}, columns {:?} of {height} x {width} pixels, so lambda is {:.2}",
            region.ranges()[0],
            region.ranges()[1],
            plan.lambda(0),
        ),
        _ => format!(
            "a box for each {} of {height} x {width} pixels",
            spec.mode()
        ),
    };
    let grid = Grid {
        title: format!(
            "CutMix of {}: {}, seed {}\n{boxes}",
            data.name(),
            spec.in_words(),
            args.seed,
        ),
        rows: rows(&batch, &plan, mixed)?,
    };
    (grid.write(&args.output)).map_err(|reason| Error::write(&args.output, reason))?;
    say!("{}: {plan}", args.output.display());
    Ok(())
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

/// The mixed images, made by the library as in training.
fn mix(batch: &Dataset, plan: &Plan, device: &Device) -> Result<Vec<Picture>, Error> {
    let shape = batch.shape();
    let mut pixels = Vec::new();
    for index in 0..batch.len() {
        pixels.extend(batch.pixels(index)?);
    }
    let plain = Normalize {
        mean: vec![0.0; shape[0]],
        std: vec![1.0; shape[0]],
    };
    let images: Tensor<4> = to_tensor(&pixels, shape, &plain, device)?;
    let mixed = paste(images, plan)?.try_into_data();
    let mixed = mixed.map_err(|error| cutmix::Error::Device(error.to_string()))?;
    let values: Vec<f32> = mixed.iter::<f32>().collect();
    let images = values.chunks_exact(shape.iter().product());
    Ok(images
        .map(|values| Picture::denormalize(values, shape, &plain))
        .collect())
}

fn rows(batch: &Dataset, plan: &Plan, mixed: Vec<Picture>) -> Result<Vec<Row>, Error> {
    let class = |index: usize| batch.classes()[batch.label(index)].as_str();
    let tile = |index: usize| -> Result<Tile, Error> {
        Ok(Tile {
            picture: Picture {
                shape: batch.shape(),
                pixels: batch.pixels(index)?,
            },
            caption: vec![class(index).into()],
        })
    };
    let mixed = mixed.into_iter().zip(plan.partners()).enumerate();
    let mixed = mixed.map(|(index, (picture, &partner))| Tile {
        picture,
        caption: vec![
            share(plan.lambda(index), class(index)),
            format!("+ {}", share(1.0 - plan.lambda(index), class(partner))),
        ],
    });
    Ok(vec![
        Row {
            label: "original",
            tiles: (0..batch.len()).map(tile).collect::<Result<_, _>>()?,
        },
        Row {
            label: "partner",
            tiles: plan
                .partners()
                .iter()
                .map(|&p| tile(p))
                .collect::<Result<_, _>>()?,
        },
        Row {
            label: "mixed",
            tiles: mixed.collect(),
        },
    ])
}
