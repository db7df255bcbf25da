//! `batch.png`: what the network saw.

use std::path::PathBuf;

use burn::tensor::{Tensor, TensorData};
use cutmix::algorithms::{Algorithm, Step};
use cutmix::{Error, Targets};
use cutmix_vision::Normalize;

use crate::picture::{Grid, Picture, Row, Tile, share};

/// Images in the picture, and in one row of it.
const TILES: usize = 16;
const COLUMNS: usize = 8;

/// Draws the first images of the run's first batch, as they go into the network. Added last, it
/// sees them after every other algorithm.
///
/// It reads the images back from the device, the only such copy of a run, and only in that batch.
pub struct Snapshot {
    pub path: PathBuf,
    pub title: String,
    pub classes: Vec<String>,
    pub normalize: Normalize,
}

impl Algorithm for Snapshot {
    fn name(&self) -> String {
        "snapshot".into()
    }

    fn before_forward(&self, step: &mut Step) -> Result<(), Error> {
        if step.position() > 0 {
            return Ok(());
        }
        let tiles = self.tiles(step)?;
        let rows = tiles.chunks(COLUMNS).map(|tiles| Row {
            label: "",
            tiles: tiles.to_vec(),
        });
        let grid = Grid {
            title: self.title.clone(),
            rows: rows.collect(),
        };
        (grid.write(&self.path)).map_err(|reason| Error::write(&self.path, reason))
    }
}

impl Snapshot {
    fn tiles(&self, step: &Step) -> Result<Vec<Tile>, Error> {
        let [batch, channels, height, width] = step.images().dims();
        let count = batch.min(TILES);
        let images = step.images().clone().slice_dim(0, 0..count);
        let images = read(images.try_into_data())?;
        let captions = self.captions(step, count)?;
        let tiles = images.chunks_exact(channels * height * width).zip(captions);
        Ok(tiles
            .map(|(values, caption)| Tile {
                picture: Picture::denormalize(values, [channels, height, width], &self.normalize),
                caption,
            })
            .collect())
    }

    /// The classes of each sample with their shares, largest first.
    fn captions(&self, step: &Step, count: usize) -> Result<Vec<Vec<String>>, Error> {
        let classes = self.classes.len();
        let own = dense(&step.targets, classes, count)?;
        let shares = match &step.interpolation {
            None => own,
            Some(partners) => {
                let theirs = dense(&partners.targets, classes, count)?;
                let lambda = partners.lambda as f32;
                let mix = |(own, theirs): (f32, f32)| lambda * own + (1.0 - lambda) * theirs;
                own.into_iter().zip(theirs).map(mix).collect()
            }
        };
        Ok(shares
            .chunks_exact(classes)
            .map(|shares| {
                let mut named: Vec<_> = shares.iter().zip(&self.classes).collect();
                named.retain(|(share, _)| **share >= 0.005);
                named.sort_by(|a, b| b.0.total_cmp(a.0));
                match named.as_slice() {
                    [(_, class)] => vec![class.to_string()],
                    named => named
                        .iter()
                        .map(|(s, class)| share(**s as f64, class))
                        .collect(),
                }
            })
            .collect())
    }
}

fn dense(targets: &Targets, classes: usize, count: usize) -> Result<Vec<f32>, Error> {
    let dense: Tensor<2> = targets.clone().into_dense(classes)?;
    read(dense.slice_dim(0, 0..count).try_into_data())
}

fn read<E: ToString>(data: Result<TensorData, E>) -> Result<Vec<f32>, Error> {
    let data = data.map_err(|error| Error::Device(error.to_string()))?;
    Ok(data.iter::<f32>().collect())
}
