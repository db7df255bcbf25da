//! `cutmix eval --measure` and `--unlike`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{error, images, output, scratch, tiny, trained, usage_error};

/// The options of a measurement on the CPU.
fn eval<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["eval", "run", "--device", "cpu"], more].concat()
}

fn json(folder: &Path, more: &[&str]) -> Value {
    let arguments = eval(&[more, &["--format", "json"]].concat());
    serde_json::from_str(&output(folder, &arguments)).unwrap()
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap();
    list.iter().map(|number| number.as_f64().unwrap()).collect()
}

const KEYS: [&str; 4] = ["occlusion", "fgsm", "detection", "localisation"];

#[test]
fn measures_are_in_the_json_the_text_and_the_report_once_they_are_asked_for() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    images(&path.join("pets/cat"), 12);
    images(&path.join("pets/dog"), 8);
    let plain = json(path, &[]);
    assert!(KEYS.iter().all(|key| plain[key].is_null()), "{plain}");
    assert!(plain.get("occlusion").is_some());

    let options = ["--measure", "occlusion,fgsm", "--unlike", "./pets"];
    let found = json(path, &options);
    let file = fs::read_to_string(path.join("run/eval/test/evaluation.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), found);
    assert_eq!(found["accuracy"], plain["accuracy"]);
    assert!(found["localisation"].is_null());
    let occlusion = &found["occlusion"];
    assert_eq!(numbers(&occlusion["shares"]), [0.05, 0.1, 0.25, 0.5, 0.75]);
    let fgsm = &found["fgsm"];
    assert_eq!(numbers(&fgsm["levels"]), [1.0, 2.0, 4.0, 8.0]);
    for list in [
        &occlusion["random"],
        &occlusion["centre"],
        &occlusion["border"],
        &fgsm["accuracy"],
    ] {
        // Of 64 images.
        let is_share = |share: &f64| (0.0..=1.0).contains(share) && (64.0 * share).fract() == 0.0;
        assert!(numbers(list).iter().all(is_share), "{list}");
    }
    let accuracy = numbers(&fgsm["accuracy"]);
    assert!(
        accuracy[3] <= found["accuracy"].as_f64().unwrap(),
        "{found}"
    );
    let detection = &found["detection"];
    let counts = ["images", "unlike-images"].map(|key| detection[key].as_u64().unwrap());
    assert_eq!(counts, [64, 20]);
    assert_eq!(detection["unlike"], "pets");
    assert_eq!(detection["unlike-skipped"], Value::Array(Vec::new()));
    let auroc = detection["auroc"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&auroc));

    // Again, in another order and one by one.
    let again = [
        "--measure",
        "fgsm",
        "--unlike",
        "pets",
        "--measure",
        "occlusion",
    ];
    assert_eq!(json(path, &again), found);
    let shown = output(path, &eval(&again));
    let percent = |share: f64| format!("{:>8.2}", 100.0 * share);
    let row = |name: &str, shares: &Value| {
        let shares = numbers(shares).into_iter().map(percent).collect::<String>();
        format!("\n            {name:<9}{shares}\n")
    };
    for row in [
        row("random", &occlusion["random"]),
        row("centre", &occlusion["centre"]),
        row("border", &occlusion["border"]),
        row("accuracy", &fgsm["accuracy"]),
    ] {
        assert!(shown.contains(&row), "{row}: {shown}");
    }
    let detected = format!(
        "\ndetection   area under the ROC curve {:.2} %, by confidence: 64 images of the classes, 20 of pets\n",
        100.0 * auroc
    );
    assert!(shown.contains(&detected), "{detected}: {shown}");
    let report = fs::read_to_string(path.join("run/report.html")).unwrap();
    for text in ["Occlusion", "Changed pixels", "Images unlike the classes"] {
        assert!(report.contains(&format!("<h3>{text}</h3>")), "{text}");
    }
    assert!(!report.contains("<h3>Localisation</h3>"));
}

#[test]
fn other_images_may_be_a_folder_without_classes_and_bad_ones_are_left_out() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    images(&path.join("others"), 3);
    images(&path.join("others/more"), 2);
    assert_eq!(
        json(path, &["--unlike", "others"])["detection"]["unlike-images"],
        5
    );
    fs::write(path.join("others/1.png"), "no image").unwrap();
    let options = ["--unlike", "others", "--on-bad-image", "skip"];
    let detection = &json(path, &options)["detection"];
    assert_eq!(detection["unlike-images"], 4);
    assert_eq!(detection["unlike-skipped"][0]["name"], "1.png");
    let shown = output(path, &eval(&options));
    assert!(
        shown.contains("4 of others, 1 bad image skipped"),
        "{shown}"
    );
    let message = error(path, &eval(&["--unlike", "others"]));
    assert!(message.starts_with("bad image others/1.png: "), "{message}");
    // Of data with sets the test set counts.
    for (set, count) in [("train", 4), ("test", 3)] {
        images(&path.join("sets").join(set).join("a"), count);
        images(&path.join("sets").join(set).join("b"), count);
    }
    assert_eq!(
        json(path, &["--unlike", "sets"])["detection"]["unlike-images"],
        6
    );
}

#[test]
fn what_cannot_be_measured_is_an_error_before_anything_is_measured() {
    let path = trained();
    let message = error(path, &eval(&["--measure", "fgsm,localisation"]));
    assert_eq!(
        message,
        "--measure is localisation, expected occlusion or fgsm, as the data have no boxes of objects"
    );
    let message = error(path, &eval(&["--unlike", "nothing"]));
    assert_eq!(
        message,
        "--unlike is nothing, expected data or a folder of images that is there"
    );
    let message = usage_error(path, &eval(&["--measure", "depth"]));
    assert!(
        message.contains("invalid value 'depth' for '--measure <NAME>'"),
        "{message}"
    );
    assert!(
        message.contains("occlusion, fgsm, localisation"),
        "{message}"
    );

    let folder = scratch();
    let path = folder.path();
    images(&path.join("photos"), 8);
    let mut rows = String::from("path,labels\n");
    for index in 0..8 {
        rows += &format!("{index}.png,{}\n", ["cat", "cat|dog"][index % 2]);
    }
    fs::write(path.join("photos/labels.csv"), rows).unwrap();
    let train = "train --data photos/labels.csv --size 8 --batch-size 4 --duration 1ba --device cpu --output run";
    output(path, &train.split(' ').collect::<Vec<_>>());
    for (options, value) in [
        (["--measure", "fgsm"], "--measure is fgsm"),
        (["--unlike", "photos"], "--unlike is photos"),
    ] {
        let expected = format!("{value}, expected none, as images have several classes");
        assert_eq!(error(path, &eval(&options)), expected);
    }
}
