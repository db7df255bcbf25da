//! SAM and gradient clipping against the same steps computed by hand.

use burn::optim::GradientsParams;
use burn::tensor::Device;
use cutmix::loss::CrossEntropy;
use cutmix::plan::Stream;
use cutmix_train::algorithms::{Algorithm, CutMix, GradientClipping, LabelSmoothing, MixUp, Sam};
use cutmix_train::{Batch, Event, Fit, Network, State, Trainer, TrainerConfig};

use crate::common::{At, CLASSES, Shared, read};
use crate::fixtures::Normed;
use crate::{SEED, assert_close, batch, boxed, config, trainer_of};

type Parameters = [Vec<f32>; 3];

const RATE: f32 = 0.1;

fn device() -> Device {
    Device::default().autodiff()
}

fn model() -> Normed {
    Normed::new(&Device::default())
}

fn fit(
    config: TrainerConfig,
    batches: usize,
    algorithms: Vec<Box<dyn Algorithm<Normed>>>,
) -> Fit<Normed> {
    let trainer = trainer_of(config, model(), batches);
    (algorithms.into_iter())
        .fold(trainer, Trainer::algorithm)
        .fit()
        .unwrap()
}

/// The gradients of the mean cross-entropy of a batch at these parameters.
fn gradients(parameters: &Parameters, batch: &Batch) -> Parameters {
    let device = device();
    let model = Normed::with_parameters(parameters, &device);
    let images = batch.images.clone().autodiff();
    let loss = CrossEntropy::new()
        .forward(model.forward(images), batch.targets.clone())
        .unwrap();
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    model.gradients(&gradients)
}

fn norm(gradients: &Parameters) -> f32 {
    let squares = gradients
        .iter()
        .flatten()
        .map(|&g| f64::from(g) * f64::from(g));
    squares.sum::<f64>().sqrt() as f32
}

/// `parameters + scale * direction`.
fn moved(parameters: &Parameters, direction: &Parameters, scale: f32) -> Parameters {
    std::array::from_fn(|index| {
        let pairs = parameters[index].iter().zip(&direction[index]);
        pairs
            .map(|(parameter, step)| parameter + scale * step)
            .collect()
    })
}

/// The gradients at the parameters moved by `rho` along the gradients.
fn sharp_gradients(parameters: &Parameters, batch: &Batch, rho: f32) -> Parameters {
    let first = gradients(parameters, batch);
    gradients(&moved(parameters, &first, rho / norm(&first)), batch)
}

fn assert_same_parameters(found: &Parameters, expected: &Parameters, tolerance: f32) {
    for (found, expected) in found.iter().zip(expected) {
        assert_close(found, expected, tolerance);
    }
}

#[test]
fn sam_takes_the_gradients_of_the_moved_weights() {
    let rho = 0.5;
    let mut by_hand = model().parameters();
    for step in 0..4 {
        let gradients = sharp_gradients(&by_hand, &batch(4, step), rho);
        by_hand = moved(&by_hand, &gradients, -RATE);
    }
    let sam = fit(config("1ep"), 4, vec![boxed(Sam::new(f64::from(rho)))]).model;
    assert_same_parameters(&sam.parameters(), &by_hand, 1e-5);

    let plain = fit(config("1ep"), 4, vec![]).model.parameters();
    let differs = (plain[2].iter())
        .zip(&by_hand[2])
        .any(|(a, b)| (a - b).abs() > 1e-3);
    assert!(differs, "the moved weights have to matter");
}

#[test]
fn sam_moves_each_part_of_a_batch_by_its_own_gradients() {
    let mut by_hand = model().parameters();
    for step in 0..2 {
        let [one, other] =
            [0, 1].map(|part| sharp_gradients(&by_hand, &batch(4, 2 * step + part), 0.5));
        by_hand = moved(&by_hand, &one, -RATE / 2.0);
        by_hand = moved(&by_hand, &other, -RATE / 2.0);
    }
    let sam = fit(
        config("1ep").with_accumulate(2),
        4,
        vec![boxed(Sam::new(0.5))],
    )
    .model;
    assert_same_parameters(&sam.parameters(), &by_hand, 1e-5);
}

#[test]
fn sam_leaves_the_weights_where_they_are_during_the_batch() {
    let (before, after) = (Shared::default(), Shared::default());
    let keep = |event, kept: &Shared<Parameters>| {
        let kept = kept.clone();
        boxed(At(event, move |state: &mut State<Normed>| {
            kept.lock().unwrap().push(state.model().parameters());
            Ok(())
        }))
    };
    let first = keep(Event::BeforeForward, &before);
    let last = keep(Event::AfterBackward, &after);
    fit(config("1ep"), 3, vec![first, boxed(Sam::new(0.5)), last]);
    assert_eq!(read(&before).len(), 3);
    assert_eq!(read(&before), read(&after));
}

#[test]
fn sam_leaves_running_statistics_and_scores_to_the_first_pass() {
    // The normalisation comes first, so that its statistics do not depend on the weights.
    let [sam, plain] = [true, false].map(|is_sam| {
        let algorithms = if is_sam {
            vec![boxed(Sam::new(5.0))]
        } else {
            vec![]
        };
        fit(config("1ep"), 3, algorithms)
    });
    assert_eq!(sam.model.statistics(), plain.model.statistics());
    assert_ne!(sam.model.parameters(), plain.model.parameters());
    // The first batch is seen with the same weights by both.
    let [sam, plain] = [true, false].map(|is_sam| {
        let algorithms = if is_sam {
            vec![boxed(Sam::new(5.0))]
        } else {
            vec![]
        };
        fit(config("1ba"), 3, algorithms).history
    });
    for score in ["train/loss", "train/accuracy"] {
        assert_eq!(sam.last(score), plain.last(score), "{score}");
    }
}

#[test]
fn sam_acts_on_the_last_batch_of_each_interval() {
    let after = |batches: &str, algorithms| fit(config(batches), 3, algorithms).model.parameters();
    let sam = || vec![boxed(Sam::new(0.5).with_interval(2))];
    assert_eq!(after("1ba", sam()), after("1ba", vec![]));
    let first = after("1ba", vec![]);
    let second = moved(&first, &sharp_gradients(&first, &batch(3, 1), 0.5), -RATE);
    assert_same_parameters(&after("2ba", sam()), &second, 1e-5);
    let third = moved(&second, &gradients(&second, &batch(3, 2)), -RATE);
    assert_same_parameters(&after("3ba", sam()), &third, 1e-5);
}

#[test]
fn sam_sees_mixed_images_and_targets_in_both_passes() {
    let algorithms = || vec![boxed(CutMix::new()), boxed(LabelSmoothing::new(0.2))];
    let with_sam = algorithms()
        .into_iter()
        .chain([boxed(Sam::new(0.5))])
        .collect();
    let sam = fit(config("1ba"), 1, with_sam).model.parameters();

    let data = batch(1, 0);
    let mut rng = Stream::new(SEED).at(0);
    let mixed = cutmix::functional::cutmix_batch(data.images, data.targets, CLASSES, 1.0, &mut rng);
    let (images, targets) = mixed.unwrap();
    let targets = cutmix::functional::smooth_labels(targets, CLASSES, 0.2)
        .unwrap()
        .into();
    let by_hand = model().parameters();
    let gradients = sharp_gradients(&by_hand, &Batch { images, targets }, 0.5);
    assert_same_parameters(&sam, &moved(&by_hand, &gradients, -RATE), 1e-5);

    // An interpolated loss is the same loss here, since cross-entropy is linear in its targets.
    let sharp = |interpolate| {
        let mixup = MixUp::new().with_interpolate_loss(interpolate);
        fit(config("1ep"), 3, vec![boxed(mixup), boxed(Sam::new(0.5))])
            .model
            .parameters()
    };
    assert_same_parameters(&sharp(true), &sharp(false), 1e-5);
}

/// The gradients at each step of a run, before and after the clipping.
fn clipped(max_norm: f64, accumulate: usize) -> Vec<[Parameters; 2]> {
    let (before, after) = (Shared::default(), Shared::default());
    let keep = |kept: &Shared<Parameters>| {
        let kept = kept.clone();
        boxed(At(Event::BeforeStep, move |state: &mut State<Normed>| {
            kept.lock()
                .unwrap()
                .push(state.model().gradients(&state.gradients));
            Ok(())
        }))
    };
    let algorithms = vec![
        keep(&before),
        boxed(GradientClipping::new(max_norm)),
        keep(&after),
    ];
    fit(config("1ep").with_accumulate(accumulate), 4, algorithms);
    read(&before)
        .into_iter()
        .zip(read(&after))
        .map(|(before, after)| [before, after])
        .collect()
}

#[test]
fn gradients_are_clipped_by_their_global_norm() {
    let usual = norm(&gradients(&model().parameters(), &batch(4, 0)));
    for accumulate in [1, 2] {
        for max_norm in [usual / 3.0, usual / 100.0] {
            for [before, after] in clipped(f64::from(max_norm), accumulate) {
                let scale = max_norm / (norm(&before) + 1e-6);
                assert!(scale < 1.0, "{scale}");
                let expected = before.map(|all| all.iter().map(|g| g * scale).collect());
                assert_same_parameters(&after, &expected, 1e-6);
                assert!((norm(&after) - max_norm).abs() < 1e-4 * max_norm);
            }
        }
    }
}

#[test]
fn gradients_within_the_norm_stay_as_they_are() {
    for [before, after] in clipped(1e6, 1) {
        assert_eq!(before, after);
    }
}

#[test]
fn clipping_acts_on_the_gradients_of_sam() {
    let by_hand = model().parameters();
    let sharp = sharp_gradients(&by_hand, &batch(1, 0), 0.5);
    let max_norm = norm(&sharp) / 2.0;
    let expected = moved(&by_hand, &sharp, -RATE * max_norm / (norm(&sharp) + 1e-6));
    let clipping = GradientClipping::new(f64::from(max_norm));
    // Wherever the clipping was added, it acts after SAM.
    let found = fit(
        config("1ep"),
        1,
        vec![boxed(clipping), boxed(Sam::new(0.5))],
    )
    .model;
    assert_same_parameters(&found.parameters(), &expected, 1e-5);
}

/// An algorithm that multiplies the loss of the first pass by 0, and with it the gradients.
fn without_gradient() -> Box<dyn Algorithm<Normed>> {
    boxed(At(Event::BeforeBackward, |state: &mut State<Normed>| {
        state.loss = state.loss.take().map(|loss| loss * 0.0);
        Ok(())
    }))
}

#[test]
fn gradients_of_0_are_not_divided_by_their_norm() {
    let clipping = vec![without_gradient(), boxed(GradientClipping::new(1.0))];
    let found = fit(config("1ba"), 1, clipping).model.parameters();
    assert_eq!(found, model().parameters());

    // The weights are not moved, so that the second gradients are the usual ones.
    let sam = vec![without_gradient(), boxed(Sam::new(0.5))];
    let found = fit(config("1ba"), 1, sam).model.parameters();
    assert_eq!(found, fit(config("1ba"), 1, vec![]).model.parameters());
}
