//! The operations of a network, recorded by Burn's capture backend without being computed.

use std::collections::{BTreeMap, HashMap};

use burn::backend::capture::{CaptureBackend, TensorId};
use burn::backend::ir::{FloatOperationIr, ModuleOperationIr, OperationIr};
use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use cutmix_train::Network;

/// What a network does to a batch of images, for inference.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The operations, in order. The first one stands for the images.
    pub operations: Vec<OperationIr>,
    /// Tensors that are not the result of an operation, such as weights.
    pub constants: BTreeMap<TensorId, TensorData>,
    /// Names of the network's parameters and running statistics.
    pub names: HashMap<TensorId, String>,
    pub images: TensorId,
    pub logits: TensorId,
    pub num_classes: usize,
}

impl Trace {
    /// Records what `network` does to images of this shape. Memory is needed for the weights alone,
    /// whatever the size of the batch.
    ///
    /// # Panics
    /// Where `forward` panics or returns logits on another device than that of the images.
    pub fn record(network: &impl Network, shape: [usize; 4]) -> Self {
        let device = Device::capture();
        let mut names = Names::default();
        let mut found = None;
        let captured = device.capture_scope(|scope| {
            // A clone would share the running statistics and take them away to the device.
            let network = network.valid().to_device(&device);
            network.visit(&mut names);
            let images = Tensor::empty(shape, &device);
            let first = id(&images);
            let logits = network.forward(images);
            let last = id(&logits);
            found = Some((first, last, logits.dims()[1]));
            scope.complete([], [last])
        });
        // The device is new, and all tensors of the network are on it.
        let captured = captured.expect("the logits are recorded");
        let (images, logits, num_classes) = found.expect("the closure has been called");
        Self {
            operations: captured.graph.operations,
            constants: captured.values,
            names: names.found,
            images,
            logits,
            num_classes,
        }
    }
}

fn id<const D: usize>(tensor: &Tensor<D>) -> TensorId {
    let tensor = tensor.clone().try_into_primitive::<CaptureBackend>();
    tensor.expect("the tensor is on a capture device").id()
}

/// Finds the names of parameters.
#[derive(Default)]
struct Names {
    path: Vec<String>,
    found: HashMap<TensorId, String>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.insert(id(&param.val()), self.path.join("."));
    }
}

/// Number of multiplications of a network for one image `[C, H, W]`, in inference: those of
/// convolutions and matrix products, as tables of networks count them. Each comes with an addition.
///
/// ```
/// use burn::tensor::Device;
/// use cutmix_vision::ModelConfig;
/// use cutmix_vision::models::multiplies;
///
/// let resnet18 = ModelConfig::new("resnet18", 1000).init(&Device::default())?;
/// assert_eq!(multiplies(&resnet18, [3, 224, 224]), 1_814_073_344);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
///
/// # Panics
/// Where `forward` panics or returns logits on another device than that of the images.
pub fn multiplies(network: &impl Network, image: [usize; 3]) -> u64 {
    let [channels, height, width] = image;
    let trace = Trace::record(network, [1, channels, height, width]);
    let counts = trace.operations.iter().map(multiplies_of);
    counts.sum::<usize>() as u64
}

fn multiplies_of(operation: &OperationIr) -> usize {
    match operation {
        OperationIr::Module(ModuleOperationIr::Conv2d(conv)) => {
            let of_one_output: usize = conv.weight.shape[1..].iter().product();
            conv.out.shape.num_elements() * of_one_output
        }
        OperationIr::Module(ModuleOperationIr::Attention(attention)) => {
            // Queries by keys, and the result by values.
            let [.., keys, width] = attention.key.shape[..] else {
                unreachable!("keys have four dimensions")
            };
            let queries = attention.query.shape.num_elements();
            keys * (queries + queries / width * attention.value.shape[3])
        }
        OperationIr::Float(_, FloatOperationIr::Matmul(product)) => {
            let shared = product.lhs.shape.last().copied().unwrap_or(1);
            product.out.shape.num_elements() * shared
        }
        _ => 0,
    }
}
