//! The tensors of a network as PyTorch names and shapes them, without drawing their values.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Shape, Tensor};

/// A tensor of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
}

/// The tensors of a network, in its order.
pub(super) fn parameters(model: &impl Module) -> Vec<Parameter> {
    let mut visitor = Visitor::default();
    model.visit(&mut visitor);
    visitor.found
}

#[derive(Default)]
struct Visitor {
    found: Vec<Parameter>,
    path: Vec<String>,
    /// The types of the modules around a parameter.
    containers: Vec<String>,
}

impl Visitor {
    fn add(&mut self, shape: Shape) {
        let mut shape = shape.to_vec();
        let mut path = self.path.clone();
        let is_module = |container: &&String| container.starts_with("Struct:");
        let module = self.containers.iter().rev().find(is_module);
        let last = path.last_mut().expect("a parameter has a name");
        // As `BurnToPyTorchAdapter` writes them.
        match (module.map(String::as_str), last.as_str()) {
            (Some("Struct:BatchNorm" | "Struct:LayerNorm"), "gamma") => *last = "weight".into(),
            (Some("Struct:BatchNorm" | "Struct:LayerNorm"), "beta") => *last = "bias".into(),
            (Some("Struct:Linear"), "weight") => shape.reverse(),
            _ => {}
        }
        let name = path.join(".");
        self.found.push(Parameter { name, shape });
    }
}

impl ModuleVisitor for Visitor {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param.lazy_shape());
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.into());
        self.containers.push(container.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
        self.containers.pop();
    }
}
