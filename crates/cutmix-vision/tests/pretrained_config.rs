//! The `config.json` beside published weights.

use cutmix_vision::Normalize;
use cutmix_vision::weights::PretrainedConfig;
use serde_json::json;

fn read(value: serde_json::Value) -> PretrainedConfig {
    let config = PretrainedConfig::from_json(&value.to_string()).unwrap();
    config.expect("the value names an architecture")
}

#[test]
fn a_file_of_timm_says_what_the_weights_expect() {
    let config = read(json!({
        "architecture": "resnet50",
        "num_classes": 2,
        "num_features": 2048,
        "label_names": ["cat", "dog"],
        "label_descriptions": { "cat": "a cat", "dog": "a dog" },
        "pretrained_cfg": {
            "tag": "a1_in1k",
            "custom_load": false,
            "input_size": [3, 224, 224],
            "test_input_size": [3, 288, 288],
            "fixed_input_size": false,
            "interpolation": "bilinear",
            "crop_pct": 0.95,
            "test_crop_pct": 1.0,
            "crop_mode": "center",
            "mean": [0.5, 0.25, 0.125],
            "std": [0.25, 0.5, 0.75],
            "num_classes": 1000,
            "pool_size": [7, 7],
            "first_conv": "conv1",
            "classifier": "fc"
        }
    }));
    assert_eq!(config.architecture, "resnet50");
    assert_eq!(config.num_classes, 2);
    assert_eq!(config.class_names, Some(vec!["cat".into(), "dog".into()]));
    let normalize = Normalize {
        mean: vec![0.5, 0.25, 0.125],
        std: vec![0.25, 0.5, 0.75],
    };
    assert_eq!(config.normalize, normalize);
    assert_eq!(config.input_size, [3, 224, 224]);
    assert_eq!(config.test_input_size, Some([3, 288, 288]));
    assert_eq!((config.crop, config.test_crop), (0.95, Some(1.0)));
    assert_eq!(config.interpolation, "bilinear");
}

#[test]
fn a_file_of_an_old_timm_has_all_fields_in_one_object() {
    let config = read(json!({
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 2,
        "labels": ["cat", "dog"],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "crop_pct": 0.9
    }));
    assert_eq!(config.normalize.mean, [0.5; 3]);
    assert_eq!(config.class_names, Some(vec!["cat".into(), "dog".into()]));
    assert_eq!(config.crop, 0.9);
}

#[test]
fn fields_that_are_left_out_have_the_defaults_of_timm() {
    let config = read(json!({ "architecture": "resnet18", "pretrained_cfg": { "mean": null } }));
    assert_eq!(config.num_classes, 1000);
    assert_eq!(config.class_names, None);
    assert_eq!(config.normalize, Normalize::imagenet());
    assert_eq!(
        (config.input_size, config.test_input_size),
        ([3, 224, 224], None)
    );
    assert_eq!((config.crop, config.test_crop), (0.875, None));
    assert_eq!(config.interpolation, "bicubic");
}

#[test]
fn a_file_of_another_library_is_none() {
    let text = r#"{ "architectures": ["ResNetForImageClassification"], "num_channels": 3 }"#;
    assert_eq!(PretrainedConfig::from_json(text).unwrap(), None);
}

#[test]
fn a_field_that_is_out_of_range_is_refused() {
    let with = |name: &str, value: serde_json::Value| {
        let mut file = json!({ "architecture": "resnet18", "num_classes": 2 });
        file[name] = value;
        PretrainedConfig::from_json(&file.to_string())
            .unwrap_err()
            .to_string()
    };
    let three = "for each of 3 channels";
    let cases = [
        (
            with("input_size", json!([3, 0, 224])),
            "input_size has a 0, expected sizes above 0",
        ),
        (
            with("test_input_size", json!([0, 9, 9])),
            "input_size has a 0, expected sizes above 0",
        ),
        (
            with("mean", json!([0.5])),
            &format!("mean is [0.5], expected one number {three}"),
        ),
        (
            with("std", json!([1.0, 0.0, 1.0])),
            &format!("std is [1.0, 0.0, 1.0], expected one number above 0 {three}"),
        ),
        (
            with("crop_pct", json!(-0.5)),
            "crop_pct is -0.5, expected a share above 0",
        ),
        (
            with("test_crop_pct", json!(0)),
            "crop_pct is 0, expected a share above 0",
        ),
        (
            with("label_names", json!(["cat"])),
            "label_names has 1 names, expected one for each of 2 classes",
        ),
        (
            with("architecture", json!(18)),
            "invalid type: integer `18`, expected a string",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.starts_with(expected), "{message}");
    }
    for text in ["", "[]", "{", "{ \"architecture\": "] {
        assert!(PretrainedConfig::from_json(text).is_err(), "{text}");
    }
}
