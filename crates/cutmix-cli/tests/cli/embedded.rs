//! The data sets that are part of the program, by name.

use std::fs;

use crate::{output, pets, scratch, tiny};

#[test]
fn a_run_on_cluttered_fashion_is_resumed_and_measured_anywhere() {
    let folder = scratch();
    let path = folder.path();
    // The output folder of a run on embedded data may have their name.
    let options = [
        "--data",
        "cluttered-fashion",
        "--output",
        "cluttered-fashion",
    ];
    let shown = output(path, &tiny(&options));
    assert!(
        shown.contains("Cluttered Fashion-MNIST (embedded)\n")
            && shown.contains("64 images to train, 64 to validate, 64 to test"),
        "{shown}"
    );
    let run = path.join("cluttered-fashion");
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    for line in ["data = \"cluttered-fashion\"\n", "size = 64\n"] {
        assert!(config.contains(line), "{line}: {config}");
    }
    assert!(run.join("batch.png").is_file());

    let resume = ["train", "--resume", "cluttered-fashion", "--duration"];
    let shown = output(path, &[&resume[..], &["8ba"]].concat());
    assert!(shown.contains("64 images to train"), "{shown}");
    fs::rename(&run, path.join("run")).unwrap();
    let elsewhere = path.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let resume = ["train", "--resume", "../run", "--duration", "9ba"];
    output(&elsewhere, &resume);
    let measured = output(&elsewhere, &["eval", "../run"]);
    let heading = "Cluttered Fashion-MNIST (embedded), test set: 64 images\n";
    assert!(measured.starts_with(heading), "{measured}");
    let more = "--measure localisation --unlike cluttered-fashion --format json";
    let options = more.split(' ').collect();
    let measured = output(&elsewhere, &[vec!["eval", "../run"], options].concat());
    let found: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert_eq!(found["localisation"]["images"], 64);
    assert_eq!(found["localisation"]["threshold-of"], "val");
    assert_eq!(
        found["detection"]["unlike"],
        "Cluttered Fashion-MNIST (embedded)"
    );

    let options = ["--config", "run/config.toml", "--output", "again"];
    let shown = output(path, &[&["train"], &options[..]].concat());
    assert!(shown.contains("64 images to train"), "{shown}");
}

#[test]
fn fashion_mnist_is_the_name_of_the_default() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "default"]));
    let options = ["--data", "fashion-mnist", "--output", "named"];
    let shown = output(path, &tiny(&options));
    assert!(shown.contains("Fashion-MNIST (embedded)\n"), "{shown}");
    let model = |run: &str| fs::read(path.join(run).join("model.safetensors")).unwrap();
    assert!(model("default") == model("named"));

    // They are the data of the run, and cluttered ones are others.
    let options = ["--data", "fashion-mnist", "--split", "val"];
    let measured = output(path, &[&["eval", "default"], &options[..]].concat());
    let heading = "Fashion-MNIST (embedded), validation set: 64 images\n";
    assert!(measured.starts_with(heading), "{measured}");
    let options = ["--data", "cluttered-fashion", "--split", "test"];
    let measured = output(path, &[&["eval", "default"], &options[..]].concat());
    let heading = "Cluttered Fashion-MNIST (embedded), test set: 10,000 images\n";
    assert!(measured.starts_with(heading), "{measured}");
}

#[test]
fn a_folder_of_the_name_goes_before_the_embedded_data() {
    let folder = scratch();
    let path = folder.path();
    let check = ["check", "cluttered-fashion", "--format", "json"];
    let count = |shown: &str| {
        let found: serde_json::Value = serde_json::from_str(shown).unwrap();
        let sets = found["sets"].as_array().unwrap();
        let images = sets.iter().map(|set| set["images"].as_u64().unwrap());
        images.sum::<u64>()
    };
    assert_eq!(count(&output(path, &check)), 20_000);

    let pets = pets(path);
    fs::rename(pets, path.join("cluttered-fashion")).unwrap();
    assert_eq!(count(&output(path, &check)), 24);
    let options = [
        "--data",
        "cluttered-fashion",
        "--size",
        "16",
        "--output",
        "run",
    ];
    let shown = output(path, &tiny(&options));
    let named = path.join("cluttered-fashion").display().to_string();
    assert!(shown.contains(&named), "{shown}");
    let config = fs::read_to_string(path.join("run/config.toml")).unwrap();
    assert!(config.contains(&named), "{config}");
    output(path, &["eval", "run"]);
}

#[test]
fn preview_frames_objects_of_known_boxes() {
    let folder = scratch();
    let path = folder.path();
    let frames = |data: &str| {
        output(path, &["preview", "--data", data]);
        let picture = image::open(path.join("preview.png")).unwrap().into_rgb8();
        let pixels = picture.enumerate_pixels();
        let framed = pixels.filter(|(_, _, pixel)| pixel.0 == [240, 120, 0]);
        let mut framed: Vec<_> = framed.map(|(x, y, _)| (x, y)).collect();
        framed.sort();
        // Frames of neighbours have columns of pixels between them.
        framed
            .chunk_by(|(left, _), (right, _)| right - left <= 1)
            .map(|frame| {
                let rows = || frame.iter().map(|(_, y)| y);
                let width = frame.last().unwrap().0 - frame[0].0 + 1;
                (width, rows().max().unwrap() - rows().min().unwrap() + 1)
            })
            .collect::<Vec<_>>()
    };
    assert!(frames("fashion-mnist").is_empty());
    let frames = frames("cluttered-fashion");
    assert_eq!(frames.len(), 6, "{frames:?}");
    // Each pixel of the image is drawn as two by two.
    for (width, height) in frames {
        assert!(width <= 88 && height <= 88, "{width} x {height}");
        assert!(width > 8 && height > 8, "{width} x {height}");
        assert!(width % 2 == 0 && height % 2 == 0, "{width} x {height}");
    }
}
