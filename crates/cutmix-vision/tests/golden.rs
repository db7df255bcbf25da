//! Networks compared with their twins in other libraries: the names and shapes of all tensors, the
//! published numbers of parameters, and logits. `scripts/make_model_golden.py` has written the files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::store::{ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use burn::tensor::{Device, Tensor, TensorData};
use cutmix_vision::models::{find, multiplies, names};
use cutmix_vision::weights::{Head, Weights};
use cutmix_vision::{AnyNetwork, ModelConfig};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;

/// A network of another library.
#[derive(Deserialize)]
struct Twin {
    library: String,
    name: String,
    /// The name of the network here.
    network: String,
    #[serde(default)]
    blur_pool: bool,
    published: Published,
    /// Shape of the images.
    images: [usize; 4],
    /// The gain of the weights.
    gain: f64,
    classes: usize,
    logits: Vec<Vec<f32>>,
    tensors: Vec<(String, Vec<usize>)>,
}

#[derive(Deserialize)]
struct Published {
    classes: usize,
    parameters: usize,
    /// Side of the images for which the multiplies are counted.
    pixels: usize,
    multiplies: u64,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model_data");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn twins() -> impl Iterator<Item = Twin> {
    files().into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    })
}

impl Twin {
    fn init(&self, classes: usize, device: &Device) -> AnyNetwork {
        // Stochastic depth does nothing outside of training.
        let config = ModelConfig::new(&self.network, classes)
            .with_blur_pool(self.blur_pool)
            .with_stochastic_depth(0.1);
        config.init(device).unwrap()
    }

    /// The name here of a parameter of the twin.
    fn ours(&self, name: &str) -> String {
        let mut aliases = find(&self.network).unwrap().aliases.iter();
        match aliases.find(|names| names.library == self.library) {
            Some(names) => (names.ours)(name).unwrap_or_else(|| panic!("{self}: {name}")),
            None => name.into(),
        }
    }

    /// Loads the tensors of the twin, which must be those of the network.
    fn load(&self, model: &mut AnyNetwork) {
        let tensors = self.tensors.iter().map(|(name, shape)| {
            let values = fill(name, shape, self.gain);
            // torchvision's layer scale is `[C, 1, 1]`.
            let shape = match (&shape[..], name.ends_with("layer_scale")) {
                (&[channels, ..], true) => vec![channels],
                _ => shape.clone(),
            };
            let data = TensorData::new(values, shape);
            bridge::from_data(data, self.ours(name), None)
        });
        let adapter = Box::new(PyTorchToBurnAdapter);
        let result = model.apply(tensors.collect(), None, Some(adapter), false);
        assert!(result.errors.is_empty(), "{self}: {:?}", result.errors);
        assert!(result.missing.is_empty(), "{self}: {:?}", result.missing);
        assert!(result.unused.is_empty(), "{self}: {:?}", result.unused);
    }
}

impl std::fmt::Display for Twin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.library, self.name)
    }
}

/// Numbers in -1..1 that depend on the name, as in the script.
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let fnv1a = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let state = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv1a);
    let splitmix64 = |i: u64| {
        let z = state.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    (1..=count as u64)
        .map(|i| (splitmix64(i) >> 40) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

/// The values of a tensor, as in the script.
fn fill(name: &str, shape: &[usize], gain: f64) -> Vec<f32> {
    let kind = name.rsplit('.').next().unwrap();
    let value: Box<dyn Fn(f32) -> f32> = match (kind, shape) {
        ("cls_token" | "pos_embed", _) => Box::new(|u| 0.2 * u),
        ("running_var", _) => Box::new(|u| 1.0 + 0.5 * u.abs()),
        (kind, _) if kind.ends_with("bias") || kind == "running_mean" => Box::new(|u| 0.1 * u),
        ("gamma" | "layer_scale", _) => Box::new(|u| 0.1 + 0.05 * u),
        (_, [_]) => Box::new(|u| 1.0 + 0.1 * u),
        (_, shape) => {
            let inputs: usize = shape[1..].iter().product();
            let factor = (3.0 * gain / inputs as f64).sqrt() as f32;
            Box::new(move |u| u * factor)
        }
    };
    let values = uniform(name, shape.iter().product());
    values.into_iter().map(value).collect()
}

fn images(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let [count, channels, height, width] = shape;
    let noise = uniform("images", shape.iter().product());
    let levels = uniform("levels", count * channels);
    let pixels = noise.chunks(height * width).zip(levels);
    let values: Vec<f32> = pixels
        .flat_map(|(noise, level)| noise.iter().map(move |noise| noise + 2.0 * level))
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[test]
fn logits_are_those_of_the_twins() {
    let device = Device::default();
    for twin in twins() {
        let mut model = twin.init(twin.classes, &device);
        twin.load(&mut model);
        let logits = model.forward(images(twin.images, &device)).into_data();
        let expected = twin.logits.concat();
        let largest = expected.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        for (found, expected) in logits.iter::<f32>().zip(&expected) {
            let error = (found - expected).abs() / largest;
            assert!(error <= 1e-4, "{twin}: {found} for {expected}, {error}");
        }
        assert_eq!(logits.num_elements(), expected.len(), "{twin}");
    }
}

#[test]
fn parameter_counts_are_the_published_ones() {
    struct Count(usize);

    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.0 += param.shape().num_elements();
            }
        }
    }

    let device = Device::default().autodiff();
    for twin in twins() {
        let mut count = Count(0);
        twin.init(twin.published.classes, &device).visit(&mut count);
        assert_eq!(count.0, twin.published.parameters, "{twin}");
    }
}

#[test]
fn multiply_counts_are_the_published_ones() {
    // The script does not count the blur, which has no parameters.
    for twin in twins().filter(|twin| !twin.blur_pool) {
        let Published {
            classes,
            pixels,
            multiplies: expected,
            ..
        } = twin.published;
        let network = twin.init(classes, &Device::default());
        let found = multiplies(&network, [3, pixels, pixels]) + saved(&twin.network);
        assert_eq!(found, expected, "{twin}");
    }
}

/// Multiplies that a network here saves. Behind the last attention of a Vision Transformer only the
/// class token counts, so two linear layers leave out the other tokens.
fn saved(network: &str) -> u64 {
    let channels = match network {
        "vit-tiny" => 192,
        "vit-small" => 384,
        "vit-base" => 768,
        _ => return 0,
    };
    14 * 14 * 2 * channels * (4 * channels)
}

/// The largest networks are left out, as they differ from others in numbers alone.
#[test]
fn files_of_other_libraries_are_recognised() {
    const PARAMETERS: usize = 30_000_000;
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("weights.safetensors");
    for twin in twins().filter(|twin| twin.published.parameters < PARAMETERS) {
        let values = twin.tensors.iter().map(|(name, shape)| {
            let values = fill(name, shape, twin.gain);
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<u8>>()
        });
        let values: Vec<_> = values.collect();
        let views = twin
            .tensors
            .iter()
            .zip(&values)
            .map(|((name, shape), bytes)| {
                (
                    name,
                    TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
                )
            });
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        let weights = Weights::read(&path).unwrap();
        let owner = weights.architecture().unwrap_or_else(|| panic!("{twin}"));
        // By timm's names alone, the variants with TensorFlow's padding look like those without.
        let expected = match twin.library.as_str() {
            "timm" => twin.network.trim_start_matches("tf-"),
            _ => &twin.network,
        };
        assert_eq!(owner.name, expected, "{twin}");
        let device = Device::default();
        let mut network = twin.init(twin.classes, &device);
        let loaded = weights
            .load(find(&twin.network).unwrap(), &mut network)
            .unwrap();
        assert_eq!(loaded.head, Head::Taken, "{twin}");
        assert_eq!(loaded.unused, [""; 0], "{twin}");
        let found = network.forward(images(twin.images, &device)).into_data();
        for (found, expected) in found.iter::<f32>().zip(twin.logits.concat()) {
            assert!(
                (found - expected).abs() <= 1e-2 * expected.abs().max(1.0),
                "{twin}"
            );
        }
    }
}

#[test]
fn every_network_has_a_twin() {
    let twins: BTreeSet<_> = twins().map(|twin| twin.network).collect();
    let networks: BTreeSet<_> = names().map(String::from).collect();
    assert_eq!(twins, networks);
}
