//! Batches, and where they come from.

use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::tensor::{Device, Tensor};
use cutmix::Targets;

use crate::Share;

/// One minibatch of `N` samples. `D` is the rank of the images (4 for `[N, C, H, W]`).
#[derive(Clone, Debug)]
pub struct Batch<const D: usize = 4> {
    /// The images, shape `[N, C, spatial...]`.
    pub images: Tensor<D>,
    /// The targets of the `N` samples.
    pub targets: Targets,
}

impl<const D: usize> Batch<D> {
    /// The number of samples.
    pub fn size(&self) -> usize {
        self.images.dims()[0]
    }

    /// The batch on `device`, tracked by autodiff where `device` is.
    pub(crate) fn on_device(self, device: &Device) -> Self {
        Self {
            images: move_to(self.images, device),
            targets: match self.targets {
                Targets::Indices(indices) => indices.to_device(device).into(),
                Targets::Dense(dense) => move_to(dense, device).into(),
            },
        }
    }

    /// The first `samples` samples.
    pub(crate) fn truncate(self, samples: usize) -> Self {
        if samples >= self.size() {
            return self;
        }
        Self {
            images: self.images.slice_dim(0, 0..samples),
            targets: match self.targets {
                Targets::Indices(indices) => indices.slice_dim(0, 0..samples).into(),
                Targets::Dense(dense) => dense.slice_dim(0, 0..samples).into(),
            },
        }
    }
}

fn move_to<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    let tensor = tensor.to_device(device);
    // The target of a move keeps the tensor's own autodiff association, by which batch
    // normalisation and dropout know whether they train.
    if device.is_autodiff() {
        tensor.autodiff()
    } else {
        tensor.without_autodiff()
    }
}

/// The error of a [`Loader`]: a sample that cannot be read, for example.
pub type LoaderError = Box<dyn std::error::Error + Send + Sync>;

/// The batches of an epoch, in order.
pub type Batches<'a, const D: usize = 4> =
    Box<dyn Iterator<Item = Result<Batch<D>, LoaderError>> + 'a>;

/// A source of batches.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use cutmix_train::{Batch, Batches, Loader};
///
/// /// Two batches of black images of class 0.
/// struct Black;
///
/// impl Loader for Black {
///     fn num_samples(&self) -> usize {
///         8
///     }
///
///     fn num_classes(&self) -> usize {
///         2
///     }
///
///     fn batches<'a>(&'a self, _epoch: u64, skip: usize, device: &Device) -> Batches<'a> {
///         let device = device.clone();
///         Box::new((skip..2).map(move |_| {
///             Ok(Batch {
///                 images: Tensor::zeros([4, 1, 28, 28], &device),
///                 targets: Tensor::<1, Int>::zeros([4], &device).into(),
///             })
///         }))
///     }
/// }
/// ```
pub trait Loader<const D: usize = 4>: Send + Sync {
    /// The number of samples in an epoch.
    fn num_samples(&self) -> usize;

    /// The number of classes, which is the number of columns of dense targets.
    fn num_classes(&self) -> usize;

    /// The batches of epoch `epoch`, counted from 0, on `device`, without the first `skip` batches.
    ///
    /// A run is repeated and resumed exactly where this is a function of its arguments alone.
    fn batches<'a>(&'a self, epoch: u64, skip: usize, device: &Device) -> Batches<'a, D>;

    /// The batches of [`batches`](Self::batches) that are in a share, whose groups start after the `skip`
    /// batches that are left out.
    ///
    /// A loader whose batches cost something makes those alone. In an evaluation a batch may be empty, so
    /// that the processes keep the order of the batches.
    fn batches_of<'a>(
        &'a self,
        share: &Share,
        epoch: u64,
        skip: usize,
        device: &Device,
    ) -> Batches<'a, D> {
        let all = self.batches(epoch, skip, device);
        if *share == Share::ALL {
            return all;
        }
        let share = share.clone();
        let own = all.enumerate().filter(move |(batch, _)| share.has(*batch));
        Box::new(own.map(|(_, batch)| batch))
    }

    /// A digest of the data, by which a resumed run notices that they have changed; `None` where it
    /// is not known.
    fn digest(&self) -> Option<String> {
        None
    }
}

/// A data loader of Burn's as a [`Loader`].
///
/// Burn's loaders are not given the epoch. Where one shuffles, its order depends on how often it was
/// asked for its batches, so that a resumed run sees another order than the run that was stopped.
pub struct BurnLoader<const D: usize = 4> {
    loader: Arc<dyn DataLoader<Batch<D>>>,
    num_classes: usize,
}

impl<const D: usize> BurnLoader<D> {
    /// Wraps `loader`, whose targets have `num_classes` classes.
    pub fn new(loader: Arc<dyn DataLoader<Batch<D>>>, num_classes: usize) -> Self {
        Self {
            loader,
            num_classes,
        }
    }
}

impl<const D: usize> Loader<D> for BurnLoader<D> {
    fn num_samples(&self) -> usize {
        self.loader.num_items()
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn batches<'a>(&'a self, _epoch: u64, skip: usize, device: &Device) -> Batches<'a, D> {
        let device = device.clone();
        let batches = self.loader.iter().skip(skip);
        Box::new(batches.map(move |batch| Ok(batch?.on_device(&device))))
    }
}
