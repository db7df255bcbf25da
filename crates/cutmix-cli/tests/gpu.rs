//! The program on a GPU, end to end.
//!
//! Runs with the feature `flex` and that of a GPU's backend, such as `vulkan` or `cuda`; says so and
//! passes where there is no GPU. In CI the backend is Vulkan and the GPU is SwiftShader, in software.
#![cfg(all(feature = "gpu", feature = "flex"))]

use std::path::Path;
use std::process::Output;

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use cutmix_train::Network;
use cutmix_vision::measures::FgsmConfig;
use cutmix_vision::{Dataset, Image, ImageLoader, LoaderConfig, Normalize, Size, to_tensor};

fn cutmix(arguments: &[&str], folder: &Path) -> Output {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The losses of the first row of `metrics.csv`: of training and of validation.
fn losses(run: &Path) -> [f64; 2] {
    let table = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let mut rows = table.lines().map(|row| row.split(','));
    let header: Vec<_> = rows.next().unwrap().collect();
    let row: Vec<_> = rows.next().unwrap().collect();
    ["train/loss", "val/loss"].map(|name| {
        let column = header.iter().position(|column| *column == name).unwrap();
        row[column].parse().unwrap()
    })
}

/// The first GPU by the name that `--device` takes. Without one it prints a line and returns none.
fn gpu(folder: &Path) -> Option<String> {
    // A device that cannot be there lists those that are.
    let none = cutmix(&["train", "--device", "cuda:99"], folder);
    assert_eq!(none.status.code(), Some(1));
    let message = text(&none.stderr);
    let (_, listed) = (message.split_once("available here: "))
        .unwrap_or_else(|| panic!("no devices are listed: {message}"));
    let mut names = listed.split([',', ' ', '.', ';', '\n']);
    let name = names.find(|name| name.contains(':')).map(str::to_owned);
    if name.is_none() {
        assert!(std::env::var_os("CUTMIX_REQUIRE_GPU").is_none(), "no GPU");
        println!("SKIPPED: no GPU here");
    }
    name
}

#[test]
fn a_model_that_was_trained_on_a_gpu_evaluates_on_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let Some(gpu) = gpu(folder.path()) else {
        return;
    };
    let train = |device: &str, output: &str| {
        let options = "train --limit 48 --batch-size 16 --duration 2ba --model resnet8 --seed 3";
        let mut options: Vec<_> = options.split(' ').collect();
        options.extend(["--device", device, "--output", output]);
        cutmix(&options, folder.path())
    };

    let run = train(&gpu, "gpu");
    assert!(run.status.success(), "{}", text(&run.stderr));
    let losses = losses(&folder.path().join("gpu"));
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");

    let loss = |device: &str| {
        let options = ["eval", "gpu", "--device", device, "--format", "json"];
        let eval = cutmix(&options, folder.path());
        assert!(eval.status.success(), "{}", text(&eval.stderr));
        let measured: serde_json::Value = serde_json::from_slice(&eval.stdout).unwrap();
        measured["scores"]["loss"].as_f64().unwrap()
    };
    let (found, expected) = (loss(&gpu), loss("cpu"));
    assert!(found.is_finite());
    // On SwiftShader, Burn 0.22.1's matrix product is wrong (by more than the size of its entries, for
    // every shape tried). The operations of this project are compared there by the tests of `cutmix`.
    if !gpu.starts_with("vulkan") {
        let difference = (found / expected - 1.0).abs();
        assert!(
            difference < 1e-3,
            "{found} on the GPU, {expected} on the CPU"
        );
    }

    let other = if gpu.starts_with("cuda") {
        "vulkan"
    } else {
        "cuda"
    };
    let missing = train(other, "none");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains(&format!("--features {other}")));
    assert!(text(&missing.stderr).contains(&gpu));
}

/// A GPU is sent bytes, and normalises them itself.
#[test]
fn images_on_a_gpu_equal_those_on_the_cpu() {
    if gpu(Path::new(".")).is_none() {
        return;
    }
    // That of the GPU's backend, since a build has the CPU's as the last choice.
    let gpu = Device::default();
    for (channels, height, width, count) in
        [(1, 3, 5, 1), (3, 5, 7, 3), (3, 8, 8, 4), (1, 28, 28, 2)]
    {
        let size = Size::new(height, width);
        let image = |index: usize| {
            let values = (0..size.area() * channels).map(|at| (31 * at + 97 * index) as u8);
            Image::new(size, channels, values.collect()).unwrap()
        };
        let images: Vec<_> = (0..count).map(image).collect();
        let normalize = Normalize {
            mean: [0.485, 0.456, 0.406][..channels].to_vec(),
            std: [0.229, 0.224, 0.225][..channels].to_vec(),
        };
        let values = |device: &Device| -> Vec<f32> {
            let tensor = to_tensor(&images, &normalize, device).unwrap();
            assert_eq!(tensor.dims(), [count, channels, height, width]);
            tensor.into_data().iter::<f32>().collect()
        };
        let (found, expected) = (values(&gpu), values(&Device::flex()));
        let pairs = found.iter().zip(&expected);
        let worst = pairs
            .map(|(found, expected)| (found - expected).abs())
            .fold(0.0, f32::max);
        // A unit in the last place: a GPU may divide by multiplying.
        assert!(worst < 1e-5, "{channels} x {size}: {worst}");
    }
}

/// Numbers in -1.0..=1.0.
fn spread<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = (0..shape.iter().product()).map(|at: usize| (at * (31 * at + 97) % 199) as f32);
    let values: Vec<_> = values.map(|value| value / 99.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Ten classes, without a matrix product: the logits are the sums of what a convolution finds in an image,
/// times that of each class.
#[derive(Module, Debug)]
struct Products {
    filter: Param<Tensor<4>>,
    classes: Param<Tensor<3>>,
}

impl Products {
    fn new(channels: usize, size: Size, device: &Device) -> Self {
        Self {
            filter: Param::from_tensor(spread([4, channels, 3, 3], device)),
            classes: Param::from_tensor(spread([1, 10, 4 * size.area()], device)),
        }
    }
}

impl Network for Products {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let found = relu(conv2d(images, self.filter.val(), None, options));
        let products = found.flatten::<2>(1, 3).unsqueeze_dim::<3>(1) * self.classes.val();
        products.sum_dim(2).squeeze_dim(2)
    }
}

/// The gradient of grey images is the output of a convolution to one channel, which Burn misreads.
#[test]
fn fgsm_on_a_gpu_equals_that_on_the_cpu() {
    if gpu(Path::new(".")).is_none() {
        return;
    }
    let (count, size) = (96, Size::new(8, 8));
    for channels in [1, 3] {
        let pixels = |index: usize| -> Vec<u8> {
            let at = index * channels * size.area()..(index + 1) * channels * size.area();
            at.map(|at| (at * (37 * at + 89) % 251) as u8).collect()
        };
        let normalize = Normalize {
            mean: vec![0.5; channels],
            std: vec![0.25; channels],
        };
        let image = |index| Image::new(size, channels, pixels(index)).unwrap();
        let images: Vec<_> = (0..count).map(image).collect();
        let images = to_tensor(&images, &normalize, &Device::flex()).unwrap();
        let predicted = Products::new(channels, size, &Device::flex()).forward(images);
        let predicted = predicted.argmax(1).into_data();
        let labels = predicted
            .iter::<i64>()
            .map(|class| class as usize)
            .collect();

        let classes = (0..10).map(|class| class.to_string()).collect();
        let shape = [channels, size.height, size.width];
        let all = (0..count).flat_map(pixels).collect();
        let set = Dataset::new(classes, shape, all, labels).unwrap();
        let config = LoaderConfig::new(32, normalize.clone());
        let loader = ImageLoader::eval(set, config).unwrap();
        let measured = |device: &Device| {
            let model = Products::new(channels, size, device);
            let fgsm = FgsmConfig::new().measure(&model, &loader, &normalize, device);
            fgsm.unwrap().accuracy
        };
        let (found, expected) = (measured(&Device::default()), measured(&Device::flex()));
        assert!(expected[0] > expected[3] + 0.2, "{expected:?}");
        for (found, expected) in found.iter().zip(&expected) {
            // Of one image: a gradient near 0 may have another sign.
            assert!(
                (found - expected).abs() < 1.5 / count as f64,
                "{channels}: {found}, {expected}"
            );
        }
    }
}
