//! `When` and `OneOf`.

use std::collections::BTreeMap;

use cutmix::algorithms::{Algorithm, CutMix, CutOut, MixUp, OneOf, When};
use cutmix::functional::{cutmix_apply, cutmix_batch, cutmix_plan, mixup_apply};
use cutmix::plan::{Drawer, Stream};
use cutmix::time::Duration;

use crate::setting::{CLASSES, Log, Recorder, values};
use crate::{BATCH, SEED, Seen, batch, boxed, fit, steps, trainer};

fn duration(text: &str) -> Duration {
    text.parse().unwrap()
}

/// In which steps an algorithm has left a note of this name.
fn acted(seen: &[Seen], note: &str) -> Vec<usize> {
    let steps = seen.iter().enumerate();
    let steps = steps.filter(|(_, seen)| seen.note(note).is_some());
    steps.map(|(step, _)| step).collect()
}

fn cutmix() -> When<CutMix> {
    When::new(CutMix::new(CLASSES))
}

#[test]
fn a_window_begins_with_its_first_batch_and_ends_before_its_last() {
    let acts = |when: When<CutMix>| acted(&steps(8, vec![boxed(when)]), "cutmix/lambda");
    let all: Vec<_> = (0..8).collect();
    assert_eq!(acts(cutmix()), all);
    // Eight batches of four samples: each of these is a quarter, or three, of the run.
    for (quarter, three) in [("2ba", "6ba"), ("8sp", "24sp"), ("0.25dur", "0.75dur")] {
        assert_eq!(acts(cutmix().from(duration(quarter))), all[2..]);
        assert_eq!(acts(cutmix().until(duration(three))), all[..6]);
        let both = cutmix().from(duration(quarter)).until(duration(three));
        assert_eq!(acts(both), all[2..6]);
    }
    // Between two batches: the first that has so much behind it.
    assert_eq!(acts(cutmix().from(duration("9sp"))), all[3..]);
    assert_eq!(acts(cutmix().until(duration("9sp"))), all[..3]);
    assert_eq!(acts(cutmix().from(duration("0ba"))), all);
    assert_eq!(acts(cutmix().until(duration("1ba"))), all[..1]);
    assert_eq!(acts(cutmix().from(duration("7ba"))), all[7..]);
    assert_eq!(acts(cutmix().from(duration("1ep"))), [0; 0]);
    assert_eq!(acts(cutmix().until(duration("1dur"))), all);
}

#[test]
fn a_window_of_epochs_is_one_of_epochs() {
    let seen = std::sync::Arc::default();
    trainer(2)
        .max_duration(duration("3ep"))
        .algorithm(cutmix().from(duration("1ep")).until(duration("2ep")))
        .algorithm(crate::Probe(std::sync::Arc::clone(&seen)))
        .fit()
        .unwrap();
    assert_eq!(acted(&seen.lock().unwrap(), "cutmix/lambda"), [2, 3]);
}

#[test]
fn a_window_changes_no_plan() {
    let alone = steps(6, vec![boxed(CutMix::new(CLASSES))]);
    let windowed = cutmix().from(duration("2ba")).until(duration("5ba"));
    let windowed = steps(6, vec![boxed(windowed)]);
    assert_eq!(windowed[2..5], alone[2..5]);
    assert_eq!(windowed[0].images, values(batch(6, 0).images));
}

#[test]
fn the_probability_is_the_share_of_batches_and_its_coin_is_its_own() {
    let seen = steps(400, vec![boxed(cutmix().probability(0.3))]);
    let acts = acted(&seen, "cutmix/lambda");
    // 0.3 +- four standard deviations.
    let share = acts.len() as f64 / 400.0;
    assert!(
        (share - 0.3).abs() < 4.0 * (0.3f64 * 0.7 / 400.0).sqrt(),
        "{share}"
    );
    for &step in &acts[..5] {
        let data = batch(400, step);
        let mut rng = Stream::new(SEED).within(0).at(step as u64);
        let mixed = cutmix_batch(data.images, data.targets, CLASSES, 1.0, &mut rng).unwrap();
        assert_eq!(seen[step].images, values(mixed.0));
    }
    // The coins of two algorithms fall apart: together in 0.09 of the batches, not in 0.3.
    let second = When::new(CutOut::new(2)).probability(0.3);
    let seen = steps(400, vec![boxed(cutmix().probability(0.3)), boxed(second)]);
    assert_eq!(acted(&seen, "cutmix/lambda"), acts);
    let both = seen.iter().filter(|seen| seen.notes.len() == 2).count() as f64 / 400.0;
    assert!(
        (both - 0.09).abs() < 4.0 * (0.09f64 * 0.91 / 400.0).sqrt(),
        "{both}"
    );
}

#[test]
fn never_and_always_are_exact() {
    let seen = steps(20, vec![boxed(cutmix().probability(0.0))]);
    assert_eq!(seen, steps(20, vec![]));
    assert!(!fit_mixes(cutmix().probability(0.0)) && fit_mixes(cutmix().probability(0.1)));
}

/// Whether a run with this algorithm says that its accuracy is of mixed targets.
fn fit_mixes(algorithm: impl Algorithm + 'static) -> bool {
    let history = fit(2, vec![boxed(algorithm)]).unwrap().history;
    history.reports[0].to_string().contains("mixed accuracy")
}

/// Events of steps, by batch, that a recorder inside an algorithm has seen.
fn by_batch(log: &Log) -> BTreeMap<String, Vec<String>> {
    let mut batches = BTreeMap::<_, Vec<_>>::new();
    for entry in log.lock().unwrap().iter() {
        let (event, rest) = entry.split_once(' ').unwrap();
        if let Some((batch, _)) = rest.split_once(" of ") {
            batches.entry(batch.into()).or_default().push(event.into());
        }
    }
    batches
}

const STEP: [&str; 7] = [
    "batch_start",
    "before_forward",
    "after_forward",
    "before_loss",
    "after_loss",
    "before_backward",
    "after_backward",
];

fn recorder() -> (Log, Recorder) {
    let log = Log::default();
    (log.clone(), Recorder { log, label: "" })
}

/// The events outside a step, of a run of so many batches.
fn assert_passed_on(log: &Log, batches: usize) {
    let log = log.lock().unwrap();
    for (event, count) in [
        ("fit_start", 1),
        ("epoch_start", 1),
        ("batch_end", batches),
        ("epoch_end", 1),
        ("eval_start", 1),
        ("eval_end", 1),
        ("fit_end", 1),
    ] {
        let seen = log.iter().filter(|entry| entry.starts_with(event)).count();
        assert_eq!(seen, count, "{event}");
    }
}

#[test]
fn a_batch_has_all_events_or_none() {
    let (log, inner) = recorder();
    let (chosen, one) = recorder();
    let (others, other) = recorder();
    trainer(40)
        .eval_loader(crate::data(1).loader())
        .algorithm(When::new(inner).probability(0.5))
        .algorithm(OneOf::new().add(1.0, one).add(2.0, other))
        .fit()
        .unwrap();
    let acted = by_batch(&log);
    assert!((10..30).contains(&acted.len()), "{}", acted.len());
    assert!(acted.values().all(|events| *events == STEP), "{acted:?}");
    assert_passed_on(&log, 40);

    let (chosen_in, others_in) = (by_batch(&chosen), by_batch(&others));
    assert_eq!(chosen_in.len() + others_in.len(), 40);
    for events in chosen_in.values().chain(others_in.values()) {
        assert_eq!(*events, STEP);
    }
    assert!(chosen_in.keys().all(|batch| !others_in.contains_key(batch)));
    assert_passed_on(&chosen, 40);
    assert_passed_on(&others, 40);
}

#[test]
fn one_of_chooses_by_the_weights_and_notes_its_choice() {
    let one_of = OneOf::new()
        .add(1.0, MixUp::new(CLASSES))
        .add(0.0, CutOut::new(2))
        .add(3.0, CutMix::new(CLASSES));
    let seen = steps(400, vec![boxed(one_of)]);
    for seen in &seen {
        let parts = match seen.note("one-of/choice").unwrap() {
            0.0 => ["one-of/choice", "mixup/lambda"],
            2.0 => ["one-of/choice", "cutmix/lambda"],
            other => panic!("{other} was chosen"),
        };
        let names: Vec<_> = seen.notes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, parts);
    }
    let share = acted(&seen, "mixup/lambda").len() as f64 / 400.0;
    assert!(
        (share - 0.25).abs() < 4.0 * (0.25f64 * 0.75 / 400.0).sqrt(),
        "{share}"
    );
}

#[test]
fn the_recipe_is_mixup_or_cutmix_each_on_a_lane_of_its_own() {
    let seen = steps(40, vec![boxed(OneOf::mixup_or_cutmix(CLASSES))]);
    let chosen = [0, 1].map(|choice| {
        let chose = |seen: &&Seen| seen.note("one-of/choice") == Some(choice as f64);
        seen.iter().filter(chose).count()
    });
    assert!(chosen[0] > 8 && chosen[1] > 8, "{chosen:?}");
    for (step, seen) in seen.iter().enumerate() {
        let data = batch(40, step);
        let choice = seen.note("one-of/choice").unwrap() as u64;
        let mut rng = Stream::new(SEED).within(choice).at(step as u64);
        let (images, targets) = if choice == 0 {
            let mixture = Drawer::new(0.8).draw_mixture(BATCH, &mut rng).unwrap();
            mixup_apply(data.images, data.targets, CLASSES, &mixture).unwrap()
        } else {
            let plan = cutmix_plan(&Drawer::new(1.0), &data.images, &mut rng).unwrap();
            cutmix_apply(data.images, data.targets, CLASSES, &plan).unwrap()
        };
        assert_eq!(seen.images, values(images));
        assert_eq!(seen.targets, values(targets));
    }
}

#[test]
fn combinators_nest_and_boxes_pass_everything_on() {
    let inner = OneOf::new()
        .add(1.0, cutmix().probability(0.5))
        .add(1.0, boxed(CutOut::new(2)));
    let nested: Box<dyn Algorithm> = boxed(When::new(inner).until(duration("100ba")));
    assert_eq!(nested.name(), "one of cutmix, cutout");
    assert!(nested.effects().mixes_targets && nested.effects().makes_dense);
    let seen = steps(200, vec![boxed(nested)]);
    let cut = acted(&seen, "cutmix/lambda").len() as f64 / 100.0;
    assert!(
        (cut - 0.25).abs() < 4.0 * (0.25f64 * 0.75 / 100.0).sqrt(),
        "{cut}"
    );
    assert!(
        acted(&seen, "one-of/choice")
            .iter()
            .eq(&(0..100).collect::<Vec<_>>())
    );
}
