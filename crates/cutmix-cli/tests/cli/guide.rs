//! The commands that the guides show.

use std::fs;
use std::path::Path;

#[cfg(feature = "hub")]
use crate::weights::Published;
use crate::{images, output, pets, scratch};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DATA.md");
#[cfg(feature = "hub")]
const FINETUNE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/FINETUNE.md");

/// The commands of the code blocks and, where they have arguments, those within sentences.
fn commands(guide: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for (at, part) in guide.split("```").enumerate() {
        let texts: Vec<_> = if at % 2 == 1 {
            part.lines().collect()
        } else {
            part.split('`').skip(1).step_by(2).collect()
        };
        let texts = texts.iter().filter_map(|text| text.strip_prefix("cutmix "));
        // This drops comments as a shell does.
        let words = texts.map(|text| shlex::split(text).unwrap());
        commands.extend(words.filter(|words| words.len() > 1));
    }
    commands
}

#[test]
fn the_program_accepts_the_commands_of_the_guide_to_data() {
    let guide = fs::read_to_string(DATA).unwrap();
    let commands = commands(&guide);
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let folder = scratch();
        let path = folder.path();
        photos(path);
        let names = |word: String| match word.as_str() {
            "RUN" => "run".to_string(),
            "DIR" | "DATA" => "photos".to_string(),
            _ => word,
        };
        let command: Vec<_> = command.into_iter().map(names).collect();
        let mut command: Vec<_> = command.iter().map(String::as_str).collect();
        if command.contains(&"run") {
            output(
                path,
                &short(&["train", "--data", "photos", "--output", "run"]),
            );
        } else if command[0] == "train" && !command.contains(&"--help") {
            command = short(&command);
        }
        output(path, &command);
    }
}

/// One command after the other, in one folder.
#[cfg(feature = "hub")]
#[test]
fn the_commands_of_the_guide_to_fine_tuning_succeed_in_their_order() {
    let guide = fs::read_to_string(FINETUNE).unwrap();
    let commands = commands(&guide);
    assert!(commands.len() >= 12, "{commands:?}");
    let folder = scratch();
    let path = folder.path();
    photos(path);
    images(&path.join("new"), 3);
    let hub = Published::new(path);
    for command in commands {
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let is_training = command[0] == "train" && !command.contains(&"--help");
        let command = if is_training {
            short(&command)
        } else {
            command
        };
        let output = hub.cutmix(path, &command);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {error}");
    }
    for file in [
        "report.html",
        "model.onnx",
        "model.bpk",
        "eval/val/confusion.png",
    ] {
        assert!(path.join("runs/001").join(file).is_file(), "{file}");
    }
}

/// Photographs of two classes.
fn photos(path: &Path) {
    fs::rename(pets(path), path.join("photos")).unwrap();
    images(&path.join("photos/dog"), 14);
}

/// A training command with options, unless it has them, by which it takes no time.
fn short<'a>(command: &[&'a str]) -> Vec<&'a str> {
    let mut command = command.to_vec();
    for [option, value] in [
        ["--duration", "2ba"],
        ["--batch-size", "2"],
        ["--size", "32"],
    ] {
        if !command.contains(&option) {
            command.extend([option, value]);
        }
    }
    command
}
