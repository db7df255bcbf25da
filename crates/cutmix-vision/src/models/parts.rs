//! The parts of a network, from the names of its parameters.

use burn::module::Module;
use cutmix_train::{is_part_of, parameter_names};

/// A layer of a network: what is in front of the blocks, a block, or the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The name: `stem`, that of a block such as `layer1.0`, or that of the head.
    pub name: String,
    /// The names of its parameters, in order.
    pub parameters: Vec<String>,
}

/// Divides a network into layers: what is in front of its blocks, each block with what follows it up
/// to the next one, and the head, whose parameters have names that begin with `head`.
///
/// A block is what a name has up to its number, such as `layer1.0`, `blocks.3.1` or
/// `stages.2.blocks.0`.
///
/// ```
/// use burn::tensor::Device;
/// use cutmix_vision::models::{ModelConfig, find, layers};
///
/// let network = ModelConfig::new("resnet8", 10).init(&Device::default())?;
/// let layers = layers(&network, find("resnet8")?.head);
/// let names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
/// assert_eq!(names, ["stem", "layer1.0", "layer2.0", "layer3.0", "fc"]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
pub fn layers<M: Module>(network: &M, head: &str) -> Vec<Layer> {
    divide(parameter_names(network), head)
}

fn divide(names: Vec<String>, head: &str) -> Vec<Layer> {
    let (of_head, others): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| is_part_of(name, head));
    let mut layers = vec![Layer::new(STEM)];
    for name in others {
        let last = layers.last_mut().expect("the stem is the first layer");
        match block(&name) {
            Some(block) if last.name == STEM || !is_part_of(block, &last.name) => {
                layers.push(Layer::new(block));
            }
            // The layers between two stages belong to the first block behind them.
            Some(block) => last.name = block.into(),
            None => {}
        }
        let last = layers.last_mut().expect("the stem is the first layer");
        last.parameters.push(name);
    }
    layers.push(Layer {
        name: head.into(),
        parameters: of_head,
    });
    layers.retain(|layer| !layer.parameters.is_empty());
    layers
}

const STEM: &str = "stem";

impl Layer {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            parameters: Vec::new(),
        }
    }
}

/// The stages of a network, in order: parts of names that select its blocks and what is between them,
/// such as `conv1`, `layer1` and `fc`, or `stages.0`.
pub fn stages<M: Module>(network: &M) -> Vec<String> {
    let names = parameter_names(network);
    let all = distinct(names.iter().map(|name| stage(name)));
    // The layers in front of `stages.1.blocks` are named `stages.1`, and belong to no other stage.
    let has_parts = |stage: &str| {
        all.iter()
            .any(|other| other != stage && is_part_of(other, stage))
    };
    all.iter()
        .filter(|stage| !has_parts(stage))
        .cloned()
        .collect()
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for name in names {
        if !distinct.iter().any(|known| known == name) {
            distinct.push(name.into());
        }
    }
    distinct
}

/// The shortest parts of names that select all of a network but its head.
pub fn backbone<M: Module>(network: &M, head: &str) -> Vec<String> {
    let names = parameter_names(network);
    let others = names.iter().filter(|name| !is_part_of(name, head));
    distinct(others.map(|name| {
        let ends = name.match_indices('.').map(|(end, _)| end);
        let mut parts = ends.chain([name.len()]).map(|end| &name[..end]);
        parts.find(|part| !is_part_of(head, part)).unwrap_or(name)
    }))
}

/// The block to which the parameter of this name belongs.
fn block(name: &str) -> Option<&str> {
    let parts: Vec<_> = name.split('.').collect();
    let is_number = |at: usize| {
        parts
            .get(at)
            .is_some_and(|part| part.parse::<u32>().is_ok())
    };
    let first = (1..parts.len()).find(|&at| is_number(at))?;
    if parts[0] == STEM {
        return None;
    }
    let mut end = first + 1;
    loop {
        if is_number(end) {
            end += 1;
        } else if parts.get(end) == Some(&"blocks") && is_number(end + 1) {
            end += 2;
        } else {
            break;
        }
    }
    let length = parts[..end]
        .iter()
        .map(|part| part.len() + 1)
        .sum::<usize>()
        - 1;
    Some(&name[..length])
}

/// The stage to which the parameter of this name belongs.
fn stage(name: &str) -> &str {
    match block(name).and_then(|block| block.rsplit_once('.')) {
        Some((stage, _)) => stage.strip_suffix(".blocks").unwrap_or(stage),
        None => name.split('.').next().unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use super::{divide, stage};

    /// The names of the layers that these parameters are divided into, and their numbers.
    fn divided(names: &[&str], head: &str) -> Vec<(String, usize)> {
        let layers = divide(names.iter().map(|name| name.to_string()).collect(), head);
        let layers = layers.into_iter();
        layers
            .map(|layer| (layer.name, layer.parameters.len()))
            .collect()
    }

    #[track_caller]
    fn assert_divided(names: &[&str], head: &str, expected: &[(&str, usize)]) {
        let expected: Vec<_> = (expected.iter())
            .map(|&(name, count)| (name.to_string(), count))
            .collect();
        assert_eq!(divided(names, head), expected);
    }

    // The groups are those of timm's `layer_decay`, but for the normalisation in front of ConvNeXt's
    // head, which timm has in the group of the head.

    #[test]
    fn a_transformer_has_its_embedding_its_blocks_and_its_head() {
        let names = [
            "cls_token",
            "pos_embed",
            "patch_embed.proj.weight",
            "blocks.0.attn.qkv.weight",
            "blocks.1.mlp.fc1.weight",
            "blocks.10.norm1.gamma",
            "norm.gamma",
            "head.weight",
            "head.bias",
        ];
        let expected = [
            ("stem", 3),
            ("blocks.0", 1),
            ("blocks.1", 1),
            ("blocks.10", 2),
            ("head", 2),
        ];
        assert_divided(&names, "head", &expected);
    }

    #[test]
    fn blocks_in_stages_are_layers_with_what_is_in_front_of_their_stage() {
        let names = [
            "stem.0.weight",
            "stem.1.gamma",
            "stages.0.blocks.0.conv_dw.weight",
            "stages.0.blocks.1.conv_dw.weight",
            "stages.1.downsample.0.gamma",
            "stages.1.downsample.1.weight",
            "stages.1.blocks.0.conv_dw.weight",
            "head.norm.gamma",
            "head.fc.weight",
        ];
        let expected = [
            ("stem", 2),
            ("stages.0.blocks.0", 1),
            ("stages.0.blocks.1", 1),
            ("stages.1.blocks.0", 4),
            ("head.fc", 1),
        ];
        assert_divided(&names, "head.fc", &expected);
    }

    #[test]
    fn blocks_with_two_numbers_and_those_of_a_sequence_are_layers() {
        let efficient = [
            "conv_stem.weight",
            "bn1.gamma",
            "blocks.0.0.conv_dw.weight",
            "blocks.1.0.conv_dw.weight",
            "blocks.1.1.conv_dw.weight",
            "conv_head.weight",
            "bn2.gamma",
            "classifier.weight",
        ];
        let expected = [
            ("stem", 2),
            ("blocks.0.0", 1),
            ("blocks.1.0", 1),
            ("blocks.1.1", 3),
            ("classifier", 1),
        ];
        assert_divided(&efficient, "classifier", &expected);
        let mobile = [
            "features.0.0.weight",
            "features.1.conv.0.0.weight",
            "features.1.conv.1.weight",
            "features.10.conv.0.0.weight",
            "classifier.1.weight",
        ];
        let expected = [
            ("features.0.0", 1),
            ("features.1", 2),
            ("features.10", 1),
            ("classifier.1", 1),
        ];
        assert_divided(&mobile, "classifier.1", &expected);
    }

    #[test]
    fn a_network_without_blocks_is_a_stem_and_a_head() {
        let names = ["hidden.weight", "hidden.bias", "out.weight"];
        assert_divided(&names, "out", &[("stem", 2), ("out", 1)]);
    }

    #[test]
    fn stages_are_the_names_of_blocks_without_their_numbers() {
        for (name, expected) in [
            ("conv1.weight", "conv1"),
            ("layer1.0.conv1.weight", "layer1"),
            ("stages.2.blocks.3.norm.gamma", "stages.2"),
            ("blocks.5.1.conv.weight", "blocks.5"),
            ("blocks.5.attn.qkv.weight", "blocks"),
            ("cls_token", "cls_token"),
            ("stem.0.weight", "stem"),
        ] {
            assert_eq!(stage(name), expected, "{name}");
        }
    }
}
