//! The moving average of the weights against the same recurrence on the host.

use burn::tensor::Device;
use cutmix_train::algorithms::{Algorithm, Ema, When};
use cutmix_train::{Event, Fit, OnNan, State, Trainer, TrainerConfig};

use crate::common::{At, Quiet, Shared, duration, read};
use crate::fixtures::{Normed, images_of_size};
use crate::{BATCH, assert_close, boxed, config, data, trainer_of};

/// Weights and statistics of a model.
type Values = Vec<Vec<f32>>;

fn values_of(model: &Normed) -> Values {
    model
        .parameters()
        .into_iter()
        .chain(model.statistics())
        .collect()
}

/// The weights and statistics after each batch, and the average after each.
type Watch = Shared<(Values, Option<Values>)>;

fn watching(watch: &Watch) -> Box<dyn Algorithm<Normed>> {
    let seen = watch.clone();
    boxed(At(Event::BatchEnd, move |state: &mut State<Normed>| {
        let average = state.ema_model.as_ref().map(values_of);
        seen.lock()
            .unwrap()
            .push((values_of(state.model()), average));
        Ok(())
    }))
}

fn run(config: TrainerConfig, algorithms: Vec<Box<dyn Algorithm<Normed>>>) -> Fit<Normed> {
    let trainer = trainer_of(config, Normed::new(&Device::default()), 6);
    (algorithms.into_iter())
        .fold(trainer, Trainer::algorithm)
        .fit()
        .unwrap()
}

fn watched(max_duration: &str, algorithm: impl Algorithm<Normed> + 'static) -> Watch {
    let watch = Watch::default();
    run(
        config(max_duration),
        vec![boxed(algorithm), watching(&watch)],
    );
    watch
}

/// `keep * average + (1 - keep) * new`.
fn blend(average: &Values, new: &Values, keep: f64) -> Values {
    let blend = |(average, new): (&f32, &f32)| {
        (keep * f64::from(*average) + (1.0 - keep) * f64::from(*new)) as f32
    };
    let pairs = average.iter().zip(new);
    pairs
        .map(|(average, new)| average.iter().zip(new).map(blend).collect())
        .collect()
}

#[track_caller]
fn assert_same(found: &Values, expected: &Values) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_close(found, expected, 1e-5);
    }
}

/// Asserts that the averages follow the recurrence, with an update after each of the batches in
/// `updates`; each has its number and the decay that was asked for.
#[track_caller]
fn assert_follows(watch: &Watch, updates: impl Fn(usize) -> Option<(u64, f64)>) {
    let mut expected: Option<Values> = None;
    for (batch, (weights, average)) in read(watch).into_iter().enumerate() {
        if let Some((number, decay)) = updates(batch) {
            let early = (1.0 + number as f64) / (10.0 + number as f64);
            expected = Some(match expected {
                None => weights.clone(),
                Some(expected) => blend(&expected, &weights, decay.min(early)),
            });
        }
        match (average, &expected) {
            (Some(average), Some(expected)) => assert_same(&average, expected),
            (average, expected) => assert_eq!(average.is_some(), expected.is_some(), "{batch}"),
        }
    }
}

#[test]
fn the_average_follows_the_recurrence() {
    // A small decay from update 1 on, and one that the bound for early updates hides.
    for decay in [0.1, 0.999] {
        let watch = watched("12ba", Ema::new(decay));
        assert_eq!(read(&watch).len(), 12);
        assert_follows(&watch, |batch| Some((batch as u64, decay)));
    }
}

#[test]
fn a_half_life_gives_the_decay() {
    let ema = Ema::default().with_half_life(duration("1ba"));
    assert_follows(&watched("12ba", ema), |batch| Some((batch as u64, 0.5)));
    // Two batches are two thirds of the half-life.
    let ema = Ema::default().with_half_life(duration("3ba"));
    let watch = watched("12ba", ema.with_update_interval(duration("2ba")));
    let decay = 0.5f64.powf(2.0 / 3.0);
    assert_follows(&watch, |batch| {
        (batch % 2 == 1).then_some((batch as u64 / 2, decay))
    });
}

#[test]
fn the_interval_may_be_in_any_unit() {
    // Runs of 12 batches of 4 samples, 6 in an epoch.
    for (interval, batches) in [("3ba", 3), ("12sp", 3), ("0.25dur", 3), ("1ep", 6)] {
        let watch = watched(
            "12ba",
            Ema::new(0.3).with_update_interval(duration(interval)),
        );
        assert_follows(&watch, |batch| {
            ((batch + 1) % batches == 0).then_some((batch as u64 / batches as u64, 0.3))
        });
    }
}

#[test]
fn an_epoch_that_is_shorter_than_announced_has_its_update() {
    let averages = Shared::default();
    let seen = averages.clone();
    let watch = At(Event::EpochEnd, move |state: &mut State<Normed>| {
        seen.lock()
            .unwrap()
            .push(state.ema_model.as_ref().map(values_of));
        Ok(())
    });
    // Three batches of four samples, and two samples that are in no batch.
    let short = images_of_size(3 * BATCH + 2, BATCH, [4, 4]).without_last();
    (config("2ep").init(Normed::new(&Device::default()), short.loader()))
        .logger(Quiet)
        .algorithm(Ema::new(0.3).with_update_interval(duration("1ep")))
        .algorithm(watch)
        .fit()
        .unwrap();
    let averages = read(&averages);
    assert!(
        averages[0].is_some() && averages[0] != averages[1],
        "{averages:?}"
    );
}

#[test]
fn evaluation_and_the_result_use_the_average() {
    let watch = Watch::default();
    let trainer = trainer_of(config("1ep"), Normed::new(&Device::default()), 6)
        .eval("val", data(2).loader())
        .algorithm(Ema::new(0.9));
    let fit = trainer.algorithm(watching(&watch)).fit().unwrap();
    let (weights, average) = read(&watch).pop().unwrap();
    assert_eq!(values_of(&fit.model), average.unwrap());
    assert_ne!(values_of(&fit.model), weights);

    let plain = trainer_of(config("1ep"), Normed::new(&Device::default()), 6)
        .eval("val", data(2).loader())
        .fit()
        .unwrap();
    // Training is the same, and the scores of the evaluation are not.
    assert_eq!(
        fit.history.last("train/loss"),
        plain.history.last("train/loss")
    );
    assert_ne!(fit.history.last("val/loss"), plain.history.last("val/loss"));
}

#[test]
fn a_skipped_batch_leaves_the_average_as_it_is() {
    let watch = Watch::default();
    let nan = At(Event::AfterLoss, |state: &mut State<Normed>| {
        if state.time().batch == 3 {
            state.loss = state.loss.take().map(|loss| loss * f32::NAN);
        }
        Ok(())
    });
    let config = config("6ba").with_on_nan(OnNan::Skip);
    run(
        config,
        vec![boxed(nan), boxed(Ema::new(0.3)), watching(&watch)],
    );
    let averages: Vec<_> = read(&watch)
        .into_iter()
        .map(|(_, average)| average.unwrap())
        .collect();
    assert_eq!(averages[2], averages[3]);
    assert_ne!(averages[3], averages[4]);
    assert_follows(&watch, |batch| (batch != 3).then_some((batch as u64, 0.3)));
}

#[test]
fn a_window_starts_the_average_with_its_first_batch() {
    let when = When::new(Ema::new(0.3))
        .with_from(duration("2ba"))
        .with_until(duration("5ba"));
    assert_follows(&watched("6ba", when), |batch| {
        (2..5).contains(&batch).then_some((batch as u64, 0.3))
    });
}
