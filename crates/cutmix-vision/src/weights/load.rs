//! Weights of a file in a network.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::store::burn_pack::Tensor;
use burn::store::{FloatCastAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use burn::tensor::{DType, Shape, TensorData};
use cutmix_train::is_part_of;

use super::error::Misfit;
use super::file::format_error;
use super::parameters::{Parameter, parameters};
use super::{Weights, WeightsError};
use crate::models::{AnyNetwork, Architecture, ModelConfig, architectures};

/// What became of the head of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The weights of the file are used.
    Taken,
    /// The head keeps its own weights, because that of the file is for this many classes.
    OtherClasses(usize),
    /// The head keeps its own weights, because the file has none or only a part of one.
    Missing,
}

/// What [`Weights::load`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Number of tensors of the file that the network uses.
    pub tensors: usize,
    /// What the names of these tensors begin with in the file, such as `state_dict.`; often empty.
    pub prefix: String,
    /// What became of the head.
    pub head: Head,
    /// Number of channels of the images that the weights were made for, where the network takes another
    /// number and its first layer was changed: added up over the channels, or divided among them.
    pub other_channels: Option<usize>,
    /// Names of the tensors under that prefix that the network does not use.
    pub unused: Vec<String>,
}

impl Weights {
    /// The network that the tensors belong to: of those whose backbone the file has in full, the one
    /// that uses most of them, and of equal ones the first in the registry; `None` where there is none.
    pub fn architecture(&self) -> Option<&'static Architecture> {
        self.owner().map(|(owner, _)| owner)
    }

    /// The same with the number of tensors that its backbone uses.
    fn owner(&self) -> Option<(&'static Architecture, usize)> {
        let fitting = architectures().filter_map(|architecture| {
            let network = ModelConfig::new(architecture.name, 1).build(&super::device());
            let expected = parameters(&network.ok()?);
            let fit = Fit::new(self, architecture, &expected);
            fit.misfit().is_none().then_some((architecture, fit.total))
        });
        fitting.reduce(|best, next| if next.1 > best.1 { next } else { best })
    }

    /// Puts the weights into a network of this architecture, in f32. A head for another number of
    /// classes keeps its own weights, and so does the whole network after an error.
    ///
    /// # Errors
    /// [`WeightsError::Network`] where a tensor of the backbone is missing or has another shape, or
    /// another network uses more of the tensors, [`WeightsError::Format`] where a tensor cannot be
    /// read, or has a number that is not finite.
    pub fn load(
        &self,
        architecture: &'static Architecture,
        network: &mut AnyNetwork,
    ) -> Result<Loaded, WeightsError> {
        let expected = parameters(network);
        let fit = Fit::new(self, architecture, &expected);
        let is_whole = fit.misfit().is_none() && fit.unused.is_empty();
        if !is_whole {
            let owner = self.owner();
            let uses_more = owner.is_some_and(|(_, used)| used > fit.total);
            let of_other = uses_more.then(|| fit.surplus()).flatten();
            if let Some(misfit) = fit.misfit().or(of_other) {
                return Err(WeightsError::Network {
                    path: self.path.clone(),
                    network: architecture.name,
                    misfit: Box::new(misfit),
                    nearest: owner
                        .map(|(nearest, _)| nearest.name)
                        .filter(|nearest| *nearest != architecture.name),
                });
            }
        }
        let adapter = PyTorchToBurnAdapter.chain(FloatCastAdapter::to(DType::F32));
        // All values are read before the first one is used, since running statistics are shared by the
        // copies of a network.
        let tensors = fit
            .tensors()
            .into_iter()
            .map(|tensor| self.in_memory(tensor));
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        let result = network.apply(tensors, None, Some(Box::new(adapter)), false);
        if let Some(error) = result.errors.first() {
            return Err(format_error(&self.path, error));
        }
        Ok(Loaded {
            tensors: result.applied.len(),
            prefix: fit.prefix,
            head: fit.head,
            other_channels: fit.other_channels,
            unused: fit.unused,
        })
    }

    /// The tensor with its values.
    fn in_memory(&self, tensor: Tensor) -> Result<Tensor, WeightsError> {
        let name = tensor.name.clone();
        let wrong = |reason: String| format_error(&self.path, format!("`{name}` {reason}"));
        let data = bridge::into_data(tensor);
        let data = data.map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if !data.dtype().is_float() {
            return Err(wrong(format!("has numbers of type {:?}", data.dtype())));
        }
        if !data.iter::<f32>().all(f32::is_finite) {
            return Err(wrong("has a number that is not finite".into()));
        }
        Ok(bridge::from_data(data, name, None))
    }
}

/// How the tensors of a file fit a network.
struct Fit<'a> {
    prefix: String,
    /// The tensor of each parameter that the file has in the right shape.
    tensors: Vec<(&'a Parameter, &'a Tensor)>,
    misfits: Vec<(&'a Parameter, Option<&'a Tensor>)>,
    head: Head,
    other_channels: Option<usize>,
    unused: Vec<String>,
    /// Number of parameters of the backbone.
    total: usize,
}

impl<'a> Fit<'a> {
    fn new(weights: &'a Weights, architecture: &Architecture, expected: &'a [Parameter]) -> Self {
        let named = Named::best(weights, architecture, expected);
        let (of_head, of_backbone): (Vec<_>, Vec<_>) = expected
            .iter()
            .partition(|parameter| is_part_of(&parameter.name, architecture.head));
        let mut fit = Self {
            prefix: named.prefix.clone(),
            tensors: Vec::new(),
            misfits: Vec::new(),
            head: named.head(architecture, &of_head),
            other_channels: None,
            unused: named.unused(architecture, expected),
            total: of_backbone.len(),
        };
        let first_conv = expected.iter().find(|parameter| parameter.shape.len() == 4);
        for parameter in of_backbone {
            let is_input = first_conv == Some(parameter);
            match named.tensors.get(&parameter.name).copied() {
                Some(tensor) if has_values_of(&parameter.shape, &tensor.shape) => {
                    fit.tensors.push((parameter, tensor));
                }
                Some(tensor)
                    if is_input && differs_in_channels(&parameter.shape, &tensor.shape) =>
                {
                    fit.other_channels = Some(tensor.shape[1]);
                    fit.tensors.push((parameter, tensor));
                }
                other => fit.misfits.push((parameter, other)),
            }
        }
        if fit.head == Head::Taken {
            let taken = of_head
                .into_iter()
                .map(|parameter| (parameter, named.tensors[&parameter.name]));
            fit.tensors.extend(taken);
        }
        fit
    }

    fn misfit(&self) -> Option<Misfit> {
        let (parameter, found) = self.misfits.first()?;
        Some(Misfit::Needed {
            name: parameter.name.clone(),
            expected: parameter.shape.clone(),
            found: found.map(|tensor| tensor.shape.to_vec()),
            count: self.misfits.len(),
            total: self.total,
        })
    }

    /// The tensors that are not used.
    fn surplus(&self) -> Option<Misfit> {
        Some(Misfit::Unused {
            name: self.unused.first()?.clone(),
            count: self.unused.len(),
        })
    }

    /// The tensors under the names of the network.
    fn tensors(&self) -> Vec<Tensor> {
        let renamed = self.tensors.iter().map(|(parameter, tensor)| {
            let mut tensor = (*tensor).clone();
            tensor.name.clone_from(&parameter.name);
            if differs_in_channels(&parameter.shape, &tensor.shape) {
                with_channels(tensor, parameter.shape[1])
            } else {
                reshaped(tensor, &parameter.shape)
            }
        });
        renamed.collect()
    }
}

/// The tensors of a file under the names of a network.
struct Named<'a> {
    /// What stands in front of the names in the file.
    prefix: String,
    tensors: HashMap<String, &'a Tensor>,
    /// The names that the file gives to those of its tensors that have no name in the network.
    nameless: Vec<&'a str>,
}

impl<'a> Named<'a> {
    /// The names by which most tensors belong to parameters. Of a training checkpoint with a moving
    /// average of the weights, which fits equally well, that is the average, as in timm.
    fn best(weights: &'a Weights, architecture: &Architecture, expected: &[Parameter]) -> Self {
        let shapes: HashMap<_, _> = (expected.iter())
            .map(|parameter| (parameter.name.as_str(), &parameter.shape))
            .collect();
        let mut best = ((0, false), "", own_names as Rename);
        for rename in namings(architecture) {
            let mut counts = BTreeMap::<&str, usize>::new();
            for (name, tensor) in &weights.tensors {
                for prefix in prefixes(name) {
                    let own = rename(&name[prefix.len()..]);
                    let shape = own.and_then(|own| shapes.get(own.as_str()).copied());
                    if shape.is_some_and(|shape| has_values_of(shape, &tensor.shape)) {
                        *counts.entry(prefix).or_default() += 1;
                    }
                }
            }
            for (prefix, count) in counts {
                let rank = (count, prefix.split(['.', '_']).any(|part| part == "ema"));
                if rank > best.0 {
                    best = (rank, prefix, rename);
                }
            }
        }
        Self::new(weights, best.1, best.2)
    }

    fn new(weights: &'a Weights, prefix: &str, rename: Rename) -> Self {
        let mut named = Self {
            prefix: prefix.into(),
            tensors: HashMap::new(),
            nameless: Vec::new(),
        };
        for (name, tensor) in &weights.tensors {
            let Some(rest) = name.strip_prefix(prefix) else {
                continue;
            };
            match rename(rest) {
                Some(own) => {
                    named.tensors.insert(own, tensor);
                }
                None => named.nameless.push(name),
            }
        }
        named
    }

    fn head(&self, architecture: &Architecture, of_head: &[&Parameter]) -> Head {
        let found = |parameter: &&Parameter| self.tensors.get(&parameter.name);
        let fits = |parameter: &&Parameter| {
            found(parameter).is_some_and(|tensor| tensor.shape[..] == parameter.shape[..])
        };
        if of_head.iter().all(fits) {
            return Head::Taken;
        }
        let classes = |shape: &[usize]| shape.first().copied().unwrap_or(0);
        let weight = format!("{}.weight", architecture.head);
        let own = of_head.iter().find(|parameter| parameter.name == weight);
        let own = own.map(|parameter| classes(&parameter.shape));
        match self
            .tensors
            .get(&weight)
            .map(|weight| classes(&weight.shape))
        {
            Some(others) if Some(others) != own => Head::OtherClasses(others),
            _ => Head::Missing,
        }
    }

    /// The names of the tensors that belong to no parameter.
    fn unused(&self, architecture: &Architecture, expected: &[Parameter]) -> Vec<String> {
        let known: BTreeSet<&str> = expected.iter().map(|one| one.name.as_str()).collect();
        let is_unused = |name: &&String| {
            // Burn's normalisations do not count batches.
            !known.contains(name.as_str())
                && !name.ends_with(".num_batches_tracked")
                && !is_part_of(name, architecture.head)
        };
        let unknown = self.tensors.iter().filter(|(own, _)| is_unused(own));
        let unknown = unknown.map(|(_, tensor)| tensor.name.clone());
        let nameless = self.nameless.iter().map(|name| String::from(*name));
        let mut unused: Vec<_> = unknown.chain(nameless).collect();
        unused.sort();
        unused
    }
}

/// What may stand in front of the name of a parameter, such as `module.` or `state_dict.model.`: nothing,
/// or up to three parts.
fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').take(3);
    std::iter::once("").chain(dots.map(|(dot, _)| &name[..=dot]))
}

/// Whether a tensor of one shape has the values of another, in their order: it is the same but for axes
/// of 1 at its end, as torchvision's layer scale has.
fn has_values_of(expected: &[usize], found: &[usize]) -> bool {
    let rest = found.strip_prefix(expected);
    rest.is_some_and(|rest| rest.iter().all(|axis| *axis == 1))
}

fn reshaped(tensor: Tensor, shape: &[usize]) -> Tensor {
    if tensor.shape[..] == *shape {
        return tensor;
    }
    let (name, dtype) = (tensor.name.clone(), tensor.dtype);
    let shape = Shape::from(shape);
    bridge::map_data(tensor, name, dtype, shape.clone(), move |data| {
        TensorData::from_bytes_vec(data.as_bytes().to_vec(), shape.clone(), dtype)
    })
}

/// Whether either a convolution or the weights for it are for grey images, and the other is not.
fn differs_in_channels(expected: &[usize], found: &[usize]) -> bool {
    match (expected, found) {
        ([outputs, expected, kernel @ ..], [others, found, rest @ ..]) => {
            let is_conv = kernel.len() == 2 && outputs == others && kernel == rest;
            let is_other = expected != found && *expected > 0 && *found > 0;
            is_conv && is_other && (*expected == 1 || *found == 1)
        }
        _ => false,
    }
}

/// The weights `[O, channels, h, w]` that give to images with equal channels what `[O, C, h, w]` give to
/// the same images, where either is for grey images.
fn with_channels(tensor: Tensor, channels: usize) -> Tensor {
    let name = tensor.name.clone();
    let [outputs, found, height, width] = [0, 1, 2, 3].map(|axis| tensor.shape[axis]);
    let shape = [outputs, channels, height, width];
    bridge::map_data(tensor, name, DType::F32, Shape::from(shape), move |data| {
        let values: Vec<f32> = data.iter::<f32>().collect();
        let size = height * width;
        let of_output = |output: &[f32]| {
            let sum = |at: usize| output.iter().skip(at).step_by(size).sum::<f32>();
            let share = (0..size).map(|at| sum(at) / channels as f32);
            share.collect::<Vec<_>>().repeat(channels)
        };
        let values = values.chunks(found * size).flat_map(of_output);
        TensorData::new(values.collect::<Vec<_>>(), shape)
    })
}

/// A name of a tensor elsewhere, as the network's own; `None` where it has none.
type Rename = fn(&str) -> Option<String>;

/// The network's own names, and those of other libraries.
fn namings(architecture: &Architecture) -> impl Iterator<Item = Rename> {
    let others = architecture.aliases.iter().map(|names| names.ours);
    std::iter::once(own_names as Rename).chain(others)
}

fn own_names(name: &str) -> Option<String> {
    Some(name.into())
}
