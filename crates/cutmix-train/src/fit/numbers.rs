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

/// The elements of the values of a model of which `is_listed`, which is given whether a value is trained, in
/// the order of the model.
pub fn listed(model: &impl Module, is_listed: fn(bool) -> bool) -> Vec<Tensor<1>> {
    struct Listed {
        is_listed: fn(bool) -> bool,
        values: Vec<Tensor<1>>,
    }

    impl ModuleVisitor for Listed {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if (self.is_listed)(param.is_require_grad()) {
                self.values.push(flat(param.val()));
            }
        }
    }

    let mut listed = Listed {
        is_listed,
        values: Vec::new(),
    };
    model.visit(&mut listed);
    listed.values
}

/// Reads the elements of several tensors from their device at once.
pub fn read(flat: impl Iterator<Item = Tensor<1>>) -> Result<Vec<TensorData>, Error> {
    let all = flat.fold(Transaction::default(), Transaction::register);
    all.try_execute().map_err(Error::device)
}

/// New values of a model. For each value, in the order of the model, `next` is given whether it is trained
/// and the number of its elements, and gives the new elements, where there are some.
pub fn values<M: Module>(
    model: &M,
    next: impl FnMut(bool, usize) -> Result<Option<Vec<f32>>, Error>,
) -> Result<GradientsParams, Error> {
    struct Values<F> {
        next: F,
        found: Result<GradientsParams, Error>,
    }

    impl<F> ModuleVisitor for Values<F>
    where
        F: FnMut(bool, usize) -> Result<Option<Vec<f32>>, Error>,
    {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Ok(found) = &mut self.found else { return };
            let shape = param.lazy_shape();
            match (self.next)(param.is_require_grad(), shape.num_elements()) {
                Ok(None) => {}
                Ok(Some(elements)) => {
                    let old = param.val();
                    let data = TensorData::new(elements, shape);
                    let new = Tensor::<D>::from_data(data, &old.device().without_autodiff());
                    found.register(param.id, new.cast(FloatDType::from(old.dtype())));
                }
                Err(error) => self.found = Err(error),
            }
        }
    }

    let mut values = Values {
        next,
        found: Ok(GradientsParams::new()),
    };
    model.visit(&mut values);
    values.found
}
