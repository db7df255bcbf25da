//! Runs that are made longer.

use std::fs;
use std::path::Path;

use crate::kill::weights;
use crate::runs::column;
use crate::{error, output, scratch, tiny};

fn options<'a>(duration: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let options = "train --limit 64 --batch-size 16 --model resnet8 --device cpu --learning-rate 0.1 \
                   --eval-interval 1ba --save-interval 1ba --log jsonl";
    let options = options.split_whitespace().chain(["--duration", duration]);
    options.chain(more.iter().copied()).collect()
}

#[test]
fn a_finished_run_that_is_extended_starts_a_new_cycle_of_its_schedule() {
    let folder = scratch();
    let path = folder.path();
    output(path, &options("4ba", &["--output", "run"]));
    let before = weights(&path.join("run"));
    let shown = output(path, &["train", "--resume", "run", "--duration", "10ba"]);
    assert!(
        shown.contains(
            "extended   from 4ba to 10ba: a new cycle of the schedule cosine starts, with a peak \
             learning rate of 0.1\n"
        ),
        "{shown}"
    );
    assert!(weights(&path.join("run")) != before);
    let rates = column(&path.join("run"), "learning_rate");
    assert_eq!(rates.len(), 10);
    // Two cosines, each from near its peak to near 0.
    for (first, last) in [(0, 3), (4, 9)] {
        assert!(rates[first] > 0.09 && rates[last] < 0.02, "{rates:?}");
    }
    let config = fs::read_to_string(path.join("run/config.toml")).unwrap();
    assert!(config.contains("duration = \"10ba\""), "{config}");
    // The new length is that of the run from now on.
    let shown = output(path, &["train", "--resume", "run"]);
    assert!(!shown.contains("extended"), "{shown}");
}

/// Stops a run of 4 batches after its second by removing what it wrote later.
fn stop_after_two(run: &Path) {
    for batch in [3, 4] {
        fs::remove_file(run.join(format!("checkpoints/batch-{batch:08}.checkpoint"))).unwrap();
    }
    fs::remove_file(run.join("model.safetensors")).unwrap();
}

#[test]
fn a_stopped_run_that_is_extended_continues_as_if_it_had_been_that_long() {
    for by_file in [false, true] {
        let folder = scratch();
        let path = folder.path();
        output(path, &options("4ba", &["--keep", "9", "--output", "run"]));
        stop_after_two(&path.join("run"));
        let mut resume = vec!["train", "--resume", "run"];
        if by_file {
            let config = path.join("run/config.toml");
            let text = fs::read_to_string(&config).unwrap();
            fs::write(
                config,
                text.replace("duration = \"4ba\"", "duration = \"8ba\""),
            )
            .unwrap();
        } else {
            resume.extend(["--duration", "8ba"]);
        }
        let shown = output(path, &resume);
        assert!(
            shown.contains(
                "extended   from 4ba to 8ba: the schedule cosine continues as if the run had been \
                 that long from the start\n"
            ),
            "{shown}"
        );
        output(path, &options("8ba", &["--output", "whole"]));
        let [extended, whole] =
            ["run", "whole"].map(|run| column(&path.join(run), "learning_rate"));
        assert_eq!(extended[2..], whole[2..]);
    }
}

#[test]
fn a_length_that_has_elapsed_is_refused_and_changes_nothing() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    let config = fs::read_to_string(path.join("run/config.toml")).unwrap();
    let message = error(path, &["train", "--resume", "run", "--duration", "3ba"]);
    assert!(message.starts_with("--duration is 3ba"), "{message}");
    assert_eq!(
        fs::read_to_string(path.join("run/config.toml")).unwrap(),
        config
    );
}

#[test]
fn commands_are_quoted_for_the_shell() {
    let folder = scratch();
    let path = folder.path();
    let shown = output(path, &tiny(&["--output", "my run [1]"]));
    for command in ["eval", "predict"] {
        assert!(
            shown.contains(&format!("cutmix {command} 'my run [1]'")),
            "{shown}"
        );
    }
}
