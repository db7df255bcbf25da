//! What a user brings as the network, the loss and the optimizer.

use burn::module::Module;
use burn::nn::Linear;
use burn::optim::{AdamWConfig, SgdConfig};
use burn::tensor::{Device, Tensor};
use cutmix::Targets;
use cutmix::loss::CrossEntropy;
use cutmix_train::algorithms::{CutMix, Ema};
use cutmix_train::{
    Checkpoint, Checkpoints, Error, Evaluator, Fit, LossFn, Network, Reduction, TrainerConfig,
    WithForward,
};

use crate::common::*;

fn forward(linear: &Linear, images: Tensor<4>) -> Tensor<2> {
    linear.forward(images.flatten(1, 3))
}

fn wrapped() -> WithForward<Linear> {
    WithForward::new(Tiny::new(&Device::default()).linear, forward)
}

fn fit<M: Network>(config: TrainerConfig, model: M) -> Fit<M> {
    config
        .init(model, eleven().loader())
        .optimizer(AdamWConfig::new().init())
        .logger(Quiet)
        .eval("val", eleven().loader())
        .algorithm(CutMix::new())
        .algorithm(Ema::new(0.9))
        .fit()
        .unwrap()
}

#[test]
fn a_module_with_a_forward_function_trains_like_a_network() {
    let network = fit(config("3ep"), Tiny::new(&Device::default()));
    let wrapped = fit(config("3ep"), wrapped());
    assert_eq!(
        values(wrapped.model.module.weight.val()),
        network.model.weights()
    );
    assert_eq!(scores(&wrapped), scores(&network));
}

#[test]
fn a_module_with_a_forward_function_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let run = |max_duration: &str| {
        let run = config(max_duration)
            .init(wrapped(), eleven().loader())
            .logger(Quiet)
            .checkpoints(
                Checkpoints::new(folder.path().join(max_duration))
                    .with_save_interval(duration("1ba")),
            );
        run.optimizer(AdamWConfig::new().init())
    };
    let whole = run("6ba").fit().unwrap();
    run("4ba").fit().unwrap();
    let latest = Checkpoint::latest(&folder.path().join("4ba"))
        .unwrap()
        .checkpoint;
    let resumed = run("6ba").checkpoints(Checkpoints::new(folder.path().join("4ba")));
    // A finished run starts a new cycle, but this rate is constant.
    let resumed = resumed.resume(latest).fit().unwrap();
    assert_eq!(
        values(resumed.model.module.weight.val()),
        values(whole.model.module.weight.val())
    );
}

#[test]
fn a_loss_of_a_closure_trains_like_the_loss_that_it_calls() {
    let run = |reduction, closure: bool| {
        let loss = CrossEntropy::new().with_reduction(reduction);
        let trainer = trainer(config("2ep"), eleven()).algorithm(CutMix::new());
        let call = move |logits: Tensor<2>, targets: Targets| Ok(loss.forward(logits, targets)?);
        let trainer = match (closure, reduction) {
            (false, _) => trainer.loss(CrossEntropy::new().with_reduction(reduction)),
            (true, Reduction::Sum) => trainer.loss(LossFn::sum(call)),
            (true, _) => trainer.loss(LossFn::mean(call)),
        };
        let fit = trainer.fit().unwrap();
        (fit.model.weights(), scores(&fit))
    };
    for reduction in [Reduction::Mean, Reduction::Sum] {
        assert_eq!(run(reduction, true), run(reduction, false), "{reduction:?}");
    }
}

#[test]
fn the_error_of_a_loss_ends_the_run() {
    let loss = LossFn::mean(|_: Tensor<2>, _: Targets| Err(Error::other("no loss today")));
    let error = trainer(config("1ep"), eleven())
        .loss(loss)
        .fit()
        .unwrap_err();
    assert!(matches!(error, Error::Other(source) if source.to_string() == "no loss today"));
}

#[test]
fn a_loss_of_several_numbers_is_refused() {
    let loss = LossFn::mean(|logits: Tensor<2>, targets: Targets| {
        let loss = CrossEntropy::new().with_reduction(Reduction::None);
        Ok(loss.forward(logits, targets)?)
    });
    let (argument, value) = refused(config("1ep"), |trainer| trainer.loss(loss));
    assert_eq!((argument, value.as_str()), ("loss", "of shape [4]"));
    let loss = CrossEntropy::new().with_reduction(Reduction::None);
    assert_eq!(
        refused(config("1ep"), |t| t.loss(loss)),
        ("reduction", "none".into())
    );
    let evaluator = Evaluator::new(CrossEntropy::new().with_reduction(Reduction::None));
    let model = Tiny::new(&Device::default());
    evaluator
        .run("val", &model, &eleven(), &Device::default())
        .unwrap_err();
}

#[test]
fn a_model_without_a_parameter_to_train_is_refused() {
    for autodiff in [false, true] {
        let mut device = Device::default();
        if autodiff {
            device = device.autodiff();
        }
        let error = config("1ep")
            .init(Tiny::new(&device).no_grad(), eleven().loader())
            .logger(Quiet)
            .fit()
            .unwrap_err();
        assert_eq!(argument(error).0, "loss");
    }
}

/// A network of two layers, of which the first may be frozen.
#[derive(Module, Debug)]
struct Deep {
    first: Linear,
    last: Tiny,
}

impl Network for Deep {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [batch, ..] = images.dims();
        let features: Tensor<2> = self.first.forward(images.flatten(1, 3));
        self.last.forward(features.reshape([batch, 1, 4, 4]))
    }
}

#[test]
fn a_frozen_layer_stays_as_it_is() {
    let device = Device::default();
    let square = || Linear {
        weight: burn::module::Param::from_tensor(random([16, 16], 5, &device)),
        bias: None,
    };
    let model = Deep {
        first: square().no_grad(),
        last: Tiny::new(&device),
    };
    let fit = config("2ep")
        .with_accumulate(2)
        .with_on_nan(cutmix_train::OnNan::Skip)
        .init(model, eleven().loader())
        .optimizer(SgdConfig::new().init())
        .logger(Quiet)
        .fit()
        .unwrap();
    assert_eq!(
        values(fit.model.first.weight.val()),
        values(square().weight.val())
    );
    assert_ne!(fit.model.last.weights(), Tiny::new(&device).weights());
}

#[test]
fn the_model_of_a_plain_device_is_trained_and_returned_ready_for_inference() {
    let plain = fit(config("1ep"), Tiny::new(&Device::default()));
    let autodiff = fit(config("1ep"), Tiny::new(&Device::default().autodiff()));
    assert_eq!(plain.model.weights(), autodiff.model.weights());
    for model in [plain.model, autodiff.model] {
        assert!(!model.linear.weight.val().is_autodiff());
    }
}
