//! Pictures of a batch.

use std::path::PathBuf;

use burn::tensor::Tensor;
use cutmix::Targets;
use cutmix_train::{Callback, Event, State};
use cutmix_vision::{Normalize, Size};

use super::{Grid, Row, Tile, denormalized};
use crate::error::Error;
use crate::outputs::read;
use crate::terminal::Warnings;

/// The number of images in `batch.png`, and of those in one row of it.
const TILES: usize = 16;
const COLUMNS: usize = 8;

/// Draws the first images of the run's first batch as they go into the network. It reads them back
/// from the device in that batch alone. A picture that cannot be made is a warning.
pub struct FirstBatch {
    pub path: PathBuf,
    pub title: String,
    pub classes: Vec<String>,
    pub normalize: Normalize,
    pub warnings: Warnings,
}

impl<M> Callback<M> for FirstBatch {
    fn on(&mut self, event: Event, state: &State<M>) -> Result<(), cutmix_train::Error> {
        if event != Event::BeforeForward || state.part() > 0 {
            return Ok(());
        }
        if let Err(reason) = self.draw(state) {
            let warning = format!("cannot write {}: {reason}", self.path.display());
            self.warnings.push(warning);
        }
        Ok(())
    }
}

impl FirstBatch {
    fn draw<M>(&self, state: &State<M>) -> super::Result<()> {
        let tiles = tiles(state, &self.classes, &self.normalize, TILES);
        let tiles = tiles.map_err(|error| error.to_string())?;
        let rows = tiles.chunks(COLUMNS).map(|tiles| Row {
            label: String::new(),
            tiles: tiles.to_vec(),
        });
        let grid = Grid {
            title: self.title.clone(),
            rows: rows.collect(),
        };
        grid.write(&self.path)
    }
}

/// The first `count` images of a batch with their classes. `normalize` is that of the images.
pub fn tiles<M>(
    state: &State<M>,
    classes: &[String],
    normalize: &Normalize,
    count: usize,
) -> Result<Vec<Tile>, Error> {
    let [batch, channels, height, width] = state.images()?.dims();
    let count = batch.min(count);
    let images = state.images()?.clone().slice_dim(0, 0..count);
    let values = read(images)?;
    let images = values.chunks_exact(channels * height * width);
    let size = Size::new(height, width);
    let tile = |(values, caption)| {
        let image = denormalized(values, size, normalize)?;
        let frame = None;
        Ok(Tile {
            image,
            frame,
            caption,
        })
    };
    let captions = captions(state, classes, count)?;
    images.zip(captions).map(tile).collect()
}

/// The classes of each sample with their shares, largest first.
fn captions<M>(
    state: &State<M>,
    classes: &[String],
    count: usize,
) -> Result<Vec<Vec<String>>, Error> {
    let own = dense(&state.targets, classes.len(), count)?;
    let shares = match &state.interpolation {
        None => own,
        Some(partners) => {
            let theirs = dense(&partners.targets, classes.len(), count)?;
            let lambda = partners.lambda as f32;
            let mix = |(own, theirs): (f32, f32)| lambda * own + (1.0 - lambda) * theirs;
            own.into_iter().zip(theirs).map(mix).collect()
        }
    };
    let captions = shares.chunks_exact(classes.len()).map(|shares| {
        let mut named: Vec<_> = shares.iter().zip(classes).collect();
        named.retain(|(share, _)| **share >= 0.005);
        named.sort_by(|a, b| b.0.total_cmp(a.0));
        match named.as_slice() {
            [(share, class)] if **share >= 0.995 => vec![class.to_string()],
            named => named
                .iter()
                .map(|(share, class)| format!("{share:.2} {class}"))
                .collect(),
        }
    });
    Ok(captions.collect())
}

fn dense(targets: &Targets, classes: usize, count: usize) -> Result<Vec<f32>, Error> {
    let dense: Tensor<2> = targets.clone().into_dense(classes)?;
    read(dense.slice_dim(0, 0..count))
}
