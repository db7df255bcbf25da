//! The sentences of the errors, all in one snapshot. Other tests look at variants and arguments.

use std::io;
use std::path::PathBuf;

use cutmix_train::{CheckpointProblem, Duration, Error, Event, Schedule, TrainerConfig};

/// The problems of a checkpoint.
fn problems() -> Vec<CheckpointProblem> {
    vec![
        CheckpointProblem::Missing,
        CheckpointProblem::Unreadable(io::Error::other("permission denied")),
        CheckpointProblem::NotACheckpoint,
        CheckpointProblem::Version {
            found: 7,
            supported: 2,
        },
        CheckpointProblem::Damaged,
        CheckpointProblem::OtherRun("the weights have another shape".into()),
    ]
}

fn errors() -> Vec<Error> {
    let path = || PathBuf::from("runs/first");
    let argument = || Error::argument("alpha", 0.0, "a finite number above 0");
    let not_finite = |what, checkpoint| Error::NotFinite {
        what,
        batch: 4,
        checkpoint,
    };
    let mut errors = vec![
        argument(),
        cutmix::Error::argument("lambda", 2, "a number in 0..=1").into(),
        Error::Algorithm {
            algorithm: "cutmix".into(),
            event: Event::BeforeForward,
            batch: 3,
            source: argument().into(),
        },
        Error::Data {
            set: "train".into(),
            source: io::Error::other("image 7 is corrupt").into(),
        },
        not_finite("loss", None),
        not_finite("gradients", None),
        not_finite("weights", Some(path().join("batch-00000003.checkpoint"))),
        Error::write(&path(), io::Error::other("no space left on device")),
        Error::Locked { path: path() },
        Error::other("the disk is on fire"),
    ];
    errors.extend(problems().into_iter().map(|problem| Error::Checkpoint {
        path: path(),
        problem,
    }));
    errors
}

/// What refuses texts and settings that do not depend on the rest of a run.
fn refusals() -> Vec<Error> {
    let config = |change: fn(&mut TrainerConfig)| {
        let mut config = TrainerConfig::default();
        change(&mut config);
        config.check().unwrap_err()
    };
    vec![
        "10 epochs".parse::<Duration>().unwrap_err(),
        "linear".parse::<Schedule>().unwrap_err(),
        config(|config| config.max_duration = Duration::Share(0.5)),
        config(|config| config.max_duration = Duration::Epochs(0)),
        config(|config| config.eval_interval = Duration::Share(1.5)),
        config(|config| config.learning_rate = f64::NAN),
        config(|config| config.warmup = Some(Duration::Share(2.0))),
        config(|config| config.accumulate = 0),
        config(|config| {
            config.schedule = Schedule::Step {
                every: Duration::Epochs(1),
                factor: 2.0,
            }
        }),
    ]
}

#[test]
fn messages_are_one_line_each() {
    let messages: Vec<_> = errors()
        .iter()
        .chain(&refusals())
        .map(ToString::to_string)
        .collect();
    assert!(messages.iter().all(|message| message.lines().count() == 1));
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn an_error_gives_its_cause() {
    use std::error::Error as _;
    for error in errors() {
        let has_cause = !matches!(
            error,
            Error::Argument { .. } | Error::Mix(_) | Error::NotFinite { .. } | Error::Locked { .. }
        );
        assert_eq!(error.source().is_some(), has_cause, "{error}");
    }
}
