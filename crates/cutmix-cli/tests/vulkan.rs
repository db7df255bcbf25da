//! The program on a Vulkan device, end to end.
//!
//! What it learns is not compared with the CPU: on SwiftShader, Burn 0.22.1's matrix product is wrong
//! (by more than the size of its entries, for every shape tried). The operations of this project are
//! compared there by the tests of `cutmix`.
//!
//! Runs with `--features vulkan`; says so and passes where there is no adapter. In CI the adapter
//! is SwiftShader, in software.
#![cfg(all(feature = "vulkan", feature = "flex"))]

use std::path::Path;
use std::process::Output;

use burn::tensor::{Device, DeviceType};
use cutmix_vision::{Image, Normalize, Size, to_tensor};

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

#[test]
fn a_model_that_was_trained_on_vulkan_evaluates_on_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let train = |device: &str, output: &str| {
        let options = [
            "train",
            "--limit",
            "48",
            "--batch-size",
            "16",
            "--duration",
            "2ba",
            "--model",
            "resnet8",
            "--seed",
            "3",
            "--device",
            device,
            "--output",
            output,
        ];
        cutmix(&options, folder.path())
    };
    // A device that cannot be there lists those that are.
    let listed = train("vulkan:99", "none");
    assert_eq!(listed.status.code(), Some(1));
    if !text(&listed.stderr).contains("vulkan:0") {
        assert!(
            std::env::var_os("CUTMIX_REQUIRE_VULKAN").is_none(),
            "no Vulkan adapter"
        );
        println!("SKIPPED: no Vulkan adapter here");
        return;
    }

    let run = train("vulkan", "gpu");
    assert!(run.status.success(), "{}", text(&run.stderr));
    let losses = losses(&folder.path().join("gpu"));
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");

    let eval = cutmix(&["eval", "gpu", "--device", "cpu"], folder.path());
    assert!(eval.status.success(), "{}", text(&eval.stderr));

    let missing = train("cuda", "none");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("--features cuda"));
    assert!(text(&missing.stderr).contains("vulkan:0"));
}

/// A GPU is sent bytes, and normalises them itself.
#[test]
fn images_on_vulkan_equal_those_on_the_cpu() {
    let Some(gpu) = Device::enumerate(DeviceType::Vulkan).into_vec().pop() else {
        println!("SKIPPED: no Vulkan adapter here");
        return;
    };
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
