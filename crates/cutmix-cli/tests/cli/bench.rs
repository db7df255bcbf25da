//! `cutmix bench`.

use serde_json::Value;

use crate::{output, scratch};

const SMALL: [&str; 7] = [
    "bench", "--shape", "4x2x9x7", "--plans", "5", "--device", "cpu",
];

#[test]
fn the_table_has_a_row_for_each_operation() {
    let shown = output(scratch().path(), &SMALL);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], "device  cpu");
    assert_eq!(lines[1], "batch   4 x 2 x 9 x 7 f32, 1000 classes");
    for row in [
        "plain copy",
        "paste            batch",
        "paste            pair",
        "paste            sample",
        "blend            batch",
        "fill             sample",
        "paste, shared",
        "paste, reference",
        "targets ",
        "targets, smoothed",
        "targets, one-hot",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(row)),
            "{row}: {shown}"
        );
    }
}

#[test]
fn json_has_the_numbers_of_every_plan() {
    let more = ["--json", "--dtype", "u8", "--classes", "7"];
    let report = output(scratch().path(), &[&SMALL[..], &more].concat());
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["shape"], serde_json::json!([4, 2, 9, 7]));
    assert_eq!(
        (&report["dtype"], &report["classes"]),
        (&"u8".into(), &7.into())
    );
    let rows = report["rows"].as_array().unwrap();
    let find = |operation: &str, mode: &str| {
        let found = rows
            .iter()
            .find(|row| row["operation"] == operation && row["mode"] == mode);
        found.unwrap_or_else(|| panic!("no {operation} per {mode}"))
    };
    let blend = find("blend", "sample");
    assert_eq!(blend["samples"].as_array().unwrap().len(), 5);
    // All of a blend's images are mixed: a byte for each of their elements.
    assert_eq!(blend["samples"][0][0], 4 * 2 * 9 * 7);
    assert!(blend["milliseconds"].as_f64().unwrap() > 0.0);
    // Allocations are counted with a feature alone.
    let counts = cfg!(feature = "count-allocations");
    assert_eq!(blend["extra_bytes"].is_number(), counts);
}

#[cfg(feature = "count-allocations")]
#[test]
fn extra_memory_is_what_a_call_allocates() {
    let more = ["--json", "--dtype", "u8", "--classes", "7"];
    let report = output(scratch().path(), &[&SMALL[..], &more].concat());
    let report: Value = serde_json::from_str(&report).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let extra = |operation: &str| {
        let is_it = |row: &&Value| row["operation"] == operation && row["mode"] == "batch";
        rows.iter().find(is_it).unwrap()["extra_bytes"]
            .as_u64()
            .unwrap()
    };
    // A new batch takes at least its size.
    assert!(extra("paste, shared") >= 4 * 2 * 9 * 7);
    // A row of 7 numbers for each sample, and two such matrices and more.
    let one = 4 * 4 * 7;
    let targets = extra("targets");
    assert!((one..2 * one + 1000).contains(&targets), "{targets}");
    assert!(extra("targets, one-hot") > 2 * one);
}

#[test]
fn where_no_plan_changes_anything_there_are_no_numbers() {
    let lonely = |more: &[&str]| {
        let options = [
            "bench", "--shape", "1x1x4x4", "--plans", "5", "--device", "cpu",
        ];
        output(scratch().path(), &[&options, more].concat())
    };
    let shown = lonely(&[]);
    assert!(!shown.contains("NaN"), "{shown}");
    let report: Value = serde_json::from_str(&lonely(&["--json"])).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let paste = rows.iter().find(|row| row["operation"] == "paste").unwrap();
    assert!(paste["milliseconds"].is_null() && paste["share_of_copy"].is_null());
    let blend = rows.iter().find(|row| row["operation"] == "blend").unwrap();
    assert!(blend["milliseconds"].is_number());
}

#[cfg(feature = "count-allocations")]
#[test]
fn a_large_batch_is_mixed_in_place_with_little_memory() {
    let options = [
        "bench",
        "--shape",
        "64x3x64x64",
        "--plans",
        "1",
        "--device",
        "cpu",
        "--json",
    ];
    let report: Value = serde_json::from_str(&output(scratch().path(), &options)).unwrap();
    let batch = 4 * 64 * 3 * 64 * 64;
    for row in report["rows"].as_array().unwrap() {
        let extra = row["extra_bytes"].as_u64().unwrap_or(0);
        match row["operation"].as_str().unwrap() {
            "paste" | "blend" | "fill" => assert!(extra < batch / 16, "{row}"),
            "paste, shared" => assert!(extra >= batch, "{row}"),
            _ => {}
        }
    }
}
