//! Burn's operations as nodes of an ONNX graph.

use std::f32::consts::SQRT_2;

use burn::backend::ir::{
    ActivationOperationIr, AttentionOpIr, BaseOperationIr, FloatOperationIr, ModuleOperationIr,
    NumericOperationIr, OperationIr, PadModeIr, PadOpIr, ReduceDimOpIr, ScalarIr, SliceOpIr,
    TensorIr,
};

use super::nodes::Nodes;
use super::proto::AttributeProto;
use super::{BATCH, IMAGES};

/// A method that returns `None` has met an operation, or a form of it, that is not supported.
impl Nodes<'_> {
    /// Adds an operation.
    ///
    /// # Errors
    /// The name of the operation, where it is not supported.
    pub fn add(&mut self, operation: &OperationIr) -> Result<(), String> {
        // The images are given.
        let is_given = operation.outputs().all(|output| self.has(output));
        if is_given || matches!(operation, OperationIr::Init(_)) {
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
                self.set_name(output, name);
                Ok(())
            }
            _ => Err(name_of(operation)),
        }
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
        let queries = self.node_with("Mul", queries, scale as f32);
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
                let scaled = self.node_with("Div", x.clone(), SQRT_2);
                let erf = self.node("Erf", [scaled], []);
                let sum = self.node_with("Add", erf, 1.0);
                let product = self.node("Mul", [x, sum], []);
                self.node_with("Mul", product, 0.5)
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
            Op::ClampMin(operands) => ("Max", operands),
            Op::ClampMax(operands) => ("Min", operands),
            Op::SubScalar(operands) => ("Sub", operands),
            Op::MulScalar(operands) => ("Mul", operands),
            Op::DivScalar(operands) => ("Div", operands),
            _ => return None,
        };
        let x = self.name(&operands.lhs);
        Some(self.node_with(operator, x, operands.rhs.elem()))
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
        let sizes = out.shape.iter().copied();
        let sizes = sizes.map(|size| if has_batch(size) { -1 } else { size as i64 });
        let sizes: Vec<_> = sizes.collect();
        if sizes.iter().filter(|size| **size < 0).count() > 1 {
            return None;
        }
        let inputs = [self.name(input), self.integers(&sizes)];
        Some(self.node("Reshape", inputs, []))
    }

    /// The batch may be the first dimension.
    fn expand(&mut self, input: &TensorIr, out: &TensorIr) -> Option<String> {
        let (&first, rest) = out.shape.split_first()?;
        if rest.iter().any(|size| has_batch(*size)) {
            return None;
        }
        if first != BATCH && has_batch(first) {
            return None;
        }
        let first = if first == BATCH {
            let range = [("start", 0), ("end", 1)];
            let range = range.map(|(name, value)| AttributeProto::int(name, value));
            self.node("Shape", [IMAGES.into()], range)
        } else {
            self.integers(&[first as i64])
        };
        let rest: Vec<_> = rest.iter().map(|size| *size as i64).collect();
        let rest = self.integers(&rest);
        let shape = self.node("Concat", [first, rest], [AttributeProto::int("axis", 0)]);
        let input = self.name(input);
        Some(self.node("Expand", [input, shape], []))
    }

    /// Dimensions that are kept whole are left out, so that the batch may be one of them.
    fn slice(&mut self, slice: &SliceOpIr) -> Option<String> {
        let mut bounds = [const { Vec::new() }; 4];
        for (axis, (range, &size)) in slice.ranges.iter().zip(&slice.tensor.shape[..]).enumerate() {
            let end = range.end.unwrap_or(size as isize);
            if (range.start, end, range.step) == (0, size as isize, 1) {
                continue;
            }
            if range.step < 0 || has_batch(size) {
                return None;
            }
            let values = [range.start, end, axis as isize, range.step];
            for (bounds, value) in bounds.iter_mut().zip(values) {
                bounds.push(value as i64);
            }
        }
        let mut inputs = vec![self.name(&slice.tensor)];
        inputs.extend(bounds.map(|bounds| self.integers(&bounds)));
        Some(self.node("Slice", inputs, []))
    }
}

/// Whether a size of the trace grows with the batch.
fn has_batch(size: usize) -> bool {
    size > 0 && size.is_multiple_of(BATCH)
}

/// Burn's name of an operation: `Sin` of `Float(F32, Sin(UnaryOpIr { ... }))`.
fn name_of(operation: &OperationIr) -> String {
    let text = format!("{operation:?}");
    let names = text.split(" {").next().unwrap_or_default();
    let mut names = names.rsplit(['(', ' ']);
    names.nth(1).unwrap_or_default().into()
}
