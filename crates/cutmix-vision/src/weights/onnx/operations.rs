//! Burn's operations as nodes of an ONNX graph.

use std::collections::HashMap;
use std::f32::consts::SQRT_2;

use burn::backend::capture::TensorId;
use burn::backend::ir::{
    ActivationOperationIr, AttentionOpIr, BaseOperationIr, FloatOperationIr, ModuleOperationIr,
    NumericOperationIr, OperationIr, PadModeIr, PadOpIr, ReduceDimOpIr, ScalarIr, SliceOpIr,
    TensorIr,
};
use burn::tensor::DType;

use super::proto::{AttributeProto, NodeProto, TensorProto, data_type};
use super::{BATCH, IMAGES, LOGITS};
use crate::models::Trace;

/// The nodes of a graph, and the constants that they use.
///
/// A method that adds nodes returns the name of the result. Those that return `None` have met a form of
/// an operation that is not supported.
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

    /// Adds an operation.
    ///
    /// # Errors
    /// The name of the operation, where it is not supported.
    pub fn add(&mut self, operation: &OperationIr) -> Result<(), String> {
        let is_known = |tensor: &TensorIr| self.names.contains_key(&tensor.id);
        if matches!(operation, OperationIr::Init(_)) || operation.outputs().all(is_known) {
            return Ok(());
        }
        let result = match operation {
            OperationIr::BaseFloat(operation) => self.base(operation),
            OperationIr::NumericFloat(_, operation) => self.numeric(operation),
            OperationIr::Float(_, operation) => self.float(operation),
            OperationIr::Activation(operation) => self.activation(operation),
            OperationIr::Module(operation) => self.module(operation),
            _ => None,
        };
        match (result, operation.outputs().next()) {
            (Some(name), Some(output)) => {
                self.names.insert(output.id, name);
                Ok(())
            }
            _ => Err(name_of(operation)),
        }
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

    fn module(&mut self, operation: &ModuleOperationIr) -> Option<String> {
        use AttributeProto as Attribute;
        Some(match operation {
            ModuleOperationIr::Conv2d(conv) => {
                let inputs = [&conv.x, &conv.weight].into_iter().chain(&conv.bias);
                let options = &conv.options;
                let [(top, bottom), (left, right)] = options.padding;
                let attributes = [
                    Attribute::ints("strides", options.stride),
                    Attribute::ints("pads", [top, left, bottom, right]),
                    Attribute::ints("dilations", options.dilation),
                    Attribute::int("group", options.groups as i64),
                ];
                self.node_of("Conv", inputs, attributes)
            }
            ModuleOperationIr::BatchNorm(norm) => {
                let inputs = [&norm.x, &norm.gamma, &norm.beta, &norm.mean, &norm.variance];
                let epsilon = Attribute::float("epsilon", norm.epsilon.elem());
                self.node_of("BatchNormalization", inputs, [epsilon])
            }
            ModuleOperationIr::LayerNorm(norm) => {
                let inputs = [&norm.input, &norm.gamma].into_iter().chain(&norm.beta);
                let epsilon = Attribute::float("epsilon", norm.epsilon.elem());
                self.node_of("LayerNormalization", inputs, [epsilon])
            }
            ModuleOperationIr::MaxPool2d(pool) => {
                let attributes = [
                    Attribute::ints("kernel_shape", pool.kernel_size),
                    Attribute::ints("strides", pool.stride),
                    Attribute::ints("pads", [pool.padding, pool.padding].concat()),
                    Attribute::ints("dilations", pool.dilation),
                    Attribute::int("ceil_mode", pool.ceil_mode.into()),
                ];
                self.node_of("MaxPool", [&pool.x], attributes)
            }
            ModuleOperationIr::AvgPool2d(pool) => {
                let attributes = [
                    Attribute::ints("kernel_shape", pool.kernel_size),
                    Attribute::ints("strides", pool.stride),
                    Attribute::ints("pads", [pool.padding, pool.padding].concat()),
                    Attribute::int("ceil_mode", pool.ceil_mode.into()),
                    Attribute::int("count_include_pad", pool.count_include_pad.into()),
                ];
                self.node_of("AveragePool", [&pool.x], attributes)
            }
            ModuleOperationIr::AdaptiveAvgPool2d(pool) if pool.output_size == [1, 1] => {
                self.node_of("GlobalAveragePool", [&pool.x], [])
            }
            ModuleOperationIr::Attention(attention) => self.attention(attention)?,
            _ => return None,
        })
    }

    /// Softmax of the scaled products of queries and keys, by the values.
    fn attention(&mut self, attention: &AttentionOpIr) -> Option<String> {
        let options = &attention.options;
        let is_plain = attention.mask.is_none()
            && attention.attn_bias.is_none()
            && options.softcap.is_none()
            && !options.is_causal;
        if !is_plain {
            return None;
        }
        let width = *attention.query.shape.last()? as f64;
        let scale = options.scale.map_or(width.powf(-0.5), ScalarIr::elem);
        let keys = self.name(&attention.key);
        let keys = self.node(
            "Transpose",
            [keys],
            [AttributeProto::ints("perm", [0, 1, 3, 2])],
        );
        let queries = self.name(&attention.query);
        let queries = self.scaled("Mul", queries, scale as f32);
        let products = self.node("MatMul", [queries, keys], []);
        let shares = self.node("Softmax", [products], [AttributeProto::int("axis", -1)]);
        let values = self.name(&attention.value);
        Some(self.node("MatMul", [shares, values], []))
    }

    fn activation(&mut self, operation: &ActivationOperationIr) -> Option<String> {
        Some(match operation {
            ActivationOperationIr::Relu(unary) => self.node_of("Relu", [&unary.input], []),
            ActivationOperationIr::Sigmoid(unary) => self.node_of("Sigmoid", [&unary.input], []),
            ActivationOperationIr::Softmax(softmax) => {
                let axis = AttributeProto::int("axis", softmax.axis as i64);
                self.node_of("Softmax", [&softmax.input], [axis])
            }
            // x / 2 * (1 + erf(x / sqrt(2))), in the form that ONNX Runtime puts together again.
            ActivationOperationIr::Gelu(unary) => {
                let x = self.name(&unary.input);
                let scaled = self.scaled("Div", x.clone(), SQRT_2);
                let erf = self.node("Erf", [scaled], []);
                let sum = self.scaled("Add", erf, 1.0);
                let product = self.node("Mul", [x, sum], []);
                self.scaled("Mul", product, 0.5)
            }
            _ => return None,
        })
    }

    fn float(&mut self, operation: &FloatOperationIr) -> Option<String> {
        match operation {
            FloatOperationIr::Matmul(product) => {
                Some(self.node_of("MatMul", [&product.lhs, &product.rhs], []))
            }
            _ => None,
        }
    }

    fn numeric(&mut self, operation: &NumericOperationIr) -> Option<String> {
        use NumericOperationIr as Op;
        let (operator, binary) = match operation {
            Op::Add(binary) => ("Add", binary),
            Op::Sub(binary) => ("Sub", binary),
            Op::Mul(binary) => ("Mul", binary),
            Op::Div(binary) => ("Div", binary),
            Op::MeanDim(reduce) => return Some(self.mean(reduce)),
            Op::Clamp(clamp) => {
                let x = self.name(&clamp.tensor);
                let limits = [clamp.min, clamp.max].map(|limit| self.scalar(limit.elem()));
                let [min, max] = limits;
                return Some(self.node("Clip", [x, min, max], []));
            }
            Op::Pad(pad) => return Some(self.pad(pad)),
            _ => return self.with_scalar(operation),
        };
        Some(self.node_of(operator, [&binary.lhs, &binary.rhs], []))
    }

    /// An operation with the same number for all elements.
    fn with_scalar(&mut self, operation: &NumericOperationIr) -> Option<String> {
        use NumericOperationIr as Op;
        let (operator, operands) = match operation {
            Op::AddScalar(operands) => ("Add", operands),
            Op::SubScalar(operands) => ("Sub", operands),
            Op::MulScalar(operands) => ("Mul", operands),
            Op::DivScalar(operands) => ("Div", operands),
            _ => return None,
        };
        let x = self.name(&operands.lhs);
        Some(self.scaled(operator, x, operands.rhs.elem()))
    }

    fn mean(&mut self, reduce: &ReduceDimOpIr) -> String {
        let axes = AttributeProto::ints("axes", [reduce.axis]);
        self.node_of("ReduceMean", [&reduce.input], [axes])
    }

    fn pad(&mut self, pad: &PadOpIr) -> String {
        let (before, after): (Vec<_>, Vec<_>) = pad.padding.iter().copied().unzip();
        let pads = [before, after].concat();
        let pads: Vec<_> = pads.into_iter().map(|pad| pad as i64).collect();
        let mut inputs = vec![self.name(&pad.input), self.integers(&pads)];
        let mode = match pad.mode {
            PadModeIr::Constant(value) => {
                inputs.push(self.scalar(value.elem()));
                "constant"
            }
            PadModeIr::Reflect => "reflect",
            PadModeIr::Edge => "edge",
        };
        self.node("Pad", inputs, [AttributeProto::text("mode", mode)])
    }

    fn base(&mut self, operation: &BaseOperationIr) -> Option<String> {
        match operation {
            BaseOperationIr::Reshape(reshape) => self.reshape(&reshape.input, &reshape.out),
            BaseOperationIr::Permute(permute) => {
                let axes = AttributeProto::ints("perm", permute.axes.iter().copied());
                Some(self.node_of("Transpose", [&permute.input], [axes]))
            }
            BaseOperationIr::SwapDims(swap) => {
                let mut axes: Vec<_> = (0..swap.input.shape.num_dims()).collect();
                axes.swap(swap.dim1, swap.dim2);
                let axes = AttributeProto::ints("perm", axes);
                Some(self.node_of("Transpose", [&swap.input], [axes]))
            }
            BaseOperationIr::Expand(expand) => self.expand(&expand.input, &expand.out),
            BaseOperationIr::RepeatDim(repeat) if repeat.tensor.shape[repeat.dim] == 1 => {
                self.expand(&repeat.tensor, &repeat.out)
            }
            BaseOperationIr::Slice(slice) => self.slice(slice),
            BaseOperationIr::Cat(cat) => {
                let axis = AttributeProto::int("axis", cat.dim as i64);
                Some(self.node_of("Concat", &cat.tensors, [axis]))
            }
            _ => None,
        }
    }

    /// One size, a multiple of that of the batch, may be left open.
    fn reshape(&mut self, input: &TensorIr, out: &TensorIr) -> Option<String> {
        let is_open = |size: usize| size % BATCH == 0;
        let sizes = out.shape.iter().copied();
        let sizes = sizes.map(|size| if is_open(size) { -1 } else { size as i64 });
        let sizes: Vec<_> = sizes.collect();
        if sizes.iter().filter(|size| **size < 0).count() > 1 {
            return None;
        }
        let inputs = [self.name(input), self.integers(&sizes)];
        Some(self.node("Reshape", inputs, []))
    }

    /// The batch may be the first dimension.
    fn expand(&mut self, input: &TensorIr, out: &TensorIr) -> Option<String> {
        let sizes: Vec<_> = out.shape.iter().map(|size| *size as i64).collect();
        let input = self.name(input);
        let shape = match &sizes[..] {
            [first, rest @ ..] if *first == BATCH as i64 => {
                let range = [("start", 0), ("end", 1)];
                let range = range.map(|(name, value)| AttributeProto::int(name, value));
                let batch = self.node("Shape", [IMAGES.into()], range);
                let rest = self.integers(rest);
                self.node("Concat", [batch, rest], [AttributeProto::int("axis", 0)])
            }
            sizes => self.integers(sizes),
        };
        let has_batch = |sizes: &[usize]| sizes.iter().any(|size| size % BATCH == 0);
        (!has_batch(&out.shape[1..])).then(|| self.node("Expand", [input, shape], []))
    }

    /// Dimensions that are kept whole are left out, so that the batch may be one of them.
    fn slice(&mut self, slice: &SliceOpIr) -> Option<String> {
        let mut bounds = [const { Vec::new() }; 4];
        for (axis, (range, &size)) in slice.ranges.iter().zip(&slice.tensor.shape[..]).enumerate() {
            let end = range.end.unwrap_or(size as isize);
            if (range.start, end, range.step) == (0, size as isize, 1) {
                continue;
            }
            if range.step < 0 || size % BATCH == 0 {
                return None;
            }
            let values = [range.start, end, axis as isize, range.step];
            for (bounds, value) in bounds.iter_mut().zip(values) {
                bounds.push(value as i64);
            }
        }
        let mut inputs = vec![self.name(&slice.tensor)];
        inputs.extend(bounds.map(|values| self.integers(&values)));
        Some(self.node("Slice", inputs, []))
    }

    /// Adds an operation of a tensor and a number.
    fn scaled(&mut self, operator: &str, x: String, number: f32) -> String {
        let number = self.scalar(number);
        self.node(operator, [x, number], [])
    }

    fn node_of<'t>(
        &mut self,
        operator: &str,
        inputs: impl IntoIterator<Item = &'t TensorIr>,
        attributes: impl IntoIterator<Item = AttributeProto>,
    ) -> String {
        let inputs: Vec<_> = inputs.into_iter().map(|tensor| self.name(tensor)).collect();
        self.node(operator, inputs, attributes)
    }

    fn node(
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
    fn name(&mut self, tensor: &TensorIr) -> String {
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

    fn scalar(&mut self, value: f32) -> String {
        let bytes = value.to_le_bytes().to_vec();
        self.constant(None, Vec::new(), data_type::FLOAT, bytes)
    }

    fn integers(&mut self, values: &[i64]) -> String {
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

/// Burn's name of an operation: `Sin` of `Float(F32, Sin(UnaryOpIr { ... }))`.
fn name_of(operation: &OperationIr) -> String {
    let text = format!("{operation:?}");
    let names = text.split(" {").next().unwrap_or_default();
    let mut names = names.rsplit(['(', ' ']);
    names.nth(1).unwrap_or_default().into()
}
