//! `When`, `OneOf` and `MixUpOrCutMix`.

use std::collections::BTreeMap;

use cutmix::functional::{cutmix_apply, cutmix_batch, cutmix_plan, mixup_apply};
use cutmix::plan::{PlanSampler, Stream};
use cutmix_train::Event;
use cutmix_train::algorithms::{Algorithm, CutMix, CutOut, MixUp, MixUpOrCutMix, OneOf, When};

use crate::common::{CLASSES, Tiny, duration, values};
use crate::fixtures::Recorder;
use crate::{BATCH, Probe, SEED, Seen, batch, boxed, config, data, fit, steps, trainer};

/// The batches in which an algorithm has logged a number of this name.
fn acted(seen: &[Seen], name: &str) -> Vec<usize> {
    let steps = seen.iter().enumerate();
    let steps = steps.filter(|(_, seen)| seen.logged(name).is_some());
    steps.map(|(step, _)| step).collect()
}

fn cutmix() -> When<CutMix> {
    When::new(CutMix::new())
}

/// Asserts that a share of `count` random choices is `expected` within four standard deviations.
#[track_caller]
fn assert_share(chosen: usize, count: usize, expected: f64) {
    let share = chosen as f64 / count as f64;
    let deviation = (expected * (1.0 - expected) / count as f64).sqrt();
    assert!(
        (share - expected).abs() < 4.0 * deviation,
        "{share}, not {expected}"
    );
}

#[test]
fn a_window_starts_with_its_first_batch_and_ends_before_its_last() {
    let acts = |when: When<CutMix>| acted(&steps(8, vec![boxed(when)]), "cutmix/lambda");
    let all: Vec<_> = (0..8).collect();
    assert_eq!(acts(cutmix()), all);
    // Eight batches of four samples: each of these is a quarter, or three quarters, of the run.
    for (quarter, three) in [("2ba", "6ba"), ("8sp", "24sp"), ("0.25dur", "0.75dur")] {
        assert_eq!(acts(cutmix().with_from(duration(quarter))), all[2..]);
        assert_eq!(acts(cutmix().with_until(duration(three))), all[..6]);
        let both = cutmix()
            .with_from(duration(quarter))
            .with_until(duration(three));
        assert_eq!(acts(both), all[2..6]);
    }
    // Between two batches, it is the first batch that starts later.
    assert_eq!(acts(cutmix().with_from(duration("9sp"))), all[3..]);
    assert_eq!(acts(cutmix().with_until(duration("9sp"))), all[..3]);
    assert_eq!(acts(cutmix().with_from(duration("0ba"))), all);
    assert_eq!(acts(cutmix().with_until(duration("1ba"))), all[..1]);
    assert_eq!(acts(cutmix().with_from(duration("7ba"))), all[7..]);
    assert_eq!(acts(cutmix().with_from(duration("1ep"))), [0; 0]);
    assert_eq!(acts(cutmix().with_until(duration("1dur"))), all);
}

#[test]
fn a_window_of_epochs_counts_epochs() {
    let probe = Probe::default();
    crate::trainer_of(config("3ep"), Tiny::new(&Default::default()), 2)
        .algorithm(
            cutmix()
                .with_from(duration("1ep"))
                .with_until(duration("2ep")),
        )
        .algorithm(probe.clone())
        .fit()
        .unwrap();
    assert_eq!(acted(&probe.seen(), "cutmix/lambda"), [2, 3]);
}

#[test]
fn a_window_changes_no_plan() {
    let alone = steps(6, vec![boxed(CutMix::new())]);
    let windowed = cutmix()
        .with_from(duration("2ba"))
        .with_until(duration("5ba"));
    let windowed = steps(6, vec![boxed(windowed)]);
    assert_eq!(windowed[2..5], alone[2..5]);
    assert_eq!(windowed[0].images, values(batch(6, 0).images));
}

#[test]
fn the_probability_is_the_share_of_batches_and_is_drawn_by_itself() {
    let seen = steps(400, vec![boxed(cutmix().with_probability(0.3))]);
    let acts = acted(&seen, "cutmix/lambda");
    assert_share(acts.len(), 400, 0.3);
    for &step in &acts[..5] {
        let data = batch(400, step);
        let mut rng = Stream::new(SEED).within(0).at(step as u64);
        let mixed = cutmix_batch(data.images, data.targets, CLASSES, 1.0, &mut rng).unwrap();
        assert_eq!(seen[step].images, values(mixed.0));
    }
    // Two algorithms are drawn apart: together in 0.09 of the batches, not in 0.3.
    let second = When::new(CutOut::new(2)).with_probability(0.3);
    let seen = steps(
        400,
        vec![boxed(cutmix().with_probability(0.3)), boxed(second)],
    );
    assert_eq!(acted(&seen, "cutmix/lambda"), acts);
    let both = seen.iter().filter(|seen| seen.logged.len() == 2).count();
    assert_share(both, 400, 0.09);
}

#[test]
fn a_probability_of_0_never_acts() {
    let seen = steps(20, vec![boxed(cutmix().with_probability(0.0))]);
    assert_eq!(seen, steps(20, vec![]));
    let mixes = |when| fit(2, vec![boxed(when)]).unwrap().history.reports[0].mixed;
    assert!(!mixes(cutmix().with_probability(0.0)));
    assert!(mixes(cutmix().with_probability(0.1)));
}

/// The events of a batch up to its step.
const OF_A_BATCH: [Event; 8] = [
    Event::BatchStart,
    Event::BeforeForward,
    Event::AfterForward,
    Event::BeforeLoss,
    Event::AfterLoss,
    Event::BeforeBackward,
    Event::AfterBackward,
    Event::BeforeStep,
];

/// The events up to a step that a recorder inside an algorithm has seen, by batch.
fn by_batch(recorder: &Recorder) -> BTreeMap<u64, Vec<Event>> {
    let mut batches = BTreeMap::<_, Vec<_>>::new();
    for &(event, batch) in recorder.0.lock().unwrap().iter() {
        if OF_A_BATCH.contains(&event) {
            batches.entry(batch).or_default().push(event);
        }
    }
    batches
}

/// Asserts that all other events of a run of one epoch of `batches` batches were passed on.
#[track_caller]
fn assert_passed_on(recorder: &Recorder, batches: usize) {
    let log = recorder.0.lock().unwrap();
    for (event, count) in [
        (Event::FitStart, 1),
        (Event::EpochStart, 1),
        (Event::BatchEnd, batches),
        (Event::EpochEnd, 1),
        (Event::EvalStart, 1),
        (Event::EvalEnd, 1),
        (Event::FitEnd, 1),
    ] {
        let seen = log.iter().filter(|(seen, _)| *seen == event).count();
        assert_eq!(seen, count, "{event}");
    }
}

#[test]
fn when_passes_on_all_events_of_a_batch_or_none() {
    let recorder = Recorder::default();
    trainer(40)
        .eval("val", data(1).loader())
        .algorithm(When::new(recorder.clone()).with_probability(0.5))
        .fit()
        .unwrap();
    let acted = by_batch(&recorder);
    assert!((10..30).contains(&acted.len()), "{}", acted.len());
    assert!(
        acted.values().all(|events| *events == OF_A_BATCH),
        "{acted:?}"
    );
    assert_passed_on(&recorder, 40);
}

#[test]
fn one_of_passes_on_all_events_of_a_batch_to_one_algorithm() {
    let (one, other) = (Recorder::default(), Recorder::default());
    trainer(40)
        .eval("val", data(1).loader())
        .algorithm(OneOf::new().with(1.0, one.clone()).with(2.0, other.clone()))
        .fit()
        .unwrap();
    let (in_one, in_other) = (by_batch(&one), by_batch(&other));
    assert_eq!(in_one.len() + in_other.len(), 40);
    for events in in_one.values().chain(in_other.values()) {
        assert_eq!(*events, OF_A_BATCH);
    }
    assert!(in_one.keys().all(|batch| !in_other.contains_key(batch)));
    assert_passed_on(&one, 40);
    assert_passed_on(&other, 40);
}

#[test]
fn each_part_of_a_batch_has_a_choice_of_its_own() {
    let (one, other) = (Recorder::default(), Recorder::default());
    let config = config("1ep").with_accumulate(2);
    crate::trainer_of(config, Tiny::new(&Default::default()), 40)
        .algorithm(OneOf::new().with(1.0, one.clone()).with(1.0, other.clone()))
        .fit()
        .unwrap();
    let count = |recorder: &Recorder, event| {
        let log = recorder.0.lock().unwrap();
        log.iter().filter(|(seen, _)| *seen == event).count()
    };
    for event in OF_A_BATCH {
        let expected = match event {
            Event::BatchStart | Event::BeforeStep => 20,
            _ => 40,
        };
        assert_eq!(
            count(&one, event) + count(&other, event),
            expected,
            "{event}"
        );
    }
    // A part has all of its events with one algorithm.
    assert_eq!(
        count(&one, Event::BeforeForward),
        count(&one, Event::AfterBackward)
    );
    // Some batch has parts with both.
    let both = by_batch(&one)
        .into_keys()
        .filter(|batch| by_batch(&other).contains_key(batch));
    assert!(both.count() > 0);
}

#[test]
fn one_of_chooses_by_the_weights_and_logs_its_choice() {
    let one_of = OneOf::new()
        .with(1.0, MixUp::new())
        .with(0.0, CutOut::new(2))
        .with(3.0, CutMix::new());
    let seen = steps(400, vec![boxed(one_of)]);
    for seen in &seen {
        let expected = match seen.logged("one-of/choice").unwrap() {
            0.0 => ["one-of/choice", "mixup/lambda"],
            2.0 => ["one-of/choice", "cutmix/lambda"],
            other => panic!("{other} was chosen"),
        };
        let names: Vec<_> = seen.logged.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected);
    }
    assert_share(acted(&seen, "mixup/lambda").len(), 400, 0.25);
}

#[test]
fn the_recipe_is_mixup_or_cutmix_each_on_a_lane_of_its_own() {
    let seen = steps(40, vec![boxed(MixUpOrCutMix::new())]);
    let chosen = [0, 1].map(|choice| {
        let chose = |seen: &&Seen| seen.logged("one-of/choice") == Some(choice as f64);
        seen.iter().filter(chose).count()
    });
    assert!(chosen[0] > 8 && chosen[1] > 8, "{chosen:?}");
    for (step, seen) in seen.iter().enumerate() {
        let data = batch(40, step);
        let choice = seen.logged("one-of/choice").unwrap() as u64;
        let mut rng = Stream::new(SEED).within(choice).at(step as u64);
        let (images, targets) = if choice == 0 {
            let mixture = PlanSampler::new(0.8).draw_mixture(BATCH, &mut rng).unwrap();
            mixup_apply(data.images, data.targets, CLASSES, &mixture).unwrap()
        } else {
            let plan = cutmix_plan(&PlanSampler::new(1.0), &data.images, &mut rng).unwrap();
            cutmix_apply(data.images, data.targets, CLASSES, &plan).unwrap()
        };
        assert_eq!(seen.images, values(images));
        assert_eq!(seen.targets, values(targets));
    }
}

#[test]
fn mixup_or_cutmix_is_the_recipe_with_settings() {
    let recipe = steps(10, vec![boxed(MixUpOrCutMix::new())]);
    assert_eq!(steps(10, vec![boxed(MixUpOrCutMix::new())]), recipe);
    let always = steps(10, vec![boxed(MixUpOrCutMix::new().with_switch(1.0))]);
    assert_eq!(acted(&always, "cutmix/lambda").len(), 10);
    let never = steps(10, vec![boxed(MixUpOrCutMix::new().with_switch(0.0))]);
    assert_eq!(acted(&never, "mixup/lambda").len(), 10);
}

#[test]
fn combinators_nest_and_boxes_pass_everything_on() {
    let inner = OneOf::new()
        .with(1.0, cutmix().with_probability(0.5))
        .with(1.0, boxed(CutOut::new(2)));
    let nested: Box<dyn Algorithm<Tiny>> = boxed(When::new(inner).with_until(duration("100ba")));
    assert_eq!(nested.name(), "one of cutmix, cutout");
    assert!(nested.effects().mixes_targets && nested.effects().makes_dense);
    let seen = steps(200, vec![boxed(nested)]);
    assert_share(acted(&seen, "cutmix/lambda").len(), 100, 0.25);
    assert_eq!(acted(&seen, "one-of/choice"), (0..100).collect::<Vec<_>>());
}
