//! Runs with numbers that are not finite: what is saved, and which checkpoint the error names.

use cutmix_train::{State, Stop};

use super::*;

/// Makes every loss infinite.
fn poison(state: &mut State<Stateful>) -> Result<(), Error> {
    state.logits = state.logits.take().map(|logits| logits * f32::INFINITY);
    Ok(())
}

#[test]
fn a_loss_that_is_not_finite_names_the_last_good_checkpoint() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path(), 2);
    let error = run(folder.path())
        .resume(latest(folder.path()))
        .algorithm(At(Event::BeforeLoss, poison))
        .fit()
        .unwrap_err();
    let Error::NotFinite {
        what: "loss",
        batch: 2,
        checkpoint: Some(checkpoint),
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(checkpoint, path(folder.path(), 2));
    assert_eq!(latest(folder.path()).path(), checkpoint);
}

#[test]
fn a_checkpoint_that_is_being_written_counts_as_the_last_good_one() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let poison = At(Event::BeforeLoss, |state: &mut State<Tiny>| {
        if state.time().batch == 3 {
            state.logits = state.logits.take().map(|logits| logits * f32::INFINITY);
        }
        Ok(())
    });
    let error = plain("9ba", folder.path())
        .algorithm(poison)
        .fit()
        .unwrap_err();
    assert!(
        matches!(&error, Error::NotFinite { checkpoint: Some(checkpoint), .. }
            if *checkpoint == path(folder.path(), 3)),
        "{error:?}"
    );
}

/// Makes all weights of a model infinite.
fn spoiled(mut model: Tiny) -> Tiny {
    let weight = model.linear.weight.clone();
    model.linear.weight = weight.map(|weight| weight * f32::INFINITY);
    model
}

#[test]
fn weights_that_are_not_finite_are_not_saved() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let spoil = At(Event::BatchEnd, |state: &mut State<Tiny>| {
        if state.time().batch == 1 {
            state.map_model(spoiled);
        }
        Ok(())
    });
    let error = plain("9ba", folder.path())
        .algorithm(spoil)
        .fit()
        .unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error:?}");
    assert_eq!(files(folder.path()), batches(&[1]));
    assert!(Checkpoint::exists(folder.path()));
}

/// Spoils the weights after batch `batch` and stops there, so that only the checkpoint looks at them.
fn spoiled_at(trainer: Trainer<Tiny>, batch: u64) -> Error {
    let stop = Stop::new();
    let handle = stop.clone();
    let spoil = At(Event::BatchEnd, move |state: &mut State<Tiny>| {
        if state.time().batch == batch {
            state.map_model(spoiled);
            handle.request();
        }
        Ok(())
    });
    trainer.algorithm(spoil).stop(stop).fit().unwrap_err()
}

#[test]
fn weights_that_are_not_finite_at_a_save_name_the_last_good_checkpoint() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let error = spoiled_at(plain("9ba", folder.path()), 3);
    let found = match error {
        Error::NotFinite {
            what: "weights",
            batch: 3,
            checkpoint,
        } => checkpoint,
        other => panic!("{other:?}"),
    };
    assert_eq!(found, Some(path(folder.path(), 3)));

    // A resumed run that has saved nothing names the checkpoint that it started from.
    let resumed = plain("9ba", folder.path()).resume(latest(folder.path()));
    let error = spoiled_at(resumed, 3);
    assert!(
        matches!(&error, Error::NotFinite { what: "weights", batch: 3, checkpoint: Some(checkpoint) }
            if *checkpoint == path(folder.path(), 3)),
        "{error:?}"
    );
    assert_eq!(latest(folder.path()).batches(), 3);
}

#[test]
fn weights_that_are_not_finite_at_the_first_save_name_no_checkpoint() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let error = spoiled_at(plain("9ba", folder.path()), 0);
    assert!(
        matches!(
            error,
            Error::NotFinite {
                what: "weights",
                batch: 0,
                checkpoint: None
            }
        ),
        "{error:?}"
    );
    assert!(files(folder.path()).is_empty());
}
