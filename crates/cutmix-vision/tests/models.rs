//! The networks: shapes, gradients, recipes, options, names, and weights that a seed decides. How they
//! compare with other libraries is in `golden.rs`.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use cutmix_vision::models::{
    Architecture, ConvNeXtConfig, EfficientNetConfig, ImageSizes, Optimizer, Scaling,
    VisionTransformerConfig, WideResNetConfig, architectures, find, names,
};
use cutmix_vision::{AnyNetwork, Classifier, ModelConfig, ModelError, ResNetConfig};
use std::sync::Mutex;

/// The random numbers of a device are shared by the process.
static RANDOM: Mutex<()> = Mutex::new(());

fn init(name: &str, classes: usize, channels: usize, device: &Device) -> AnyNetwork {
    let config = ModelConfig::new(name, classes).with_channels(channels);
    config.init(device).unwrap()
}

/// The parameters that are trained: all but the running statistics.
#[derive(Default)]
struct Trained {
    tensors: usize,
}

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.tensors += 1;
        }
    }
}

fn trained(model: &impl Module) -> Trained {
    let mut trained = Trained::default();
    model.visit(&mut trained);
    trained
}

/// The least height or width from `side` on that a network takes.
fn fitting(architecture: &Architecture, side: usize) -> usize {
    *architecture.sizes.near(side).last().unwrap()
}

#[test]
fn any_image_size_that_a_network_takes_gives_logits() {
    let _random = RANDOM.lock();
    let device = Device::default();
    for architecture in architectures() {
        for (channels, sizes) in [
            (1, [[2, 28, 28], [1, 1, 1]]),
            (3, [[1, 32, 48], [3, 33, 17]]),
        ] {
            let model = init(architecture.name, 7, channels, &device);
            for [count, height, width] in sizes {
                let [height, width] = [height, width].map(|side| fitting(architecture, side));
                let shape = [count, channels, height, width];
                let images = Tensor::random(shape, Distribution::Default, &device);
                let logits = model.forward(images).dims();
                assert_eq!(logits, [count, 7], "{} {shape:?}", architecture.name);
            }
        }
    }
}

#[test]
fn sizes_of_images_have_a_name_and_neighbours() {
    let sizes = [
        (ImageSizes::ANY, "at least 1"),
        (ImageSizes::at_least(32), "at least 32"),
        (ImageSizes::multiples_of(16), "a multiple of 16"),
    ];
    for (sizes, text) in sizes {
        assert_eq!(sizes.to_string(), text);
    }
    let [any, least, multiples] = sizes.map(|(sizes, _)| sizes);
    assert!(any.contains(1) && !any.contains(0));
    assert!(least.contains(33) && !least.contains(31));
    assert!(multiples.contains(48) && !multiples.contains(0) && !multiples.contains(40));
    assert_eq!(any.near(7), [7]);
    assert_eq!(least.near(7), [32]);
    assert_eq!(multiples.near(7), [16]);
    assert_eq!(multiples.near(32), [32]);
    assert_eq!(multiples.near(40), [32, 48]);
}

#[test]
fn every_parameter_of_a_trained_network_gets_a_gradient() {
    let _random = RANDOM.lock();
    let device = Device::default().autodiff();
    for architecture in architectures() {
        let name = architecture.name;
        let model = init(name, 5, 1, &device);
        let side = fitting(architecture, 28);
        let images = Tensor::random([4, 1, side, side], Distribution::Default, &device);
        let loss = model.forward(images).powf_scalar(2.0).mean();
        let grads = loss.backward();
        let grads = GradientsParams::from_grads(grads, &model);
        assert_eq!(grads.len(), trained(&model).tensors, "{name}");
    }
}

#[test]
fn the_seed_of_the_device_decides_the_weights() {
    let _random = RANDOM.lock();
    let device = Device::default();
    let image = Tensor::<4>::ones([1, 3, 28, 28], &device);
    let logits = |seed, first_use_last: bool| {
        device.seed(seed);
        let model = init("resnet8", 10, 3, &device);
        if first_use_last {
            // Random numbers drawn between making and using the network do not change it.
            let _ = Tensor::<1>::random([100], Distribution::Default, &device);
        }
        model.forward(image.clone()).into_data()
    };
    let first = logits(1, false);
    assert_eq!(first, logits(1, true));
    assert_ne!(first, logits(2, false));
}

#[test]
fn convolutions_start_with_the_variance_of_he() {
    let _random = RANDOM.lock();
    let device = Device::default();
    device.seed(0);
    let model = init("resnet18", 10, 3, &device);
    struct Std(Vec<(usize, f64)>);
    impl ModuleVisitor for Std {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let [out, _, kernel, ..] = param.dims()[..] else {
                return;
            };
            let std = param.val().var(0).mean().sqrt().into_scalar::<f64>();
            self.0.push((out * kernel * kernel, std));
        }
    }
    let mut stds = Std(Vec::new());
    model.visit(&mut stds);
    assert_eq!(stds.0.len(), 20);
    for (fan_out, std) in stds.0 {
        let expected = (2.0 / fan_out as f64).sqrt();
        assert!(
            (std / expected - 1.0).abs() < 0.05,
            "{fan_out} {std} {expected}"
        );
    }
}

/// The trained parameters of a model by name.
fn values(model: &impl Module) -> Vec<(String, Vec<f32>)> {
    struct Values {
        found: Vec<(String, Vec<f32>)>,
        path: Vec<String>,
    }

    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                let values = param.val().into_data().iter::<f32>().collect();
                self.found.push((self.path.join("."), values));
            }
        }

        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
    }

    let mut values = Values {
        found: Vec::new(),
        path: Vec::new(),
    };
    model.visit(&mut values);
    values.found
}

/// Whether a parameter is the factor of a block of ConvNeXt.
fn is_layer_scale(name: &str) -> bool {
    let mut names = name.rsplit('.');
    names.next() == Some("gamma") && names.nth(1) == Some("blocks")
}

/// The factors of the normalisations by name.
fn gammas(model: &impl Module) -> Vec<(String, Vec<f32>)> {
    let mut gammas = values(model);
    gammas.retain(|(name, _)| name.ends_with("gamma") && !is_layer_scale(name));
    gammas
}

#[test]
fn normalisations_start_at_1() {
    let _random = RANDOM.lock();
    for name in names() {
        let model = init(name, 10, 3, &Device::default().autodiff());
        let gammas = gammas(&model);
        assert!(gammas.len() > 6, "{name}");
        for (gamma, values) in gammas {
            assert!(values.iter().all(|value| *value == 1.0), "{name} {gamma}");
        }
    }
}

#[test]
fn blocks_of_convnext_start_nearly_as_their_shortcuts() {
    let _random = RANDOM.lock();
    let model = init("convnext-tiny", 10, 3, &Device::default().autodiff());
    let mut scales = values(&model);
    scales.retain(|(name, _)| is_layer_scale(name));
    assert_eq!(scales.len(), 18);
    for (name, scale) in scales {
        assert!(scale.iter().all(|value| *value == 1e-6), "{name}");
    }
}

#[test]
fn transformers_start_with_the_weights_of_timm() {
    let _random = RANDOM.lock();
    let device = Device::default().autodiff();
    device.seed(0);
    for (name, expected) in [("vit-tiny", 0.02), ("convnext-tiny", 0.02)] {
        for (name, values) in values(&init(name, 10, 3, &device)) {
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let square = |value: &f32| (value - mean).powi(2);
            let std = (values.iter().map(square).sum::<f32>() / values.len() as f32).sqrt();
            // Uniform in plus and minus 1 / sqrt(16 * 16 * 3).
            if name == "patch_embed.proj.weight" {
                assert!((std / 0.02083 - 1.0).abs() < 0.05, "{name} {std}");
            } else if name == "cls_token" {
                assert!((std / 1e-6 - 1.0).abs() < 0.2, "{name} {std}");
            } else if name.ends_with("weight") || name == "pos_embed" {
                assert!((std / expected - 1.0).abs() < 0.1, "{name} {std}");
            } else if name.ends_with("bias") && name != "patch_embed.proj.bias" {
                assert_eq!(std, 0.0, "{name}");
            }
        }
    }
}

#[test]
fn zero_init_residual_makes_each_block_its_shortcut() {
    let _random = RANDOM.lock();
    let config = ResNetConfig::resnet8(10).with_zero_init_residual(true);
    let model = config.init(&Device::default().autodiff()).unwrap();
    let zeros: Vec<_> = (gammas(&model).into_iter())
        .filter(|(_, gamma)| gamma.iter().all(|value| *value == 0.0))
        .map(|(name, _)| name)
        .collect();
    let expected = [0, 1, 2].map(|block| format!("layer{}.0.bn2.gamma", block + 1));
    assert_eq!(zeros, expected);
}

#[test]
fn parameters_of_any_network_have_the_names_of_its_family() {
    let _random = RANDOM.lock();
    let device = Device::default().autodiff();
    let own = ResNetConfig::resnet18(10).init(&device).unwrap();
    let any = init("resnet18", 10, 3, &device);
    let paths = |values: Vec<(String, Vec<f32>)>| -> Vec<_> {
        values.into_iter().map(|(name, _)| name).collect()
    };
    let (own, any) = (paths(values(&own)), paths(values(&any)));
    assert_eq!(own, any);
    for name in [
        "conv1.weight",
        "layer1.0.bn1.gamma",
        "layer2.0.downsample.0.weight",
        "fc.bias",
    ] {
        assert!(any.iter().any(|path| path == name), "{name}");
    }
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_names() {
    match find("resnet19").unwrap_err() {
        ModelError::Unknown { name, known } => {
            assert_eq!(name, "resnet19");
            assert_eq!(known, names().collect::<Vec<_>>());
            assert!(known.contains(&"resnet18"));
        }
        other => panic!("{other}"),
    }
    assert!(ModelConfig::new("", 10).init(&Device::default()).is_err());
}

#[test]
fn numbers_of_0_are_errors() {
    let device = Device::default();
    let argument = |config: ResNetConfig| match config.init(&device).unwrap_err() {
        ModelError::Argument { argument, .. } => argument,
        other => panic!("{other}"),
    };
    let config = ResNetConfig::resnet8(10);
    assert_eq!(argument(ResNetConfig::resnet8(0)), "num_classes");
    assert_eq!(argument(config.clone().with_channels(0)), "channels");
    assert_eq!(argument(config.with_width(0)), "width");
    assert_eq!(argument(ResNetConfig::new(10, vec![])), "blocks");
    assert_eq!(argument(ResNetConfig::new(10, vec![1, 0])), "blocks");
    let resnet18 = ResNetConfig::resnet18(10);
    assert_eq!(argument(resnet18.clone().with_groups(32)), "groups");
    assert_eq!(argument(resnet18.clone().with_widening(2)), "widening");
    assert_eq!(argument(resnet18.with_width(usize::MAX)), "width");
}

#[test]
fn numbers_of_transformers_that_cannot_be_are_errors() {
    let device = Device::default();
    let argument = |error: ModelError| match error {
        ModelError::Argument { argument, .. } => argument,
        other => panic!("{other}"),
    };
    let vit = |config: VisionTransformerConfig| argument(config.init(&device).unwrap_err());
    let tiny = VisionTransformerConfig::tiny(10);
    assert_eq!(vit(VisionTransformerConfig::tiny(0)), "num_classes");
    assert_eq!(vit(tiny.clone().with_channels(0)), "channels");
    assert_eq!(vit(tiny.clone().with_depth(0)), "depth");
    assert_eq!(vit(tiny.with_stochastic_depth(1.0)), "stochastic_depth");
    assert_eq!(vit(VisionTransformerConfig::new(10, 64, 5)), "heads");
    let convnext = |config: ConvNeXtConfig| argument(config.init(&device).unwrap_err());
    let tiny = ConvNeXtConfig::tiny(10);
    assert_eq!(convnext(ConvNeXtConfig::tiny(0)), "num_classes");
    assert_eq!(convnext(tiny.clone().with_width(0)), "width");
    assert_eq!(
        convnext(tiny.with_stochastic_depth(-0.1)),
        "stochastic_depth"
    );
    assert_eq!(convnext(ConvNeXtConfig::new(10, vec![])), "blocks");
    assert_eq!(convnext(ConvNeXtConfig::new(10, vec![1, 0])), "blocks");
    assert_eq!(convnext(ConvNeXtConfig::new(10, vec![1; 70])), "blocks");
}

#[test]
fn a_vision_transformer_shows_the_places_of_its_tokens() {
    let _random = RANDOM.lock();
    let device = Device::default();
    let model = init("vit-tiny", 10, 3, &device);
    let images = Tensor::random([2, 3, 64, 96], Distribution::Default, &device);
    let features = model.features(images.clone());
    assert_eq!(features.map.dims(), [2, 192, 4, 6]);
    assert_eq!(features.tokens.as_ref().unwrap().dims(), [2, 1, 192]);
    let logits = model.head().forward(model.pool(features));
    assert_eq!(logits.into_data(), model.forward(images).into_data());
}

#[test]
fn stochastic_depth_acts_in_training_alone() {
    let _random = RANDOM.lock();
    let device = Device::default().autodiff();
    device.seed(0);
    let convnext = ConvNeXtConfig::tiny(10).with_layer_scale(1.0);
    let convnext = convnext.with_stochastic_depth(0.9).init(&device).unwrap();
    let vit = VisionTransformerConfig::tiny(10).with_stochastic_depth(0.9);
    let vit = vit.init(&device).unwrap();
    for model in [AnyNetwork::from(convnext), AnyNetwork::from(vit)] {
        let images = Tensor::<4>::random([2, 3, 32, 32], Distribution::Default, &device);
        let repeats = |model: &AnyNetwork, images: Tensor<4>| {
            let [first, again] = [(); 2].map(|()| model.forward(images.clone()).into_data());
            first == again
        };
        assert!(!repeats(&model.clone().train(), images.clone()));
        assert!(repeats(&model.valid(), images.without_autodiff()));
    }
}

#[test]
fn impossible_stages_are_errors() {
    let device = Device::default();
    let argument = |change: fn(&mut EfficientNetConfig)| {
        let mut config = EfficientNetConfig::mobilenet_v2(10);
        change(&mut config);
        match config.init(&device).unwrap_err() {
            ModelError::Argument { argument, .. } => argument,
            other => panic!("{other}"),
        }
    };
    assert_eq!(argument(|config| config.num_classes = 0), "num_classes");
    assert_eq!(argument(|config| config.channels = 0), "channels");
    assert_eq!(argument(|config| config.stages.clear()), "stages");
    assert_eq!(argument(|config| config.stages[0].blocks = 0), "blocks");
    assert_eq!(argument(|config| config.stages[1].kernel = 0), "kernel");
    assert_eq!(argument(|config| config.stages[1].kernel = 4), "kernel");
    assert_eq!(argument(|config| config.stages[2].stride = 0), "stride");
    assert_eq!(
        argument(|config| config.stages[3].expansion = 0),
        "expansion"
    );
    assert_eq!(argument(|config| config.stages[6].channels = 0), "channels");
    let depth = |config: &mut EfficientNetConfig| config.stochastic_depth = 1.0;
    assert_eq!(argument(depth), "stochastic_depth");
}

#[test]
fn numbers_of_a_wide_network_that_cannot_be_are_errors() {
    let device = Device::default();
    let argument = |config: WideResNetConfig| match config.init(&device).unwrap_err() {
        ModelError::Argument { argument, .. } => argument,
        other => panic!("{other}"),
    };
    let config = WideResNetConfig::wrn16_4(10);
    assert_eq!(argument(WideResNetConfig::wrn16_4(0)), "num_classes");
    assert_eq!(argument(WideResNetConfig::new(10, 0, 4)), "blocks");
    assert_eq!(argument(WideResNetConfig::new(10, 2, 0)), "widening");
    assert_eq!(argument(config.clone().with_channels(0)), "channels");
    let depth = config.with_stochastic_depth(-0.1);
    assert_eq!(argument(depth), "stochastic_depth");
}

#[test]
fn a_network_without_blur_pool_names_those_that_have_it() {
    let device = Device::default();
    for name in ["wrn16-4", "mobilenetv2", "tf-efficientnet-b0", "vit-tiny"] {
        let config = ModelConfig::new(name, 10).with_blur_pool(true);
        let message = config.init(&device).unwrap_err().to_string();
        let expected = format!("blur_pool is true, expected false for {name}: ");
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.contains("resnet18"), "{message}");
    }
}

/// The names of whole networks are compared in `golden.rs`.
#[test]
fn names_that_a_library_does_not_have_have_no_name_here() {
    let ours = |network, library, name| {
        let mut aliases = find(network).unwrap().aliases.iter();
        let names = aliases.find(|names| names.library == library).unwrap();
        (names.ours)(name)
    };
    let mobilenet = |name| ours("mobilenetv2", "torchvision", name);
    let found = mobilenet("features.3.conv.1.0.weight");
    assert_eq!(found.as_deref(), Some("blocks.1.1.conv_dw.weight"));
    for name in [
        "",
        "weight",
        "conv_stem.weight",
        "features.3.conv.9.weight",
        "features.19.conv.0.0.weight",
        "features.1.conv.1.0.weight",
        "classifier.0.weight",
    ] {
        assert_eq!(mobilenet(name), None, "{name}");
    }
    let lite = |name| ours("tf-efficientnet-lite0", "efficientnet-pytorch", name);
    let found = lite("_blocks.15._bn2.running_var");
    assert_eq!(found.as_deref(), Some("blocks.6.0.bn3.running_var"));
    assert_eq!(lite("_blocks.16._bn2.running_var"), None);
    let convnext = |name| ours("convnext-tiny", "torchvision", name);
    let found = convnext("features.5.8.layer_scale");
    assert_eq!(found.as_deref(), Some("stages.2.blocks.8.gamma"));
    let authors = |name| ours("convnext-tiny", "facebookresearch/ConvNeXt", name);
    for (theirs, own) in [
        ("downsample_layers.0.1.bias", "stem.1.bias"),
        ("downsample_layers.3.1.bias", "stages.3.downsample.1.bias"),
        ("stages.2.8.gamma", "stages.2.blocks.8.gamma"),
        (
            "stages.0.1.dwconv.weight",
            "stages.0.blocks.1.conv_dw.weight",
        ),
        (
            "stages.0.1.pwconv2.weight",
            "stages.0.blocks.1.mlp.fc2.weight",
        ),
        ("norm.weight", "head.norm.weight"),
        ("head.weight", "head.fc.weight"),
    ] {
        assert_eq!(authors(theirs).as_deref(), Some(own));
    }
    let vit = |name| ours("vit-base", "torchvision", name);
    let found = vit("encoder.layers.encoder_layer_3.mlp.linear_1.bias");
    assert_eq!(found.as_deref(), Some("blocks.3.mlp.fc1.bias"));
    for name in [
        "",
        "features.0",
        "features.0.layer_scale",
        "stages.0.blocks.0.gamma",
    ] {
        assert_eq!(convnext(name), None, "{name}");
    }
    for name in ["stages.0.blocks.0.gamma", "stages.0.0.block.weight"] {
        assert_eq!(authors(name), None, "{name}");
    }
    for name in ["blocks.0.norm1.weight", "encoder.layers.0.ln_1.weight"] {
        assert_eq!(vit(name), None, "{name}");
    }
}

#[test]
fn the_learning_rate_follows_the_batch_size() {
    for architecture in architectures() {
        for recipe in Optimizer::ALL.map(|optimizer| architecture.recipe(optimizer)) {
            let own = recipe.learning_rate_for(recipe.batch_size);
            assert_eq!(own, recipe.learning_rate);
            let ratio = recipe.learning_rate_for(128) / recipe.learning_rate_for(32);
            let expected = match recipe.scaling {
                Scaling::Linear => 4.0,
                Scaling::SquareRoot => 2.0,
            };
            assert!((ratio - expected).abs() < 1e-9, "{}", architecture.name);
        }
    }
}

#[test]
fn networks_have_recipes_of_their_own() {
    let rate = |name| find(name).unwrap().sgd.learning_rate_for(32);
    assert_eq!(rate("resnet8"), 0.2);
    assert_eq!(rate("resnet50"), 0.0125);
    let rate = |name, batch_size| find(name).unwrap().adamw.learning_rate_for(batch_size);
    assert_eq!(rate("convnext-tiny", 4096), 4e-3);
    assert_eq!(rate("convnext-tiny", 256), 1e-3);
    assert_eq!(rate("vit-tiny", 512), 5e-4);
}

/// Without a gradient, only weight decay changes a parameter.
#[test]
fn only_weights_decay() {
    let _random = RANDOM.lock();
    let device = Device::default().autodiff();
    for optimizer in Optimizer::ALL {
        for name in ["resnet8", "convnext-tiny", "vit-tiny"] {
            let model = init(name, 10, 1, &device).train();
            let images = Tensor::<4>::zeros([2, 1, 32, 32], &device);
            let loss = model.forward(images).mul_scalar(0.0).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let before = values(&model);
            let after = values(&optimizer.init(0.1).step(0.5, model, gradients));
            for ((name, before), (_, after)) in before.iter().zip(&after) {
                if name.ends_with("weight") {
                    assert_ne!(before, after, "{name}");
                } else {
                    assert_eq!(before, after, "{name}");
                }
            }
        }
    }
}
