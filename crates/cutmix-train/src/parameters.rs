//! Arithmetic on all parameters of a module, and on their gradients.

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};

use crate::Error;

/// The names of the parameters of a module, in order, such as `blocks.0.conv.weight`; those of running
/// statistics are among them.
pub fn parameter_names<M: Module>(module: &M) -> Vec<String> {
    let mut names = Names::default();
    module.visit(&mut names);
    names.parameters
}

/// The names of the parameters of a module, and of the flags of its normalisations and dropout.
pub(crate) fn all_names<M: Module>(module: &M) -> Vec<String> {
    let mut names = Names::default();
    module.visit(&mut names);
    names.parameters.into_iter().chain(names.flags).collect()
}

#[derive(Default)]
struct Names {
    path: Vec<String>,
    parameters: Vec<String>,
    flags: Vec<String>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        self.parameters.push(self.path.join("."));
    }

    fn visit_flag(&mut self, _flag: &Param<Flag>) {
        self.flags.push(self.path.join("."));
    }
}

/// Whether the parameter of this name is in the module of this name, or is it: `blocks.0.conv.weight` is
/// part of `blocks.0`, and of `blocks`.
pub fn is_part_of(parameter: &str, module: &str) -> bool {
    let rest = parameter.strip_prefix(module);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The values of the parameters of a module: handles, which share memory with it.
pub(crate) fn values<M: Module>(module: &M) -> GradientsParams {
    collect(module, |_, _| true)
}

/// The values of those parameters and statistics of a module whose identity `is_wanted`.
pub(crate) fn values_of<M: Module>(
    module: &M,
    is_wanted: impl Fn(ParamId) -> bool,
) -> GradientsParams {
    collect(module, |id, _| is_wanted(id))
}

/// The values for which `is_wanted` is true of their identity and of whether they need a gradient.
fn collect<M: Module>(module: &M, is_wanted: impl Fn(ParamId, bool) -> bool) -> GradientsParams {
    struct Collect<F>(GradientsParams, F);

    impl<F: Fn(ParamId, bool) -> bool> ModuleVisitor for Collect<F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if (self.1)(param.id, param.is_require_grad()) {
                self.0.register(param.id, param.val().without_autodiff());
            }
        }
    }

    let mut collected = Collect(GradientsParams::new(), is_wanted);
    module.visit(&mut collected);
    collected.0
}

/// Replaces each parameter of `module` that `other` has a value for: `change` gets the parameter
/// and that value.
pub(crate) fn combine<M: Module>(module: M, other: GradientsParams, change: impl Combine) -> M {
    struct Map<C>(GradientsParams, C);

    impl<C: Combine> ModuleMapper for Map<C> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, own, mapper) = param.consume();
            let Some(other) = self.0.remove::<D>(id) else {
                return Param::from_mapped_value(id, own, mapper);
            };
            let tracked = own.is_require_grad();
            let is_autodiff = own.is_autodiff();
            let mut changed = self.1.combine(own.without_autodiff(), other);
            if is_autodiff {
                changed = changed.autodiff();
            }
            if tracked {
                changed = changed.require_grad();
            }
            Param::from_mapped_value(id, changed, mapper)
        }
    }

    module.map(&mut Map(other, change))
}

/// What [`combine`] does with a parameter and another tensor of its shape.
pub(crate) trait Combine {
    fn combine<const D: usize>(&self, own: Tensor<D>, other: Tensor<D>) -> Tensor<D>;
}

/// `own * keep + other * (1 - keep)`.
pub(crate) struct Blend {
    pub keep: f64,
}

impl Combine for Blend {
    fn combine<const D: usize>(&self, own: Tensor<D>, other: Tensor<D>) -> Tensor<D> {
        own * self.keep + other * (1.0 - self.keep)
    }
}

/// `own + other * scale`, with a scale `[1]` on the device.
pub(crate) struct AddScaled {
    pub scale: Tensor<1>,
}

impl Combine for AddScaled {
    fn combine<const D: usize>(&self, own: Tensor<D>, other: Tensor<D>) -> Tensor<D> {
        let dtype = FloatDType::from(other.dtype());
        let other = widen(other);
        let scale = self.scale.clone().cast(FloatDType::from(other.dtype()));
        // The scale of small numbers may be more than f16 can hold.
        own + (other * scale.reshape([1; D])).cast(dtype)
    }
}

/// `other`.
pub(crate) struct Replace;

impl Combine for Replace {
    fn combine<const D: usize>(&self, _own: Tensor<D>, other: Tensor<D>) -> Tensor<D> {
        other
    }
}

/// The sum of the squares of all gradients, shape `[1]`, in f32 at least; `None` where there is no
/// gradient.
pub(crate) fn squared_norm<M: Module>(
    module: &M,
    gradients: &GradientsParams,
) -> Option<Tensor<1>> {
    struct Sum<'a>(&'a GradientsParams, Option<Tensor<1>>);

    impl ModuleVisitor for Sum<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = self.0.get::<D>(param.id) else {
                return;
            };
            let gradient = widen(gradient);
            let squares = (gradient.clone() * gradient).sum();
            self.1 = Some(match self.1.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }

    let mut sum = Sum(gradients, None);
    module.visit(&mut sum);
    sum.1
}

/// f16 and bf16 to f32: sums need the range and the digits.
pub(crate) fn widen<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.dtype().size() < 4 {
        tensor.cast(FloatDType::F32)
    } else {
        tensor
    }
}

/// Multiplies all gradients by `scale`, shape `[1]`.
pub(crate) fn scale_gradients<M: Module>(
    module: &M,
    gradients: GradientsParams,
    scale: &Tensor<1>,
) -> GradientsParams {
    struct Scale<'a>(GradientsParams, &'a Tensor<1>);

    impl ModuleVisitor for Scale<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                let scale = self.1.clone().cast(FloatDType::from(gradient.dtype()));
                self.0.register(param.id, gradient * scale.reshape([1; D]));
            }
        }
    }

    let mut scaled = Scale(gradients, scale);
    module.visit(&mut scaled);
    scaled.0
}

/// The sums of two sets of gradients; a parameter that has one in one of them keeps it.
pub(crate) fn add_gradients<M: Module>(
    module: &M,
    first: GradientsParams,
    second: GradientsParams,
) -> GradientsParams {
    struct Add {
        first: GradientsParams,
        second: GradientsParams,
        sum: GradientsParams,
    }

    impl ModuleVisitor for Add {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let first = self.first.remove::<D>(param.id);
            let second = self.second.remove::<D>(param.id);
            let sum = match (first, second) {
                (Some(first), Some(second)) => first + second,
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => return,
            };
            self.sum.register(param.id, sum);
        }
    }

    let sum = GradientsParams::new();
    let mut add = Add { first, second, sum };
    module.visit(&mut add);
    add.sum
}

/// The running statistics of a module and its other values without gradients: what a forward pass
/// may change.
pub(crate) fn buffers<M: Module>(module: &M) -> GradientsParams {
    sync_statistics(module);
    collect(module, |_, needs_gradient| !needs_gradient)
}

/// Gives a module the values that [`buffers`] has collected of it.
pub(crate) fn restore_buffers<M: Module>(module: M, buffers: GradientsParams) -> M {
    sync_statistics(&module);
    combine(module, buffers, Replace)
}

/// Brings the running statistics of a module up to date: a forward pass leaves its update beside the
/// value that a visitor sees.
pub(crate) fn sync_statistics<M: Module>(module: &M) {
    module.valid();
}

/// Whether all parameters of a module are finite numbers; one read from the device.
pub(crate) fn are_finite<M: Module>(module: &M) -> Result<bool, Error> {
    let Some(device) = module.devices().into_iter().next() else {
        return Ok(true);
    };
    let zero = Tensor::zeros([1], &device.without_autodiff());
    // Finite numbers become 0, all others NaN.
    let marks = scale_gradients(module, values(module), &zero);
    squared_norm(module, &marks).map_or(Ok(true), is_finite)
}

/// Whether a number on the device, shape `[1]`, is finite.
pub(crate) fn is_finite(number: Tensor<1>) -> Result<bool, Error> {
    let number = number.try_into_scalar::<f64>().map_err(Error::device)?;
    Ok(number.is_finite())
}
