//! The messages of ONNX files, as far as an exported network has them.
//!
//! Names and numbers of the fields are those of
//! [`onnx.proto`](https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), where each is described.

use prost::Message;

/// Data types of tensors.
pub mod data_type {
    /// 32-bit floating-point numbers.
    pub const FLOAT: i32 = 1;
    /// 64-bit signed integers.
    pub const INT64: i32 = 7;
}

/// Kinds of attributes.
mod attribute_type {
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const INTS: i32 = 7;
}

/// A file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Version of the file format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Name of the program that wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Version of the program that wrote the file.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The computation.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Sets of operators that the graph uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Named texts that describe the model.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A set of operators.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Name of the set; empty for that of ONNX.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Version of the set.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A text with a name.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A computation.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// Operations, each behind those whose results it takes.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// Name of the graph.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constant tensors.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// Tensors that are given.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Tensors that are computed.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// An operation.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of the tensors that it takes.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the tensors that it computes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Name of the node.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Operator, such as `Conv`.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Settings of the operator.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

/// A setting of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Name of the setting.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value, where it is a number.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// The value, where it is an integer.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// The value, where it is a text.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// The values, where they are integers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Which of the fields has the value.
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl AttributeProto {
    pub(super) fn float(name: &str, value: f32) -> Self {
        Self {
            name: name.into(),
            f: Some(value),
            r#type: attribute_type::FLOAT,
            ..Self::default()
        }
    }

    pub(super) fn int(name: &str, value: i64) -> Self {
        Self {
            name: name.into(),
            i: Some(value),
            r#type: attribute_type::INT,
            ..Self::default()
        }
    }

    pub(super) fn text(name: &str, value: &str) -> Self {
        Self {
            name: name.into(),
            s: Some(value.into()),
            r#type: attribute_type::STRING,
            ..Self::default()
        }
    }

    pub(super) fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> Self {
        Self {
            name: name.into(),
            ints: values.into_iter().map(|value| value as i64).collect(),
            r#type: attribute_type::INTS,
            ..Self::default()
        }
    }
}

/// A constant tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Shape.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// Type of the elements, one of [`data_type`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Name of the tensor.
    #[prost(string, tag = "8")]
    pub name: String,
    /// The elements, little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// The name and type of an input or output.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// The type of an input or output.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// The type, where it is a tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// The type of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// Type of the elements, one of [`data_type`].
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// The shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// The shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// The dimensions.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// A dimension of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    /// The size, where it is fixed.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// A name of the size, where it is free.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}
