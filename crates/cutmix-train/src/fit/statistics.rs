//! The mean of the running statistics of all processes.

use std::hash::{DefaultHasher, Hasher};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::numbers;
use crate::world::{World, gather};
use crate::{Error, parameters};

/// The mean over the processes of the values of a model that are not trained, of those that differ:
/// running statistics. Others are the same in all processes, and a mean would round them.
pub(super) fn mean<M: Module>(world: &dyn World, model: &M) -> Result<GradientsParams, Error> {
    parameters::sync_statistics(model);
    let mut fixed = Fixed::default();
    model.visit(&mut fixed);
    let data = numbers::read(fixed.values.into_iter())?;
    let values = data.iter().map(|data| data.as_slice::<f32>());
    let values: Vec<&[f32]> = values.collect::<Result<_, _>>().map_err(Error::other)?;
    let hashes: Vec<u64> = values.iter().copied().map(hash).collect();
    let all = gather(world, &hashes)?;
    let differs: Vec<bool> = (0..values.len())
        .map(|at| all.iter().any(|hashes| hashes[at] != all[0][at]))
        .collect();
    let differing = values.iter().zip(&differs).filter(|(_, differs)| **differs);
    let own = differing.flat_map(|(values, _)| values.iter().copied());
    let mut mean = world.sum(own.collect())()?;
    mean.iter_mut().for_each(|sum| *sum /= world.size() as f32);
    let mut differs = differs.into_iter();
    let mut mean = &mean[..];
    numbers::values(model, |is_trained, size| {
        if is_trained || differs.next() != Some(true) {
            return Ok(None);
        }
        let (own, rest) = mean.split_at(size);
        mean = rest;
        Ok(Some(own.to_vec()))
    })
}

/// A hash of all values of a model.
pub(super) fn digest(model: &impl Module) -> Result<u64, Error> {
    let mut all = Values::default();
    model.visit(&mut all);
    let mut hasher = DefaultHasher::new();
    for data in numbers::read(all.0.into_iter())? {
        hasher.write_u64(hash(data.as_slice::<f32>().map_err(Error::other)?));
    }
    Ok(hasher.finish())
}

/// A hash of the bits of numbers.
fn hash(numbers: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    numbers
        .iter()
        .for_each(|number| hasher.write_u32(number.to_bits()));
    hasher.finish()
}

/// Collects all values, in f32.
#[derive(Default)]
struct Values(Vec<Tensor<1>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(numbers::flat(param.val()));
    }
}

/// Collects the values that are not trained, in f32.
#[derive(Default)]
struct Fixed {
    values: Vec<Tensor<1>>,
}

impl ModuleVisitor for Fixed {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            self.values.push(numbers::flat(param.val()));
        }
    }
}
