//! Data loaders that keep the clock and announce the events around them.

use std::sync::Arc;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;

use super::hooks::Hooks;
use crate::algorithms::Algorithm;
use crate::time::Time;
use crate::{Batch, Error, Targets};

type Loader<const D: usize> = Arc<dyn DataLoader<Batch<D>>>;

/// A training batch and where the run is at its start.
pub(super) struct Timed<const D: usize> {
    pub batch: Batch<D>,
    pub time: Time,
}

/// The training data: each pass is one epoch, cut short where the run ends.
pub(super) struct TrainFeed<const D: usize> {
    pub loader: Loader<D>,
    pub hooks: Hooks<D>,
}

impl<const D: usize> DataLoader<Timed<D>> for TrainFeed<D> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Timed<D>> + 'a> {
        let time = self.hooks.clock.now();
        (self.hooks).time("epoch_start", time, Algorithm::epoch_start);
        Box::new(TrainBatches {
            batches: self.loader.iter(),
            hooks: &self.hooks,
            samples: 0,
            total: self.num_items(),
            ended: false,
        })
    }

    fn num_items(&self) -> usize {
        self.hooks.clock.room(self.loader.num_items())
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Timed<D>>> {
        Arc::new(Self {
            loader: self.loader.to_device(device),
            hooks: self.hooks.clone(),
        })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Timed<D>>> {
        Arc::new(Self {
            loader: self.loader.slice(start, end),
            hooks: self.hooks.clone(),
        })
    }
}

struct TrainBatches<'a, const D: usize> {
    batches: Box<dyn DataLoaderIterator<Batch<D>> + 'a>,
    hooks: &'a Hooks<D>,
    samples: usize,
    total: usize,
    ended: bool,
}

impl<const D: usize> Iterator for TrainBatches<'_, D> {
    type Item = Result<Timed<D>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let clock = &self.hooks.clock;
        let next = match clock.is_over() {
            true => None,
            false => self.batches.next(),
        };
        let Some(batch) = next else {
            if !std::mem::replace(&mut self.ended, true) {
                self.end();
            }
            return None;
        };
        Some(batch.map(|batch| {
            let samples = clock.room(batch.images.dims()[0]);
            let batch = first(batch, samples);
            self.samples += samples;
            Timed {
                batch,
                time: clock.batch(samples),
            }
        }))
    }
}

impl<const D: usize> TrainBatches<'_, D> {
    fn end(&self) {
        let clock = &self.hooks.clock;
        clock.end_epoch();
        (self.hooks).time("epoch_end", clock.now(), Algorithm::epoch_end);
        if self.samples == 0 {
            self.hooks.fail(Error::argument(
                "train_loader",
                "without a batch",
                "a loader that gives at least one batch an epoch",
            ));
        }
    }
}

impl<const D: usize> DataLoaderIterator<Timed<D>> for TrainBatches<'_, D> {
    fn progress(&self) -> Progress {
        Progress::new(self.samples, self.total, Some("items".into()))
    }
}

/// The first `samples` samples of a batch.
fn first<const D: usize>(batch: Batch<D>, samples: usize) -> Batch<D> {
    if samples == batch.images.dims()[0] {
        return batch;
    }
    Batch {
        images: batch.images.slice_dim(0, 0..samples),
        targets: match batch.targets {
            Targets::Indices(indices) => indices.slice_dim(0, 0..samples).into(),
            Targets::Dense(dense) => dense.slice_dim(0, 0..samples).into(),
        },
    }
}

/// The evaluation data; without a loader, an empty pass that no algorithm hears of.
pub(super) struct EvalFeed<const D: usize> {
    pub loader: Option<Loader<D>>,
    pub hooks: Hooks<D>,
}

impl<const D: usize> DataLoader<Batch<D>> for EvalFeed<D> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch<D>> + 'a> {
        let Some(loader) = &self.loader else {
            return Box::new(NoBatches::<D>);
        };
        let time = self.hooks.clock.now();
        (self.hooks).time("eval_start", time, Algorithm::eval_start);
        Box::new(EvalBatches {
            batches: loader.iter(),
            hooks: &self.hooks,
            ended: false,
        })
    }

    fn num_items(&self) -> usize {
        self.loader.as_ref().map_or(0, |loader| loader.num_items())
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch<D>>> {
        Arc::new(Self {
            loader: self.loader.as_ref().map(|loader| loader.to_device(device)),
            hooks: self.hooks.clone(),
        })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch<D>>> {
        Arc::new(Self {
            loader: (self.loader.as_ref()).map(|loader| loader.slice(start, end)),
            hooks: self.hooks.clone(),
        })
    }
}

struct EvalBatches<'a, const D: usize> {
    batches: Box<dyn DataLoaderIterator<Batch<D>> + 'a>,
    hooks: &'a Hooks<D>,
    ended: bool,
}

impl<const D: usize> Iterator for EvalBatches<'_, D> {
    type Item = Result<Batch<D>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next();
        if batch.is_none() && !std::mem::replace(&mut self.ended, true) {
            (self.hooks).time("eval_end", self.hooks.clock.now(), Algorithm::eval_end);
        }
        batch
    }
}

impl<const D: usize> DataLoaderIterator<Batch<D>> for EvalBatches<'_, D> {
    fn progress(&self) -> Progress {
        self.batches.progress()
    }
}

struct NoBatches<const D: usize>;

impl<const D: usize> Iterator for NoBatches<D> {
    type Item = Result<Batch<D>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl<const D: usize> DataLoaderIterator<Batch<D>> for NoBatches<D> {
    fn progress(&self) -> Progress {
        Progress::new(0, 0, Some("items".into()))
    }
}
