//! The help.

use crate::{cutmix, output, scratch};

#[test]
fn help_shows_options_with_what_they_accept_and_their_defaults() {
    let folder = scratch();
    let help = [
        "", "train", "eval", "predict", "explain", "export", "preview", "bench", "check",
    ]
    .map(|command| {
        let arguments = [command, "--help"]
            .into_iter()
            .filter(|argument| !argument.is_empty());
        output(folder.path(), &arguments.collect::<Vec<_>>())
    });
    insta::assert_snapshot!(help.join("\n----\n\n"));
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
