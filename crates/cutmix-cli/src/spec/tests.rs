use super::{Spec, check_together, in_order};

/// Specs with every setting, as they are printed.
const FULL: [&str; 10] = [
    "none",
    "cutmix:alpha=0.5,sampler=uniform,mode=batch,interpolate-loss,probability=0.5",
    "cutmix:sampler=min-max:0.2..0.8,mode=pair,probability=1,from=2ep,until=0.9dur",
    "mixup:alpha=0.2,mode=sample,probability=1",
    "mixup:alpha=1,mode=batch,interpolate-loss,probability=0.25,until=1h30m",
    "mixup-or-cutmix:mixup-alpha=0.8,cutmix-alpha=1,switch=0.5,probability=1,from=500ba",
    "one-of(mixup:alpha=0.8,mode=batch,probability=1,weight=3|cutmix:alpha=1,sampler=paper,\
     mode=pair,probability=0.5,until=1ep,weight=0.5):probability=1,until=0.9dur",
    "cutout:length=16,mode=batch,probability=1",
    "cutout:length=1.0,mode=sample,probability=1,until=12800sp",
    "label-smoothing:smoothing=0.1,probability=1,from=0.5dur",
];

#[test]
fn a_spec_reads_back_as_it_prints() {
    for text in FULL {
        let spec: Spec = text.parse().unwrap();
        assert_eq!(spec.to_string(), text);
        #[derive(serde::Serialize, serde::Deserialize)]
        struct File {
            algorithm: Vec<Spec>,
        }
        let algorithm = vec![spec.clone()];
        let file = toml::to_string(&File { algorithm }).unwrap();
        assert_eq!(file, format!("algorithm = [\"{text}\"]\n"));
        assert_eq!(toml::from_str::<File>(&file).unwrap().algorithm, [spec]);
    }
}

#[test]
fn what_is_not_given_has_a_default() {
    let full = |text: &str| text.parse::<Spec>().unwrap().to_string();
    for (short, text) in [
        (
            "cutmix",
            "cutmix:alpha=1,sampler=paper,mode=batch,probability=1",
        ),
        ("mixup", "mixup:alpha=0.2,mode=batch,probability=1"),
        (
            "mixup-or-cutmix",
            "mixup-or-cutmix:mixup-alpha=0.8,cutmix-alpha=1,switch=0.5,probability=1",
        ),
        (
            "one-of(cutout:length=8,weight=2 | label-smoothing:0.2):probability=0.5",
            "one-of(cutout:length=8,mode=sample,probability=1,weight=2|\
             label-smoothing:smoothing=0.2,probability=1,weight=1):probability=0.5",
        ),
        ("cutout", "cutout:length=0.5,mode=sample,probability=1"),
        (
            "cutout:length=8",
            "cutout:length=8,mode=sample,probability=1",
        ),
        (
            "label-smoothing",
            "label-smoothing:smoothing=0.1,probability=1",
        ),
        (
            "label-smoothing:0.2,until=1ep",
            "label-smoothing:smoothing=0.2,probability=1,until=1ep",
        ),
    ] {
        assert_eq!(full(short), text);
    }
    assert_eq!(Spec::default(), "cutmix".parse().unwrap());
}

#[test]
fn specs_are_shown_in_the_order_in_which_they_act() {
    let specs = ["label-smoothing", "cutout", "none", "one-of(cutmix|mixup)"]
        .map(|text| text.parse().unwrap());
    let shown = in_order(&specs, ", then ");
    let names: Vec<_> = (shown.split(", then "))
        .map(|spec| spec.split([':', '(']).next())
        .collect();
    assert_eq!(
        names,
        ["cutout", "none", "one-of", "label-smoothing"].map(Some)
    );
}

#[test]
fn specs_that_cannot_work_together_are_told() {
    let told = |texts: &[&str]| {
        let specs: Vec<Spec> = texts.iter().map(|text| text.parse().unwrap()).collect();
        check_together(&specs).map_err(|error| error.to_string())
    };
    for together in [
        &["cutmix", "label-smoothing"][..],
        &["mixup", "cutmix", "cutout"],
        &["mixup-or-cutmix", "label-smoothing:0.1", "none"],
        &["cutmix:interpolate-loss", "cutout"],
        &["one-of(cutmix:interpolate-loss|label-smoothing)"],
    ] {
        assert_eq!(told(together), Ok(()));
    }
    let told = [
        &["cutmix:interpolate-loss", "label-smoothing"][..],
        &["mixup", "none", "cutmix:interpolate-loss"],
        &["mixup:interpolate-loss", "cutmix:interpolate-loss"],
        &["one-of(cutmix:interpolate-loss|cutout)", "label-smoothing"],
        &[
            "label-smoothing",
            "cutmix",
            "label-smoothing:0.2,from=0.5dur",
        ],
    ]
    .map(|texts| told(texts).unwrap_err());
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn wrong_specs_say_what_is_accepted() {
    let messages: Vec<_> = [
        "cutmx",
        "mixcut",
        "cutuot",
        "smoothing:0.1",
        "",
        "cutmix:alpha=0",
        "cutmix:alpha=NaN",
        "cutmix:alpha=-1",
        "cutmix:alpha=one",
        "cutmix:alpha",
        "cutmix:alpha=1,alpha=2",
        "cutmix:aplha=1",
        "cutmix:probability=2",
        "cutmix:sampler=unifrom",
        "cutmix:sampler=min-max",
        "cutmix:sampler=min-max:0.8..0.2",
        "cutmix:alpha=1,sampler=min-max:0.2..0.8",
        "cutmix:mode=pairs",
        "cutmix:mode=pair,interpolate-loss",
        "cutmix:interpolate-loss=true",
        "cutmix:until=0.9",
        "cutmix:until=90%",
        "cutmix:from=0.5dur,until=0.2dur",
        "mixup:alpha=0",
        "mixup:sampler=uniform",
        "mixup-or-cutmix:switch=2",
        "mixup-or-cutmix:mixup-alpha=0",
        "mixup-or-cutmix:alpha=1",
        "one-of",
        "one-of:cutmix",
        "one-of()",
        "one-of(cutmix|)",
        "one-of(cutmix",
        "one-of(cutmix)until=0.5dur",
        "one-of(cutmix:weight=-1|mixup)",
        "one-of(cutmix:weight=0)",
        "one-of(cutmix:weight=much)",
        "one-of(cutmix|mixap)",
        "one-of(cutmix|none)",
        "one-of(cutmix|one-of(mixup))",
        "one-of(one-of(mixup|cutout)|cutmix)",
        "one-of(cutmix|one-of)",
        "one-of(mixup-or-cutmix|cutout)",
        "one-of(cutmix:alpha=0|mixup)",
        "one-of(cutmix|mixup):weight=2",
        "cutmix:weight=2",
        "cutout:length=0",
        "cutout:length=1.5",
        "cutout:length=half",
        "cutout:16",
        "cutout:mode=pair",
        "label-smoothing:1",
        "label-smoothing:much",
        "label-smoothing:0.1,smoothing=0.2",
        "none:alpha=1",
    ]
    .map(|text| text.parse::<Spec>().unwrap_err().to_string())
    .into();
    insta::assert_snapshot!(messages.join("\n"));
}
