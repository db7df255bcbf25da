//! `report.html`.

use std::fs;
use std::path::Path;

use crate::runs::column;
use crate::{cutmix, images, output, scratch, tiny, trained};

pub fn report(run: &Path) -> String {
    fs::read_to_string(run.join("report.html")).unwrap()
}

/// A part of a report, from its heading to the next one of a section.
pub fn section<'a>(report: &'a str, heading: &str) -> &'a str {
    let start = report.find(&format!("<h2>{heading}")).unwrap();
    let rest = &report[start + 4..];
    &rest[..rest.find("<h2>").unwrap_or(rest.len())]
}

#[test]
fn a_run_has_a_report_with_the_numbers_of_its_files() {
    let run = trained().join("run");
    let report = report(&run);
    let json = fs::read_to_string(run.join("eval/test/evaluation.json")).unwrap();
    let evaluation: serde_json::Value = serde_json::from_str(&json).unwrap();
    let accuracy = format!("{:.2} %", 100.0 * evaluation["accuracy"].as_f64().unwrap());
    assert!(report.contains(&format!(
        "<strong>{accuracy}</strong>accuracy on the test set"
    )));
    assert!(report.contains("resnet8 on Fashion-MNIST (embedded)</title>"));
    assert!(report.contains("75,482 parameters") && report.contains("64 images to train"));

    let curves = section(&report, "Curves");
    for (title, name) in [("Loss", "loss"), ("Accuracy (%)", "accuracy")] {
        let ends = [("training", "train"), ("validation", "val")].map(|(label, set)| {
            let values = column(&run, &format!("{set}/{name}"));
            let is_mixed = (set, name) == ("train", "accuracy");
            let label = if is_mixed {
                "training (mixed accuracy)"
            } else {
                label
            };
            (label, values)
        });
        let start = format!("aria-label=\"{title} over the epochs: ");
        let words = curves.split(&start).nth(1).unwrap();
        let words = words.split(".\"").next().unwrap();
        for (words, (label, values)) in words.split("; ").zip(ends) {
            let ends = words.strip_prefix(&format!("{label} from ")).unwrap();
            for (shown, value) in ends.split(" to ").zip(values) {
                let digits = shown.chars().filter(char::is_ascii_digit).count();
                let distance = shown.parse::<f64>().unwrap() - value;
                assert!(digits <= 4 && distance.abs() <= 0.006 * value, "{words}");
            }
        }
        assert_eq!(words.split("; ").count(), 2);
    }
    // What the title says is not said again.
    assert!(curves.contains("aria-label=\"Learning rate over the epochs: from 0."));
    let algorithms = section(&report, "What the algorithms did");
    assert!(algorithms.contains("cutmix/lambda") && algorithms.contains("data:image/png;base64,"));

    let test = section(&report, "Test set: 64 images");
    for row in evaluation["classes"].as_array().unwrap() {
        let class = row["class"].as_str().unwrap();
        let f1 = format!("{:.2}</td></tr>", 100.0 * row["f1"].as_f64().unwrap());
        assert!(
            test.contains(&format!("<th scope=\"row\">{class}</th>")) && test.contains(&f1),
            "{class}"
        );
    }
    let counts = evaluation["confusion"].as_array().unwrap().iter();
    let counts = counts.flat_map(|row| row.as_array().unwrap());
    let counts = counts.filter(|count| count.as_u64() != Some(0)).count();
    let cells = test.split("--share:").skip(1);
    assert_eq!(
        cells.filter(|cell| !cell.contains("\"></td>")).count(),
        counts
    );
    let mistakes = evaluation["mistakes"].as_array().unwrap().len();
    assert_eq!(
        test.matches("data:image/jpeg;base64,").count(),
        mistakes.min(24)
    );

    let settings = section(&report, "Settings");
    let (given, filled) = settings.split_once("Filled in").unwrap();
    assert!(given.contains("<dt>limit</dt><dd>64</dd>"), "{given}");
    assert!(
        filled.contains("<dt>learning-rate</dt><dd>0.141</dd>"),
        "{filled}"
    );
    let repeat = section(&report, "How to repeat it");
    assert!(repeat.contains("/config.toml") && repeat.contains("<dt>Seed</dt><dd>0</dd>"));
}

#[test]
fn a_report_loads_nothing_and_runs_nothing() {
    let report = report(&trained().join("run"));
    for mark in [
        "http:", "https:", "<script", "<link", "@import", "url(", "<iframe",
    ] {
        assert!(!report.contains(mark), "{mark}");
    }
    for source in report.split("src=\"").skip(1) {
        assert!(source.starts_with("data:image/"));
    }
    assert!(report.len() < 2_000_000, "{}", report.len());
}

#[test]
fn eval_adds_its_evaluation_to_the_report() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    assert!(!report(&path.join("run")).contains("<h2>Evaluations"));
    let shown = output(path, &["eval", "run", "--split", "val", "--device", "cpu"]);
    let report = report(&path.join("run"));
    // Both are in, and the test set still decides.
    let evaluations = section(&report, "Evaluations");
    assert!(evaluations.contains("test set") && evaluations.contains("validation set"));
    assert!(report.contains("accuracy on the test set"));
    let val = section(&report, "Validation set: 64 images");
    let accuracy = shown
        .split("accuracy ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let accuracy = accuracy.split('\n').next().unwrap();
    assert!(
        val.contains(&format!("<dt>Accuracy</dt><dd>{accuracy}</dd>")),
        "{accuracy}: {val}"
    );
}

#[test]
fn a_run_in_progress_is_not_called_stopped() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    // As a run that has not ended.
    fs::remove_file(path.join("run/model.safetensors")).unwrap();
    let training = || {
        assert!(
            cutmix(path, &["eval", "run", "--device", "cpu"])
                .status
                .success()
        );
        let report = report(&path.join("run"));
        let training = report.split("<dt>Training</dt><dd>").nth(1).unwrap();
        training.split("</dd>").next().unwrap().to_string()
    };
    let lock = cutmix_train::FolderLock::acquire(&path.join("run")).unwrap();
    assert_eq!(
        training(),
        "1.5 epochs with batches of 16, not finished; its end is at 6ba"
    );
    drop(lock);
    let stopped = "1.5 epochs with batches of 16, stopped before its end of 6ba; resume it with \
                   <code>cutmix train --resume run</code>";
    assert_eq!(training(), stopped);
    // Without the file of the lock, nobody has it.
    fs::remove_file(path.join("run/.lock")).unwrap();
    assert_eq!(training(), stopped);
}

#[test]
fn names_of_classes_and_files_are_text_in_a_report() {
    let folder = scratch();
    let path = folder.path();
    for class in ["<script>alert(1)<", "Ärmel & \"袖\"'"] {
        images(&path.join("odd <data>").join(class.replace('/', "")), 12);
    }
    let train =
        "train --size 16 --batch-size 8 --duration 1ep --val-fraction 0.5 --output run --data";
    let arguments: Vec<_> = train.split(' ').chain(["odd <data>"]).collect();
    output(path, &arguments);
    let report = report(&path.join("run"));
    assert!(!report.contains("<script") && !report.contains("odd <data>"));
    assert!(
        report.contains("&lt;script&gt;alert(1)&lt;")
            && report.contains("Ärmel &amp; &quot;袖&quot;'")
    );
    // There is no test set.
    assert!(report.contains("accuracy on the validation set"));
    assert!(section(&report, "Validation set: 12 images").contains("Confusion matrix"));
}

#[test]
fn a_resumed_run_reports_all_of_its_batches_and_what_was_given_since() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--save-interval", "2ba", "--output", "run"]));
    let before = report(&path.join("run"));
    assert!(
        section(&before, "Settings")
            .split_once("Filled in")
            .unwrap()
            .0
            .contains("<dd>6ba</dd>")
    );
    output(
        path,
        &["eval", "run", "--split", "train", "--device", "cpu"],
    );
    output(path, &["train", "--resume", "run", "--duration", "10ba"]);
    let after = report(&path.join("run"));
    let dots = |report: &str| {
        let chart = report.split("<h3>cutmix/lambda</h3>").nth(1).unwrap();
        let dots = chart.split("class=\"sample s1\" d=\"").nth(2).unwrap();
        dots.split('"').next().unwrap().matches('M').count()
    };
    assert_eq!((dots(&before), dots(&after)), (6, 10));
    let given = section(&after, "Settings")
        .split_once("Filled in")
        .unwrap()
        .0;
    assert!(given.contains("<dd>10ba</dd>"), "{given}");
    // The model is another one, so that what was measured of the first one is gone.
    assert!(after.contains("<h2>Test set") && !after.contains("<h2>Training set"));
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    fs::remove_file(path.join("run/report.html")).unwrap();
    fs::create_dir_all(path.join("run/report.html/folder")).unwrap();
    let evaluated = cutmix(path, &["eval", "run", "--device", "cpu"]);
    assert!(evaluated.status.success());
    let warnings = String::from_utf8(evaluated.stderr).unwrap();
    assert!(
        warnings.starts_with("warning: there is no new report.html: cannot write run/report.html"),
        "{warnings}"
    );
    let resumed = cutmix(path, &["train", "--resume", "run", "--duration", "7ba"]);
    assert!(resumed.status.success());
}
