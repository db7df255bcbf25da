//! ONNX models: what their bytes tell, and what ONNX Runtime computes with them.

use std::path::Path;
use std::process::{Command, Output};

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::{gelu, silu, softmax};
use burn::tensor::module::{adaptive_avg_pool2d, attention, avg_pool2d, max_pool2d};
use burn::tensor::ops::{AttentionModuleOptions, AvgPoolOptions, MaxPoolOptions, PadMode};
use burn::tensor::{Device, Distribution, Tensor, s};
use cutmix_train::{Network, WithForward};
use cutmix_vision::models::{architectures, multiplies};
use cutmix_vision::weights::onnx::proto::{GraphProto, ModelProto, ValueInfoProto};
use cutmix_vision::weights::onnx::{OnnxConfig, OnnxError};
use cutmix_vision::{AnyNetwork, ModelConfig};
use prost::Message;

const IMAGE: [usize; 3] = [3, 16, 24];

fn graph(network: &impl Network) -> GraphProto {
    let bytes = OnnxConfig::new("net", IMAGE).encode(network).unwrap();
    ModelProto::decode(&*bytes).unwrap().graph.unwrap()
}

fn operators(graph: &GraphProto) -> Vec<&str> {
    graph.node.iter().map(|node| &*node.op_type).collect()
}

/// The dimensions of an input or output: sizes, or names of free ones.
fn dimensions(value: &ValueInfoProto) -> Vec<String> {
    let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
    let dims = tensor.shape.unwrap().dim.into_iter();
    dims.map(|dim| match (dim.dim_value, dim.dim_param) {
        (Some(size), None) => size.to_string(),
        (None, Some(name)) => name,
        both => panic!("{both:?}"),
    })
    .collect()
}

#[test]
fn every_network_becomes_a_model_of_any_batch_size() {
    let device = Device::default();
    for architecture in architectures() {
        let name = architecture.name;
        let network = ModelConfig::new(name, 7).init(&device).unwrap();
        let [height, width] = [16, 24].map(|side| *architecture.sizes.near(side).last().unwrap());
        let config = OnnxConfig::new(name, [3, height, width])
            .with_metadata("classes", "seven")
            .with_metadata("mean", "0.5");
        let bytes = config.encode(&network).unwrap();
        assert_eq!(bytes, config.encode(&network).unwrap(), "{name}");

        let model = ModelProto::decode(&*bytes).unwrap();
        let metadata = model.metadata_props.iter();
        let metadata: Vec<_> = metadata.map(|entry| (&*entry.key, &*entry.value)).collect();
        assert_eq!(metadata, [("classes", "seven"), ("mean", "0.5")]);
        assert_eq!(model.producer_name, "cutmix");
        let graph = model.graph.unwrap();
        assert_eq!(graph.name, name);
        let [input] = &graph.input[..] else {
            panic!("{:?}", graph.input)
        };
        let [output] = &graph.output[..] else {
            panic!("{:?}", graph.output)
        };
        assert_eq!(input.name, "images");
        let [height, width] = [height, width].map(|side| side.to_string());
        assert_eq!(dimensions(input), ["batch", "3", &height, &width]);
        assert_eq!(output.name, "logits");
        assert_eq!(dimensions(output), ["batch", "7"]);
        assert_eq!(graph.node.last().unwrap().output, ["logits"]);
    }
}

/// The network must not change when it is exported: it is still trained or evaluated.
#[test]
fn export_leaves_the_network_as_it_is() {
    let device = Device::default().autodiff();
    let network = ModelConfig::new("resnet8", 3).init(&device).unwrap();
    let images = Tensor::ones([2, 3, 16, 24], &device);
    let before = network.forward(images.clone()).into_data();
    graph(&network);
    let after = network.forward(images).into_data();
    assert_eq!(before, after);
    assert_eq!(network.devices(), [device]);
}

#[test]
fn weights_keep_their_names_and_values() {
    let parts = Parts::new(&Device::default());
    let graph = graph(&parts);
    let token = graph
        .initializer
        .iter()
        .find(|tensor| tensor.name == "token");
    let token = token.unwrap();
    assert_eq!(token.dims, [1, 1, 8]);
    assert_eq!(token.raw_data, [1.0f32.to_le_bytes(); 8].concat());
    let names = [
        "stem.weight",
        "stem.bias",
        "norm.gamma",
        "head.weight",
        "head.bias",
    ];
    for name in names {
        let mut all = graph.initializer.iter();
        assert!(all.any(|tensor| tensor.name == name), "{name}");
    }
}

/// Parts of networks of several kinds: of MobileNets, EfficientNets, ConvNeXts and transformers.
#[derive(Module, Debug)]
struct Parts {
    stem: Conv2d,
    depthwise: Conv2d,
    norm: LayerNorm,
    hidden: Linear,
    token: Param<Tensor<3>>,
    head: Linear,
}

impl Parts {
    fn new(device: &Device) -> Self {
        let padding = PaddingConfig2d::Explicit(0, 0, 1, 1);
        Self {
            stem: Conv2dConfig::new([3, 8], [4, 4])
                .with_stride([4, 4])
                .init(device),
            depthwise: Conv2dConfig::new([8, 8], [2, 2])
                .with_padding(padding)
                .with_groups(8)
                .init(device),
            norm: LayerNormConfig::new(8).init(device),
            hidden: LinearConfig::new(8, 8).init(device),
            token: Param::from_tensor(Tensor::ones([1, 1, 8], device)),
            head: LinearConfig::new(8, 5).init(device),
        }
    }
}

impl Network for Parts {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.stem.forward(images).clamp(0.0, 6.0);
        let x = silu(self.depthwise.forward(x));
        let [batch, channels, height, width] = x.dims();
        let x = x.reshape([batch, channels, height * width]).swap_dims(1, 2);
        let token = self.token.val().expand([batch, 1, channels]);
        let x = self.norm.forward(Tensor::cat(vec![token, x], 1));
        let x = gelu(self.hidden.forward(x));
        // Two heads.
        let heads = x
            .reshape([batch, height * width + 1, 2, 4])
            .permute([0, 2, 1, 3]);
        let options = AttentionModuleOptions::default();
        let x = attention(
            heads.clone(),
            heads.clone(),
            heads.clone(),
            None,
            None,
            options,
        );
        let shares = softmax(x.clone().matmul(heads.clone().transpose()) * 0.5, 3);
        let x = shares
            .matmul(heads)
            .swap_dims(1, 2)
            .reshape([batch, height * width + 1, 8]);
        self.head
            .forward(x.slice([0..batch, 0..1]).reshape([batch, channels]))
    }
}

/// Ways to make images smaller, and arithmetic.
fn pools(linear: &Linear, images: Tensor<4>) -> Tensor<2> {
    let x = images.pad([(1, 1), (1, 1)], PadMode::Reflect) * 2.0 - 1.0;
    let options = AvgPoolOptions::new([3, 3])
        .with_stride([2, 2])
        .with_padding([1, 1]);
    let small = avg_pool2d(x.clone(), options.with_count_include_pad(false));
    let small = max_pool2d(small, MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
    let [batch, channels, ..] = x.dims();
    let shift = Tensor::<2>::from_floats([[1.0, 2.0, 3.0]], &x.device()).repeat_dim(0, batch);
    let mean = adaptive_avg_pool2d(x, [1, 1]).reshape([batch, channels]);
    let other = small.flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2);
    linear.forward((mean + shift.clone()) / 3.0 - other / shift)
}

#[test]
fn parts_of_other_networks_are_written() {
    let device = Device::default();
    let parts = graph(&Parts::new(&device));
    let linear = LinearConfig::new(3, 5).init(&device);
    let pools = graph(&WithForward::new(linear, pools));
    let operators = [parts, pools].map(|graph| operators(&graph).join("\n"));
    insta::assert_snapshot!(operators.join("\n\n"));
}

#[test]
fn an_operation_that_cannot_be_written_is_named_with_the_network() {
    type Forward = fn(&Linear, Tensor<4>) -> Tensor<2>;
    let linear = LinearConfig::new(3 * 16 * 24, 2).init(&Device::default());
    let forwards: [(Forward, &str); 3] = [
        (|linear, x| linear.forward(x.flatten(1, 3).sin()), "Sin"),
        (
            |linear, x| linear.forward(x.flatten(1, 3).cumsum(1)),
            "CumSum",
        ),
        // A part of the batch.
        (
            |linear, x| linear.forward(x.flatten(1, 3)).slice(s![0..2, ..]),
            "Slice",
        ),
    ];
    for (forward, expected) in forwards {
        let network = WithForward::new(linear.clone(), forward);
        let error = OnnxConfig::new("sines", IMAGE)
            .encode(&network)
            .unwrap_err();
        let (network, operation) = ("sines".into(), expected.into());
        assert_eq!(error, OnnxError { network, operation });
        let message = format!(
            "network `sines` cannot be exported to ONNX yet: it uses the operation {expected}"
        );
        assert_eq!(error.to_string(), message);
    }
}

/// Published by torchvision with its weights, in thousand millions: 1.814 and 4.089.
#[test]
fn multiplies_are_the_published_ones() {
    let device = Device::default();
    for (name, count) in [("resnet18", 1_814_073_344), ("resnet50", 4_089_184_256)] {
        let network = ModelConfig::new(name, 1000).init(&device).unwrap();
        assert_eq!(multiplies(&network, [3, 224, 224]), count, "{name}");
    }
}

#[test]
fn multiplies_count_groups_once_and_attention_twice() {
    let parts = Parts::new(&Device::default());
    // 4 x 6 positions, and a token.
    let (positions, tokens) = (4 * 6, 4 * 6 + 1);
    let convolutions = positions * 8 * (3 * 16) + positions * 8 * (2 * 2);
    let products = 2 * 2 * (2 * tokens * tokens * 4);
    let linear = tokens * 8 * 8 + 8 * 5;
    let expected = (convolutions + products + linear) as u64;
    assert_eq!(multiplies(&parts, IMAGE), expected);
}

/// Gives vectors other values than those of the start, which are all 0 or all 1: the parameters of
/// normalisations, their statistics, and biases.
struct OtherVectors;

impl ModuleMapper for OtherVectors {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D > 1 {
            return param;
        }
        param.map(|values| {
            let like = |low, high| values.random_like(Distribution::Uniform(low, high));
            like(0.7, 1.3) * values.clone() + like(-0.2, 0.2)
        })
    }
}

/// Runs a model on images `[N, C, H, W]` in ONNX Runtime, and compares its logits `[N, K]` with these.
const COMPARE: &str = "
import sys, numpy, onnx, onnxruntime
folder = sys.argv[1]
onnx.checker.check_model(folder + '/model.onnx', full_check=True)
session = onnxruntime.InferenceSession(folder + '/model.onnx', providers=['CPUExecutionProvider'])
shape = [int(size) for size in sys.argv[2:]]
images = numpy.fromfile(folder + '/images', numpy.float32).reshape(shape)
(found,) = session.run(['logits'], {'images': images})
expected = numpy.fromfile(folder + '/logits', numpy.float32).reshape(found.shape)
worst = abs(found - expected).max() / abs(expected).max()
print(worst)
assert worst < 1e-4, (found, expected)
";

/// What Python says of the model of a network at this size of images.
fn compare(network: &AnyNetwork, [height, width]: [usize; 2], folder: &Path) -> Output {
    let shape = [3, 3, height, width];
    let images = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::default());
    let write = |name: &str, values: Tensor<1>| {
        let data = values.into_data();
        let values = data.iter::<f32>().flat_map(f32::to_le_bytes);
        std::fs::write(folder.join(name), values.collect::<Vec<_>>()).unwrap();
    };
    write("images", images.clone().flatten(0, 3));
    write("logits", network.forward(images).flatten(0, 1));
    let model = OnnxConfig::new("net", [3, height, width]).encode(network);
    std::fs::write(folder.join("model.onnx"), model.unwrap()).unwrap();
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    Command::new(python)
        .args(["-c", COMPARE])
        .arg(folder)
        .args(shape.map(|size| size.to_string()))
        .output()
        .unwrap()
}

/// Needs Python with the packages of `scripts/requirements-onnx.txt`: that of the environment variable
/// `PYTHON`, or `python3`. `CUTMIX_REQUIRE_ONNX` makes its absence a failure.
#[test]
fn onnx_runtime_computes_the_logits_of_every_network() {
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let probe = Command::new(python)
        .args(["-c", "import onnx, onnxruntime"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("CUTMIX_REQUIRE_ONNX").is_none(),
            "no ONNX Runtime"
        );
        println!("SKIPPED: no Python with onnxruntime here");
        return;
    }
    let device = Device::default();
    let folder = tempfile::tempdir().unwrap();
    let plain = architectures().map(|architecture| (architecture, false));
    let blurred = architectures().filter(|architecture| architecture.name == "resnet18");
    for (architecture, blur_pool) in plain.chain(blurred.map(|one| (one, true))) {
        let name = architecture.name;
        let config = ModelConfig::new(name, 7).with_blur_pool(blur_pool);
        let network = config.init(&device).unwrap().map(&mut OtherVectors);
        let size = [45, 67].map(|side| architecture.sizes.near(side)[0]);
        let output = compare(&network, size, folder.path());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}, {size:?}: {error}");
        print!(
            "{name}, {size:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}
