//! Settings out of range.

use cutmix::plan::{Mode, RegionSampler};
use cutmix_train::algorithms::{
    Algorithm, CutMix, CutOut, Ema, FMix, GradientClipping, LabelSmoothing, MixUp, MixUpOrCutMix,
    OneOf, ProgressiveResizing, ResizeMix, Sam, When,
};
use cutmix_train::{Duration, Error, Event};

use crate::common::{Tiny, duration};
use crate::fixtures::Recorder;
use crate::{argument, boxed, fit};

/// Asserts that a setting is refused before training.
#[track_caller]
fn refused(algorithm: impl Algorithm<Tiny> + 'static, name: &str) {
    let recorder = Recorder::default();
    let error = fit(1, vec![boxed(recorder.clone()), boxed(algorithm)]).unwrap_err();
    assert_eq!(argument(&error), name, "{error}");
    assert!(
        recorder.0.lock().unwrap().is_empty(),
        "training has started"
    );
}

/// Asserts that an algorithm fails at an event of the first batch.
#[track_caller]
fn fails(algorithm: impl Algorithm<Tiny> + 'static, at: Event, name: &str) {
    let named = algorithm.name();
    match fit(1, vec![boxed(algorithm)]).unwrap_err() {
        Error::Algorithm {
            algorithm,
            event,
            batch: 0,
            source,
        } => {
            assert_eq!((algorithm, event), (named, at));
            assert_eq!(argument(&source), name, "{source}");
        }
        other => panic!("{other}"),
    }
}

const NO_NUMBERS: [f64; 3] = [f64::NAN, f64::INFINITY, -1.0];

#[test]
fn settings_of_mixers_out_of_range_are_refused() {
    for alpha in [0.0, f64::NAN, f64::INFINITY, -1.0] {
        refused(CutMix::new().with_alpha(alpha), "alpha");
        refused(MixUp::new().with_alpha(alpha), "alpha");
        refused(FMix::new().with_alpha(alpha), "alpha");
        refused(MixUpOrCutMix::new().with_mixup_alpha(alpha), "alpha");
        refused(MixUpOrCutMix::new().with_cutmix_alpha(alpha), "alpha");
    }
    for decay_power in NO_NUMBERS {
        refused(FMix::new().with_decay_power(decay_power), "region_sampler");
    }
    for min in [0.0, 1.1, f64::NAN] {
        refused(ResizeMix::new().with_scale(min, 0.8), "min_scale");
    }
    for max in [0.4, 1.1, f64::NAN] {
        refused(ResizeMix::new().with_scale(0.5, max), "max_scale");
    }
    for switch in [-0.1, 1.1, f64::NAN] {
        refused(MixUpOrCutMix::new().with_switch(switch), "switch");
    }
}

#[test]
fn an_alpha_without_effect_is_refused() {
    for sampler in [
        RegionSampler::MinMax { min: 0.2, max: 0.8 },
        RegionSampler::Scale { min: 0.2, max: 0.8 },
    ] {
        let cutmix = CutMix::new().with_region_sampler(sampler);
        Algorithm::<Tiny>::check(&cutmix).unwrap();
        refused(cutmix.with_alpha(0.5), "alpha");
    }
}

#[test]
fn an_interpolated_loss_of_several_lambdas_is_refused() {
    for mode in [Mode::Pair, Mode::Sample] {
        refused(
            MixUp::new().with_mode(mode).with_interpolate_loss(true),
            "interpolate_loss",
        );
        refused(
            CutMix::new().with_mode(mode).with_interpolate_loss(true),
            "interpolate_loss",
        );
        refused(
            FMix::new().with_mode(mode).with_interpolate_loss(true),
            "interpolate_loss",
        );
    }
}

#[test]
fn settings_of_cutout_out_of_range_are_refused() {
    refused(CutOut::new(0), "length");
    for length in [0.0, 1.5, f64::NAN] {
        refused(CutOut::new(length), "length");
    }
    refused(CutOut::new(2).with_value(f64::INFINITY), "value");
    refused(CutOut::new(2).with_mode(Mode::Pair), "mode");
    // Only the images, of 4 x 4 pixels, show that a square is too large.
    fails(CutOut::new(5), Event::BeforeForward, "length");
}

#[test]
fn settings_of_label_smoothing_out_of_range_are_refused() {
    for smoothing in [-0.1, 1.0, f64::NAN] {
        refused(LabelSmoothing::new(smoothing), "smoothing");
    }
}

#[test]
fn settings_of_gradient_algorithms_out_of_range_are_refused() {
    for number in [0.0, f64::NAN, f64::INFINITY, -1.0] {
        refused(Sam::new(number), "rho");
        refused(Sam::default().with_epsilon(number), "epsilon");
        refused(GradientClipping::new(number), "max_norm");
    }
    refused(Sam::default().with_interval(0), "interval");
}

#[test]
fn settings_of_the_moving_average_out_of_range_are_refused() {
    for decay in [-0.1, 1.0, f64::NAN] {
        refused(Ema::new(decay), "decay");
    }
    refused(
        Ema::default().with_update_interval(duration("0ba")),
        "update_interval",
    );
    refused(Ema::default().with_half_life(duration("0ba")), "half_life");
    // The interval is a batch unless it is set.
    refused(Ema::default().with_half_life(duration("2ep")), "half_life");
    let ema = Ema::default().with_half_life(duration("2ep"));
    Algorithm::<Tiny>::check(&ema.with_update_interval(duration("1ep"))).unwrap();
    let mut both = Ema::new(0.9);
    both.half_life = Some(duration("100ba"));
    refused(both, "decay");
}

#[test]
fn settings_of_progressive_resizing_out_of_range_are_refused() {
    let resizing = ProgressiveResizing::new;
    for scale in [0.0, 1.1, f64::NAN] {
        refused(resizing().with_initial_scale(scale), "initial_scale");
    }
    for share in [-0.1, 1.1, f64::NAN] {
        refused(resizing().with_delay_fraction(share), "delay_fraction");
        refused(
            resizing().with_finetune_fraction(share),
            "finetune_fraction",
        );
    }
    // Half of the run is the delay.
    refused(resizing().with_finetune_fraction(0.6), "finetune_fraction");
    refused(resizing().with_size_increment(0), "size_increment");
}

#[test]
fn settings_of_when_out_of_range_are_refused() {
    let when = || When::new(CutMix::new());
    for probability in [-0.1, 1.5, f64::NAN] {
        refused(when().with_probability(probability), "probability");
    }
    refused(when().with_from(Duration::Share(1.5)), "from");
    refused(when().with_until(Duration::Share(-1.0)), "until");
    refused(when().with_until(Duration::Batches(0)), "until");
    for (from, until) in [
        ("5ba", "5ba"),
        ("2ep", "1ep"),
        ("0.9dur", "0.1dur"),
        ("1h", "5m"),
    ] {
        refused(
            when().with_from(duration(from)).with_until(duration(until)),
            "until",
        );
    }
    refused(When::new(CutMix::new().with_alpha(-1.0)), "alpha");
}

#[test]
fn choices_without_a_weight_are_refused() {
    let cutout = || CutOut::new(2);
    refused(OneOf::new(), "weights");
    refused(OneOf::new().with(0.0, cutout()), "weights");
    refused(
        OneOf::new()
            .with(f64::MAX, cutout())
            .with(f64::MAX, cutout()),
        "weights",
    );
    for weight in NO_NUMBERS {
        refused(
            OneOf::new().with(1.0, cutout()).with(weight, cutout()),
            "weight",
        );
    }
    refused(
        OneOf::new().with(1.0, MixUp::new().with_alpha(f64::NAN)),
        "alpha",
    );
}
