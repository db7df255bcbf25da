//! The nodes of an ONNX graph, and their constants.

use std::collections::HashMap;

use burn::backend::capture::TensorId;
use burn::backend::ir::TensorIr;
use burn::tensor::DType;

use super::proto::{AttributeProto, NodeProto, TensorProto, data_type};
use super::{IMAGES, LOGITS};
use crate::models::Trace;

/// The nodes of a graph, and the constants that they use. A method that adds nodes returns the name of
/// the result.
pub(super) struct Nodes<'a> {
    trace: &'a Trace,
    /// Names of the tensors that the nodes so far have used or computed.
    names: HashMap<TensorId, String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl<'a> Nodes<'a> {
    pub fn new(trace: &'a Trace) -> Self {
        Self {
            trace,
            names: HashMap::from([(trace.images, IMAGES.into())]),
            nodes: Vec::new(),
            constants: Vec::new(),
        }
    }

    pub fn has(&self, tensor: &TensorIr) -> bool {
        self.names.contains_key(&tensor.id)
    }

    /// Sets the name of a tensor that nodes have computed.
    pub fn set_name(&mut self, tensor: &TensorIr, name: String) {
        self.names.insert(tensor.id, name);
    }

    /// The nodes and the constants. The last result is named as the output of the graph.
    pub fn finish(mut self) -> (Vec<NodeProto>, Vec<TensorProto>) {
        let logits = self.names.get(&self.trace.logits);
        let mut names = self.nodes.iter_mut().flat_map(|node| &mut node.output);
        if let Some(name) = names.find(|name| Some(&**name) == logits) {
            *name = LOGITS.into();
        }
        (self.nodes, self.constants)
    }

    /// Adds an operation of a tensor and a number.
    pub fn node_with(&mut self, operator: &str, x: String, number: f32) -> String {
        let number = self.scalar(number);
        self.node(operator, [x, number], [])
    }

    /// Adds an operation of tensors.
    pub fn node_of<'t>(
        &mut self,
        operator: &str,
        inputs: impl IntoIterator<Item = &'t TensorIr>,
        attributes: impl IntoIterator<Item = AttributeProto>,
    ) -> String {
        let inputs: Vec<_> = inputs.into_iter().map(|tensor| self.name(tensor)).collect();
        self.node(operator, inputs, attributes)
    }

    /// Adds an operation of tensors that are given by their names.
    pub fn node(
        &mut self,
        operator: &str,
        inputs: impl IntoIterator<Item = String>,
        attributes: impl IntoIterator<Item = AttributeProto>,
    ) -> String {
        let name = format!("{operator}_{}", self.nodes.len());
        self.nodes.push(NodeProto {
            input: inputs.into_iter().collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: operator.into(),
            attribute: attributes.into_iter().collect(),
        });
        name
    }

    /// The name of a tensor, which is added to the constants where no node has computed it.
    pub fn name(&mut self, tensor: &TensorIr) -> String {
        if let Some(name) = self.names.get(&tensor.id) {
            return name.clone();
        }
        let data = self.trace.constants[&tensor.id].clone();
        let data = data.convert_dtype(DType::F32);
        let dims = tensor.shape.iter().map(|size| *size as i64).collect();
        let name = self.trace.names.get(&tensor.id).cloned();
        let name = self.constant(name, dims, data_type::FLOAT, data.as_bytes().to_vec());
        self.names.insert(tensor.id, name.clone());
        name
    }

    /// Adds a constant number.
    pub fn scalar(&mut self, value: f32) -> String {
        let bytes = value.to_le_bytes().to_vec();
        self.constant(None, Vec::new(), data_type::FLOAT, bytes)
    }

    /// Adds a constant list.
    pub fn integers(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        let dims = vec![values.len() as i64];
        self.constant(None, dims, data_type::INT64, bytes.collect())
    }

    fn constant(
        &mut self,
        name: Option<String>,
        dims: Vec<i64>,
        data_type: i32,
        raw_data: Vec<u8>,
    ) -> String {
        let name = name.unwrap_or_else(|| format!("constant_{}", self.constants.len()));
        self.constants.push(TensorProto {
            dims,
            data_type,
            name: name.clone(),
            raw_data,
        });
        name
    }
}
