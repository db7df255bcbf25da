//! Tests of algorithms as text.

use super::{AlgorithmSpec, Event, NAMES, check_together, in_order};
use crate::error::Error;

fn parse(text: &str) -> AlgorithmSpec {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_algorithm_reads_back_as_it_prints() {
    let own = [
        "none",
        "cutmix:alpha=0.5,sampler=uniform,interpolate-loss,probability=0.5",
        "cutmix:sampler=min-max:0.2..0.8,mode=pair,from=2ep,until=0.9dur",
        "cutout:length=16,mode=batch",
        "cutout:length=1.0,until=12800sp",
        "label-smoothing:0.2,until=1ep",
        "gradient-clipping:0.5",
        "ema:0.99",
        "one-of(mixup:alpha=0.8,weight=3|cutmix:mode=pair,probability=0.5):until=0.9dur",
    ];
    for text in NAMES.iter().chain(&own) {
        let spec = parse(text);
        let printed = spec.to_string();
        assert_eq!(parse(&printed), spec, "{printed}");
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<AlgorithmSpec>(&json).unwrap(), spec);
    }
}

#[test]
fn the_text_has_every_setting() {
    let printed = parse("cutmix").to_string();
    for setting in ["alpha=1", "sampler=paper", "mode=batch"] {
        assert!(printed.contains(setting), "{printed}");
    }
    assert_eq!(
        parse("label-smoothing:0.2").to_string(),
        "label-smoothing:smoothing=0.2"
    );
}

#[test]
fn algorithms_are_listed_in_the_order_in_which_they_act() {
    let specs = [
        "ema",
        "gradient-clipping",
        "sam",
        "label-smoothing",
        "none",
        "cutout",
    ];
    let specs = [
        specs.map(parse).as_slice(),
        &[parse("one-of(cutmix|mixup)")],
    ]
    .concat();
    let names = |last| {
        let order = in_order(&specs, last, "; ");
        let names = order.split("; ").map(|spec| spec.split([':', '(']).next());
        names
            .map(|name| name.unwrap_or_default().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(Event::BeforeForward), ["cutout", "one-of"]);
    let all = [
        "cutout",
        "one-of",
        "label-smoothing",
        "sam",
        "gradient-clipping",
        "ema",
    ];
    assert_eq!(names(Event::FitEnd), all);
    assert_eq!(in_order(&[parse("none")], Event::FitEnd, "; "), "none");
}

#[test]
fn algorithms_that_cannot_work_together_are_refused() {
    let check = |texts: &[&str]| {
        let specs: Vec<_> = texts.iter().map(|text| parse(text)).collect();
        check_together(&specs)
    };
    for accepted in [
        &["cutmix", "label-smoothing"][..],
        &["mixup", "cutmix", "cutout"],
        &["cutmix:interpolate-loss", "cutout", "none"],
        &["one-of(cutmix:interpolate-loss|label-smoothing)"],
    ] {
        assert!(check(accepted).is_ok(), "{accepted:?}");
    }
    for refused in [
        &["cutmix:interpolate-loss", "label-smoothing"][..],
        &["mixup", "none", "cutmix:interpolate-loss"],
        &["one-of(cutmix:interpolate-loss|cutout)", "label-smoothing"],
        &["ema", "ema:0.9"],
    ] {
        let error = check(refused).unwrap_err();
        let is_it = matches!(&error, Error::Option { option, .. } if option == "algorithm");
        assert!(is_it, "{refused:?}: {error}");
    }
}

#[test]
fn unknown_names_suggest_the_nearest_one() {
    for (text, meant) in [
        ("cutmx", "cutmix"),
        ("cutuot", "cutout"),
        ("cutmix:aplha=1", "alpha"),
        ("one-of(cutmix|mixap)", "mixup"),
        ("gradient-cliping", "gradient-clipping"),
    ] {
        match text.parse::<AlgorithmSpec>() {
            Err(Error::Unknown { near, .. }) => {
                assert_eq!(near.as_deref(), Some(meant), "{text}")
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

/// The values of settings are refused by the registry, whose tests list them.
#[test]
fn texts_that_are_not_accepted_are_refused() {
    for text in [
        "cutmix:alpha=NaN",
        "cutmix:alpha",
        "cutmix:alpha=1,alpha=2",
        "cutmix:probability=2",
        "cutmix:until=90%",
        "one-of:cutmix",
        "one-of()",
        "one-of(cutmix|)",
        "one-of(cutmix",
        "one-of(cutmix)until=0.5dur",
        "one-of(cutmix:weight=-1|mixup)",
        "one-of(cutmix:weight=much)",
        "one-of(cutmix|none)",
        "one-of(cutmix|one-of(mixup))",
        "one-of(cutmix|one-of)",
        "label-smoothing:0.1,smoothing=0.2",
        "none:alpha=1",
    ] {
        let refused = text.parse::<AlgorithmSpec>();
        assert!(
            matches!(refused, Err(Error::Algorithm { .. })),
            "{text}: {refused:?}"
        );
    }
}
