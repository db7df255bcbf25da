//! The order and the number of events, and what ends a run.

use cutmix_train::algorithms::CutMix;
use cutmix_train::{Checkpoints, Error, Event, State, Stop};

use crate::common::*;

/// The entries of a recorder for a batch of one part, which starts at `samples`.
fn batch(number: u64, size: usize, epoch: u64, samples: u64) -> Vec<String> {
    let part = part(number, size);
    let ends = ["BeforeStep", "BatchEnd"];
    let ends = ends.map(|event| format!("{event} {epoch}/{number}/{samples}"));
    [
        vec![format!("BatchStart {number} of {size}")],
        part,
        ends.to_vec(),
    ]
    .concat()
}

/// The entries for a part of a batch.
fn part(number: u64, size: usize) -> Vec<String> {
    let events = [
        "BeforeForward",
        "AfterForward",
        "BeforeLoss",
        "AfterLoss",
        "BeforeBackward",
        "AfterBackward",
    ];
    events
        .map(|event| format!("{event} {number} of {size}"))
        .to_vec()
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

#[test]
fn events_come_in_order_and_in_number() {
    let log = Shared::default();
    trainer(config("2ep"), eleven().fixed())
        .eval("val", Samples::new(5, 5).loader())
        .algorithm(Recorder::new(&log))
        .fit()
        .unwrap();
    let expected = [
        lines(&["FitStart 0/0/0", "EpochStart 0/0/0"]),
        batch(0, 4, 0, 0),
        batch(1, 4, 0, 4),
        batch(2, 3, 0, 8),
        lines(&[
            "EpochEnd 1/3/11",
            "EvalStart 1/3/11",
            "EvalEnd 1/3/11",
            "EpochStart 1/3/11",
        ]),
        batch(3, 4, 1, 11),
        batch(4, 4, 1, 15),
        batch(5, 3, 1, 19),
        lines(&[
            "EpochEnd 2/6/22",
            "EvalStart 2/6/22",
            "EvalEnd 2/6/22",
            "FitEnd 2/6/22",
        ]),
    ];
    assert_eq!(read(&log), expected.concat());
}

#[test]
fn a_batch_of_parts_has_the_events_of_each_part_and_one_step() {
    let log = Shared::default();
    trainer(config("1ep").with_accumulate(2), eleven())
        .algorithm(Recorder::new(&log))
        .fit()
        .unwrap();
    let expected = [
        lines(&["FitStart 0/0/0", "EpochStart 0/0/0", "BatchStart 0 of 4"]),
        part(0, 4),
        part(0, 4),
        lines(&["BeforeStep 0/0/0", "BatchEnd 0/0/0", "BatchStart 1 of 3"]),
        part(1, 3),
        lines(&["BeforeStep 0/1/8", "BatchEnd 0/1/8"]),
        lines(&[
            "EpochEnd 1/2/11",
            "EvalStart 1/2/11",
            "EvalEnd 1/2/11",
            "FitEnd 1/2/11",
        ]),
    ];
    assert_eq!(read(&log), expected.concat());
}

/// The events of a run outside its batches.
fn outside(log: &Shared<String>) -> Vec<String> {
    let mut log = read(log);
    let outside = ["Fit", "Epoch", "Eval", "Save"];
    log.retain(|entry| outside.iter().any(|event| entry.starts_with(event)));
    log
}

#[test]
fn evaluation_and_saving_come_when_they_are_due() {
    let folder = tempfile::tempdir().unwrap();
    let log = Shared::default();
    trainer(config("4ba").with_eval_interval(duration("2ba")), eleven())
        .checkpoints(Checkpoints::new(folder.path()))
        .algorithm(Recorder::new(&log))
        .fit()
        .unwrap();
    let expected = [
        "FitStart 0/0/0",
        "EpochStart 0/0/0",
        "EvalStart 0/2/8",
        "EvalEnd 0/2/8",
        "EpochEnd 1/3/11",
        "Save 1/3/11",
        "EpochStart 1/3/11",
        "EpochEnd 1/4/15",
        "EvalStart 1/4/15",
        "EvalEnd 1/4/15",
        "Save 1/4/15",
        "FitEnd 1/4/15",
    ];
    assert_eq!(outside(&log), expected);
}

#[test]
fn algorithms_act_in_the_order_in_which_they_were_added() {
    let log = Shared::default();
    trainer(config("1ba"), eleven())
        .algorithm(Recorder::labelled(&log, "first "))
        .algorithm(Recorder::labelled(&log, "second "))
        .fit()
        .unwrap();
    let log = read(&log);
    assert_eq!(log.len(), 2 * 15, "{log:?}");
    for pair in log.chunks(2) {
        assert!(pair[0].starts_with("first"));
        assert_eq!(pair[0].replace("first", "second"), pair[1]);
    }
}

#[test]
fn callbacks_see_every_event_after_the_algorithms() {
    let log = Shared::default();
    let seen = log.clone();
    trainer(config("1ba"), eleven())
        .algorithm(Recorder::new(&log))
        .callback(move |event: Event, _: &State<Tiny>| {
            seen.lock().unwrap().push(format!("callback {event}"));
            Ok(())
        })
        .fit()
        .unwrap();
    let log = read(&log);
    assert_eq!(log.len(), 2 * 15, "{log:?}");
    for pair in log.chunks(2) {
        let event = pair[0].split(' ').next().unwrap();
        assert_eq!(pair[1], format!("callback {event}"));
    }
}

#[test]
fn the_scores_of_a_report_are_in_the_history_when_evaluation_ends() {
    let seen = Shared::default();
    let values = seen.clone();
    let fit = trainer(config("2ep"), eleven())
        .eval("val", Samples::new(5, 5).loader())
        .callback(move |event: Event, state: &State<Tiny>| {
            if event == Event::EvalEnd {
                values
                    .lock()
                    .unwrap()
                    .push(state.history.last("val/loss").unwrap());
            }
            Ok(())
        })
        .fit()
        .unwrap();
    let reports = fit.history.reports.iter();
    assert_eq!(
        read(&seen),
        reports
            .map(|r| r.value("val/loss").unwrap())
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_run_ends_in_the_middle_of_an_epoch_when_it_is_asked_to() {
    let log = Shared::default();
    let stop = Stop::new();
    let handle = stop.clone();
    let fit = trainer(config("9ep"), eleven())
        .stop(stop)
        .algorithm(Recorder::new(&log))
        .callback(move |event: Event, state: &State<Tiny>| {
            if event == Event::BatchEnd && state.time().batch == 3 {
                handle.request();
            }
            Ok(())
        })
        .fit()
        .unwrap();
    assert!(!fit.is_complete);
    // The epoch that was cut short has no report.
    assert_eq!(fit.history.reports.len(), 1);
    assert_eq!(read(&log).last().unwrap(), "FitEnd 1/4/15");
}

#[test]
fn a_stop_at_the_end_of_an_epoch_does_not_start_the_next_one() {
    for event in [Event::BatchEnd, Event::EpochEnd, Event::EvalEnd] {
        let log = Shared::default();
        let stop = Stop::new();
        let handle = stop.clone();
        let fit = trainer(config("9ep"), eleven())
            .stop(stop)
            .algorithm(Recorder::new(&log))
            .callback(move |now: Event, state: &State<Tiny>| {
                if now == event && state.time().samples >= 8 {
                    handle.request();
                }
                Ok(())
            })
            .fit()
            .unwrap();
        assert!(!fit.is_complete);
        let expected = [
            "FitStart 0/0/0",
            "EpochStart 0/0/0",
            "EpochEnd 1/3/11",
            "EvalStart 1/3/11",
            "EvalEnd 1/3/11",
            "FitEnd 1/3/11",
        ];
        assert_eq!(outside(&log), expected, "{event}");
    }
}

#[test]
fn a_run_that_was_stopped_before_it_started_trains_nothing() {
    let stop = Stop::new();
    stop.request();
    let fit = trainer(config("1ep"), eleven()).stop(stop).fit().unwrap();
    assert!(!fit.is_complete);
    assert_eq!(
        fit.model.weights(),
        Tiny::new(&Default::default()).weights()
    );
}

#[test]
fn an_error_of_an_algorithm_ends_the_run_and_names_the_place() {
    for (event, batch) in [(Event::AfterForward, 0), (Event::BeforeStep, 4)] {
        let log = Shared::default();
        let error = trainer(config("9ep"), eleven())
            .algorithm(Failing(event, batch))
            .algorithm(Recorder::new(&log))
            .fit()
            .unwrap_err();
        let Error::Algorithm {
            algorithm,
            event: at,
            batch: number,
            ref source,
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!((algorithm.as_str(), at, number), ("failing", event, batch));
        assert!(matches!(
            **source,
            Error::Argument {
                argument: "mood",
                ..
            }
        ));
        let ends = read(&log)
            .iter()
            .filter(|entry| entry.starts_with("BatchEnd"))
            .count();
        assert_eq!(ends as u64, batch);
        assert!(!read(&log).iter().any(|entry| entry.starts_with("FitEnd")));
    }
}

#[test]
fn an_error_of_a_callback_ends_the_run() {
    let error = trainer(config("9ep"), eleven())
        .callback(kill_at(Event::EvalEnd, 3))
        .fit()
        .unwrap_err();
    assert_eq!(argument(error), ("power", "off".into()));
}

#[test]
fn an_algorithm_that_loses_the_images_is_named() {
    let careless = At(Event::BeforeForward, |state: &mut State<Tiny>| {
        let _ = state.map_images(|_| Err(Error::argument("mood", "bad", "a good one")));
        Ok(())
    });
    let error = trainer(config("1ep"), eleven())
        .algorithm(careless)
        .fit()
        .unwrap_err();
    let place = (Event::BeforeForward, 0);
    assert!(matches!(&error, Error::Algorithm { event, batch, .. } if (*event, *batch) == place));
    assert_eq!(argument(error), ("images", "lost".into()));
}

#[test]
fn images_are_an_error_where_there_are_none() {
    for event in [
        Event::FitStart,
        Event::EpochStart,
        Event::BeforeStep,
        Event::BatchEnd,
        Event::EpochEnd,
        Event::EvalStart,
        Event::EvalEnd,
        Event::Save,
        Event::FitEnd,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let asked = || "asked for where there are none".to_string();
        let error = trainer(config("1ep"), eleven())
            .checkpoints(Checkpoints::new(folder.path()))
            .callback(move |now: Event, state: &State<Tiny>| {
                if now == event {
                    state.images()?;
                }
                Ok(())
            })
            .fit()
            .unwrap_err();
        assert_eq!(argument(error), ("images", asked()), "{event}");

        let error = trainer(config("1ep"), eleven())
            .checkpoints(Checkpoints::new(folder.path().join("another")))
            .algorithm(At(event, |state: &mut State<Tiny>| {
                state.gradients_of(state.model())?;
                Ok(())
            }))
            .fit()
            .unwrap_err();
        assert!(matches!(&error, Error::Algorithm { event: at, .. } if *at == event));
        assert_eq!(argument(error), ("images", asked()), "{event}");
    }
}

#[test]
fn a_second_interpolation_of_the_loss_is_refused_at_the_batch() {
    // It does not say so in its effects.
    let secretive = At(Event::BatchStart, |state: &mut State<Tiny>| {
        state.interpolation = Some(cutmix_train::Interpolation {
            targets: state.targets.clone(),
            lambda: 0.5,
        });
        Ok(())
    });
    let (argument, _) = refused(config("1ep"), |trainer| {
        trainer
            .algorithm(secretive)
            .algorithm(CutMix::new().with_interpolate_loss(true))
    });
    assert_eq!(argument, "interpolation");
}

#[test]
fn what_an_algorithm_takes_away_is_named() {
    let takes_loss = At(Event::BeforeBackward, |state: &mut State<Tiny>| {
        state.loss = None;
        Ok(())
    });
    let error = trainer(config("1ep"), eleven())
        .algorithm(takes_loss)
        .fit()
        .unwrap_err();
    assert_eq!(argument(error), ("loss", "taken by an algorithm".into()));
    let takes_logits = At(Event::AfterForward, |state: &mut State<Tiny>| {
        state.logits = None;
        Ok(())
    });
    let error = trainer(config("1ep"), eleven())
        .algorithm(takes_logits)
        .fit()
        .unwrap_err();
    assert_eq!(argument(error), ("logits", "taken by an algorithm".into()));
}

#[test]
fn an_algorithm_can_change_the_learning_rate_of_a_batch() {
    let weights = |algorithm: Option<f64>, rate: f64| {
        let mut trainer = trainer(config("3ba").with_learning_rate(rate), eleven());
        if let Some(rate) = algorithm {
            trainer = trainer.algorithm(At(Event::BeforeStep, move |state: &mut State<Tiny>| {
                state.learning_rate = rate;
                Ok(())
            }));
        }
        trainer.fit().unwrap().model.weights()
    };
    assert_eq!(weights(Some(0.3), 0.1), weights(None, 0.3));
}
