//! Settings that are refused before anything is trained.

use burn::tensor::Device;
use burn::train::metric::TopKAccuracyMetric;
use cutmix::loss::CrossEntropy;
use cutmix_train::algorithms::{CutMix, Ema, LabelSmoothing};
use cutmix_train::{Checkpoints, Error, Evaluator, Patience, TrainerConfig};

use crate::common::*;

#[test]
fn settings_out_of_range_are_refused() {
    let cases = [
        (
            config("1ep").with_learning_rate(f64::NAN),
            "learning_rate",
            "NaN",
        ),
        (config("1ep").with_learning_rate(0.0), "learning_rate", "0"),
        (
            config("1ep").with_learning_rate(f64::INFINITY),
            "learning_rate",
            "inf",
        ),
        (config("1ep").with_accumulate(0), "accumulate", "0"),
        (
            config("1ep").with_patience("train/loss", 0),
            "patience",
            "0",
        ),
    ];
    for (config, argument, value) in cases {
        assert_eq!(
            refused(config, |trainer| trainer),
            (argument, value.to_string())
        );
    }
}

#[test]
fn settings_of_algorithms_out_of_range_are_refused() {
    let refused = |change: fn(cutmix_train::Trainer<Tiny>) -> cutmix_train::Trainer<Tiny>| {
        refused(config("1ep"), change).0
    };
    assert_eq!(
        refused(|t| t.algorithm(CutMix::new().with_alpha(0.0))),
        "alpha"
    );
    assert_eq!(refused(|t| t.algorithm(Ema::new(1.0))), "decay");
    let together = |t: cutmix_train::Trainer<Tiny>| {
        t.algorithm(CutMix::new().with_interpolate_loss(true))
            .algorithm(LabelSmoothing::new(0.1))
    };
    assert_eq!(refused(together), "algorithms");
}

#[test]
fn names_of_evaluation_sets_are_checked() {
    for name in ["train", "val/hard", "val"] {
        let (argument, value) = refused(config("1ep"), |trainer| {
            let trainer = trainer.eval("val", eleven().loader());
            trainer.eval(name, eleven().loader())
        });
        assert_eq!((argument, value.as_str()), ("eval", name));
    }
}

#[test]
fn names_of_metrics_are_checked() {
    for name in ["loss", "accuracy", "top/2"] {
        let metric = || TopKAccuracyMetric::new(2);
        let of_trainer = refused(config("1ep"), |trainer| {
            let trainer = trainer.eval("val", eleven().loader());
            trainer.metric(name, metric())
        });
        assert_eq!(of_trainer, ("metric", name.into()));
        let device = Device::default();
        let evaluator = Evaluator::new(CrossEntropy::new()).metric(name, metric());
        let error = evaluator
            .run("val", &Tiny::new(&device), &eleven(), &device)
            .unwrap_err();
        assert_eq!(argument(error), ("metric", name.into()));
    }
}

#[test]
fn settings_of_checkpoints_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: fn(Checkpoints) -> Checkpoints| {
        let checkpoints = change(Checkpoints::new(folder.path()));
        refused(config("1ep"), |trainer| trainer.checkpoints(checkpoints))
    };
    assert_eq!(refused(|to| to.with_keep(0)), ("keep", "0".into()));
    assert_eq!(
        refused(|to| to.with_save_interval(duration("0ba"))),
        ("save_interval", "0ba".into())
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().join("run");
    let error = trainer(config("1ep"), eleven())
        .checkpoints(Checkpoints::new(&folder))
        .fit()
        .unwrap_err();
    assert!(matches!(error, Error::Write { path, .. } if path == folder));
}

#[test]
fn settings_are_written_and_read_as_text() {
    let config = TrainerConfig::new(duration("1h30m"))
        .with_schedule("step:every=30ep,factor=0.5".parse().unwrap())
        .with_warmup(duration("0.1dur"))
        .with_best("val/accuracy")
        .with_patience("val/loss", 3);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<TrainerConfig>(&text).unwrap(),
        config
    );
    // A file of an older version lacks what is new.
    let older = r#"{"max-duration": "5ep", "patience": {"score": "val/loss", "reports": 2}}"#;
    let read: TrainerConfig = serde_json::from_str(older).unwrap();
    let patience = Patience {
        score: "val/loss".into(),
        reports: 2,
    };
    assert_eq!(read.max_duration, duration("5ep"));
    assert_eq!(read.patience, Some(patience));
    assert_eq!(read.learning_rate, TrainerConfig::default().learning_rate);
    serde_json::from_str::<TrainerConfig>(r#"{"max-durations": "5ep"}"#).unwrap_err();
}
