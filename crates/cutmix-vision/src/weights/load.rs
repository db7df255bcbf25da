//! Weights of a file in a network.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::store::burn_pack::Tensor;
use burn::store::{
    ApplyError, FloatCastAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge,
};
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
    /// The head keeps its own weights, because the file has none.
    Missing,
}

/// What [`Weights::load`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Number of tensors of the file that the network uses.
    pub tensors: usize,
    /// What became of the head.
    pub head: Head,
    /// Number of channels of the images that the weights were made for, where the network takes another
    /// number and its first layer was changed: added up over the channels, or divided among them.
    pub other_channels: Option<usize>,
    /// Names of the tensors of the file that the network does not use.
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
    /// read.
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
                    nearest: owner.map(|(nearest, _)| nearest.name),
                });
            }
        }
        let adapter = PyTorchToBurnAdapter.chain(FloatCastAdapter::to(DType::F32));
        let mut loaded = network.clone();
        let result = loaded.apply(fit.tensors(), None, Some(Box::new(adapter)), false);
        if let Some(error) = result.errors.into_iter().next() {
            return Err(self.unreadable(error));
        }
        *network = loaded;
        Ok(Loaded {
            tensors: result.applied.len(),
            head: fit.head,
            other_channels: fit.other_channels,
            unused: fit.unused,
        })
    }

    /// The error of a tensor whose values cannot be read.
    fn unreadable(&self, error: ApplyError) -> WeightsError {
        let reason = match error {
            ApplyError::LoadError { path, message } => {
                format!("the values of `{path}` cannot be read: {message}")
            }
            error => error.to_string(),
        };
        format_error(&self.path, reason)
    }
}

/// How the tensors of a file fit a network.
struct Fit<'a> {
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
    tensors: HashMap<String, &'a Tensor>,
    /// The names that the file gives to those of its tensors that have no name in the network.
    nameless: Vec<&'a str>,
}

impl<'a> Named<'a> {
    /// The names by which most tensors belong to parameters.
    fn best(weights: &'a Weights, architecture: &Architecture, expected: &[Parameter]) -> Self {
        let candidates = prefixes(&weights.tensors).into_iter().flat_map(|prefix| {
            let renames = namings(architecture);
            renames.map(move |rename| Self::new(weights, &prefix, rename))
        });
        let fitting = |named: &Self| {
            let fits = |parameter: &&Parameter| {
                let tensor = named.tensors.get(&parameter.name);
                tensor.is_some_and(|tensor| has_values_of(&parameter.shape, &tensor.shape))
            };
            expected.iter().filter(fits).count()
        };
        // The first of equally good ones.
        let candidates = candidates.map(|named| (fitting(&named), named));
        let best = candidates.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.expect("there is the empty prefix").1
    }

    fn new(weights: &'a Weights, prefix: &str, rename: Rename) -> Self {
        let mut named = Self {
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
        let weight = self.tensors.get(&format!("{}.weight", architecture.head));
        weight.map_or(Head::Missing, |weight| {
            Head::OtherClasses(weight.shape.first().copied().unwrap_or(0))
        })
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

/// What may stand in front of all names of a network, such as `module.` or `state_dict.`: each start of
/// a name that a quarter of all tensors share.
fn prefixes(tensors: &BTreeMap<String, Tensor>) -> Vec<String> {
    let mut counts = BTreeMap::from([("", tensors.len())]);
    for name in tensors.keys() {
        for (dot, _) in name.match_indices('.').take(3) {
            *counts.entry(&name[..=dot]).or_default() += 1;
        }
    }
    let common = counts
        .into_iter()
        .filter(|(_, count)| 4 * count >= tensors.len());
    common.map(|(prefix, _)| prefix.into()).collect()
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
            is_conv && expected != found && (*expected == 1 || *found == 1)
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
    let own: Rename = |name| Some(name.into());
    let others = architecture.aliases.iter().map(|names| names.ours);
    std::iter::once(own).chain(others)
}
