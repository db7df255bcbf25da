//! The values of a model as numbers on the host, and back.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor, TensorData, Transaction};

use crate::Error;

/// The elements of a tensor, in f32 and without autodiff.
pub fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let elements = tensor.without_autodiff().reshape([-1]);
    elements.cast(FloatDType::F32)
}

/// Reads the elements of several tensors from their device at once.
pub fn read(flat: impl Iterator<Item = Tensor<1>>) -> Result<Vec<TensorData>, Error> {
    let all = flat.fold(Transaction::default(), Transaction::register);
    all.try_execute().map_err(Error::device)
}

/// What a list of numbers has of a value of a model.
pub enum Listed {
    /// The list has no numbers of the value.
    No,
    /// The list has numbers of the value, which are not used.
    Unused,
    /// The list has the new numbers of the value.
    Used,
}

/// The values of a model that a list of numbers has, in the order of the model. `listed` is given whether
/// the next value is trained.
pub fn values<M: Module>(
    model: &M,
    numbers: &[f32],
    listed: impl FnMut(bool) -> Listed,
) -> GradientsParams {
    struct Values<'a, F> {
        numbers: &'a [f32],
        listed: F,
        found: GradientsParams,
    }

    impl<F: FnMut(bool) -> Listed> ModuleVisitor for Values<'_, F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let is_used = match (self.listed)(param.is_require_grad()) {
                Listed::No => return,
                Listed::Unused => false,
                Listed::Used => true,
            };
            let shape = param.lazy_shape();
            let (own, rest) = self.numbers.split_at(shape.num_elements());
            self.numbers = rest;
            if is_used {
                let old = param.val();
                let data = TensorData::new(own.to_vec(), shape);
                let new = Tensor::<D>::from_data(data, &old.device().without_autodiff());
                let new = new.cast(FloatDType::from(old.dtype()));
                self.found.register(param.id, new);
            }
        }
    }

    let mut values = Values {
        numbers,
        listed,
        found: GradientsParams::new(),
    };
    model.visit(&mut values);
    values.found
}
