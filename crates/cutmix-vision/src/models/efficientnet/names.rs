//! What other libraries call the parameters.

use super::{EFFICIENTNET_B0, MOBILENET_V2};
use crate::models::registry::Names;

/// The names of MobileNetV2 elsewhere.
pub(super) const OF_MOBILENET_V2: &[Names] = &[
    Names {
        library: "torchvision",
        ours: |name| TORCHVISION_MOBILENET.ours(MOBILENET_V2, name),
    },
    Names {
        library: "pytorch-mobilenet-v2",
        ours: |name| PYTORCH_MOBILENET.ours(MOBILENET_V2, name),
    },
];

/// The names of EfficientNet-B0 elsewhere.
pub(super) const OF_EFFICIENTNET_B0: &[Names] = &[Names {
    library: "torchvision",
    ours: |name| TORCHVISION_EFFICIENTNET.ours(EFFICIENTNET_B0, name),
}];

/// The names elsewhere of EfficientNets that compute as TensorFlow does: weights under these names
/// come from there.
pub(super) const OF_TF_EFFICIENTNET: &[Names] = &[Names {
    library: "efficientnet-pytorch",
    ours: |name| EFFICIENTNET_PYTORCH.ours(EFFICIENTNET_B0, name),
}];

/// Names of layers in a library, each with the name here.
type Table = &'static [(&'static str, &'static str)];

/// How a library names the layers.
struct Layout {
    /// The layers outside of the blocks.
    outside: Table,
    /// What the names of the layers of a block begin with, by the index of its stage, its own index in
    /// the stage, and its index in the network.
    block: fn(usize, usize, usize) -> String,
    /// The layers of a block that does not widen.
    plain: Table,
    /// The layers of a block that widens.
    widening: Table,
}

impl Layout {
    /// The name here of a parameter that the library names so, in a network with these stages.
    fn ours(&self, stages: &[[usize; 5]], name: &str) -> Option<String> {
        let find = |table: Table, layer| {
            let mut layers = table.iter();
            layers.find_map(|(theirs, ours)| (*theirs == layer).then_some(ours))
        };
        let (layer, parameter) = name.rsplit_once('.')?;
        if let Some(ours) = find(self.outside, layer) {
            return Some(format!("{ours}.{parameter}"));
        }
        let mut in_network = 0;
        for (stage, &[blocks, _, _, expansion, _]) in stages.iter().enumerate() {
            let table = if expansion == 1 {
                self.plain
            } else {
                self.widening
            };
            for block in 0..blocks {
                let begin = (self.block)(stage, block, in_network);
                if let Some(layer) = layer.strip_prefix(&begin) {
                    let ours = find(table, layer)?;
                    return Some(format!("blocks.{stage}.{block}.{ours}.{parameter}"));
                }
                in_network += 1;
            }
        }
        None
    }
}

/// `mobilenet_v2` of torchvision.
const TORCHVISION_MOBILENET: Layout = Layout {
    outside: MOBILENET_OUTSIDE,
    block: |_, _, block| format!("features.{}.conv.", block + 1),
    plain: &[
        ("0.0", "conv_dw"),
        ("0.1", "bn1"),
        ("1", "conv_pw"),
        ("2", "bn2"),
    ],
    widening: &[
        ("0.0", "conv_pw"),
        ("0.1", "bn1"),
        ("1.0", "conv_dw"),
        ("1.1", "bn2"),
        ("2", "conv_pwl"),
        ("3", "bn3"),
    ],
};

/// An early port to PyTorch, github.com/tonylins/pytorch-mobilenet-v2, whose names live on in others.
const PYTORCH_MOBILENET: Layout = Layout {
    outside: MOBILENET_OUTSIDE,
    block: |_, _, block| format!("features.{}.conv.", block + 1),
    plain: &[
        ("0", "conv_dw"),
        ("1", "bn1"),
        ("3", "conv_pw"),
        ("4", "bn2"),
    ],
    widening: &[
        ("0", "conv_pw"),
        ("1", "bn1"),
        ("3", "conv_dw"),
        ("4", "bn2"),
        ("6", "conv_pwl"),
        ("7", "bn3"),
    ],
};

const MOBILENET_OUTSIDE: Table = &[
    ("features.0.0", "conv_stem"),
    ("features.0.1", "bn1"),
    ("features.18.0", "conv_head"),
    ("features.18.1", "bn2"),
    ("classifier.1", "classifier"),
];

/// `efficientnet_b0` of torchvision.
const TORCHVISION_EFFICIENTNET: Layout = Layout {
    outside: &[
        ("features.0.0", "conv_stem"),
        ("features.0.1", "bn1"),
        ("features.8.0", "conv_head"),
        ("features.8.1", "bn2"),
        ("classifier.1", "classifier"),
    ],
    block: |stage, block, _| format!("features.{}.{block}.block.", stage + 1),
    plain: &[
        ("0.0", "conv_dw"),
        ("0.1", "bn1"),
        ("1.fc1", "se.conv_reduce"),
        ("1.fc2", "se.conv_expand"),
        ("2.0", "conv_pw"),
        ("2.1", "bn2"),
    ],
    widening: &[
        ("0.0", "conv_pw"),
        ("0.1", "bn1"),
        ("1.0", "conv_dw"),
        ("1.1", "bn2"),
        ("2.fc1", "se.conv_reduce"),
        ("2.fc2", "se.conv_expand"),
        ("3.0", "conv_pwl"),
        ("3.1", "bn3"),
    ],
};

/// github.com/lukemelas/EfficientNet-PyTorch and its fork for EfficientNet-Lite.
const EFFICIENTNET_PYTORCH: Layout = Layout {
    outside: &[
        ("_conv_stem", "conv_stem"),
        ("_bn0", "bn1"),
        ("_conv_head", "conv_head"),
        ("_bn1", "bn2"),
        ("_fc", "classifier"),
    ],
    block: |_, _, block| format!("_blocks.{block}."),
    plain: &[
        ("_depthwise_conv", "conv_dw"),
        ("_bn1", "bn1"),
        ("_se_reduce", "se.conv_reduce"),
        ("_se_expand", "se.conv_expand"),
        ("_project_conv", "conv_pw"),
        ("_bn2", "bn2"),
    ],
    widening: &[
        ("_expand_conv", "conv_pw"),
        ("_bn0", "bn1"),
        ("_depthwise_conv", "conv_dw"),
        ("_bn1", "bn2"),
        ("_se_reduce", "se.conv_reduce"),
        ("_se_expand", "se.conv_expand"),
        ("_project_conv", "conv_pwl"),
        ("_bn2", "bn3"),
    ],
};
