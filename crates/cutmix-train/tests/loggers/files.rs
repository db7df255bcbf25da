//! CSV files and lines of JSON.

use cutmix_train::Error;
use cutmix_train::OnNan;
use cutmix_train::State;

use super::*;

#[test]
fn json_lines_hold_every_batch_and_report_once() {
    let [whole, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    run(whole.path(), "7ba").fit().unwrap();
    resumed(killed.path());
    let of_whole = lines(whole.path());
    assert_eq!(lines(killed.path()), of_whole);
    let kinds: Vec<_> = of_whole.iter().map(|line| &line["kind"]).collect();
    let expected = [
        "batch", "batch", "batch", "report", "batch", "batch", "batch", "report", "batch", "report",
    ];
    assert_eq!(kinds, expected);

    let fourth = &of_whole[4];
    assert_eq!(
        (&fourth["batch"], &fourth["samples"]),
        (&3.into(), &11.into())
    );
    assert_eq!(
        (&fourth["epoch"], &fourth["learning_rate"]),
        (&1.0.into(), &0.5.into())
    );
    let logged = &fourth["logged"];
    assert!((0.0..=1.0).contains(&logged["cutmix/lambda"].as_f64().unwrap()));
    // The mean over two parts.
    assert!([0.0, 0.5, 1.0].contains(&logged["one-of/choice"].as_f64().unwrap()));

    let report = &of_whole[3];
    assert_eq!(report["batches"], 3);
    assert_eq!(report["mixed"], true);
    for name in ["train/loss", "train/accuracy", "val/loss", "val/accuracy"] {
        assert!(report["scores"][name].as_f64().unwrap() >= 0.0, "{name}");
    }
}

#[test]
fn a_line_is_in_the_file_as_soon_as_its_batch_has_been_read() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "7ba")
        .callback(kill_at(Event::BatchStart, 3))
        .fit()
        .unwrap_err();
    let kinds: Vec<_> = lines(folder.path())
        .iter()
        .map(|line| line["kind"].clone())
        .collect();
    assert_eq!(kinds, ["batch", "batch", "batch", "report"]);
}

#[test]
fn the_table_holds_every_report_once() {
    let [whole, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    run(whole.path(), "7ba").fit().unwrap();
    resumed(killed.path());
    let rows = |folder: &Path| {
        let table = csv_rows(folder);
        table.into_iter().map(without_seconds).collect::<Vec<_>>()
    };
    let rows_of_whole = rows(whole.path());
    assert_eq!(rows(killed.path()), rows_of_whole);
    let header = [
        "epoch",
        "batches",
        "samples",
        "learning_rate",
        "train/loss",
        "train/accuracy",
        "val/loss",
        "val/accuracy",
    ];
    assert_eq!(rows_of_whole[0], header);
    let starts: Vec<_> = rows_of_whole[1..]
        .iter()
        .map(|row| row[..4].join(","))
        .collect();
    let expected = [
        "1,3,11,0.500000000",
        "2,6,22,0.500000000",
        "2.3636,7,26,0.500000000",
    ];
    assert_eq!(starts, expected);
}

fn csv_rows(folder: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder.join("metrics.csv")).unwrap();
    text.lines()
        .map(|row| row.split(',').map(String::from).collect())
        .collect()
}

fn without_seconds(mut row: Vec<String>) -> Vec<String> {
    row.remove(3);
    row
}

#[test]
fn a_report_without_a_training_batch_leaves_cells_empty() {
    let folder = tempfile::tempdir().unwrap();
    let config = config("4ba").with_on_nan(OnNan::Skip);
    trainer(config, eleven())
        .logger(Csv::new(folder.path().join("metrics.csv")))
        .algorithm(At(Event::BeforeLoss, |state: &mut State<Tiny>| {
            if state.time().batch == 3 {
                state.logits = state.logits.take().map(|logits| logits * f32::NAN);
            }
            Ok(())
        }))
        .fit()
        .unwrap();
    let rows = csv_rows(folder.path());
    assert_eq!((rows.len(), rows[2].len()), (3, rows[0].len()));
    assert_eq!(rows[2][5..], ["", ""]);
}

#[test]
fn a_score_that_is_not_finite_is_null_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let inputs = burn::tensor::Tensor::full([3, 1, 4, 4], f32::INFINITY, &Default::default());
    let val = Samples::of(inputs, eleven().batch(2).targets, 3);
    trainer(config("1ba"), eleven())
        .eval("val", val.loader())
        .logger(JsonLines::new(&log))
        .fit()
        .unwrap();
    let report = &lines(folder.path())[1];
    assert!(report["scores"]["val/loss"].is_null(), "{report}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_with_the_path() {
    let full = || Path::new("/dev/full").to_path_buf();
    let errors = [
        trainer(config("1ep"), eleven())
            .logger(Csv::new(full()))
            .fit(),
        trainer(config("1ep"), eleven())
            .logger(JsonLines::new(full()))
            .fit(),
        trainer(config("1ep"), eleven())
            .logger(TensorBoard::new(full()))
            .fit(),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert!(
            matches!(&error, Error::Write { path, .. } if *path == full()),
            "{error:?}"
        );
    }
}

#[test]
fn a_folder_that_does_not_exist_is_reported_with_the_path() {
    let path = tempfile::tempdir()
        .unwrap()
        .path()
        .join("nowhere")
        .join("file");
    let errors = [
        trainer(config("1ep"), eleven())
            .logger(Csv::new(&path))
            .fit(),
        trainer(config("1ep"), eleven())
            .logger(JsonLines::new(&path))
            .fit(),
    ];
    for error in errors {
        assert!(matches!(error, Err(Error::Write { path: found, .. }) if found == path));
    }
}
