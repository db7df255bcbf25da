//! `cutmix export`.

use std::fs;
use std::path::Path;

use burn::store::burn_pack::Reader;
use safetensors::SafeTensors;

use crate::{error, output, scratch, trained};

/// A folder with the finished run `run`, which a test may change.
fn copied_run() -> tempfile::TempDir {
    let folder = scratch();
    let (from, to) = (trained().join("run"), folder.path().join("run"));
    fs::create_dir(&to).unwrap();
    for file in ["config.toml", "model.safetensors"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    folder
}

fn files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    files
}

#[cfg(feature = "onnx")]
#[test]
fn an_onnx_model_takes_any_batch_and_says_how_images_are_made() {
    use cutmix_vision::weights::onnx::proto::ModelProto;
    use prost::Message;

    let folder = copied_run();
    let path = folder.path();
    let shown = output(path, &["export", "run"]);
    assert_eq!(shown, "resnet8 written to run/model.onnx\n");
    let bytes = fs::read(path.join("run/model.onnx")).unwrap();
    let model = ModelProto::decode(&*bytes).unwrap();

    let metadata = model.metadata_props.iter();
    let metadata: Vec<_> = metadata.map(|entry| (&*entry.key, &*entry.value)).collect();
    let keys = [
        "classes",
        "mean",
        "std",
        "color",
        "input_size",
        "fit",
        "crop_share",
        "background",
        "depth",
        "activation",
    ];
    assert!(
        metadata.iter().map(|(key, _)| *key).eq(keys),
        "{metadata:?}"
    );
    let classes: Vec<String> = serde_json::from_str(metadata[0].1).unwrap();
    assert_eq!((classes.len(), &*classes[9]), (10, "Ankle boot"));
    for (_, values) in &metadata[1..3] {
        let values: Vec<f32> = serde_json::from_str(values).unwrap();
        assert!(values.len() == 1 && values[0] > 0.2, "{values:?}");
    }
    let rest = metadata[3..].iter().map(|(_, value)| *value);
    assert!(
        rest.clone().eq([
            "grey",
            "[1,28,28]",
            "crop",
            "1.0",
            "[255,255,255]",
            "auto",
            "softmax"
        ]),
        "{metadata:?}"
    );

    let graph = model.graph.unwrap();
    let dimensions = graph.input[0].r#type.clone().unwrap().tensor_type.unwrap();
    let dimensions = dimensions.shape.unwrap().dim;
    assert_eq!(dimensions[0].dim_param.as_deref(), Some("batch"));
    let sizes = dimensions[1..].iter().map(|dimension| dimension.dim_value);
    assert!(sizes.eq([Some(1), Some(28), Some(28)]));
    assert_eq!(graph.input[0].name, "images");
    assert_eq!(graph.output[0].name, "logits");

    // The same again, without a change to the run.
    output(path, &["export", "run", "--output", "again.onnx"]);
    assert_eq!(fs::read(path.join("again.onnx")).unwrap(), bytes);
    let expected = ["config.toml", "model.onnx", "model.safetensors"];
    assert_eq!(files(&path.join("run")), expected);
}

#[test]
fn safetensors_are_the_model_of_the_run() {
    let folder = copied_run();
    let path = folder.path();
    let format = ["--format", "safetensors", "--output", "copy.safetensors"];
    output(path, &[&["export", "run"], &format[..]].concat());
    let model = fs::read(path.join("run/model.safetensors")).unwrap();
    assert_eq!(fs::read(path.join("copy.safetensors")).unwrap(), model);
    // Not the name by which a run is known to be finished.
    output(path, &["export", "run", "--format", "safetensors"]);
    assert_eq!(
        fs::read(path.join("run/weights.safetensors")).unwrap(),
        model
    );
}

#[test]
fn a_burnpack_holds_the_weights_and_the_classes() {
    let folder = copied_run();
    let path = folder.path();
    let shown = output(path, &["export", "run", "--format", "burnpack"]);
    assert_eq!(shown, "resnet8 written to run/model.bpk\n");
    let pack = Reader::from_file(path.join("run/model.bpk")).unwrap();
    let model = fs::read(path.join("run/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&model).unwrap();
    let mut names = pack.tensor_names();
    names.sort_unstable();
    // Burn has other names for the parameters of normalisations.
    let expected = tensors.names().into_iter().map(|name| {
        let is_of_norm = name.contains("bn");
        match name.rsplit_once('.') {
            Some((norm, "weight")) if is_of_norm => format!("{norm}.gamma"),
            Some((norm, "bias")) if is_of_norm => format!("{norm}.beta"),
            _ => name.to_owned(),
        }
    });
    let mut expected: Vec<_> = expected.collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let (_, header) = SafeTensors::read_metadata(&model).unwrap();
    let card = &header.metadata().as_ref().unwrap()["cutmix"];
    assert_eq!(pack.metadata().get("cutmix"), Some(card));
}

#[test]
fn nothing_is_written_over_a_file_or_where_there_is_no_folder() {
    let folder = copied_run();
    let path = folder.path();
    fs::write(path.join("mine.onnx"), "mine").unwrap();
    let taken = error(path, &["export", "run", "--output", "mine.onnx"]);
    assert_eq!(taken, "mine.onnx exists; choose another file with --output");
    assert_eq!(fs::read(path.join("mine.onnx")).unwrap(), b"mine");

    let nowhere = error(path, &["export", "run", "--output", "no/model.onnx"]);
    assert!(
        nowhere.starts_with("cannot write no/model.onnx: "),
        "{nowhere}"
    );
    assert_eq!(files(path), ["mine.onnx", "run"]);
    assert_eq!(
        files(&path.join("run")),
        ["config.toml", "model.safetensors"]
    );
}

#[test]
fn a_run_without_a_good_model_is_refused() {
    let folder = copied_run();
    let path = folder.path();
    let model = path.join("run/model.safetensors");
    let bytes = fs::read(&model).unwrap();
    for format in ["onnx", "safetensors", "burnpack"] {
        fs::write(&model, &bytes[..bytes.len() - 4]).unwrap();
        let arguments = ["export", "run", "--format", format, "--output", "out"];
        let damaged = error(path, &arguments);
        assert!(damaged.contains("or is damaged"), "{damaged}");
        fs::remove_file(&model).unwrap();
        let unfinished = error(path, &arguments);
        assert!(unfinished.contains("is not finished"), "{unfinished}");
        assert!(!path.join("out").exists());
    }
}
