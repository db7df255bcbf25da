//! The help.

use crate::{cutmix, output, scratch};

fn help(command: &str) -> String {
    let arguments: &[&str] = match command {
        "" => &["--help"],
        command => &[command, "--help"],
    };
    output(scratch().path(), arguments)
}

#[test]
fn help_shows_options_with_what_they_accept_and_their_defaults() {
    let commands = [
        "", "train", "eval", "predict", "explain", "export", "preview", "bench", "check",
    ];
    insta::assert_snapshot!(commands.map(help).join("\n----\n\n"));
}

#[test]
fn compare_has_the_options_of_train_and_its_own() {
    let (train, compare) = (help("train"), help("compare"));
    let known: Vec<_> = train.lines().collect();
    let own = compare.lines().filter(|line| !known.contains(line));
    insta::assert_snapshot!(own.collect::<Vec<_>>().join("\n"));
}

#[test]
fn mistyped_commands_are_usage_errors() {
    let folder = scratch();
    for arguments in [
        &["trian"][..],
        &["train", "--batchsize", "3"],
        &["predict", "run"],
        &["train", "--resume", "run", "--output", "other"],
        &[],
    ] {
        assert_eq!(
            cutmix(folder.path(), arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
}
