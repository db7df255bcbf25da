//! The gradients of a batch, from those of its parts.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Tensor};
use cutmix::loss::Reduction;

use super::numbers;
use crate::world::{Pairwise, Sum, World};
use crate::{Error, parameters};

/// The sum of the gradients of the parts of a batch.
///
/// This is where the gradients of every batch become one, between the backward passes and the
/// optimizer step.
pub(super) struct PartGradients {
    reduction: Reduction,
    /// Samples and parts of the batch.
    samples: usize,
    parts: usize,
    sum: Pairwise<GradientsParams>,
    /// The weights of the parts, where the mean of one of them is weighted.
    weights: Pairwise<Tensor<1>>,
    is_weighted: bool,
}

impl PartGradients {
    /// The sum before any part of a batch of so many samples and parts, in all processes.
    pub fn new(reduction: Reduction, samples: usize, parts: usize) -> Self {
        Self {
            reduction,
            samples,
            parts,
            sum: Pairwise::default(),
            weights: Pairwise::default(),
            is_weighted: false,
        }
    }

    /// Adds the gradients of a part of `size` samples, whose loss is a sum, or a mean over `weight`
    /// where that is not its size.
    pub fn add<M: Module>(
        &mut self,
        model: &M,
        gradients: GradientsParams,
        size: usize,
        weight: Option<Tensor<1>>,
        device: &Device,
    ) {
        let add = |first, second| parameters::add_gradients(model, first, second);
        if self.parts == 1 || self.reduction == Reduction::Sum {
            return self.sum.add(gradients, add);
        }
        self.is_weighted |= weight.is_some();
        // Shares of the batch instead of counts, which f16 might not hold.
        let share = match weight {
            Some(weight) => {
                let weight = weight.without_autodiff().cast(FloatDType::F32);
                weight / self.samples as f64
            }
            None => {
                let share = size as f32 / self.samples as f32;
                let share = Tensor::<1>::from_floats([share], &device.clone().without_autodiff());
                share.cast(FloatDType::F32)
            }
        };
        let gradients = parameters::scale_gradients(model, gradients, &share);
        self.weights.add(share, |first, second| first + second);
        self.sum.add(gradients, add);
    }

    /// The gradients of the batch, from those of all processes.
    pub fn reduce<M: Module>(
        self,
        model: &M,
        device: &Device,
        world: &dyn World,
    ) -> Result<GradientsParams, Error> {
        let add = |first, second| parameters::add_gradients(model, first, second);
        let mut sum = self.sum.finish(add).unwrap_or_default();
        let mut weight = self.weights.finish(|first, second| first + second);
        let mut is_weighted = self.is_weighted;
        if world.size() > 1 {
            let own = match weight {
                Some(weight) => weight.try_into_scalar::<f32>().map_err(Error::device)?,
                None => 0.0,
            };
            let scalars = [own, f32::from(u8::from(is_weighted))];
            let all;
            (sum, all) = sum_over(world, model, sum, scalars)?;
            is_weighted = all[1] > 0.0;
            let device = device.clone().without_autodiff();
            weight = Some(Tensor::<1>::from_floats([all[0]], &device).cast(FloatDType::F32));
        }
        // The shares of samples add up to 1.
        Ok(match weight {
            Some(weight) if is_weighted => parameters::scale_gradients(model, sum, &weight.recip()),
            _ => sum,
        })
    }
}

/// Numbers that are added up over the processes at once, at least, except for the last ones. While they
/// are on their way, the next ones are read from the device.
const BUCKET: usize = 1 << 22;

/// The sums of the gradients and of two more numbers of all processes. They are added in f32.
fn sum_over<M: Module>(
    world: &dyn World,
    model: &M,
    gradients: GradientsParams,
    scalars: [f32; 2],
) -> Result<(GradientsParams, [f32; 2]), Error> {
    let mut slots = Slots {
        gradients,
        all: Vec::new(),
    };
    model.visit(&mut slots);
    // A process may have gradients where another has none: it makes no part of a last batch.
    let found = slots.all.iter().map(|slot| match slot.gradient {
        Some(_) => 1.0,
        None => 0.0,
    });
    let mut scalars: Vec<f32> = found.chain(scalars).collect();
    let scalar_count = scalars.len();
    let mut sums: Vec<Sum> = Vec::new();
    for bucket in buckets(slots.all) {
        // The first bucket starts with these.
        let mut numbers = std::mem::take(&mut scalars);
        read(bucket, &mut numbers)?;
        sums.push(world.sum(numbers));
    }
    let mut sums = sums.into_iter();
    let mut bucket = sums.next().expect("the first bucket")()?;
    let mut used = scalar_count;
    let scalars = bucket[..used].to_vec();
    let mut scalars = scalars.into_iter();
    let gradients = numbers::values(model, |is_trained, size| {
        if !is_trained {
            return Ok(None);
        }
        if used == bucket.len()
            && let Some(next) = sums.next()
        {
            (bucket, used) = (next()?, 0);
        }
        let own = &bucket[used..][..size];
        used += size;
        let is_found = scalars.next().is_some_and(|processes| processes > 0.0);
        Ok(is_found.then(|| own.to_vec()))
    })?;
    let mut next = || scalars.next().expect("a number for each one passed");
    Ok((gradients, [next(), next()]))
}

/// Parameters that are added up at once. There is at least one bucket.
fn buckets(slots: Vec<Slot>) -> Vec<Vec<Slot>> {
    let mut buckets = vec![Vec::new()];
    let mut size = 0;
    for slot in slots {
        if size >= BUCKET {
            buckets.push(Vec::new());
            size = 0;
        }
        size += slot.size;
        buckets.last_mut().expect("a bucket").push(slot);
    }
    buckets
}

/// A parameter that is trained.
struct Slot {
    /// Number of elements of the parameter.
    size: usize,
    /// Elements of its gradient, where this process has one.
    gradient: Option<Tensor<1>>,
}

/// Collects the parameters that are trained, with their gradients.
struct Slots {
    gradients: GradientsParams,
    all: Vec<Slot>,
}

impl ModuleVisitor for Slots {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let gradient = self.gradients.remove::<D>(param.id);
        self.all.push(Slot {
            size: param.lazy_shape().num_elements(),
            gradient: gradient.map(numbers::flat),
        });
    }
}

/// Appends gradients, which are read from the device. Those that are missing are 0.
fn read(slots: Vec<Slot>, numbers: &mut Vec<f32>) -> Result<(), Error> {
    let layout: Vec<(usize, bool)> = slots
        .iter()
        .map(|slot| (slot.size, slot.gradient.is_some()))
        .collect();
    // A tensor that is owned alone is not copied on the CPU.
    let gradients = slots.into_iter().filter_map(|slot| slot.gradient);
    let mut data = numbers::read(gradients)?.into_iter();
    numbers.reserve(layout.iter().map(|(size, _)| size).sum());
    for (size, has_gradient) in layout {
        if has_gradient {
            let data = data.next().expect("the data of each gradient");
            numbers.extend_from_slice(data.as_slice().map_err(Error::other)?);
        } else {
            numbers.resize(numbers.len() + size, 0.0);
        }
    }
    Ok(())
}
