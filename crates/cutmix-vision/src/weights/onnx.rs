//! Networks as ONNX models, which other programs run: ONNX Runtime, OpenVINO, TensorRT.

mod nodes;
mod operations;
pub mod proto;

use cutmix_train::Network;
use prost::Message;

use crate::models::Trace;
use nodes::Nodes;
use proto::{
    DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};

/// Name of the input of a model: normalised images `[batch, C, H, W]`.
pub const IMAGES: &str = "images";
/// Name of the output of a model: logits `[batch, K]`.
pub const LOGITS: &str = "logits";

/// Version of the format. Both numbers are those of ONNX 1.12 of 2022, the first with an operator for
/// layer normalisation.
const IR_VERSION: i64 = 8;
/// Version of the set of operators.
const OPSET: i64 = 17;
/// Size of the recorded batch: a prime that no other size is a multiple of, so that it is found again
/// in shapes.
const BATCH: usize = (1 << 31) - 1;

/// A network cannot be written as an ONNX model yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("network `{network}` cannot be exported to ONNX yet: it uses the operation {operation}")]
pub struct OnnxError {
    /// Name of the network.
    pub network: String,
    /// Burn's name of an operation that, in this form, is not supported.
    pub operation: String,
}

/// Configuration of an ONNX model of a network.
///
/// The model takes the input [`IMAGES`] of any batch size, normalised as for the network, and computes
/// the output [`LOGITS`].
///
/// ```
/// use burn::tensor::Device;
/// use cutmix_vision::ModelConfig;
/// use cutmix_vision::weights::onnx::OnnxConfig;
///
/// let network = ModelConfig::new("resnet8", 2).init(&Device::default())?;
/// let config = OnnxConfig::new("resnet8", [3, 32, 32]).with_metadata("classes", r#"["cat", "dog"]"#);
/// let model = config.encode(&network)?;
/// assert!(model.len() > 4 * 75_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxConfig {
    /// Name of the network.
    pub name: String,
    /// Shape `[C, H, W]` of an image.
    pub image: [usize; 3],
    /// Named texts that describe the model.
    pub metadata: Vec<(String, String)>,
}

impl OnnxConfig {
    /// A model of the network `name` for images of the shape `[C, H, W]`.
    pub fn new(name: impl Into<String>, image: [usize; 3]) -> Self {
        Self {
            name: name.into(),
            image,
            metadata: Vec::new(),
        }
    }

    /// Adds a named text that describes the model.
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// The bytes of an ONNX file, with weights in f32. Two equal networks give the same bytes.
    ///
    /// # Errors
    /// [`OnnxError`] where an operation of the network is not supported.
    ///
    /// # Panics
    /// Where the network's `forward` panics or returns logits on another device than that of the
    /// images.
    pub fn encode(&self, network: &impl Network) -> Result<Vec<u8>, OnnxError> {
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "cutmix".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph(network)?),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPSET,
            }],
            metadata_props: (self.metadata.iter().cloned())
                .map(|(key, value)| StringStringEntryProto { key, value })
                .collect(),
        };
        Ok(model.encode_to_vec())
    }

    fn graph(&self, network: &impl Network) -> Result<GraphProto, OnnxError> {
        let [channels, height, width] = self.image;
        let trace = Trace::record(network, [BATCH, channels, height, width]);
        let mut nodes = Nodes::new(&trace);
        for operation in &trace.operations {
            (nodes.add(operation)).map_err(|operation| OnnxError {
                network: self.name.clone(),
                operation,
            })?;
        }
        let (node, initializer) = nodes.finish();
        Ok(GraphProto {
            node,
            name: self.name.clone(),
            initializer,
            input: vec![batch_of(IMAGES, &self.image)],
            output: vec![batch_of(LOGITS, &[trace.num_classes])],
        })
    }
}

/// The type of a batch of tensors of f32.
fn batch_of(name: &str, shape: &[usize]) -> ValueInfoProto {
    let batch = DimensionProto {
        dim_value: None,
        dim_param: Some("batch".into()),
    };
    let fixed = shape.iter().map(|size| DimensionProto {
        dim_value: Some(*size as i64),
        dim_param: None,
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: data_type::FLOAT,
                shape: Some(TensorShapeProto {
                    dim: std::iter::once(batch).chain(fixed).collect(),
                }),
            }),
        }),
    }
}
