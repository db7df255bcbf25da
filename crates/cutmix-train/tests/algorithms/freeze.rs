//! Frozen parts of a network: what stays, what is trained, and beside which other algorithms.

use burn::module::Module;
use burn::optim::AdamWConfig;
use burn::tensor::Device;
use cutmix_train::algorithms::{Algorithm, Ema, Freeze, GradientClipping, Sam, When};
use cutmix_train::{Error, Event, Fit, Network, OnNan, State, TrainerConfig};

use crate::common::{At, Quiet, Shared, duration, read, values};
use crate::fixtures::Normed;
use crate::{boxed, config, data, trainer_of};

/// Gamma, beta, the weights behind them, the running mean and variance.
type Values = [Vec<f32>; 5];

fn values_of(model: &Normed) -> Values {
    let [gamma, beta, weights] = model.parameters();
    let [mean, variance] = model.statistics();
    [gamma, beta, weights, mean, variance]
}

fn initial() -> Values {
    values_of(&Normed::new(&Device::default()))
}

/// A run with an optimizer that decays weights and remembers gradients.
fn run(config: TrainerConfig, algorithms: Vec<Box<dyn Algorithm<Normed>>>) -> Fit<Normed> {
    let trainer = (config.init(Normed::new(&Device::default()), data(6).loader()))
        .optimizer(AdamWConfig::new().with_weight_decay(0.1).init())
        .logger(Quiet);
    let trainer = (algorithms.into_iter()).fold(trainer, |trainer, one| trainer.algorithm(one));
    trainer.fit().unwrap()
}

/// The values after each batch.
fn watching(watch: &Shared<Values>) -> Box<dyn Algorithm<Normed>> {
    let watch = watch.clone();
    boxed(At(Event::BatchEnd, move |state: &mut State<Normed>| {
        watch.lock().unwrap().push(values_of(state.model()));
        Ok(())
    }))
}

fn freeze(name: &str) -> Box<dyn Algorithm<Normed>> {
    boxed(Freeze::new([name]))
}

#[test]
fn frozen_parameters_and_statistics_keep_every_bit() {
    let [gamma, beta, weights, mean, variance] =
        values_of(&run(config("2ep"), vec![freeze("norm")]).model);
    let before = initial();
    assert_eq!(
        [&gamma, &beta, &mean, &variance],
        [&before[0], &before[1], &before[3], &before[4]]
    );
    assert_ne!(weights, before[2]);
}

#[test]
fn what_is_behind_a_frozen_part_does_not_stop_what_is_before_it() {
    let after = values_of(&run(config("2ep"), vec![freeze("tiny.linear")]).model);
    let before = initial();
    assert_eq!(after[2], before[2]);
    for index in [0, 1, 3, 4] {
        assert_ne!(after[index], before[index]);
    }
}

#[test]
fn a_single_parameter_can_be_frozen() {
    let after = values_of(&run(config("1ep"), vec![freeze("norm.gamma")]).model);
    let before = initial();
    assert_eq!(after[0], before[0]);
    for index in [1, 2, 3] {
        assert_ne!(after[index], before[index]);
    }
}

#[test]
fn a_frozen_normalisation_works_as_in_evaluation() {
    let seen = Shared::<(Vec<f32>, Vec<f32>)>::default();
    let both = seen.clone();
    let compare = At(Event::AfterForward, move |state: &mut State<Normed>| {
        let images = state.images()?.clone().without_autodiff();
        let evaluated = values(state.model().valid().forward(images));
        let logits = state.logits.clone().unwrap();
        both.lock().unwrap().push((values(logits), evaluated));
        Ok(())
    });
    run(config("3ba"), vec![freeze("norm"), boxed(compare)]);
    assert_eq!(read(&seen).len(), 3);
    for (trained, evaluated) in read(&seen) {
        assert_eq!(trained, evaluated);
    }
}

#[test]
fn other_algorithms_leave_frozen_parts_alone() {
    let before = initial();
    let others: [Vec<Box<dyn Algorithm<Normed>>>; 4] = [
        vec![boxed(Sam::new(0.5))],
        vec![boxed(GradientClipping::new(0.01))],
        vec![boxed(Ema::new(0.9))],
        vec![boxed(Sam::new(0.5)), boxed(Ema::new(0.9))],
    ];
    for (index, mut algorithms) in others.into_iter().enumerate() {
        algorithms.push(freeze("norm"));
        let accumulated = config("2ep").with_accumulate(2).with_on_nan(OnNan::Skip);
        let after = values_of(&run(accumulated, algorithms).model);
        for value in [0, 1, 3, 4] {
            assert_eq!(after[value], before[value], "{index}");
        }
        assert_ne!(after[2], before[2], "{index}");
    }
}

#[test]
fn clipping_measures_the_gradients_of_what_is_trained() {
    let norms = Shared::<f64>::default();
    let seen = norms.clone();
    let measure = At(Event::BeforeStep, move |state: &mut State<Normed>| {
        let weight = state.model().weight();
        let gradient = values(state.gradients.get::<2>(weight).unwrap());
        let squares = gradient.iter().map(|&one| f64::from(one).powi(2));
        seen.lock().unwrap().push(squares.sum::<f64>().sqrt());
        Ok(())
    });
    let clipping = boxed(GradientClipping::new(0.01));
    run(
        config("1ep"),
        vec![freeze("norm"), clipping, boxed(measure)],
    );
    assert_eq!(read(&norms).len(), 6);
    for norm in read(&norms) {
        assert!((norm - 0.01).abs() < 1e-5, "{norm}");
    }
}

#[test]
fn a_part_is_trained_from_the_batch_on_at_which_the_window_ends() {
    let watch = Shared::default();
    let until = When::new(Freeze::new(["norm"])).with_until(duration("4ba"));
    let fit = run(config("1ep"), vec![boxed(until), watching(&watch)]);
    let (before, seen) = (initial(), read(&watch));
    for (batch, values) in seen.iter().enumerate() {
        let is_frozen = batch < 4;
        for value in [0, 1, 3, 4] {
            assert_eq!(values[value] == before[value], is_frozen, "batch {batch}");
        }
    }
    assert_eq!(values_of(&fit.model), seen[5]);
}

#[test]
fn statistics_that_are_frozen_later_have_the_update_of_the_batch_before() {
    let watch = Shared::default();
    let from = When::new(Freeze::new(["norm"])).with_from(duration("3ba"));
    run(config("1ep"), vec![boxed(from), watching(&watch)]);
    let seen = read(&watch);
    assert_ne!(seen[1], seen[2]);
    for value in [0, 1, 3, 4] {
        assert_eq!(seen[2][value], seen[5][value]);
    }
}

#[test]
fn the_model_of_a_run_can_be_trained_further() {
    let frozen = run(config("1ep"), vec![freeze("norm")]).model;
    let mut averaged = vec![freeze("norm")];
    averaged.push(boxed(Ema::new(0.9)));
    for model in [frozen, run(config("1ep"), averaged).model] {
        let before = values_of(&model);
        let fit = trainer_of(config("1ep"), model, 6).fit().unwrap();
        let after = values_of(&fit.model);
        for value in 0..5 {
            assert_ne!(after[value], before[value]);
        }
    }
}

#[test]
fn names_that_the_network_does_not_have_are_refused() {
    // `nor` is the beginning of a name, and no module.
    for unknown in ["nor", "norm.weight", "stem"] {
        let error = trainer_of(config("1ep"), Normed::new(&Device::default()), 2)
            .algorithm(Freeze::new(["norm", unknown]))
            .fit()
            .unwrap_err();
        let Error::Algorithm { source, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(
            source.to_string(),
            format!("`names` is {unknown}; accepted: a part of the network: norm, tiny")
        );
    }
    let nothing: [Box<dyn Algorithm<Normed>>; 1] = [boxed(Freeze::new([""; 0]))];
    let error = cutmix_train::algorithms::check(&nothing).unwrap_err();
    assert!(error.to_string().contains("at least one part"), "{error}");
}

#[test]
fn a_network_that_is_frozen_as_a_whole_is_refused() {
    let error = trainer_of(config("1ep"), Normed::new(&Device::default()), 2)
        .algorithm(Freeze::new(["norm", "tiny"]))
        .fit()
        .unwrap_err();
    let accepted = "at least one parameter that is trained";
    assert!(error.to_string().contains(accepted), "{error}");
}
