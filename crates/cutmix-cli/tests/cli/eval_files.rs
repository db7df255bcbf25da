//! What `cutmix eval` writes, and its JSON.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{cutmix, images, output, pets, scratch, tiny, trained, usage_error};

const FILES: [&str; 5] = [
    "evaluation.json",
    "predictions.csv",
    "confusion.csv",
    "confusion.png",
    "calibration.png",
];

/// The rows of a CSV file under its head, each by column.
fn table(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let head = reader.headers().unwrap().iter().map(String::from).collect();
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(String::from).collect());
    (head, rows.collect())
}

/// The result of a command as JSON.
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--format", "json"]].concat();
    serde_json::from_str(&output(folder, &arguments)).unwrap()
}

#[test]
fn eval_writes_its_files_to_the_run_and_says_so() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    let shown = output(path, &["eval", "run", "--device", "cpu"]);
    let last = shown.lines().last().unwrap();
    assert_eq!(
        last,
        format!("run/eval/test/  {}  mistakes/", FILES.join("  "))
    );
    let result = path.join("run/eval/test");
    for name in FILES {
        assert!(result.join(name).is_file(), "{name}");
    }
    let number_of_files = fs::read_dir(&result).unwrap().count();
    // And the folder of the pictures of mistakes.
    assert_eq!(number_of_files, FILES.len() + 1);

    let (head, rows) = table(&result.join("confusion.csv"));
    assert_eq!((head.len(), rows.len()), (11, 10));
    assert_eq!(
        (head[1].as_str(), rows[0][0].as_str()),
        ("T-shirt/top", "T-shirt/top")
    );
    let counts = rows.iter().flat_map(|row| &row[1..]);
    let total: usize = counts.map(|count| count.parse::<usize>().unwrap()).sum();
    assert_eq!(total, 64);

    let (head, rows) = table(&result.join("predictions.csv"));
    assert_eq!(
        head.join(","),
        "name,class,predicted,probability,class-probability,margin,likely-class,index"
    );
    assert_eq!(rows.len(), 64);
    for (at, row) in rows.iter().enumerate() {
        assert!(row[0].starts_with("test#"), "{row:?}");
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        let [probability, of_class, margin] = [3, 4, 5].map(number);
        assert_eq!(row[1] == row[2], margin >= 0.0, "{row:?}");
        assert!(0.0 < of_class && of_class <= probability && probability <= 1.0);
        assert_eq!(row[7], at.to_string());
    }
    for picture in ["confusion.png", "calibration.png"] {
        let picture = image::open(result.join(picture)).unwrap();
        assert!(picture.width() >= 720 && picture.height() >= 720);
    }
}

#[test]
fn json_has_the_figures_of_the_text_and_of_the_files() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    let arguments = ["eval", "run", "--split", "val", "--device", "cpu"];
    let json = json(path, &arguments);
    let file = fs::read_to_string(path.join("run/eval/val/evaluation.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), json);

    assert_eq!(json["data"], "Fashion-MNIST (embedded)");
    assert_eq!((&json["set"], &json["images"]), (&"val".into(), &64.into()));
    assert_eq!(json["task"], "single-label");
    assert_eq!(json["is-trained-on"], false);
    let number = |value: &Value| value.as_f64().unwrap();
    let accuracy = number(&json["accuracy"]);
    assert!((100.0 * accuracy - number(&json["scores"]["accuracy"])).abs() < 1e-9);
    assert!(number(&json["top5-accuracy"]) >= accuracy);
    // Each image counts by its class, so that this is the accuracy.
    assert!((number(&json["weighted-average"]["recall"]) - accuracy).abs() < 1e-12);
    let mistakes = json["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 64 - (64.0 * accuracy).round() as usize);
    let probabilities: Vec<_> = mistakes
        .iter()
        .map(|one| number(&one["probability"]))
        .collect();
    assert!(
        probabilities.is_sorted_by(|a, b| a >= b),
        "{probabilities:?}"
    );
    for error in json["label-errors"].as_array().unwrap() {
        assert!(
            mistakes.contains(error) && error["likely-class"] != error["class"],
            "{error}"
        );
    }
    let bins = json["calibration"]["bins"].as_array().unwrap();
    let samples: u64 = bins
        .iter()
        .map(|bin| bin["samples"].as_u64().unwrap())
        .sum();
    assert_eq!((bins.len(), samples), (15, 64));

    let shown = output(path, &arguments);
    let calibration = format!(
        "calibration expected error {:.2} % (15 bins): mean confidence {:.2} %, accuracy {:.2} %",
        100.0 * number(&json["calibration"]["expected-error"]),
        100.0 * number(&json["calibration"]["mean-confidence"]),
        100.0 * accuracy,
    );
    assert!(shown.contains(&calibration), "{calibration}: {shown}");
    let macro_f1 = format!("{:.2} %", 100.0 * number(&json["macro-average"]["f1"]));
    let row = shown
        .lines()
        .find(|line| line.starts_with("macro average"))
        .unwrap();
    assert!(row.ends_with(&macro_f1), "{macro_f1}: {row}");
    let first = &mistakes[0];
    let mistake = format!(
        "{}: {} ({:.2} %), labelled {}",
        first["name"].as_str().unwrap(),
        first["predicted"].as_str().unwrap(),
        100.0 * probabilities[0],
        first["class"].as_str().unwrap()
    );
    assert!(shown.contains(&mistake), "{mistake}: {shown}");
}

/// A folder `pets`, and a run on it in `run`.
fn trained_on_pets(path: &Path) {
    pets(path);
    let train =
        "train --data pets --size 8 --batch-size 8 --duration 2ba --device cpu --output run";
    output(path, &train.split(' ').collect::<Vec<_>>());
}

#[test]
fn top5_accuracy_needs_more_than_five_classes() {
    let folder = scratch();
    let path = folder.path();
    trained_on_pets(path);
    let json = json(path, &["eval", "run", "--split", "train"]);
    assert_eq!(json["top5-accuracy"], Value::Null);
    assert_eq!(json["is-trained-on"], true);
    let names: Vec<_> = (json["mistakes"].as_array().unwrap().iter())
        .map(|image| image["name"].as_str().unwrap())
        .collect();
    assert!(names.iter().all(|name| name.ends_with(".png")), "{names:?}");
    let shown = output(path, &["eval", "run", "--split", "train"]);
    assert!(!shown.contains("top 5"), "{shown}");
}

#[test]
fn other_data_have_a_folder_of_their_own() {
    let folder = scratch();
    let path = folder.path();
    trained_on_pets(path);
    images(&path.join("others/cat"), 3);
    let shown = output(path, &["eval", "run", "--data", "others"]);
    assert!(shown.starts_with("others: 3 images\n"), "{shown}");
    assert!(shown.contains(&format!(
        "\nrun/eval/{}/  evaluation.json",
        evaluations(path, "others-images-")[0]
    )));
    // A class without images has a row of zeros, and no effect on the means.
    let json = json(path, &["eval", "run", "--data", "others"]);
    assert_eq!(json["classes"][1]["images"], 0);
    assert_eq!(json["macro-average"], json["weighted-average"]);
    assert_eq!(json["set"], Value::Null);
    // The data of the run in another place are still those of the run.
    fs::rename(path.join("pets"), path.join("moved")).unwrap();
    let shown = output(path, &["eval", "run", "--data", "moved"]);
    assert!(
        shown.contains("\nrun/eval/val/  evaluation.json"),
        "{shown}"
    );
}

/// The folders of evaluations in `run` whose names start like this.
fn evaluations(folder: &Path, start: &str) -> Vec<String> {
    let all = fs::read_dir(folder.join("run/eval")).unwrap();
    let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(start)).collect();
    names.sort();
    names
}

#[test]
fn data_of_one_name_in_two_places_are_two_evaluations() {
    let folder = scratch();
    let path = folder.path();
    trained_on_pets(path);
    for (place, count) in [("old", 3), ("new", 4)] {
        images(&path.join(place).join("more/cat"), count);
        let data = format!("{place}/more");
        // A second time in place of the first.
        output(path, &["eval", "run", "--data", &data]);
        output(path, &["eval", "run", "--data", &format!("./{data}/")]);
    }
    assert_eq!(evaluations(path, "more-images-").len(), 2);
    let report = fs::read_to_string(path.join("run/report.html")).unwrap();
    for heading in [
        "<h2>./old/more/: 3 images</h2>",
        "<h2>./new/more/: 4 images</h2>",
    ] {
        assert!(report.contains(heading), "{heading}");
    }
    // A folder with the name of a set is not that set of the run.
    images(&path.join("val/cat"), 5);
    output(path, &["eval", "run", "--data", "val"]);
    let report = fs::read_to_string(path.join("run/report.html")).unwrap();
    assert!(report.contains("<h2>val: 5 images</h2>") && report.contains("<h2>Validation set: "));
}

#[test]
fn images_of_the_training_are_known_in_other_data() {
    let folder = scratch();
    let path = folder.path();
    // No two images have the same size.
    for (set, count) in [("train", 12), ("val", 4)] {
        for class in ["cat", "dog"] {
            let place = path.join("pets").join(set).join(class);
            fs::create_dir_all(&place).unwrap();
            for index in 0..count {
                let side =
                    8 + 2 * index + u32::from(class == "dog") + 100 * u32::from(set == "val");
                let pixel = |x, y| image::Rgb([(x * y) as u8, x as u8, y as u8]);
                image::RgbImage::from_fn(side, side, pixel)
                    .save(place.join(format!("{index}.png")))
                    .unwrap();
            }
        }
    }
    let train =
        "train --data pets --size 8 --batch-size 8 --duration 2ba --device cpu --output run";
    output(path, &train.split(' ').collect::<Vec<_>>());
    let known = |data: &str| {
        let json = json(path, &["eval", "run", "--data", data]);
        assert_eq!(
            json["is-trained-on"].as_bool(),
            json["trained-on-images"].as_u64().map(|count| count > 0)
        );
        let counts = ["trained-on-images", "images"].map(|key| json[key].as_u64().unwrap());
        (counts, json["set"].clone())
    };
    let nothing = Value::Null;
    // A copy of the training set elsewhere.
    fs::create_dir(path.join("copy")).unwrap();
    for class in ["cat", "dog"] {
        images(&path.join("copy").join(class), 0);
        for index in 0..12 {
            let name = format!("{class}/{index}.png");
            fs::copy(
                path.join("pets/train").join(&name),
                path.join("copy").join(&name),
            )
            .unwrap();
        }
    }
    assert_eq!(known("copy"), ([24, 24], nothing.clone()));
    let sentence = |data: &str| {
        let shown = output(path, &["eval", "run", "--data", data]);
        let mut lines = shown.lines();
        lines
            .find(|line| line.starts_with("The network was trained on "))
            .map(String::from)
    };
    let all = "The network was trained on these images: it does better on them than on others, and may \
               know wrong labels by heart.";
    assert_eq!(sentence("copy").unwrap(), all);
    // Some of it are gone, and others are there.
    for index in 0..3 {
        fs::remove_file(path.join(format!("copy/cat/{index}.png"))).unwrap();
        fs::copy(
            path.join(format!("pets/val/dog/{index}.png")),
            path.join(format!("copy/dog/new-{index}.png")),
        )
        .unwrap();
    }
    assert_eq!(known("copy"), ([21, 24], nothing.clone()));
    let some = all.replace("these images:", "21 of these images:");
    assert_eq!(sentence("copy").unwrap(), some);
    let report = fs::read_to_string(path.join("run/report.html")).unwrap();
    assert!(report.contains(&some));
    // What is not of the training set was not trained on.
    assert_eq!(known("pets/val"), ([0, 8], nothing));
    assert_eq!(sentence("pets/val"), None);
    // The data of the run with one image less are not those of the run.
    fs::remove_file(path.join("pets/train/cat/0.png")).unwrap();
    let json = json(path, &["eval", "run", "--data", "pets", "--split", "train"]);
    assert_eq!(json["trained-on-images"], 23);
    assert_eq!(json["changes"], "1 image removed (train/cat/0.png)");
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_in_json_that_cannot_be_written_is_an_error() {
    use std::process::Command;

    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    pets(path);
    fs::remove_dir_all(path.join("run/eval")).unwrap();
    for command in [&["eval", "run"][..], &["check", "pets"]] {
        let full = fs::File::create("/dev/full").unwrap();
        let run = |stdout: std::process::Stdio| {
            Command::new(env!("CARGO_BIN_EXE_cutmix"))
                .args(command)
                .args(["--format", "json"])
                .current_dir(path)
                .stdout(stdout)
                .output()
                .unwrap()
        };
        let failed = run(full.into());
        assert_eq!(failed.status.code(), Some(1));
        let message = String::from_utf8(failed.stderr).unwrap();
        assert!(
            message.starts_with("error: cannot write standard output: "),
            "{message}"
        );
        // That nobody reads it is none.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert!(run(writer.into()).status.success());
    }
    // The files have the result.
    assert!(path.join("run/eval/test/evaluation.json").is_file());
}

#[test]
fn skipped_images_have_no_row() {
    let folder = scratch();
    let path = folder.path();
    trained_on_pets(path);
    images(&path.join("others/cat"), 4);
    images(&path.join("others/dog"), 4);
    fs::write(path.join("others/cat/1.png"), "no image").unwrap();
    let options = ["eval", "run", "--data", "others", "--on-bad-image", "skip"];
    let json = json(path, &options);
    assert_eq!(json["images"], 7);
    assert_eq!(json["skipped"][0]["name"], "cat/1.png");
    let others = &evaluations(path, "others-images-")[0];
    let (_, rows) = table(&path.join(format!("run/eval/{others}/predictions.csv")));
    let rows: Vec<_> = rows
        .iter()
        .map(|row| format!("{} {} {}", row[0], row[1], row[7]))
        .collect();
    assert_eq!(
        rows,
        [
            "cat/0.png cat 0",
            "cat/2.png cat 2",
            "cat/3.png cat 3",
            "dog/0.png dog 4",
            "dog/1.png dog 5",
            "dog/2.png dog 6",
            "dog/3.png dog 7",
        ]
    );
}

#[test]
fn a_run_that_cannot_be_written_to_keeps_the_result_on_the_terminal() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    // Not even root can make a folder in a file.
    fs::remove_dir_all(path.join("run/eval")).unwrap();
    fs::write(path.join("run/eval"), "").unwrap();
    for format in ["text", "json"] {
        let result = cutmix(
            path,
            &["eval", "run", "--device", "cpu", "--format", format],
        );
        assert!(result.status.success());
        let shown = String::from_utf8(result.stdout).unwrap();
        assert!(
            shown.contains("macro") && !shown.contains("predictions.csv"),
            "{shown}"
        );
        let warning = String::from_utf8(result.stderr).unwrap();
        let expected = format!(
            "warning: cannot write {}: ",
            Path::new("run/eval/test").display()
        );
        assert!(
            warning.starts_with(&expected) && warning.lines().count() == 1,
            "{warning}"
        );
    }
    // One file alone.
    fs::remove_file(path.join("run/eval")).unwrap();
    fs::create_dir_all(path.join("run/eval/test/confusion.png")).unwrap();
    let result = cutmix(path, &["eval", "run", "--device", "cpu"]);
    let warning = String::from_utf8(result.stderr).unwrap();
    assert!(
        warning.contains("confusion.png: ") && warning.lines().count() == 1,
        "{warning}"
    );
    let shown = String::from_utf8(result.stdout).unwrap();
    let last = shown.lines().last().unwrap();
    assert_eq!(
        last,
        "run/eval/test/  evaluation.json  predictions.csv  confusion.csv  calibration.png  mistakes/"
    );
}

#[test]
fn images_of_several_classes_have_json_too() {
    let folder = scratch();
    let path = folder.path();
    images(&path.join("photos"), 24);
    let mut rows = String::from("path,labels,split\n");
    for index in 0..24 {
        let labels = ["cat", "cat|dog", "dog|bird", ""][index % 4];
        let split = ["train", "train", "val", "test"][index / 6];
        rows += &format!("{index}.png,{labels},{split}\n");
    }
    fs::write(path.join("photos/labels.csv"), rows).unwrap();
    let train = "train --data photos/labels.csv --size 8 --batch-size 4 --duration 2ba --device cpu --output run";
    output(path, &train.split(' ').collect::<Vec<_>>());
    let test = json(path, &["eval", "run"]);
    assert_eq!(
        (&test["task"], &test["images"]),
        (&"multi-label".into(), &6.into())
    );
    assert_eq!(test["thresholds-of"], "val");
    let classes = test["classes"].as_array().unwrap();
    let images: Vec<_> = classes
        .iter()
        .map(|row| row["images"].as_u64().unwrap())
        .collect();
    // Birds, cats and dogs of the images 18 to 23.
    assert_eq!(images, [2, 2, 3]);
    let mean = test["mean-average-precision"].as_f64().unwrap();
    let score = test["scores"]["mean-average-precision"].as_f64().unwrap();
    assert!((100.0 * mean - score).abs() < 1e-9);
    let shown = output(path, &["eval", "run", "--split", "val"]);
    assert!(
        shown.ends_with("\nrun/eval/val/  evaluation.json\n"),
        "{shown}"
    );
    assert!(shown.contains("The thresholds are the best ones for these images themselves."));
}

#[test]
fn json_stays_json_with_characters_that_act_on_a_terminal() {
    let folder = scratch();
    let path = folder.path();
    images(&path.join("pets/cat"), 12);
    images(&path.join("pets/dog\u{202e}"), 12);
    let train =
        "train --data pets --size 8 --batch-size 8 --duration 2ba --device cpu --output run";
    output(path, &train.split(' ').collect::<Vec<_>>());
    for command in [&["eval", "run"][..], &["check", "pets"]] {
        let json = json(path, command);
        assert!(
            json["classes"].to_string().contains("dog\u{202e}"),
            "{json}"
        );
    }
    let name = "dog\u{202e}.png";
    fs::copy(path.join("pets/cat/0.png"), path.join(name)).unwrap();
    for command in [&["eval", "run"][..], &["predict", "run", name]] {
        let shown = output(path, &[command, &["--format", "json"]].concat());
        assert!(
            !shown.contains('\u{202e}') && shown.contains("\\u202e"),
            "{shown}"
        );
    }
    let row = json(path, &["predict", "run", name]);
    assert_eq!(row["path"], name);
}

#[test]
fn an_unknown_format_is_a_usage_error() {
    let message = usage_error(trained(), &["eval", "run", "--format", "xml"]);
    assert!(
        message.contains("invalid value 'xml' for '--format <text|json>'"),
        "{message}"
    );
}
