//! Data in memory.

use std::sync::Arc;

use burn::tensor::{Device, Int, IntDType, Tensor};
use cutmix::Targets;
use cutmix_train::{Batch, Batches, Loader};

use super::{CLASSES, random};

/// Random images in batches; every epoch starts with another batch.
#[derive(Clone)]
pub struct Samples {
    images: Tensor<4>,
    targets: Targets,
    batch: usize,
    broken: Option<usize>,
    drops_last: bool,
    is_fixed: bool,
    digest: Option<String>,
}

impl Samples {
    /// `samples` images in batches of `batch`, the last one short; their classes are 0, 1, 2, 0, ...
    pub fn new(samples: usize, batch: usize) -> Self {
        let device = Device::default();
        let images = random([samples, 1, 4, 4], 2, &device);
        let classes: Vec<_> = (0..samples as i64)
            .map(|index| index % CLASSES as i64)
            .collect();
        let targets = Tensor::<1, Int>::from_data(classes.as_slice(), &device);
        Self::of(images, targets, batch)
    }

    pub fn of(images: Tensor<4>, targets: impl Into<Targets>, batch: usize) -> Self {
        Self {
            images,
            targets: targets.into(),
            batch,
            broken: None,
            drops_last: false,
            is_fixed: false,
            digest: None,
        }
    }

    /// With an error in place of batch `batch`.
    pub fn broken_at(mut self, batch: usize) -> Self {
        self.broken = Some(batch);
        self
    }

    /// Without a last short batch, whose samples still count in `num_samples`.
    pub fn without_last(mut self) -> Self {
        self.drops_last = true;
        self
    }

    /// The same batches in the same order in every epoch.
    pub fn fixed(mut self) -> Self {
        self.is_fixed = true;
        self
    }

    pub fn with_targets(mut self, targets: impl Into<Targets>) -> Self {
        self.targets = targets.into();
        self
    }

    pub fn with_classes(self, classes: &[i64]) -> Self {
        self.with_targets(Tensor::<1, Int>::from_data(classes, &Device::default()))
    }

    /// With labels of another integer type.
    pub fn cast(mut self, dtype: IntDType) -> Self {
        self.targets = self.classes().cast(dtype).into();
        self
    }

    pub fn with_fingerprint(mut self, digest: &str) -> Self {
        self.digest = Some(digest.into());
        self
    }

    pub fn loader(self) -> Arc<dyn Loader> {
        Arc::new(self)
    }

    pub fn classes(&self) -> Tensor<1, Int> {
        self.targets.clone().into_indices("a test").unwrap()
    }

    pub fn is_broken_at(&self, batch: usize) -> bool {
        self.broken == Some(batch)
    }

    /// All samples as one batch.
    pub fn whole(&self) -> Batch {
        Self {
            batch: self.num_samples(),
            ..self.clone()
        }
        .batch(0)
    }

    /// Batch `index` of epoch 0.
    pub fn batch(&self, index: usize) -> Batch {
        let start = self.batch * index;
        let range = start..self.num_samples().min(start + self.batch);
        Batch {
            images: self.images.clone().slice_dim(0, range.clone()),
            targets: match self.targets.clone() {
                Targets::Indices(indices) => indices.slice_dim(0, range).into(),
                Targets::Dense(dense) => dense.slice_dim(0, range).into(),
            },
        }
    }
}

impl Loader for Samples {
    fn num_samples(&self) -> usize {
        self.images.dims()[0]
    }

    fn num_classes(&self) -> usize {
        CLASSES
    }

    fn batches<'a>(&'a self, epoch: u64, skip: usize, _device: &Device) -> Batches<'a> {
        let samples = self.num_samples();
        let count = if self.drops_last {
            samples / self.batch
        } else {
            samples.div_ceil(self.batch)
        };
        let first = if self.is_fixed { 0 } else { epoch as usize };
        let order = (0..count).map(move |index| (index + first) % count);
        Box::new(order.skip(skip).map(move |index| {
            if self.is_broken_at(index) {
                return Err(std::io::Error::other("image 7 is corrupt").into());
            }
            Ok(self.batch(index))
        }))
    }

    fn digest(&self) -> Option<String> {
        self.digest.clone()
    }
}
