//! Weights of files in networks: names, heads, channels, formats, and files that are none.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use burn::store::burn_pack::Tensor as PackTensor;
use burn::store::{ModuleStore, SafetensorsStore};
use burn::tensor::{Device, Distribution, Tensor};
use cutmix_vision::models::{Architecture, find};
use cutmix_vision::weights::{Head, Loaded, Misfit, Weights, WeightsError, to_safetensors};
use cutmix_vision::{AnyNetwork, ModelConfig};
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

/// The random numbers of a device are shared by the process.
static RANDOM: Mutex<()> = Mutex::new(());

fn network(name: &str, classes: usize, channels: usize, seed: u64) -> AnyNetwork {
    let _random = RANDOM.lock();
    let device = Device::default();
    device.seed(seed);
    let config = ModelConfig::new(name, classes).with_channels(channels);
    config.init(&device).unwrap()
}

/// A file with the weights of a network.
fn file_of(network: &AnyNetwork, folder: &Path) -> PathBuf {
    let path = folder.join("model.safetensors");
    fs::write(&path, to_safetensors(network, "card", "{}").unwrap()).unwrap();
    path
}

/// The tensors of a file, as f32.
fn tensors(path: &Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let mut store = SafetensorsStore::from_file(path);
    let tensors = store.get_all_tensors().unwrap().values();
    let parts = |tensor: &PackTensor| {
        let bytes = tensor.to_bytes().unwrap().to_vec();
        (tensor.name.clone(), tensor.shape.to_vec(), bytes)
    };
    tensors.map(parts).collect()
}

/// Writes tensors to another file.
fn write(path: &Path, tensors: &[(String, Vec<usize>, Vec<u8>)]) {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn load(path: &Path, name: &str, network: &mut AnyNetwork) -> Result<Loaded, WeightsError> {
    let weights = Weights::read(path)?;
    weights.load(find(name).unwrap(), network)
}

fn owner(path: &Path) -> Option<&'static Architecture> {
    Weights::read(path).unwrap().architecture()
}

fn logits(network: &AnyNetwork, channels: usize) -> Vec<f32> {
    let image = Tensor::<1, burn::tensor::Int>::arange(0..(2 * 32 * 32), &Device::default());
    let image = (image.float() * 0.37).sin().reshape([2, 1, 32, 32]);
    let image = image.expand([2, channels, 32, 32]);
    network.forward(image).into_data().iter::<f32>().collect()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    let largest = expected
        .iter()
        .fold(0.0f32, |most, value| most.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-5 * largest,
            "{found} {expected}"
        );
    }
}

#[test]
fn saved_weights_give_the_same_logits_in_another_network() {
    let folder = TempDir::new().unwrap();
    let trained = network("resnet8", 5, 3, 1);
    let path = file_of(&trained, folder.path());
    let mut fresh = network("resnet8", 5, 3, 2);
    assert_ne!(logits(&fresh, 3), logits(&trained, 3));
    let loaded = load(&path, "resnet8", &mut fresh).unwrap();
    assert_eq!(logits(&fresh, 3), logits(&trained, 3));
    assert_eq!(loaded.head, Head::Taken);
    assert_eq!(loaded.unused, [""; 0]);
    assert_eq!(loaded.other_channels, None);
    assert_eq!(loaded.tensors, tensors(&path).len());
    assert_eq!(Weights::read(&path).unwrap().metadata("card"), Some("{}"));
    assert_eq!(Weights::read(&path).unwrap().metadata("other"), None);
}

#[test]
fn weights_of_every_network_are_recognised() {
    let folder = TempDir::new().unwrap();
    for name in ["resnet8", "resnet20", "resnet18", "resnet34", "resnet50"] {
        let path = file_of(&network(name, 3, 3, 0), folder.path());
        let found = owner(&path).unwrap();
        assert_eq!(found.name, name);
    }
}

#[test]
fn a_prefix_of_all_names_is_left_out() {
    let folder = TempDir::new().unwrap();
    let trained = network("resnet8", 5, 3, 1);
    let own = tensors(&file_of(&trained, folder.path()));
    for prefix in [
        "module.",
        "state_dict.",
        "model_state.module.",
        "state_dict.backbone.net.",
    ] {
        let mut prefixed = own.clone();
        prefixed
            .iter_mut()
            .for_each(|(name, ..)| *name = format!("{prefix}{name}"));
        // An optimizer is stored beside the weights.
        prefixed.push(("optimizer.step".into(), vec![1], vec![0; 4]));
        let path = folder.path().join("prefixed.safetensors");
        write(&path, &prefixed);
        let mut fresh = network("resnet8", 5, 3, 2);
        let loaded = load(&path, "resnet8", &mut fresh).unwrap();
        assert_eq!(logits(&fresh, 3), logits(&trained, 3), "{prefix}");
        assert_eq!(loaded.unused, [""; 0], "{prefix}");
    }
}

#[test]
fn a_head_for_other_classes_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = file_of(&network("resnet8", 1000, 3, 1), folder.path());
    let mut fresh = network("resnet8", 5, 3, 2);
    let loaded = load(&path, "resnet8", &mut fresh).unwrap();
    assert_eq!(loaded.head, Head::OtherClasses(1000));
    assert_eq!(logits(&fresh, 3).len(), 2 * 5);
    // The head is the one that the network was made with.
    let head = |network: &AnyNetwork| {
        use cutmix_vision::Classifier;
        network.head().weight.val().into_data()
    };
    assert_eq!(head(&fresh), head(&network("resnet8", 5, 3, 2)));
}

#[test]
fn a_file_without_a_head_is_enough() {
    let folder = TempDir::new().unwrap();
    let mut trunk = tensors(&file_of(&network("resnet8", 5, 3, 1), folder.path()));
    trunk.retain(|(name, ..)| !name.starts_with("fc."));
    let path = folder.path().join("trunk.safetensors");
    write(&path, &trunk);
    let loaded = load(&path, "resnet8", &mut network("resnet8", 5, 3, 2)).unwrap();
    assert_eq!(loaded.head, Head::Missing);
    assert_eq!(owner(&path).unwrap().name, "resnet8");
}

#[test]
fn tensors_that_the_network_does_not_use_are_named() {
    let folder = TempDir::new().unwrap();
    let mut own = tensors(&file_of(&network("resnet8", 5, 3, 1), folder.path()));
    own.push(("aux.weight".into(), vec![1], vec![0; 4]));
    own.push(("bn1.num_batches_tracked".into(), vec![1], vec![0; 4]));
    let path = folder.path().join("more.safetensors");
    write(&path, &own);
    let loaded = load(&path, "resnet8", &mut network("resnet8", 5, 3, 2)).unwrap();
    assert_eq!(loaded.unused, ["aux.weight"]);
}

/// A grey image has the logits that it has in colours that are equal.
#[test]
fn weights_for_other_channels_are_added_up_or_divided() {
    let folder = TempDir::new().unwrap();
    for [of_file, of_network] in [[3, 1], [1, 3]] {
        let trained = network("resnet8", 5, of_file, 1);
        let path = file_of(&trained, folder.path());
        let mut other = network("resnet8", 5, of_network, 2);
        let loaded = load(&path, "resnet8", &mut other).unwrap();
        assert_eq!(loaded.other_channels, Some(of_file));
        assert_close(&logits(&other, of_network), &logits(&trained, of_file));
    }
    let path = file_of(&network("resnet8", 5, 4, 1), folder.path());
    let error = load(&path, "resnet8", &mut network("resnet8", 5, 3, 2)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("[16, 4, 3, 3], expected [16, 3, 3, 3]"),
        "{error}"
    );
}

/// ResNet-18 has tensors that ResNet-8 lacks, and ResNet-20 has all those of ResNet-8 and more.
#[test]
fn weights_of_another_network_are_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    for (other, expected) in [
        (
            "resnet18",
            "`conv1.weight` has the shape [64, 3, 7, 7], expected [16, 3, 3, 3], and",
        ),
        (
            "resnet20",
            "it has no place for `layer1.1.bn1.bias` and 59 more tensors",
        ),
    ] {
        let path = file_of(&network(other, 5, 3, 1), folder.path());
        let mut fresh = network("resnet8", 5, 3, 2);
        let before = logits(&fresh, 3);
        let error = load(&path, "resnet8", &mut fresh).unwrap_err();
        assert_eq!(logits(&fresh, 3), before);
        let text = error.to_string();
        assert!(
            text.contains(&format!("not those of resnet8: {expected}")),
            "{text}"
        );
        assert!(
            text.ends_with(&format!("; they are those of {other}")),
            "{text}"
        );
        assert!(
            matches!(error, WeightsError::Network { nearest: Some(name), .. } if name == other)
        );
    }
    let smaller = file_of(&network("resnet8", 5, 3, 1), folder.path());
    let error = load(&smaller, "resnet20", &mut network("resnet20", 5, 3, 2)).unwrap_err();
    let WeightsError::Network {
        misfit, nearest, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(nearest, Some("resnet8"));
    // 12 convolutions with their normalisations, of 20 layers without the head.
    let expected = Misfit::Needed {
        name: "layer1.1.conv1.weight".into(),
        expected: vec![16, 16, 3, 3],
        found: None,
        count: 12 * 5,
        total: 19 * 5,
    };
    assert_eq!(*misfit, expected);
}

#[test]
fn a_missing_tensor_of_the_backbone_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let mut own = tensors(&file_of(&network("resnet8", 5, 3, 1), folder.path()));
    own.retain(|(name, ..)| name != "layer3.0.bn2.running_var");
    let path = folder.path().join("less.safetensors");
    write(&path, &own);
    let error = load(&path, "resnet8", &mut network("resnet8", 5, 3, 2)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("`layer3.0.bn2.running_var` is missing"),
        "{text}"
    );
    assert!(owner(&path).is_none());
}

/// A training checkpoint of timm has the state of the optimizer, which is larger than the network, and a
/// moving average of the weights.
#[test]
fn of_a_training_checkpoint_the_moving_average_is_used() {
    let folder = TempDir::new().unwrap();
    let averaged = network("resnet8", 5, 3, 1);
    let average = tensors(&file_of(&averaged, folder.path()));
    let trained = network("resnet8", 5, 3, 3);
    let own = tensors(&file_of(&trained, folder.path()));
    let state = (0..own.len()).flat_map(|index| {
        let state = |name: &str| format!("optimizer.state.{index}.{name}");
        let numbers = ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "mu"];
        numbers.map(|name| (state(name), vec![1], vec![0; 4]))
    });
    let under = |prefix: &str, tensors: &[(String, Vec<usize>, Vec<u8>)]| {
        let mut tensors = tensors.to_vec();
        tensors
            .iter_mut()
            .for_each(|(name, ..)| *name = format!("{prefix}{name}"));
        tensors
    };
    let path = folder.path().join("last.safetensors");
    let own = under("state_dict.", &own);
    let both = [own.clone(), under("state_dict_ema.", &average)].concat();
    for (parts, expected, prefix) in [
        (both, &averaged, "state_dict_ema."),
        (own, &trained, "state_dict."),
    ] {
        let all: Vec<_> = parts.into_iter().chain(state.clone()).collect();
        write(&path, &all);
        let mut fresh = network("resnet8", 5, 3, 2);
        let loaded = load(&path, "resnet8", &mut fresh).unwrap();
        assert_eq!(loaded.prefix, prefix);
        assert_eq!(loaded.unused, [""; 0]);
        assert_eq!(logits(&fresh, 3), logits(expected, 3));
        assert_eq!(owner(&path).unwrap().name, "resnet8");
    }
}

#[test]
fn a_tensor_without_good_values_is_an_error_and_the_network_stays_as_it_was() {
    let folder = TempDir::new().unwrap();
    let own = tensors(&file_of(&network("resnet8", 5, 3, 1), folder.path()));
    let path = folder.path().join("bad.safetensors");
    let last = own
        .iter()
        .rposition(|(name, ..)| name.ends_with("running_var"));
    for value in [f32::NAN, f32::INFINITY] {
        let mut bad = own.clone();
        bad[last.unwrap()].2[..4].copy_from_slice(&value.to_le_bytes());
        write(&path, &bad);
        let mut fresh = network("resnet8", 5, 3, 2);
        let before = logits(&fresh, 3);
        let error = load(&path, "resnet8", &mut fresh).unwrap_err().to_string();
        assert!(
            error.contains("running_var` has a number that is not finite"),
            "{error}"
        );
        assert_eq!(logits(&fresh, 3), before);
    }
}

#[test]
fn a_head_without_its_bias_is_replaced() {
    let folder = TempDir::new().unwrap();
    let mut own = tensors(&file_of(&network("resnet8", 5, 3, 1), folder.path()));
    own.retain(|(name, ..)| name != "fc.bias");
    let path = folder.path().join("less.safetensors");
    write(&path, &own);
    let loaded = load(&path, "resnet8", &mut network("resnet8", 5, 3, 2)).unwrap();
    assert_eq!(loaded.head, Head::Missing);
}

#[test]
fn a_convolution_without_channels_does_not_fit() {
    let folder = TempDir::new().unwrap();
    let mut own = tensors(&file_of(&network("resnet8", 5, 1, 1), folder.path()));
    let first = own.iter_mut().find(|(name, ..)| name == "conv1.weight");
    let (_, shape, bytes) = first.unwrap();
    (*shape, *bytes) = (vec![16, 0, 3, 3], Vec::new());
    let path = folder.path().join("none.safetensors");
    write(&path, &own);
    let error = load(&path, "resnet8", &mut network("resnet8", 5, 1, 2)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("[16, 0, 3, 3], expected [16, 1, 3, 3]"),
        "{error}"
    );
}

#[test]
fn weights_for_other_images_are_not_called_those_of_the_same_network() {
    let folder = TempDir::new().unwrap();
    let path = file_of(&network("resnet8", 5, 3, 1), folder.path());
    let error = load(&path, "resnet8", &mut network("resnet8", 5, 4, 2)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("[16, 3, 3, 3], expected [16, 4, 3, 3]"),
        "{text}"
    );
}

/// A checkpoint that `scripts/make_checkpoints.py` has written.
fn checkpoint(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("checkpoint_data").join(name)
}

/// An element of tensor `number` of those checkpoints, by its place in the tensor.
fn element(number: usize, shape: &[usize], mut place: usize) -> f32 {
    let mut at = number;
    for (size, stride) in shape.iter().zip([1, 3, 5, 7]).rev() {
        at += place % size * stride;
        place /= size;
    }
    (at % 127 + 1) as f32 / 128.0
}

#[test]
fn checkpoints_of_pytorch_give_every_element_its_place() {
    let folder = TempDir::new().unwrap();
    for name in ["zip.pth", "legacy.pth", "training.pt"] {
        let mut network = network("resnet8", 10, 3, 2);
        let loaded = load(&checkpoint(name), "resnet8", &mut network).unwrap();
        assert_eq!(loaded.head, Head::Taken, "{name}");
        assert_eq!(loaded.unused, [""; 0], "{name}");
        let mut found = tensors(&file_of(&network, folder.path()));
        found.sort();
        assert_eq!(loaded.tensors, found.len(), "{name}");
        for (number, (tensor, shape, bytes)) in found.iter().enumerate() {
            let values = bytes.chunks_exact(4);
            let values = values.map(|value| f32::from_le_bytes(value.try_into().unwrap()));
            let expected = (0..shape.iter().product()).map(|at| element(number, shape, at));
            assert!(values.eq(expected), "{tensor} of {name}");
        }
    }
}

#[test]
fn half_a_checkpoint_of_pytorch_is_an_error() {
    let folder = TempDir::new().unwrap();
    for name in ["zip.pth", "legacy.pth", "training.pt"] {
        let whole = fs::read(checkpoint(name)).unwrap();
        let path = folder.path().join(name);
        for length in [2, 3, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            let mut network = network("resnet8", 10, 3, 2);
            let error = load(&path, "resnet8", &mut network).unwrap_err();
            assert!(
                matches!(error, WeightsError::Format { .. }),
                "{length} of {name}: {error}"
            );
            assert_eq!(error.to_string().lines().count(), 1, "{length} of {name}");
        }
    }
}

/// Every start of a file is an error and none a panic.
#[test]
fn half_a_file_is_an_error() {
    let folder = TempDir::new().unwrap();
    let whole = fs::read(file_of(&network("resnet8", 5, 3, 1), folder.path())).unwrap();
    let path = folder.path().join("half.safetensors");
    for length in [0, 1, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = load(&path, "resnet8", &mut network("resnet8", 5, 3, 2)).unwrap_err();
        assert!(
            matches!(error, WeightsError::Format { .. }),
            "{length}: {error}"
        );
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[test]
fn other_files_are_errors_that_say_what_is_expected() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("weights.pth");
    for content in [
        &b"hello"[..],
        b"{}",
        b"PK\x03\x04 no archive",
        b"\x80\x02]q\x00.",
        b"\x89PNG\r\n\x1a\n",
    ] {
        fs::write(&path, content).unwrap();
        let error = Weights::read(&path).unwrap_err();
        assert!(matches!(error, WeightsError::Format { .. }), "{error}");
        let text = error.to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("expected a safetensors file, or a state dict"),
            "{text}"
        );
    }
    let missing = Weights::read(&folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing, WeightsError::Read { .. }), "{missing}");
    let of_folder = Weights::read(folder.path()).unwrap_err();
    assert!(
        matches!(of_folder, WeightsError::Read { .. }),
        "{of_folder}"
    );
}

#[test]
fn equal_weights_give_equal_bytes() {
    let bytes = || to_safetensors(&network("resnet8", 5, 3, 1), "card", "text").unwrap();
    assert_eq!(bytes(), bytes());
}

/// A program that looks at weights draws the same network afterwards as one that does not.
#[test]
fn recognising_weights_draws_no_random_numbers() {
    let folder = TempDir::new().unwrap();
    let path = file_of(&network("resnet8", 5, 3, 1), folder.path());
    let _random = RANDOM.lock();
    let device = Device::default();
    let next = || Tensor::<1>::random([4], Distribution::Default, &device).into_data();
    device.seed(7);
    let expected = next();
    device.seed(7);
    assert_eq!(owner(&path).unwrap().name, "resnet8");
    assert_eq!(next(), expected);
}
