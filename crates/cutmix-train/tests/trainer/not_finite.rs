//! Losses, gradients and weights that are not finite numbers.

use burn::optim::SgdConfig;
use burn::tensor::{Device, Tensor};
use cutmix_train::{Error, Event, OnNan, State, Trainer};

use crate::common::*;

/// Makes the loss of some batches NaN.
fn with_nan_at(trainer: Trainer<Tiny>, batches: &'static [u64]) -> Trainer<Tiny> {
    trainer.algorithm(At(Event::BeforeLoss, move |state: &mut State<Tiny>| {
        if batches.contains(&state.time().batch) {
            state.logits = state.logits.take().map(|logits| logits * f32::NAN);
        }
        Ok(())
    }))
}

/// Makes the gradients of one batch infinite, of each part in which they are.
fn with_infinite_gradients_at(trainer: Trainer<Tiny>, batch: u64) -> Trainer<Tiny> {
    trainer.algorithm(At(Event::AfterBackward, move |state: &mut State<Tiny>| {
        if state.time().batch == batch {
            let id = state.model().linear.weight.id;
            let gradient = state.gradients.remove::<2>(id).unwrap();
            let infinite = gradient.ones_like() * f32::INFINITY;
            state.gradients.register(id, infinite);
        }
        Ok(())
    }))
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    let error = with_nan_at(trainer(config("50ep"), eleven()), &[4])
        .fit()
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                what: "loss",
                batch: 4,
                checkpoint: None
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_batch_whose_loss_is_not_finite_is_skipped() {
    let log = LogRecorder::default();
    let run = trainer(config("2ep").with_on_nan(OnNan::Skip), eleven()).logger(log.clone());
    let fit = with_nan_at(run, &[4]).fit().unwrap();
    assert!(fit.model.weights().iter().all(|weight| weight.is_finite()));
    let [first, second] = fit.history.reports.as_slice() else {
        panic!("one report for each of two epochs")
    };
    assert_eq!((first.skipped, second.skipped), (0, 1));
    assert!(second.value("train/loss").unwrap().is_finite());
    assert_eq!(second.batches, 6);
    let batches: Vec<_> = read(&log.batches)
        .iter()
        .map(|batch| batch.time.batch)
        .collect();
    assert_eq!(batches, [0, 1, 2, 3, 5]);
}

#[test]
fn callbacks_know_whether_a_batch_was_skipped() {
    let skipped = Shared::default();
    let seen = skipped.clone();
    let run = trainer(config("3ba").with_on_nan(OnNan::Skip), eleven());
    with_nan_at(run, &[1])
        .callback(move |event: Event, state: &State<Tiny>| {
            if event == Event::BatchEnd {
                seen.lock().unwrap().push(state.was_skipped());
            }
            Ok(())
        })
        .fit()
        .unwrap();
    assert_eq!(read(&skipped), [false, true, false]);
}

#[test]
fn a_last_batch_that_is_skipped_does_not_fail_the_run() {
    // Batches 0 to 2 and 3 to 5 are epochs; batch 6 is the only one since the last report.
    let run = trainer(config("7ba").with_on_nan(OnNan::Skip), eleven().fixed());
    let fit = with_nan_at(run.eval("val", eleven().loader()), &[6])
        .fit()
        .unwrap();
    assert!(fit.is_complete);
    let last = &fit.history.reports[2];
    assert_eq!((last.batches, last.skipped), (7, 1));
    assert_eq!(last.value("train/loss"), None);
    assert!(last.value("val/loss").unwrap().is_finite());
}

#[test]
fn a_run_of_which_every_batch_of_an_interval_is_skipped_stops() {
    let run = trainer(config("4ep").with_on_nan(OnNan::Skip), eleven());
    let error = with_nan_at(run, &[3, 4, 5]).fit().unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                what: "loss",
                batch: 5,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn infinite_gradients_of_a_finite_loss_are_skipped() {
    for parts in [1, 2] {
        let config = config("4ba")
            .with_on_nan(OnNan::Skip)
            .with_accumulate(parts);
        let fit = with_infinite_gradients_at(trainer(config, eleven()), 1)
            .fit()
            .unwrap();
        assert!(fit.model.weights().iter().all(|weight| weight.is_finite()));
        assert_eq!(fit.history.reports.last().unwrap().skipped, 1);
    }
}

#[test]
fn weights_that_are_not_finite_at_the_end_are_an_error() {
    // The loss of the last batch was finite, and no other one follows.
    let run = trainer(config("3ba"), eleven());
    let error = with_infinite_gradients_at(run, 2).fit().unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                what: "weights",
                batch: 2,
                ..
            }
        ),
        "{error:?}"
    );
}

/// A run of a network with batch normalisation on these batches.
fn normed(train: Samples, blinded: Option<u64>) -> (Vec<f32>, Vec<f32>) {
    let model = Stateful::with_dropout(0.0, &Device::default());
    let mut run = config("1ep")
        .with_on_nan(OnNan::Skip)
        .init(model, train.fixed().loader())
        .optimizer(SgdConfig::new().init())
        .logger(Quiet);
    if let Some(batch) = blinded {
        run = run.algorithm(At(
            Event::BeforeForward,
            move |state: &mut State<Stateful>| {
                if state.time().batch == batch {
                    state.map_images(|images| Ok(images * f32::NAN))?;
                }
                Ok(())
            },
        ));
    }
    let fit = run.fit().unwrap();
    (fit.model.tiny.weights(), fit.model.statistics())
}

#[test]
fn a_skipped_batch_leaves_weights_and_running_statistics_as_they_were() {
    let data = Samples::new(12, 4);
    for skipped in [0, 1, 2] {
        let others: Vec<_> = (0..3).filter(|&batch| batch != skipped).collect();
        let batches = || others.iter().map(|&batch| data.batch(batch));
        let images = Tensor::cat(batches().map(|batch| batch.images).collect(), 0);
        let classes = batches().map(|batch| batch.targets.into_indices("a test").unwrap());
        let without = Samples::of(images, Tensor::cat(classes.collect(), 0), 4);
        let expected = normed(without, None);
        assert_eq!(
            normed(data.clone(), Some(skipped as u64)),
            expected,
            "batch {skipped}"
        );
    }
}
