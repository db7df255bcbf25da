//! Measures of a trained classifier beside its accuracy and its calibration.
//!
//! - [`Occlusion`]: accuracy where a part of each image is black.
//! - [`Fgsm`]: accuracy on images that were changed to mislead the network.
//! - [`Detection`]: whether the confidence tells images of the classes from images of other things.
//! - [`Localisation`]: whether class activation maps find the objects, where boxes of these are known.
//!
//! The network is always evaluated, as by [`valid`](burn::module::Module::valid), and stays as it is.

mod detection;
mod fgsm;
mod localisation;
mod occlusion;

use std::ops::RangeInclusive;

use burn::tensor::kind::Basic;
use burn::tensor::{Device, Element, Int, IntDType, Tensor};
use cutmix::Targets;
use cutmix_train::{Batch, Error, Loader};

use crate::data::{DataError, Normalize};

pub use detection::{Detection, auroc, confidences};
pub use fgsm::{Fgsm, FgsmConfig};
pub use localisation::{Localisation, LocalisationConfig, object_box, overlap};
pub use occlusion::{Occlusion, OcclusionConfig};

/// Calls `measure` with each batch of a loader, on `device` without autodiff. Returns the number of images.
fn for_each_batch(
    loader: &dyn Loader,
    device: &Device,
    mut measure: impl FnMut(Batch) -> Result<(), Error>,
) -> Result<usize, Error> {
    let mut images = 0;
    for batch in loader.batches(0, 0, &device.clone().without_autodiff()) {
        let batch = batch.map_err(|source| Error::Data {
            set: "measured".into(),
            source,
        })?;
        images += batch.size();
        measure(batch)?;
    }
    if images == 0 {
        let value = "without samples";
        return Err(Error::argument("loader", value, "at least one sample"));
    }
    Ok(images)
}

/// The classes of images that have one class each.
fn classes(targets: Targets) -> Result<Tensor<1, Int>, Error> {
    Ok(targets.into_indices("this measure")?)
}

/// The number of images that a network predicts rightly, for some ways in which they are changed.
#[derive(Debug)]
struct RightCounts(Vec<usize>);

impl RightCounts {
    /// The counts before any image, for so many ways.
    fn new(ways: usize) -> Self {
        Self(vec![0; ways])
    }

    /// Adds a batch: the logits `[N, K]` of each way, and the classes `[N]`. They are read from the device
    /// at once.
    fn add(
        &mut self,
        logits: impl Iterator<Item = Tensor<2>>,
        classes: &Tensor<1, Int>,
    ) -> Result<(), Error> {
        let right = logits.map(|logits| {
            let predicted = logits.argmax(1).squeeze_dim::<1>(1);
            // Backends compare only integers of one type.
            let classes = classes.clone().cast(IntDType::from(predicted.dtype()));
            predicted.equal(classes)
        });
        // Counted here: on SwiftShader, Burn 0.22.1's sum of integers is 0.
        let right: Vec<bool> = read(Tensor::cat(right.collect(), 0))?;
        for (sum, right) in self.0.iter_mut().zip(right.chunks(classes.dims()[0])) {
            *sum += right.iter().filter(|right| **right).count();
        }
        Ok(())
    }

    /// The accuracies over so many images.
    fn shares(&self, images: usize) -> impl Iterator<Item = f64> + '_ {
        self.0
            .iter()
            .map(move |&right| right as f64 / images as f64)
    }
}

/// The numbers of a tensor, in order, on the host.
fn read<const D: usize, K: Basic, E: Element>(tensor: Tensor<D, K>) -> Result<Vec<E>, Error> {
    let data = tensor.try_into_data();
    let data = data.map_err(|error| Error::Device(error.into()))?;
    Ok(data.iter().collect())
}

/// Black and white in each channel as a network sees them, `[1, C, 1, 1]` each, of the type and on the
/// device of `images`.
fn black_and_white(normalize: &Normalize, images: &Tensor<4>) -> Result<[Tensor<4>; 2], Error> {
    let channels = images.dims()[1];
    let table = normalize.table(channels).map_err(argument)?;
    Ok([0, 255].map(|pixel| {
        let values: Vec<_> = table.iter().map(|channel| channel[pixel]).collect();
        let values = Tensor::<1>::from_floats(values.as_slice(), &images.device());
        let values = values.cast(images.dtype());
        values.reshape([1, channels, 1, 1])
    }))
}

/// Checks the numbers of an argument.
fn check_each(
    argument: &'static str,
    numbers: &[f64],
    accepted: RangeInclusive<f64>,
) -> Result<(), Error> {
    if !numbers.is_empty() && numbers.iter().all(|number| accepted.contains(number)) {
        return Ok(());
    }
    let (first, last) = accepted.into_inner();
    let accepted = format!("at least one number, each in {first}..={last}");
    Err(Error::argument(argument, format!("{numbers:?}"), accepted))
}

/// The error of an argument as one of a measure.
fn argument(error: DataError) -> Error {
    match error {
        DataError::Argument {
            argument,
            value,
            expected,
        } => Error::argument(argument, value, expected),
        error => Error::other(error),
    }
}
