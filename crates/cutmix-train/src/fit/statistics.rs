//! The mean of the running statistics of all processes.

use std::hash::{DefaultHasher, Hasher};

use burn::module::Module;
use burn::optim::GradientsParams;

use super::numbers;
use crate::world::{World, gather};
use crate::{Error, parameters};

/// The mean over the processes of the values of a model that are not trained, of those that differ:
/// running statistics. Others are the same in all processes, and a mean would round them.
pub(super) fn mean<M: Module>(world: &dyn World, model: &M) -> Result<GradientsParams, Error> {
    parameters::sync_statistics(model);
    let fixed = numbers::listed(model, |is_trained| !is_trained);
    let data = numbers::read(fixed.into_iter())?;
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
    let all = numbers::listed(model, |_| true);
    let mut hasher = DefaultHasher::new();
    for data in numbers::read(all.into_iter())? {
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
