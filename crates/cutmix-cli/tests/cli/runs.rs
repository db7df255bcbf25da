//! Training, and what is done with a run.

use std::fs;
use std::path::Path;

use crate::{cutmix, error, fashion, images, output, pets, scratch, tiny, trained};

const FILES: [&str; 7] = [
    ".lock",
    "batch.png",
    "checkpoints",
    "config.toml",
    "curves.png",
    "metrics.csv",
    "model.safetensors",
];

/// The rows of a run's `metrics.csv` without the last column, the time.
pub fn metrics(run: &Path) -> Vec<String> {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let rows = table.lines().map(|row| row.rsplit_once(',').unwrap().0);
    rows.map(String::from).collect()
}

#[test]
fn a_run_leaves_its_files() {
    let run = trained().join("run");
    let mut files: Vec<_> = fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, FILES);

    let rows = metrics(&run);
    assert_eq!(
        rows[0],
        "epoch,batches,samples,learning_rate,train_loss,train_accuracy,eval_loss,eval_accuracy"
    );
    // Six batches are one epoch of four and half of a second one.
    let starts: Vec<_> = rows[1..]
        .iter()
        .map(|row| row.split(",0.").next())
        .collect();
    assert_eq!(starts, [Some("1,4,64"), Some("1.5,6,96")]);
    for row in &rows[1..] {
        assert_eq!(row.split(',').count(), 8, "{row}");
        assert!(
            row.split(',')
                .all(|cell| cell.parse::<f64>().unwrap().is_finite()),
            "{row}"
        );
    }
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    insta::assert_snapshot!(config);
}

#[test]
fn config_toml_repeats_the_run_and_options_win_over_it() {
    let folder = scratch();
    let config = trained().join("run/config.toml");
    let config = config.to_str().unwrap();
    let repeat = ["train", "--config", config, "--output", "again"];
    let shown = output(folder.path(), &repeat);
    assert!(shown.contains("mixed accuracy"));
    assert_eq!(
        metrics(&folder.path().join("again")),
        metrics(&trained().join("run"))
    );

    let other = [
        "train",
        "--config",
        config,
        "--seed",
        "1",
        "--algorithm",
        "none",
    ];
    let shown = output(folder.path(), &other);
    assert!(!shown.contains("mixed accuracy"));
    assert!(shown.contains("cutmix eval runs/001"), "{shown}");
    let resolved = fs::read_to_string(folder.path().join("runs/001/config.toml")).unwrap();
    assert!(resolved.contains("seed = 1\n") && resolved.contains("algorithm = [\"none\"]"));
    assert_ne!(
        metrics(&folder.path().join("runs/001")),
        metrics(&trained().join("run"))
    );
}

#[test]
fn several_algorithms_run_in_the_order_that_is_shown_from_options_or_a_file() {
    let folder = scratch();
    let path = folder.path();
    let algorithms = [
        "label-smoothing:0.1",
        "mixup-or-cutmix:until=0.5dur",
        "cutout:length=8,probability=0.5",
    ];
    let options = algorithms.map(|algorithm| ["--algorithm", algorithm]);
    let options = [&options.concat()[..], &["--output", "options"]].concat();
    let shown = output(path, &tiny(&options));
    let lines = [
        "algorithm  mixup-or-cutmix:mixup-alpha=0.8,cutmix-alpha=1,switch=0.5,probability=1,\
         until=0.5dur",
        "           then cutout:length=8,mode=sample,probability=0.5",
        "           then label-smoothing:smoothing=0.1,probability=1",
    ];
    let lines = lines.map(|line| format!("{line}\n")).concat();
    assert!(shown.contains(&lines), "{shown}");

    let file = algorithms.map(|algorithm| format!("\"{algorithm}\""));
    fs::write(
        path.join("run.toml"),
        format!("algorithm = [{}]\n", file.join(", ")),
    )
    .unwrap();
    output(path, &tiny(&["--config", "run.toml", "--output", "file"]));
    assert_eq!(metrics(&path.join("file")), metrics(&path.join("options")));
    let resolved = path.join("options/config.toml");
    let resolved = resolved.to_str().unwrap();
    output(path, &["train", "--config", resolved, "--output", "again"]);
    assert_eq!(metrics(&path.join("again")), metrics(&path.join("options")));
}

#[test]
fn every_setting_is_kept_in_the_configuration_and_repeats_the_run() {
    let folder = scratch();
    let path = folder.path();
    let settings = [
        "--schedule",
        "step:every=2ba,factor=0.5",
        "--warmup",
        "1ba",
        "--accumulate",
        "2",
        "--clip-norm",
        "0.5",
        "--average",
        "0.9",
        "--on-nan",
        "skip",
        "--eval-interval",
        "0.5dur",
        "--save-interval",
        "32sp",
        "--keep",
        "1",
        "--best",
        "train-loss",
        "--patience",
        "9",
        "--log",
        "jsonl,tensorboard",
        "--output",
        "run",
    ];
    let shown = output(path, &tiny(&settings));
    assert!(shown.contains("(kept: train-loss "), "{shown}");
    let config = fs::read_to_string(path.join("run/config.toml")).unwrap();
    for line in [
        "schedule = \"step:every=2ba,factor=0.5\"",
        "warmup = \"1ba\"",
        "accumulate = 2",
        "clip-norm = 0.5",
        "average = 0.9",
        "precision = \"f32\"",
        "on-nan = \"skip\"",
        "eval-interval = \"0.5dur\"",
        "save-interval = \"32sp\"",
        "keep = 1",
        "log = [\"jsonl\", \"tensorboard\"]",
        "best = \"train-loss\"",
        "patience = 9",
    ] {
        assert!(
            config.lines().any(|given| given == line),
            "{line}: {config}"
        );
    }
    let repeat = ["train", "--config", "run/config.toml", "--output", "again"];
    output(path, &repeat);
    assert_eq!(metrics(&path.join("again")), metrics(&path.join("run")));
    assert!(
        shown.contains("checkpoints/  log.jsonl  tensorboard/\n"),
        "{shown}"
    );
    let log = fs::read_to_string(path.join("run/log.jsonl")).unwrap();
    assert_eq!(log.matches("\"kind\":\"batch\"").count(), 6);
    assert_eq!(
        fs::read_dir(path.join("run/tensorboard")).unwrap().count(),
        1
    );
    // Whatever it was trained in, the model file is in f32.
    output(path, &tiny(&["--precision", "bf16", "--output", "half"]));
    output(path, &["eval", "half", "--device", "cpu"]);
    let bytes = fs::read(path.join("half/model.safetensors")).unwrap();
    let model = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = model.tensors().into_iter();
    assert!(tensors.all(|(_, tensor)| tensor.dtype() == safetensors::Dtype::F32));
}

#[test]
fn runs_are_numbered() {
    let folder = scratch();
    let short = ["--duration", "16sp", "--config", "short.toml"];
    fs::write(
        folder.path().join("short.toml"),
        "limit = 16\nbatch-size = 16\n",
    )
    .unwrap();
    for _ in 0..2 {
        output(folder.path(), &[&["train"], &short[..]].concat());
    }
    for run in ["runs/001", "runs/002"] {
        assert!(folder.path().join(run).join("model.safetensors").is_file());
    }
}

#[test]
fn eval_repeats_the_last_evaluation_of_the_training() {
    let rows = metrics(&trained().join("run"));
    let last: Vec<_> = rows.last().unwrap().split(',').collect();
    let [loss, accuracy] = [6, 7].map(|column| last[column].parse::<f64>().unwrap());

    let shown = output(trained(), &["eval", "run"]);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(
        lines[0],
        "Fashion-MNIST (embedded), validation set: 64 images"
    );
    assert_eq!(
        lines[1],
        format!("loss {loss:.4}, accuracy {accuracy:.2} %")
    );
    assert_eq!(lines.len(), 4 + 10, "{shown}");
    assert!(lines[4].starts_with("T-shirt/top"));
    let counts = lines[4..].iter().map(|line| {
        let after = line[12..].split_whitespace().next().unwrap();
        after.parse::<usize>().unwrap()
    });
    assert_eq!(counts.sum::<usize>(), 64);
}

#[test]
fn predict_goes_on_after_a_bad_file() {
    let folder = scratch();
    let path = folder.path();
    fashion(&path.join("a.png"), 0);
    fashion(&path.join("b.png"), 1);
    fs::write(path.join("bad.png"), "no image").unwrap();
    let run = trained().join("run");
    let run = run.to_str().unwrap();

    let shown = output(path, &["predict", run, "a.png", "b.png", "--top", "2"]);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("a.png  ") && lines[0].matches('%').count() == 2,
        "{shown}"
    );
    // More than there are classes shows all of them.
    let all = output(path, &["predict", run, "a.png", "--top", "99"]);
    assert_eq!(all.matches('%').count(), 10);

    let mixed = cutmix(
        path,
        &["predict", run, "a.png", "bad.png", "gone.png", "b.png"],
    );
    assert_eq!(mixed.status.code(), Some(1));
    assert_eq!(String::from_utf8(mixed.stdout).unwrap().lines().count(), 2);
    insta::assert_snapshot!(String::from_utf8(mixed.stderr).unwrap());
}

#[test]
fn photographs_train_evaluate_and_predict() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    let train = "train --data pets --size 16 --batch-size 8 --duration 1ep --val-fraction 0.25";
    let options: Vec<_> = train.split(' ').chain(["--output", "run"]).collect();
    let shown = output(path, &options);
    assert!(
        shown.contains("18 images to train, 6 to evaluate; 2 classes; 3 x 16 x 16"),
        "{shown}"
    );
    assert!(shown.contains("mirrored and shifted"));
    let shown = output(path, &["eval", "run"]);
    assert!(shown.contains("validation set: 6 images"), "{shown}");
    let shown = output(path, &["eval", "run", "--data", "pets"]);
    assert!(shown.starts_with("pets: 24 images"), "{shown}");
    // What `predict` says of each file, class by class, is what `eval` counted.
    let mut right = 0;
    for class in ["cat", "dog"] {
        for index in 0..12 {
            let file = format!("pets/{class}/{index}.png");
            let shown = output(path, &["predict", "run", &file, "--top", "1"]);
            right += usize::from(shown.starts_with(&format!("{file}  {class} ")));
        }
    }
    let shown = output(path, &["eval", "run", "--data", "pets"]);
    let accuracy = format!("accuracy {:.2} %", 100.0 * right as f64 / 24.0);
    assert!(shown.contains(&accuracy), "{accuracy}: {shown}");

    images(&path.join("others/cat"), 1);
    images(&path.join("others/dogs"), 1);
    assert_eq!(
        error(path, &["eval", "run", "--data", "others"]),
        "unknown class of the data `dogs` (did you mean `dog`?), expected cat or dog"
    );
}

/// Classes are told apart by name, whatever their numbers.
#[test]
fn numbered_folders_keep_their_classes_in_eval() {
    let folder = scratch();
    let path = folder.path();
    // Sorted: 0, 1, 10, 2.
    for class in ["0", "1", "10", "2"] {
        images(&path.join("train").join(class), 8);
    }
    let train = "train --data train --size 8 --batch-size 8 --duration 1ep --val-fraction 0.25";
    let options: Vec<_> = train.split(' ').chain(["--output", "run"]).collect();
    output(path, &options);
    for class in ["0", "1", "2"] {
        images(&path.join("some").join(class), 3);
    }
    let shown = output(path, &["eval", "run", "--data", "some"]);
    let classes: Vec<_> = (shown.lines().skip(4))
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>())
        .collect();
    assert_eq!(classes, [["0", "3"], ["1", "3"], ["2", "3"]], "{shown}");
    // Some known and some not: no guess.
    images(&path.join("other/0"), 1);
    images(&path.join("other/3"), 1);
    let told = error(path, &["eval", "run", "--data", "other"]);
    assert!(told.starts_with("unknown class of the data `3`"), "{told}");
}

#[test]
fn damaged_and_missing_runs_are_told() {
    let folder = scratch();
    let path = folder.path();
    fs::create_dir(path.join("empty")).unwrap();
    let mut told = vec![
        error(path, &["eval", "gone"]),
        error(path, &["predict", "empty", "a.png"]),
    ];
    let run = trained().join("run");
    fs::create_dir(path.join("run")).unwrap();
    fs::copy(run.join("config.toml"), path.join("run/config.toml")).unwrap();
    told.push(error(path, &["eval", "run"]));
    let model = fs::read(run.join("model.safetensors")).unwrap();
    for damage in [
        &model[..0],
        &model[..100],
        &model[..model.len() - 8],
        b"not a model at all",
    ] {
        fs::write(path.join("run/model.safetensors"), damage).unwrap();
        told.push(error(path, &["eval", "run"]));
    }
    fs::write(path.join("run/model.safetensors"), &model).unwrap();
    fs::write(path.join("run/config.toml"), "model = 3").unwrap();
    told.push(error(path, &["eval", "run"]));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn results_that_cannot_be_written_are_told() {
    let folder = scratch();
    let path = folder.path();
    fs::write(path.join("file"), "").unwrap();
    fs::create_dir(path.join("taken")).unwrap();
    fs::write(path.join("taken/notes.txt"), "").unwrap();
    let told = [
        error(path, &tiny(&["--output", "file/run"])),
        error(path, &tiny(&["--output", "taken"])),
        error(path, &["preview", "--output", "gone/preview.png"]),
    ];
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(fs::read_dir(path.join("taken")).unwrap().count(), 1);
}

/// A limit on the size of files stands for a disk that fills up in the middle of a run.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_ends_the_run_with_one_line() {
    let folder = scratch();
    let limited = |blocks: &str, output: &str| {
        // An ignored signal makes the write fail instead of ending the process.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let output = std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_cutmix")])
            .args(tiny(&["--output", output]))
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let told = [limited("8", "first"), limited("400", "last")];
    insta::assert_snapshot!(told.concat());
    let model = |name| folder.path().join("last").join(name);
    assert!(!model("model.safetensors").exists() && !model("model.safetensors.part").exists());
}
