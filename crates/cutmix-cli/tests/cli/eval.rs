//! `cutmix eval` and `cutmix predict`.

use std::fs;
use std::path::Path;

use crate::{error, images, output, pets, scratch, tiny};

/// Columns of the last row of a run's table, by name.
fn last_scores(run: &Path, names: &[&str]) -> Vec<f64> {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let rows: Vec<Vec<_>> = table.lines().map(|row| row.split(',').collect()).collect();
    let scores = names.iter().map(|name| {
        let column = rows[0].iter().position(|column| column == name).unwrap();
        rows.last().unwrap()[column].parse().unwrap()
    });
    scores.collect()
}

#[test]
fn eval_repeats_the_last_evaluation_of_the_training_in_every_precision() {
    for precision in ["f32", "bf16"] {
        let folder = scratch();
        let path = folder.path();
        let more = [
            "--precision",
            precision,
            "--metric",
            "top5,auroc",
            "--output",
            "run",
        ];
        output(path, &tiny(&more));
        let names = ["loss", "accuracy", "top5", "auroc"];
        let columns = names.map(|name| format!("val/{name}"));
        let columns: Vec<_> = columns.iter().map(String::as_str).collect();
        let scores = last_scores(&path.join("run"), &columns);

        let shown = output(path, &["eval", "run", "--split", "val", "--device", "cpu"]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(
            lines[0],
            "Fashion-MNIST (embedded), validation set: 64 images"
        );
        let [loss, accuracy, top5, auroc] = scores[..] else {
            panic!("{scores:?}");
        };
        let expected = format!(
            "loss {loss:.4}, accuracy {accuracy:.2} %, top5 {top5:.2} %, auroc {auroc:.2} %"
        );
        assert_eq!(lines[1], expected, "{precision}");
        assert!(lines[4].starts_with("T-shirt/top"));
        assert!(lines[14].starts_with("macro average"), "{shown}");
        let counts = lines[4..14].iter().map(|line| {
            line[17..]
                .split_whitespace()
                .next()
                .unwrap()
                .parse::<usize>()
                .unwrap()
        });
        assert_eq!(counts.sum::<usize>(), 64);
    }
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
        shown.contains("18 images to train, 6 to validate, none to test; 2 classes; 3 x 16 x 16"),
        "{shown}"
    );
    assert!(
        shown.contains("augment    random-resized-crop|flip; evaluation sees the middle 0.875"),
        "{shown}"
    );
    let shown = output(path, &["eval", "run"]);
    assert!(shown.contains("validation set: 6 images"), "{shown}");
    // In another place they are still the data of the run.
    std::fs::rename(path.join("pets"), path.join("moved")).unwrap();
    let moved = output(path, &["eval", "run", "--data", "moved"]);
    assert!(
        moved.starts_with("moved, validation set: 6 images\n"),
        "{moved}"
    );
    assert!(
        moved.lines().skip(1).eq(shown.lines().skip(1)),
        "{moved}: {shown}"
    );
    std::fs::rename(path.join("moved"), path.join("pets")).unwrap();
    // Changed data are others. What `predict` says of each file, class by class, is what `eval` counts.
    images(&path.join("pets/cat"), 13);
    images(&path.join("pets/dog"), 13);
    let mut right = 0;
    for class in ["cat", "dog"] {
        for index in 0..13 {
            let file = format!("pets/{class}/{index}.png");
            let shown = output(path, &["predict", "run", &file, "--top", "1"]);
            right += usize::from(shown.starts_with(&format!("{file}  {class} ")));
        }
    }
    let shown = output(path, &["eval", "run", "--data", "pets"]);
    assert!(shown.starts_with("pets: 26 images\n"), "{shown}");
    let differ = shown.lines().nth(1).unwrap();
    assert_eq!(
        differ,
        "these are not the data of the run, though most of its images are among them: 2 images added (cat/12.png, \
         dog/12.png)"
    );
    let accuracy = format!("accuracy {:.2} %", 100.0 * right as f64 / 26.0);
    assert!(shown.contains(&accuracy), "{accuracy}: {shown}");

    images(&path.join("others/cat"), 1);
    images(&path.join("others/dogs"), 1);
    let message = error(path, &["eval", "run", "--data", "others"]);
    assert!(
        message.contains("class `dogs` in others is not a class of the training set; it has `dog`"),
        "{message}"
    );
}

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
    let rows = shown.lines().skip_while(|row| !row.starts_with("class "));
    let rows = rows.skip(1);
    let classes: Vec<_> = rows
        .take_while(|row| !row.starts_with("macro average"))
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>())
        .collect();
    assert_eq!(classes, [["0", "3"], ["1", "3"], ["2", "3"]], "{shown}");
    // Where some names are known and some are not, none is guessed.
    images(&path.join("other/0"), 1);
    images(&path.join("other/3"), 1);
    let message = error(path, &["eval", "run", "--data", "other"]);
    assert!(
        message.starts_with("class `3` in other is not a class of the training set"),
        "{message}"
    );
}

#[test]
fn eval_says_how_data_differ_that_are_nearly_those_of_the_run() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    let train =
        "train --data pets --size 8 --batch-size 8 --duration 1ep --device cpu --output run";
    output(path, &train.split(' ').collect::<Vec<_>>());
    let second_line = || {
        let shown = output(path, &["eval", "run", "--data", "pets"]);
        shown.lines().nth(1).unwrap().to_string()
    };
    assert!(second_line().starts_with("loss "));
    let nearly =
        "these are not the data of the run, though most of its images are among them: 1 image";
    image::RgbImage::new(30, 30)
        .save(pets.join("cat/1.png"))
        .unwrap();
    assert_eq!(
        second_line(),
        format!("{nearly} of another size (cat/1.png)")
    );
    fs::remove_file(pets.join("cat/1.png")).unwrap();
    assert_eq!(second_line(), format!("{nearly} removed (cat/1.png)"));
    // Of data of their own there is nothing to say.
    fs::rename(pets.join("cat"), path.join("cat")).unwrap();
    images(&pets.join("cat/more"), 12);
    images(&pets.join("dog/more"), 12);
    (0..12).for_each(|at| fs::remove_file(pets.join(format!("dog/{at}.png"))).unwrap());
    assert!(second_line().starts_with("loss "));
}
