//! `cutmix compare`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{cutmix, error, images, output, pets, scratch};

const COMPARE: &str = "compare --algorithm none --algorithm cutmix:probability=0.5 --seeds 0..1 --limit 64 \
                       --duration 4ba --batch-size 16 --model resnet8 --device cpu";

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The values of runs.csv by row, seed and measure.
fn values(study: &Path) -> BTreeMap<(String, u64, String), f64> {
    let mut table = csv::Reader::from_path(study.join("runs.csv")).unwrap();
    let rows = table.deserialize::<(String, u64, String, f64)>();
    rows.map(|row| {
        let (row, seed, measure, value) = row.unwrap();
        ((row, seed, measure), value)
    })
    .collect()
}

fn results(study: &Path) -> Vec<String> {
    let files = fs::read_dir(study.join("results")).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn rows_are_compared_seed_by_seed() {
    let folder = scratch();
    let study = folder.path().join("study");
    let shown = output(
        folder.path(),
        &words(&format!("{COMPARE} --measure occlusion,fgsm")),
    );
    for line in [
        "runs       4 of 4 left, about ",
        "seeds      0, 1",
        "Accuracy (%), higher is better",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let names = ["01-none-seed-0.json", "01-none-seed-1.json"];
    assert_eq!(results(&study)[..2], names);
    let values = values(&study);
    let value = |row: &str, seed, measure: &str| values[&(row.into(), seed, measure.into())];
    let cutmix = "cutmix:probability=0.5";
    let differences = [0, 1].map(|seed| value(cutmix, seed, "loss") - value("none", seed, "loss"));
    let table = fs::read(study.join("table.json")).unwrap();
    let table: Value = serde_json::from_slice(&table).unwrap();
    let loss = table
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "loss")
        .unwrap();
    assert_eq!(loss["higher-is-better"], false);
    let (first, second) = (&loss["rows"][0], &loss["rows"][1]);
    assert_eq!(first["difference"], Value::Null);
    assert_eq!(second["row"], cutmix);
    let close = |found: &Value, expected: f64| {
        assert!(
            (found.as_f64().unwrap() - expected).abs() < 1e-9,
            "{found}, not {expected}"
        );
    };
    let mean = (differences[0] + differences[1]) / 2.0;
    close(&second["difference"]["mean"], mean);
    // Student's t of one degree of freedom.
    let half = 12.706_204_736 * (differences[0] - differences[1]).abs() / 2.0;
    let low = second["difference"]["interval"][0].as_f64().unwrap();
    assert!((low - (mean - half)).abs() < 1e-6, "{low}");
    // The run is that of `cutmix train`.
    output(
        folder.path(),
        &words(
            "train --algorithm none --seed 1 --limit 64 --duration 4ba --batch-size 16 --model resnet8 \
             --device cpu --output run",
        ),
    );
    let alone = fs::read(folder.path().join("run/eval/test/evaluation.json")).unwrap();
    let alone: Value = serde_json::from_slice(&alone).unwrap();
    assert_eq!(
        alone["scores"]["loss"].as_f64().unwrap(),
        value("none", 1, "loss")
    );
    let measured = [
        "occlusion, random",
        "occlusion, centre, 25 %",
        "fgsm, 8 of 255",
        "calibration error",
    ];
    for measure in measured {
        value(cutmix, 0, measure);
    }
    let report = fs::read_to_string(study.join("report.html")).unwrap();
    for text in [
        "4 of 4 finished",
        "class=\"band s1\"",
        "Occlusion",
        "cutmix:probability=0.5",
    ] {
        assert!(report.contains(text), "{text}");
    }
}

#[test]
fn a_study_goes_on_with_more_rows_and_seeds() {
    let folder = scratch();
    let study = folder.path().join("study");
    let one = COMPARE.replace("0..1", "3");
    let shown = output(folder.path(), &words(&one));
    assert!(shown.contains("(one seed)"), "{shown}");
    let before = fs::read(study.join("results/01-none-seed-3.json")).unwrap();
    let shown = output(folder.path(), &words(&one));
    assert!(shown.contains("all 2 are finished"), "{shown}");
    let mut more = words(&one);
    more.extend(["--row", "--algorithm cutmix --learning-rate 0.05"]);
    more[6] = "3,5";
    let shown = output(folder.path(), &more);
    assert!(shown.contains("4 of 6 left"), "{shown}");
    assert_eq!(results(&study).len(), 6);
    assert_eq!(
        fs::read(study.join("results/01-none-seed-3.json")).unwrap(),
        before
    );
    let shown = output(folder.path(), &["compare", "--resume", "study"]);
    assert!(shown.contains("all 6 are finished"), "{shown}");
    assert!(
        shown.contains("--algorithm cutmix --learning-rate 0.05"),
        "{shown}"
    );
}

#[test]
fn a_study_that_was_killed_ends_as_one_that_was_not() {
    let folder = scratch();
    let long = COMPARE.replace("4ba", "40ba") + " --save-interval 1ba --eval-interval 10ba";
    let whole = long.clone() + " --output whole";
    output(folder.path(), &words(&whole));
    let mut killed = Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(words(&(long + " --output killed")))
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    // In the second run.
    let finished = lines.find(|line| line.as_ref().unwrap().contains("none, seed 0: "));
    finished.unwrap().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(results(&folder.path().join("killed")).len() < 4);
    let half = folder.path().join("killed/results/.cutmix-1.tmp");
    fs::write(&half, "{").unwrap();
    output(folder.path(), &["compare", "--resume", "killed"]);
    assert!(!half.exists());
    let [found, expected] = ["killed", "whole"].map(|study| values(&folder.path().join(study)));
    assert_eq!(found, expected);
}

#[test]
fn other_plans_and_results_are_refused() {
    let folder = scratch();
    output(folder.path(), &words(COMPARE));
    let refused = |change: &dyn Fn(&str) -> String| error(folder.path(), &words(&change(COMPARE)));
    let message = refused(&|command| command.replace("4ba", "5ba"));
    assert_eq!(
        message,
        "the study in study differs in --duration: \"5ba\", expected \"4ba\"; choose another folder with --output"
    );
    let message = refused(&|command| format!("{command} --measure fgsm"));
    assert!(
        message.starts_with(
            "the study in study differs in what is measured: fgsm, expected nothing more; "
        ),
        "{message}"
    );
    let message = refused(&|command| format!("{command} --data cluttered-fashion"));
    assert!(
        message.starts_with(
            "the study in study differs in its data: \"cluttered-fashion\" with the digest "
        ) && message.contains(", expected the embedded data with the digest "),
        "{message}"
    );
    let message = refused(&|command| {
        command.replace("cutmix:probability=0.5", "cutmix:alpha=1,probability=0.5")
    });
    assert_eq!(
        message,
        "--row is cutmix:alpha=1,probability=0.5, expected each row once; the study has it as \
         cutmix:probability=0.5"
    );
    let message = refused(&|command| format!("{command} --seed 4"));
    assert_eq!(message, "--seed is 4, expected none; give --seeds");
    let message = refused(&|command| format!("{command} --algorithm none"));
    assert_eq!(message, "--row is none, expected each row once");
    let message = error(
        folder.path(),
        &words("compare --resume study --batch-size 8"),
    );
    assert!(
        message.starts_with("--batch-size is 8, expected none with --resume"),
        "{message}"
    );
    let path = folder.path().join("study/results/01-none-seed-0.json");
    let json = fs::read_to_string(&path).unwrap();
    fs::write(&path, json.replacen("\"seed\": 0", "\"seed\": 7", 2)).unwrap();
    let message = refused(&str::to_string);
    let expected = "study/results/01-none-seed-0.json is a result with other settings; remove it, or choose \
                    another folder with --output";
    assert_eq!(message, expected);
    fs::write(&path, json.replacen(env!("CARGO_PKG_VERSION"), "0.0.1", 1)).unwrap();
    let message = error(folder.path(), &["compare", "--resume", "study"]);
    assert!(
        message.contains("is a result with other version"),
        "{message}"
    );
    fs::write(&path, "{").unwrap();
    let message = error(folder.path(), &["compare", "--resume", "study"]);
    assert!(
        message.starts_with("study/results/01-none-seed-0.json: EOF"),
        "{message}"
    );
}

const PETS: &str = "compare --algorithm none --seeds 0 --data pets --duration 2ba --batch-size 8 --size 16 \
                    --model resnet8 --device cpu --val-fraction 0.25";

/// One image is another one of the same size.
#[test]
fn images_with_another_content_are_refused() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    output(path, &words(PETS));
    let file = path.join("pets/cat/3.png");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let message = error(path, &words(PETS));
    assert!(
        message.starts_with("the study in study differs in its data: "),
        "{message}"
    );
}

#[test]
fn other_images_are_found_where_they_are_now() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    images(&path.join("others"), 3);
    let unlike = |place: &str| format!("{PETS} --unlike {place}");
    output(path, &words(&unlike("others")));
    let message = error(path, &words(PETS));
    assert!(
        message.starts_with(
            "the study in study differs in what is measured: nothing more, expected other images: "
        ),
        "{message}"
    );
    fs::rename(path.join("others"), path.join("moved")).unwrap();
    output(path, &words(&unlike("moved")));
    output(path, &words("compare --resume study"));
    fs::rename(path.join("moved"), path.join("others")).unwrap();
    let shown = output(
        path,
        &words("compare --resume study --unlike others --seeds 1"),
    );
    assert!(shown.contains("1 of 2 left"), "{shown}");
    assert_eq!(results(&path.join("study")).len(), 2);
    images(&path.join("others"), 4);
    let message = error(path, &words("compare --resume study"));
    assert!(
        message.starts_with("the study in study differs in --unlike: images with the digest "),
        "{message}"
    );
}

/// The validation sets of some seeds have more bad images than those of others.
#[test]
fn validation_sets_of_different_sizes_are_compared() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    for name in ["a", "b", "c", "d"] {
        fs::write(
            pets.join("cat").join(name).with_extension("png"),
            "no image",
        )
        .unwrap();
    }
    let compare = PETS.replace("--seeds 0", "--seeds 0..3") + " --on-bad-image skip";
    output(path, &words(&compare));
    let study = path.join("study");
    let counts = results(&study).into_iter().map(|name| {
        let json = fs::read(study.join("results").join(name)).unwrap();
        let result: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(result["set"], "val");
        result["images"].as_u64().unwrap()
    });
    let counts: BTreeSet<_> = counts.collect();
    let [least, .., most] = Vec::from_iter(counts)[..] else {
        panic!("all are of one size");
    };
    let report = fs::read_to_string(study.join("report.html")).unwrap();
    assert!(report.contains(&format!("the val set, {least} to {most} images")));
}

#[test]
fn a_plan_without_a_run_gives_way_to_another() {
    let folder = scratch();
    output(folder.path(), &words(COMPARE));
    for emptied in ["runs", "results"] {
        fs::remove_dir_all(folder.path().join("study").join(emptied)).unwrap();
    }
    let other = COMPARE.replace("4ba", "5ba").replace("0..1", "3");
    // As long as no other process uses it.
    let in_use = fs::File::open(folder.path().join("study/.in-use")).unwrap();
    in_use.lock_shared().unwrap();
    let message = error(folder.path(), &words(&other));
    assert!(
        message.starts_with("the study in study differs in --duration"),
        "{message}"
    );
    drop(in_use);
    let shown = output(folder.path(), &words(&other));
    assert!(
        shown.contains("seeds      3\nruns       2 of 2 left"),
        "{shown}"
    );
}

#[test]
fn wrong_plans_start_nothing() {
    let folder = scratch();
    let wrong = |arguments: &[&str]| {
        let arguments = [&["compare", "--limit", "64"], arguments].concat();
        let message = error(folder.path(), &arguments);
        assert!(!folder.path().join("study").exists());
        message
    };
    assert_eq!(
        wrong(&[]),
        "nothing is compared; give --algorithm or --row, once for each row"
    );
    for (row, expected) in [
        ("--seed 1", "seeds for all rows, with --seeds"),
        ("--data photos", "the same data for all rows"),
        (
            "--colour blue",
            "options of `cutmix train`: unexpected argument '--colour' found",
        ),
        (
            "--model 'resnet8",
            "options of `cutmix train`: a quotation mark is left open",
        ),
        (" ", "options of `cutmix train`: none is given"),
    ] {
        let message = wrong(&["--row", row]);
        assert_eq!(message, format!("--row is {row}, expected {expected}"));
    }
    let message = wrong(&["--algorithm", "none", "--batch-size", "0"]);
    assert!(message.starts_with("--batch-size is 0"), "{message}");
    let message = error(folder.path(), &["compare", "--resume", "."]);
    assert!(
        message.contains("is not the folder of a study"),
        "{message}"
    );
    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("taken/file"), "").unwrap();
    let message = error(folder.path(), &words(&format!("{COMPARE} --output taken")));
    assert!(
        message.starts_with("output folder taken exists and is not empty"),
        "{message}"
    );
    let seeds = cutmix(
        folder.path(),
        &["compare", "--algorithm", "none", "--seeds", "4..1"],
    );
    let seeds = String::from_utf8(seeds.stderr).unwrap();
    assert!(seeds.contains("expected a range such as 0..4"), "{seeds}");
}

/// The content of files decides, wherever they are.
#[test]
fn files_of_a_row_are_those_of_the_study() {
    let folder = scratch();
    let path = folder.path();
    fs::write(path.join("weights.csv"), "class,weight\nSandal,3\n").unwrap();
    let one = "compare --algorithm none --seeds 0 --limit 64 --duration 2ba --batch-size 16 --model resnet8 \
               --device cpu --class-weights ";
    output(path, &words(&format!("{one}weights.csv")));
    fs::copy(path.join("weights.csv"), path.join("moved.csv")).unwrap();
    let shown = output(path, &words(&format!("{one}moved.csv")));
    assert!(shown.contains("all 1 are finished"), "{shown}");
    fs::write(path.join("moved.csv"), "class,weight\nSandal,2\n").unwrap();
    let message = error(path, &words(&format!("{one}moved.csv")));
    assert!(
        message.starts_with("the study in study differs in the files of the row none: "),
        "{message}"
    );
}

#[test]
fn algorithms_of_a_file_are_for_all_rows() {
    let folder = scratch();
    let path = folder.path();
    fs::write(path.join("all.toml"), "algorithm = [\"mixup\"]\nseed = 9\n").unwrap();
    let compare = [
        &words("compare --config all.toml --seeds 1 --limit 64 --duration 2ba --model resnet8 --device cpu")[..],
        &["--row", "--learning-rate 0.1", "--row", "--learning-rate  0.05"],
    ]
    .concat();
    output(path, &compare);
    for name in results(&path.join("study")) {
        let json = fs::read_to_string(path.join("study/results").join(name)).unwrap();
        let result: Value = serde_json::from_str(&json).unwrap();
        let algorithm = result["settings"]["algorithm"][0].as_str().unwrap();
        assert!(algorithm.starts_with("mixup"), "{algorithm}");
        assert_eq!(result["seed"], 1);
        assert!(
            !json.contains(path.to_str().unwrap()),
            "no place on the machine"
        );
    }
}

/// The second of three rows cannot train.
#[test]
fn a_run_that_fails_is_told_and_the_others_go_on() {
    let folder = scratch();
    let compare = [
        &words("compare --algorithm none --seeds 0..1 --limit 64 --duration 4ba --model resnet8 --device cpu")[..],
        &["--row", "--learning-rate 1e30", "--row", "--algorithm cutmix"],
    ]
    .concat();
    let failed = cutmix(folder.path(), &compare);
    assert_eq!(failed.status.code(), Some(1));
    let told = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(
        told.matches("warning: --learning-rate 1e30, seed ").count(),
        2,
        "{told}"
    );
    assert!(told.ends_with("error: 2 of 6 runs failed\n"), "{told}");
    let shown = String::from_utf8(failed.stdout).unwrap();
    assert_eq!(
        shown
            .matches("failed     --learning-rate 1e30, seed ")
            .count(),
        2,
        "{shown}"
    );
    assert_eq!(results(&folder.path().join("study")).len(), 4);
    let report = fs::read_to_string(folder.path().join("study/report.html")).unwrap();
    assert!(report.contains("no run yet"));
}

#[test]
fn a_run_folder_of_other_settings_is_refused() {
    let folder = scratch();
    let path = folder.path();
    output(path, &words(COMPARE));
    fs::remove_file(path.join("study/results/01-none-seed-0.json")).unwrap();
    output(
        path,
        &words("train --resume study/runs/01-none-seed-0 --duration 6ba"),
    );
    let failed = cutmix(path, &["compare", "--resume", "study"]);
    assert_eq!(failed.status.code(), Some(1));
    let told = String::from_utf8(failed.stderr).unwrap();
    let expected =
        "run folder study/runs/01-none-seed-0 has other settings than the study; remove it";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn two_terminals_train_each_run_once() {
    let folder = scratch();
    let path = folder.path();
    // The plan is there before the two start.
    output(path, &words(&COMPARE.replace("0..1", "0")));
    let more = COMPARE.replace("0..1", "0..5");
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutmix"));
        command.args(words(&more)).current_dir(path);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()].map(|process| process.wait_with_output().unwrap());
    let trained = both.iter().map(|output| {
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = shown
            .lines()
            .filter(|line| line.contains(", seed ") && line.contains("accuracy "));
        lines.count()
    });
    assert_eq!(trained.sum::<usize>(), 10);
    assert_eq!(results(&path.join("study")).len(), 12);
}
