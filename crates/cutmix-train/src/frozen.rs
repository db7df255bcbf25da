//! Parameters that a batch leaves as they are.

use std::collections::HashSet;

use burn::module::{Flag, Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;

use crate::parameters;

/// What is frozen while a batch is trained.
#[derive(Debug, Default)]
pub(crate) struct Frozen {
    /// Everything in frozen modules, running statistics among it.
    all: HashSet<ParamId>,
    /// The parameters that have to be trained again afterwards, and the switches that have to be on.
    switched: HashSet<ParamId>,
}

impl Frozen {
    /// Freezes what has these names, besides what is frozen already.
    pub fn add<M: Module>(&mut self, model: M, is_frozen: impl Fn(&str) -> bool) -> M {
        // A frozen normalisation would work without the update of the last batch.
        parameters::sync_statistics(&model);
        model.map(&mut Freezing {
            frozen: self,
            is_frozen,
            path: Vec::new(),
        })
    }

    /// The model of which everything is trained that was before [`add`](Self::add).
    pub fn release<M: Module>(&mut self, model: M) -> M {
        if self.switched.is_empty() {
            return model;
        }
        let switched = std::mem::take(&mut self.switched);
        model.map(&mut Releasing(switched))
    }

    /// Whether nothing is frozen.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether this parameter or statistic is frozen, or was until [`release`](Self::release).
    pub fn contains(&self, id: ParamId) -> bool {
        self.all.contains(&id)
    }
}

struct Freezing<'a, F> {
    frozen: &'a mut Frozen,
    is_frozen: F,
    path: Vec<String>,
}

impl<F: Fn(&str) -> bool> Freezing<'_, F> {
    /// Notes a value where it is to be frozen; whether it is.
    fn note(&mut self, id: ParamId, is_on: bool) -> bool {
        let is_frozen = (self.is_frozen)(&self.path.join("."));
        if is_frozen {
            self.frozen.all.insert(id);
            if is_on {
                self.frozen.switched.insert(id);
            }
        }
        is_frozen
    }
}

impl<F: Fn(&str) -> bool> ModuleMapper for Freezing<'_, F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.note(param.id, param.is_require_grad()) {
            param.set_require_grad(false)
        } else {
            param
        }
    }

    // Normalisations and dropout train where their flag is set.
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        if self.note(flag.id, flag.is_enabled()) {
            flag.with_value(false)
        } else {
            flag
        }
    }
}

struct Releasing(HashSet<ParamId>);

impl ModuleMapper for Releasing {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.0.contains(&param.id) {
            param.set_require_grad(true)
        } else {
            param
        }
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        if self.0.contains(&flag.id) {
            flag.with_value(true)
        } else {
            flag
        }
    }
}
