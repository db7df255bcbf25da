//! The mean of the running statistics of all processes.

use std::hash::{DefaultHasher, Hasher};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor, TensorData, Transaction};

use crate::world::{World, gather};
use crate::{Error, parameters};

/// The mean over the processes of the values of a model that are not trained, of those that differ:
/// running statistics. Others are the same in all processes, and a mean would round them.
pub(super) fn mean<M: Module>(world: &dyn World, model: &M) -> Result<GradientsParams, Error> {
    parameters::sync_statistics(model);
    let mut fixed = Fixed::default();
    model.visit(&mut fixed);
    let all = (fixed.values.into_iter()).fold(Transaction::default(), Transaction::register);
    let data = all.try_execute().map_err(Error::device)?;
    let values: Vec<Vec<f32>> = data.iter().map(|data| data.iter().collect()).collect();
    let hashes: Vec<u64> = values.iter().map(|values| hash(values)).collect();
    let hashes = gather(world, &hashes)?;
    let differ = |at: &usize| {
        hashes
            .iter()
            .any(|hashes| hashes[*at] != hash(&values[*at]))
    };
    let differing: Vec<usize> = (0..values.len()).filter(differ).collect();
    let numbers = differing.iter().flat_map(|at| values[*at].iter().copied());
    let sum = world.sum(numbers.collect())()?;
    let size = world.size() as f32;
    let mut means = Means {
        numbers: &sum.into_iter().map(|sum| sum / size).collect::<Vec<_>>(),
        differing: &differing,
        at: 0,
        values: GradientsParams::new(),
    };
    model.visit(&mut means);
    Ok(means.values)
}

/// A hash of the bits of numbers.
fn hash(numbers: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    numbers
        .iter()
        .for_each(|number| hasher.write_u32(number.to_bits()));
    hasher.finish()
}

/// Collects the values that are not trained, in f32.
#[derive(Default)]
struct Fixed {
    values: Vec<Tensor<1>>,
}

impl ModuleVisitor for Fixed {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            let value = param.val().without_autodiff().reshape([-1]);
            self.values.push(value.cast(FloatDType::F32));
        }
    }
}

/// Gives the values that differ the numbers in a list.
struct Means<'a> {
    numbers: &'a [f32],
    /// Which of the values that are not trained differ.
    differing: &'a [usize],
    at: usize,
    values: GradientsParams,
}

impl ModuleVisitor for Means<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            return;
        }
        if self.differing.binary_search(&self.at).is_ok() {
            let value = param.val().without_autodiff();
            let (own, rest) = self.numbers.split_at(value.shape().num_elements());
            self.numbers = rest;
            let data = TensorData::new(own.to_vec(), value.shape());
            let mean = Tensor::<D>::from_data(data, &value.device());
            let mean = mean.cast(FloatDType::from(value.dtype()));
            self.values.register(param.id, mean);
        }
        self.at += 1;
    }
}
