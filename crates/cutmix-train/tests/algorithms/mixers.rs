//! FMix and ResizeMix: what they do to the batches of a run, and that lambda is the share of pixels.

use cutmix::functional::{cutmix_apply, cutmix_plan, fmix_batch, resizemix_apply, resizemix_batch};
use cutmix::plan::{Mode, PlanSampler, RegionSampler};
use cutmix_train::algorithms::{FMix, ResizeMix};

use crate::common::{CLASSES, values};
use crate::steps::{mean, rng};
use crate::{BATCH, assert_close, batch, boxed, fit, steps};

/// The share of pixels in which two images are equal.
fn share_of_equal_pixels(one: &[f32], other: &[f32]) -> f64 {
    let equal = one
        .iter()
        .zip(other)
        .filter(|(one, other)| one == other)
        .count();
    equal as f64 / one.len() as f64
}

#[test]
fn fmix_does_what_the_function_does() {
    let seen = steps(
        3,
        vec![boxed(FMix::new().with_alpha(0.7).with_decay_power(2.0))],
    );
    for (step, seen) in seen.iter().enumerate() {
        let data = batch(3, step);
        let (images, targets) =
            fmix_batch(data.images, data.targets, CLASSES, 0.7, 2.0, &mut rng(step)).unwrap();
        assert_eq!(seen.images, values(images));
        assert_eq!(seen.targets, values(targets));
    }
}

#[test]
fn fmix_obeys_its_mode() {
    for mode in [Mode::Batch, Mode::Pair, Mode::Sample] {
        let seen = &steps(1, vec![boxed(FMix::new().with_mode(mode))])[0];
        let masks = RegionSampler::LowFrequency { decay_power: 3.0 };
        let sampler = PlanSampler::new(1.0)
            .with_region_sampler(masks)
            .with_mode(mode);
        let data = batch(1, 0);
        let plan = cutmix_plan(&sampler, &data.images, &mut rng(0)).unwrap();
        assert_eq!(seen.logged("fmix/lambda"), Some(mean(plan.lambdas())));
        let (images, targets) = cutmix_apply(data.images, data.targets, CLASSES, &plan).unwrap();
        assert_eq!(
            (&seen.images, &seen.targets),
            (&values(images), &values(targets))
        );
    }
}

#[test]
fn resizemix_does_what_the_function_does() {
    let seen = steps(3, vec![boxed(ResizeMix::new())]);
    for (step, seen) in seen.iter().enumerate() {
        let data = batch(3, step);
        let (images, targets) =
            resizemix_batch(data.images, data.targets, CLASSES, &mut rng(step)).unwrap();
        assert_eq!(seen.images, values(images));
        assert_eq!(seen.targets, values(targets));
    }
}

#[test]
fn resizemix_obeys_its_scale() {
    let seen = &steps(1, vec![boxed(ResizeMix::new().with_scale(0.5, 0.5))])[0];
    assert_eq!(seen.logged("resizemix/lambda"), Some(0.75));
    let sampler = RegionSampler::Scale { min: 0.5, max: 0.5 };
    let sampler = PlanSampler::new(1.0).with_region_sampler(sampler);
    let data = batch(1, 0);
    let plan = cutmix_plan(&sampler, &data.images, &mut rng(0)).unwrap();
    let (images, targets) = resizemix_apply(data.images, data.targets, CLASSES, &plan).unwrap();
    assert_eq!(
        (&seen.images, &seen.targets),
        (&values(images), &values(targets))
    );
}

#[test]
fn lambda_is_the_share_of_pixels_that_stay() {
    for (algorithm, name) in [
        (boxed(FMix::new()), "fmix/lambda"),
        (boxed(ResizeMix::new()), "resizemix/lambda"),
    ] {
        // The data hold no value twice, so that an equal pixel is one that stayed.
        for (step, seen) in steps(20, vec![algorithm]).iter().enumerate() {
            let lambda = seen.logged(name).unwrap();
            let data = batch(20, step);
            let (images, dense) = (
                values(data.images),
                data.targets.into_dense(CLASSES).unwrap(),
            );
            for sample in 0..BATCH {
                let pixels = 16 * sample..16 * (sample + 1);
                let kept = share_of_equal_pixels(&seen.images[pixels.clone()], &images[pixels]);
                let row = CLASSES * sample..CLASSES * (sample + 1);
                let (mixed, own) = (&seen.targets[row.clone()], &values(dense.clone())[row]);
                let class = own.iter().position(|&share| share == 1.0).unwrap();
                assert!((mixed.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                // A partner of the same class, or the sample itself, leaves the target whole.
                if mixed[class] < 1.0 {
                    assert_eq!(kept, lambda, "{name} of sample {sample} of batch {step}");
                    assert!((f64::from(mixed[class]) - lambda).abs() < 1e-6);
                }
            }
        }
    }
}

#[test]
fn fmix_and_resizemix_can_interpolate_the_loss() {
    let fmix = |interpolate| vec![boxed(FMix::new().with_interpolate_loss(interpolate))];
    let weights = |algorithms| fit(3, algorithms).unwrap().model.weights();
    assert_close(&weights(fmix(true)), &weights(fmix(false)), 1e-5);
    let resizemix = |interpolate| vec![boxed(ResizeMix::new().with_interpolate_loss(interpolate))];
    assert_close(&weights(resizemix(true)), &weights(resizemix(false)), 1e-5);
    assert!(steps(1, fmix(true))[0].interpolation.is_some());
}
