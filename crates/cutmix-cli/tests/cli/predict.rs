//! `cutmix predict`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::{error, fashion, pets, scratch, trained};

/// Runs `cutmix predict` on the shared run, with `input` on standard input.
fn predict(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args([OsStr::new("predict"), trained().join("run").as_os_str()])
        .args(arguments)
        .args(["--device", "cpu"])
        .current_dir(folder)
        .write_stdin(input)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The error lines of a prediction that failed for some images, without the summary.
fn stderr(output: &Output) -> Vec<&str> {
    let lines = std::str::from_utf8(&output.stderr).unwrap().lines();
    lines.filter(|line| !line.contains(" images/s")).collect()
}

/// The header and the rows of a table.
fn table(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(text.as_bytes());
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| row.iter().map(String::from).collect())
        .collect()
}

/// A column of a table, without its name.
fn column(table: &[Vec<String>], name: &str) -> Vec<String> {
    let at = table[0].iter().position(|column| column == name).unwrap();
    table[1..].iter().map(|row| row[at].clone()).collect()
}

/// The objects of JSON lines.
fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The path and the probabilities of all classes, in the order of their names, of each row.
fn probabilities(output: &Output) -> Vec<(String, Vec<f64>)> {
    let rows = objects(stdout(output)).into_iter().map(|row| {
        let mut classes: Vec<_> = row["predictions"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        classes.sort_by_key(|class| class["class"].as_str());
        let classes = classes
            .iter()
            .map(|one| one["probability"].as_f64().unwrap());
        (row["path"].as_str().unwrap().into(), classes.collect())
    });
    rows.collect()
}

#[test]
fn every_format_has_the_same_predictions() {
    let folder = scratch();
    let path = folder.path();
    fashion(&path.join("a.png"), 0);
    fashion(&path.join("b.png"), 1);
    let files = ["a.png", "b.png"];
    let with = |more: &[&str]| predict(path, &[&files[..], more].concat(), b"");

    let csv = with(&["--format", "csv", "--top", "10"]);
    assert!(csv.status.success());
    let csv = table(stdout(&csv));
    assert_eq!(csv.len(), 3);
    assert_eq!(csv[0].len(), 1 + 2 * 10 + 1);
    let names = ["path", "class", "probability", "class_2", "probability_2"];
    assert_eq!(csv[0][..5], names);
    assert_eq!(csv[0][21], "error");
    assert_eq!(column(&csv, "path"), files);
    for row in &csv[1..] {
        let probabilities = row[1..21].iter().skip(1).step_by(2);
        let probabilities: Vec<f32> = probabilities.map(|one| one.parse().unwrap()).collect();
        assert!(probabilities.is_sorted_by(|a, b| a >= b), "{row:?}");
        let sum: f32 = probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row:?}");
        assert_eq!(row[21], "");
    }

    let json = objects(stdout(&with(&["--format", "json", "--top", "2"])));
    let text = with(&["--top", "2"]);
    assert_eq!(json.len(), 2);
    for (at, (object, line)) in json.iter().zip(stdout(&text).lines()).enumerate() {
        let row = &csv[1 + at];
        let one = |at: usize| {
            let probability: f64 = row[at + 1].parse().unwrap();
            serde_json::json!({ "class": row[at], "probability": probability })
        };
        assert_eq!(
            *object,
            serde_json::json!({ "path": row[0], "predictions": [one(1), one(3)] })
        );
        let percent = |at: usize| 100.0 * row[at].parse::<f32>().unwrap();
        let expected = format!(
            "{}  {} {:.1} %  {} {:.1} %",
            row[0],
            row[1],
            percent(2),
            row[3],
            percent(4)
        );
        assert_eq!(line, expected);
    }
    // Several images have a summary beside the rows, and one has none.
    let summary = std::str::from_utf8(&text.stderr).unwrap();
    assert!(
        summary.starts_with("2 images in 0:") && summary.ends_with(" images/s\n"),
        "{summary}"
    );
    assert_eq!(predict(path, &["a.png"], b"").stderr, b"");
}

#[test]
fn a_folder_stands_for_its_images_sorted_by_path() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    fs::create_dir_all(pets.join(".hidden")).unwrap();
    fs::copy(pets.join("cat/0.png"), pets.join(".hidden/0.png")).unwrap();
    fs::copy(pets.join("cat/0.png"), pets.join(".0.png")).unwrap();
    fs::copy(pets.join("cat/0.png"), pets.join("without suffix")).unwrap();
    fs::copy(pets.join("cat/0.png"), pets.join("cat.png")).unwrap();
    fs::write(pets.join("notes.txt"), "no image").unwrap();
    fs::write(pets.join("cat/bad.png"), "no image").unwrap();

    let shown = predict(path, &["pets", "--format", "csv"], b"");
    assert_eq!(shown.status.code(), Some(1));
    assert_eq!(stderr(&shown), ["error: 1 of 27 images could not be read"]);
    let shown = table(stdout(&shown));
    let paths = column(&shown, "path");
    let numbers = ["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"];
    let in_folder = |class: &str| numbers.map(|at| format!("pets/{class}/{at}.png"));
    let expected = [
        &in_folder("cat")[..],
        &["pets/cat/bad.png".into(), "pets/cat.png".into()],
        &in_folder("dog"),
        &["pets/without suffix".into()],
    ];
    assert_eq!(paths, expected.concat());
    let errors = column(&shown, "error");
    let bad = paths
        .iter()
        .zip(&errors)
        .filter(|(_, error)| !error.is_empty());
    let bad: Vec<_> = bad
        .map(|(path, error)| (path.as_str(), error.as_str()))
        .collect();
    let reason = "bad image pets/cat/bad.png: not a JPEG, PNG, WebP, GIF, TIFF or BMP file";
    assert_eq!(bad, [("pets/cat/bad.png", reason)]);
}

#[test]
fn paths_come_from_standard_input_in_their_place() {
    let folder = scratch();
    let path = folder.path();
    for (at, name) in ["a.png", "b.png", "c.png", "-"].iter().enumerate() {
        let file = path.join("x.png");
        fashion(&file, at);
        fs::rename(file, path.join(name)).unwrap();
    }
    fs::create_dir(path.join("more")).unwrap();
    fashion(&path.join("more/d.png"), 4);
    let input = b"b.png\r\n\nmore\ngone.png\n-\nb.png";
    let shown = predict(path, &["a.png", "-", "c.png", "--format", "json"], input);
    let rows = probabilities(&shown);
    let paths: Vec<_> = rows.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "a.png",
            "b.png",
            "more/d.png",
            "gone.png",
            "-",
            "b.png",
            "c.png"
        ]
    );
    // The same file twice is two rows.
    assert_eq!(rows[1], rows[5]);
    assert_eq!(shown.status.code(), Some(1));
    assert_eq!(stderr(&shown), ["error: 1 of 7 images could not be read"]);

    let none = predict(path, &["-", "--format", "csv", "--top", "1"], b"");
    assert_eq!(stdout(&none), "path,class,probability,error\n");
    assert!(none.status.success());
    assert_eq!(none.stderr, b"");
}

#[test]
fn an_image_that_cannot_be_read_is_a_row_with_its_error() {
    let folder = scratch();
    let path = folder.path();
    fashion(&path.join("a.png"), 0);
    fashion(&path.join("b.png"), 1);
    fs::write(path.join("bad.png"), "no image").unwrap();
    fs::create_dir(path.join("empty")).unwrap();
    let paths = ["bad.png", "a.png", "gone.png", "empty", "b.png"];
    let errors = [
        "bad image bad.png: not a JPEG, PNG, WebP, GIF, TIFF or BMP file",
        "",
        "gone.png does not exist",
        "empty holds no image: expected JPEG, PNG, WebP, GIF, TIFF or BMP files",
        "",
    ];
    let last = "error: 3 of 5 images could not be read";
    let with = |more: &[&str]| {
        let shown = predict(path, &[&paths[..], more].concat(), b"");
        assert_eq!(shown.status.code(), Some(1));
        shown
    };

    for batch_size in ["1", "2", "5"] {
        let csv = with(&["--format", "csv", "--top", "1", "--batch-size", batch_size]);
        assert_eq!(stderr(&csv), [last]);
        let csv = table(stdout(&csv));
        assert_eq!(column(&csv, "path"), paths);
        assert_eq!(column(&csv, "error"), errors);
        for row in csv[1..].iter() {
            let is_empty = row[1].is_empty() && row[2].is_empty();
            assert_eq!(is_empty, !row[3].is_empty(), "{row:?}");
        }
        let json = with(&["--format", "json", "--batch-size", batch_size]);
        assert_eq!(stderr(&json), [last]);
        for ((object, path), error) in objects(stdout(&json)).iter().zip(paths).zip(errors) {
            assert_eq!(object["path"], path);
            assert_eq!(object["error"].as_str().unwrap_or_default(), error);
            assert_eq!(object.get("predictions").is_some(), error.is_empty());
        }
    }
    let text = with(&[]);
    let lines: Vec<_> = stdout(&text).lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("a.png  ") && lines[1].starts_with("b.png  "));
    let errors = errors.iter().filter(|error| !error.is_empty());
    let errors = errors.map(|error| format!("error: {error}"));
    let expected: Vec<_> = errors.chain([last.into()]).collect();
    assert_eq!(stderr(&text), expected);
}

#[test]
fn the_batch_size_changes_no_prediction() {
    let folder = scratch();
    let path = folder.path();
    for at in 0..7 {
        fashion(&path.join(format!("{at}.png")), at);
    }
    fs::write(path.join("3.png"), "no image").unwrap();
    let with = |batch_size: &str| {
        let options = [".", "--format", "json", "--top", "10"];
        let more = ["--batch-size", batch_size];
        probabilities(&predict(path, &[&options[..], &more].concat(), b""))
    };
    let one = with("1");
    assert_eq!(one.len(), 7);
    // Otherwise rows that change places are not seen.
    let differs = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-3);
    let images = || one.iter().filter(|(_, row)| !row.is_empty());
    for (at, (_, row)) in images().enumerate() {
        let others = images().take(at);
        assert!(others.into_iter().all(|(_, other)| differs(row, other)));
    }
    for batch_size in ["2", "3", "7", "100"] {
        for ((path, row), (same_path, same)) in one.iter().zip(with(batch_size)) {
            assert_eq!((path, row.len()), (&same_path, same.len()));
            let is_near = row.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(is_near, "{batch_size}: {row:?} {same:?}");
        }
    }
}

#[test]
fn options_out_of_range_are_usage_errors() {
    let folder = scratch();
    for option in [["--batch-size", "0"], ["--top", "0"], ["--format", "xml"]] {
        let refused = predict(folder.path(), &["a.png", option[0], option[1]], b"");
        assert_eq!(refused.status.code(), Some(2), "{option:?}");
    }
    let message = error(folder.path(), &["predict", "gone", "-", "--device", "cpu"]);
    assert!(message.starts_with("gone is not a run folder"), "{message}");
}

#[cfg(unix)]
#[test]
fn any_file_name_keeps_its_row() {
    use std::os::unix::ffi::OsStrExt;

    let folder = scratch();
    let path = folder.path();
    let names = [&b"a, \"b\"\n.png"[..], b"c\xff.png", b"--top", b" d.png "];
    fs::create_dir(path.join("odd")).unwrap();
    for name in names {
        let file = path.join("x.png");
        fashion(&file, 0);
        fs::rename(file, path.join("odd").join(OsStr::from_bytes(name))).unwrap();
    }
    let expected = [
        "odd/ d.png ",
        "odd/--top",
        "odd/a, \"b\"\n.png",
        "odd/c\u{fffd}.png",
    ];
    let csv = predict(path, &["odd", "--format", "csv"], b"");
    assert!(csv.status.success());
    assert_eq!(column(&table(stdout(&csv)), "path"), expected);
    let json = predict(path, &["odd", "--format", "json"], b"");
    let paths: Vec<_> = (objects(stdout(&json)).iter())
        .map(|row| row["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths, expected);
    let text = predict(path, &["odd"], b"");
    let escaped = "odd/a, \"b\"\\n.png  ";
    assert_eq!(stdout(&text).lines().count(), 4);
    assert!(stdout(&text).lines().nth(2).unwrap().starts_with(escaped));
    // A name that is not UTF-8 is found by a list as well.
    let listed = predict(path, &["-", "--format", "csv"], b"odd/c\xff.png\n");
    assert!(listed.status.success());
    assert_eq!(column(&table(stdout(&listed)), "path"), expected[3..]);
}

/// As `yes a.png | cutmix predict run - | head -1` does.
#[cfg(unix)]
#[test]
fn an_endless_list_ends_with_its_reader() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    let folder = scratch();
    fashion(&folder.path().join("a.png"), 0);
    for format in ["text", "csv", "json"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cutmix"))
            .arg("predict")
            .arg(trained().join("run"))
            .args(["-", "--format", format, "--device", "cpu"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || while input.write_all(b"a.png\n").is_ok() {});
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        drop(reader);
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{format}");
        assert_eq!(ended.stderr, b"", "{format}");
        writer.join().unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn rows_that_cannot_be_written_are_an_error() {
    use std::process::Command;

    let folder = scratch();
    fashion(&folder.path().join("a.png"), 0);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .arg("predict")
        .arg(trained().join("run"))
        .args(["a.png", "--device", "cpu"])
        .current_dir(folder.path())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.starts_with("error: cannot write standard output: "),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn a_list_that_cannot_be_read_is_a_row_with_its_error() {
    use std::process::Command;

    let folder = scratch();
    fashion(&folder.path().join("a.png"), 0);
    let output = Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .arg("predict")
        .arg(trained().join("run"))
        .args(["-", "a.png", "--format", "csv", "--device", "cpu"])
        .current_dir(folder.path())
        .stdin(fs::File::open(folder.path()).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let rows = table(stdout(&output));
    assert_eq!(column(&rows, "path"), ["standard input", "a.png"]);
    let error = &column(&rows, "error")[0];
    assert!(error.starts_with("cannot read standard input: "), "{error}");
}
