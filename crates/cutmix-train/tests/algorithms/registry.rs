//! Algorithms by name.

use cutmix::plan::{Length, Mode, RegionSampler};
use cutmix_train::algorithms::{
    ALGORITHMS, Algorithm, AlgorithmConfig, CutMix, CutOut, Ema, LabelSmoothing, MixUp, NAMES, Sam,
};
use cutmix_train::{Error, Event};
use serde_json::{Map, Value, json};

use crate::common::{Tiny, duration};
use crate::{argument, fit};

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn from_settings(name: &str, settings: Value) -> Result<AlgorithmConfig, Error> {
    AlgorithmConfig::from_settings(name, map(settings))
}

fn defaults() -> Vec<AlgorithmConfig> {
    NAMES
        .iter()
        .map(|name| from_settings(name, json!({})).unwrap())
        .collect()
}

#[test]
fn every_name_makes_its_algorithm() {
    for (config, name) in defaults().into_iter().zip(NAMES) {
        assert_eq!(config.name(), *name);
        assert_eq!(config.info().name, *name);
        let algorithm = config.init::<Tiny>();
        let is_choice = *name == "mixup-or-cutmix";
        assert!(
            is_choice || algorithm.name() == *name,
            "{}",
            algorithm.name()
        );
    }
    let infos: Vec<_> = ALGORITHMS.iter().map(|info| info.name).collect();
    assert_eq!(infos, NAMES);
}

#[test]
fn every_config_survives_a_round_trip_through_json() {
    for config in defaults() {
        let json = serde_json::to_value(&config).unwrap();
        // One entry: the name, and the settings.
        assert_eq!(
            json.get(config.name()),
            Some(&Value::Object(config.values()))
        );
        assert_eq!(
            serde_json::from_value::<AlgorithmConfig>(json).unwrap(),
            config
        );
        let again = AlgorithmConfig::from_settings(config.name(), config.values());
        assert_eq!(again.unwrap(), config);
        // Settings that are left out have their defaults.
        let short = json!({ config.name(): {} });
        assert_eq!(
            serde_json::from_value::<AlgorithmConfig>(short).unwrap(),
            config
        );
    }
}

#[test]
fn settings_that_differ_from_their_defaults_survive_a_round_trip() {
    let sampler = RegionSampler::MinMax { min: 0.2, max: 0.8 };
    let cutmix = CutMix::new()
        .with_region_sampler(sampler)
        .with_mode(Mode::Pair);
    let ema = Ema::default()
        .with_half_life(duration("3ep"))
        .with_update_interval(duration("1ep"));
    let configs: [AlgorithmConfig; 5] = [
        cutmix.into(),
        ema.into(),
        CutOut::new(16).with_value(-0.5).into(),
        MixUp::new().with_interpolate_loss(true).into(),
        Sam::new(0.1).with_interval(3).into(),
    ];
    for config in configs {
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(
            serde_json::from_str::<AlgorithmConfig>(&json).unwrap(),
            config,
            "{json}"
        );
        let again = AlgorithmConfig::from_settings(config.name(), config.values());
        assert_eq!(again.unwrap(), config);
    }
}

#[test]
fn every_setting_is_described_and_every_description_is_a_setting() {
    for (info, config) in ALGORITHMS.iter().zip(defaults()) {
        let settings = info.settings();
        for name in config.values().keys() {
            assert!(
                settings.iter().any(|setting| setting.name == name),
                "{name} of {}",
                info.name
            );
        }
        for setting in &settings {
            assert_eq!(setting.default.as_ref(), config.values().get(setting.name));
            // A value of the wrong type is refused for its type, not as an unknown setting.
            let error = from_settings(info.name, json!({ setting.name: [[]] })).unwrap_err();
            assert_eq!(argument(&error), setting.name);
        }
        let is_setting = |unnamed| settings.iter().any(|setting| setting.name == unnamed);
        assert!(info.unnamed.is_none_or(is_setting));
        assert!(!info.summary.contains('\n') && !info.summary.ends_with('.'));
    }
}

#[test]
fn settings_are_numbers_words_and_flags() {
    let config = from_settings(
        "cutmix",
        json!({ "sampler": "min-max:0.2..0.8", "mode": "batch", "interpolate-loss": true }),
    );
    let sampler = RegionSampler::MinMax { min: 0.2, max: 0.8 };
    let cutmix = CutMix::new()
        .with_region_sampler(sampler)
        .with_interpolate_loss(true);
    assert_eq!(config.unwrap(), cutmix.into());
    // A whole number is a number of pixels, and one with a decimal point a share.
    for (value, length) in [
        (json!(16), Length::Pixels(16)),
        (json!(1.0), Length::Share(1.0)),
        (json!(0.5), Length::Share(0.5)),
    ] {
        let config = from_settings("cutout", json!({ "length": value })).unwrap();
        assert_eq!(
            config,
            CutOut {
                length,
                ..CutOut::default()
            }
            .into()
        );
    }
    // A whole number serves where a number with a decimal point is meant.
    let config = from_settings("label-smoothing", json!({ "smoothing": 0 })).unwrap();
    assert_eq!(config, LabelSmoothing::new(0.0).into());
    let config = from_settings("ema", json!({ "half-life": "100ba" })).unwrap();
    assert_eq!(
        config,
        Ema::default().with_half_life(duration("100ba")).into()
    );
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let error = from_settings("cutmx", json!({})).unwrap_err();
    let Error::Argument {
        argument: "algorithm",
        value,
        accepted,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(value, "cutmx");
    assert_eq!(accepted, NAMES.join(", "));

    let error = from_settings("cutmix", json!({ "alpha": 1.0, "aplha": 1.0 })).unwrap_err();
    let Error::Argument {
        argument: "setting",
        value,
        accepted,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(value, "aplha");
    assert_eq!(accepted, "alpha, sampler, mode, interpolate-loss");
    assert!(
        serde_json::from_value::<AlgorithmConfig>(json!({ "cutmix": { "aplha": 1 } })).is_err()
    );
}

#[test]
fn values_that_are_not_accepted_are_refused_by_name() {
    for (name, settings, refused) in [
        ("cutmix", json!({ "alpha": "one" }), "alpha"),
        ("cutmix", json!({ "alpha": 0 }), "alpha"),
        ("cutmix", json!({ "mode": "pairs" }), "mode"),
        ("cutmix", json!({ "sampler": "unifrom" }), "sampler"),
        (
            "cutmix",
            json!({ "sampler": "min-max:0.8..0.2" }),
            "sampler",
        ),
        (
            "cutmix",
            json!({ "mode": "pair", "interpolate-loss": true }),
            "interpolate_loss",
        ),
        (
            "cutmix",
            json!({ "interpolate-loss": 1 }),
            "interpolate-loss",
        ),
        ("cutout", json!({ "length": "half" }), "length"),
        ("cutout", json!({ "length": 0 }), "length"),
        ("sam", json!({ "interval": 1.5 }), "interval"),
        ("sam", json!({ "interval": 0 }), "interval"),
        ("ema", json!({ "half-life": "100" }), "half-life"),
        ("ema", json!({ "half-life": "2ep" }), "half_life"),
        ("progressive-resizing", json!({ "mode": "stretch" }), "mode"),
    ] {
        let error = from_settings(name, settings).unwrap_err();
        assert_eq!(argument(&error), refused, "{error}");
    }
}

#[test]
fn images_too_small_for_a_square_are_refused() {
    let cutout = from_settings("cutout", json!({ "length": 16 })).unwrap();
    cutout.check_images(&[16, 32]).unwrap();
    assert_eq!(
        argument(&cutout.check_images(&[15, 32]).unwrap_err()),
        "length"
    );
    from_settings("cutmix", json!({}))
        .unwrap()
        .check_images(&[1, 1])
        .unwrap();
}

#[test]
fn algorithms_know_when_they_act() {
    for info in ALGORITHMS {
        let event = match info.name {
            "label-smoothing" => Event::BeforeLoss,
            "sam" => Event::AfterBackward,
            "gradient-clipping" => Event::BeforeStep,
            "ema" => Event::BatchEnd,
            _ => Event::BeforeForward,
        };
        assert_eq!(info.event, event, "{}", info.name);
        assert_eq!(info.changes_images(), event == Event::BeforeForward);
    }
}

#[test]
fn algorithms_by_name_train() {
    // The images are 4 x 4 pixels, and the network has a fixed size.
    let full = json!({ "initial-scale": 1.0 });
    let run = |name: &str, settings: Value| {
        let algorithm: Box<dyn Algorithm<Tiny>> = from_settings(name, settings).unwrap().init();
        let fit = fit(3, vec![algorithm]).unwrap();
        assert!(
            fit.history.last("train/loss").unwrap().is_finite(),
            "{name}"
        );
    };
    for name in NAMES {
        let is_resizing = *name == "progressive-resizing";
        run(name, if is_resizing { full.clone() } else { json!({}) });
    }
}
