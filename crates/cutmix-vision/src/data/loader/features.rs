//! Features of images, computed once and used in every epoch.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use cutmix::Targets;
use cutmix_train::{Batch, Batches, Loader, LoaderError};

use super::ImageLoader;
use super::maker::BatchMaker;
use super::order::{Order, Sampler};
use crate::data::DataError;

/// A [`Loader`] of features `[N, F, 1, 1]` that were computed once from the images of an
/// [`ImageLoader`], by the part of a network that is not trained.
///
/// It yields the samples as the loader of the images does: in order for evaluation, and after
/// [`shuffled`](Self::shuffled) in a new order in each epoch, which is the one that the images would
/// have. Bad images that the loader leaves out are left out.
#[derive(Clone, Debug)]
pub struct FeatureLoader {
    images: Arc<BatchMaker>,
    /// `[N, F, 1, 1]`.
    features: Tensor<4>,
    targets: Targets,
    /// The row of each sample; `None` for a bad image.
    rows: Vec<Option<i64>>,
    batch_size: usize,
    training: Option<(Sampler, u64)>,
}

impl ImageLoader {
    /// Computes features `[N, F]` of all images once, in batches `[N, C, H, W]` on `device`, and calls
    /// `progress` with the number of images of each batch. This loader is one of evaluation.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a loader of training, whose images are others in each epoch, and
    /// those of the batches.
    pub fn features(
        &self,
        device: &Device,
        compute: impl Fn(Tensor<4>) -> Tensor<2>,
        mut progress: impl FnMut(usize),
    ) -> Result<FeatureLoader, LoaderError> {
        if self.maker.is_training() {
            let expected = "a loader of evaluation, whose images stay the same";
            return Err(DataError::argument("images", "a loader of training", expected).into());
        }
        let device = &device.clone().without_autodiff();
        let (mut features, mut targets) = (Vec::new(), Vec::new());
        for batch in self.batches(0, 0, device) {
            let batch = batch?;
            let size = batch.size();
            if size > 0 {
                features.push(compute(batch.images));
                targets.push(batch.targets);
            }
            progress(size);
        }
        let bad = self.maker.bad();
        let mut next = 0..;
        let row = |sample| (!bad.contains(&sample)).then(|| next.next()).flatten();
        let rows = (0..self.maker.dataset.len()).map(row).collect();
        if features.is_empty() {
            return Err(DataError::argument("images", "all bad", "at least 1 that is not").into());
        }
        Ok(FeatureLoader {
            images: self.maker.clone(),
            features: Tensor::cat(features, 0).unsqueeze_dims(&[2, 3]),
            targets: joined(targets),
            rows,
            batch_size: self.maker.batch_size,
            training: None,
        })
    }
}

impl FeatureLoader {
    /// Yields batches of `batch_size` samples in a new order in each epoch, for training; the last
    /// samples of an epoch are left out where they do not fill a batch.
    ///
    /// # Errors
    /// [`DataError::Argument`] where `batch_size` is not 1 to the number of samples, or the sampler
    /// does not fit the set.
    pub fn shuffled(
        self,
        batch_size: usize,
        sampler: Sampler,
        seed: u64,
    ) -> Result<Self, DataError> {
        let samples = self.features.dims()[0];
        if !(1..=samples).contains(&batch_size) {
            let expected = format!("1 to the number of samples, {samples}");
            return Err(DataError::argument("batch_size", batch_size, expected));
        }
        sampler.check(&self.images.dataset)?;
        Ok(Self {
            batch_size,
            training: Some((sampler, seed)),
            ..self
        })
    }

    /// The rows of the samples of an epoch.
    fn epoch(&self, epoch: u64) -> Vec<i64> {
        let dataset = &self.images.dataset;
        let row = |sample: u32| self.rows[sample as usize];
        let order = match self.training {
            Some((sampler, seed)) => {
                sampler.order_of(dataset, |sample| row(sample).is_some(), seed, epoch)
            }
            None => Order::own(dataset),
        };
        let mut rows: Vec<_> = order.samples.into_iter().filter_map(row).collect();
        rows.truncate(self.num_samples());
        rows
    }
}

impl Loader for FeatureLoader {
    fn num_samples(&self) -> usize {
        let samples = self.features.dims()[0];
        match self.training {
            Some(_) => samples - samples % self.batch_size,
            None => samples,
        }
    }

    fn num_classes(&self) -> usize {
        self.images.dataset.classes().len()
    }

    fn batches<'a>(&'a self, epoch: u64, skip: usize, device: &Device) -> Batches<'a> {
        let rows = self.epoch(epoch);
        let count = rows.len().div_ceil(self.batch_size);
        let device = device.clone().without_autodiff();
        Box::new((skip..count).map(move |batch| {
            let start = batch * self.batch_size;
            let end = rows.len().min(start + self.batch_size);
            let at = Tensor::<1, Int>::from_data(&rows[start..end], &self.features.device());
            let images = self.features.clone().select(0, at.clone());
            Ok(Batch {
                images: images.to_device(&device),
                targets: match self.targets.clone() {
                    Targets::Indices(indices) => indices.select(0, at).to_device(&device).into(),
                    Targets::Dense(dense) => dense.select(0, at).to_device(&device).into(),
                },
            })
        }))
    }

    fn digest(&self) -> Option<String> {
        Some(self.images.dataset.digest())
    }
}

/// The targets of several batches, which are all of the same kind.
fn joined(targets: Vec<Targets>) -> Targets {
    let (mut indices, mut dense) = (Vec::new(), Vec::new());
    for targets in targets {
        match targets {
            Targets::Indices(one) => indices.push(one),
            Targets::Dense(one) => dense.push(one),
        }
    }
    if dense.is_empty() {
        Tensor::cat(indices, 0).into()
    } else {
        Tensor::cat(dense, 0).into()
    }
}
