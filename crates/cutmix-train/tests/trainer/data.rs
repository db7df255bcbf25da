//! Loaders: what a run asks of them, and what it does with what they give.

use std::sync::Arc;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::optim::SgdConfig;
use burn::tensor::{Device, IntDType, Tensor};
use cutmix::loss::CrossEntropy;
use cutmix_train::algorithms::CutMix;
use cutmix_train::{Batch, BurnLoader, Error, Evaluator, Loader};

use crate::common::*;

#[test]
fn fitting_twice_on_one_loader_gives_equal_runs() {
    let loader = eleven().loader();
    let fit = || {
        let fit = config("2ep")
            .init(Tiny::new(&Device::default()), loader.clone())
            .optimizer(SgdConfig::new().init())
            .logger(Quiet)
            .eval("val", loader.clone())
            .algorithm(CutMix::new())
            .fit()
            .unwrap();
        (fit.model.weights(), scores(&fit))
    };
    let first = fit();
    assert_eq!(fit(), first);
    // Looking at batches changes nothing.
    for epoch in 0..3 {
        loader
            .batches(epoch, 1, &Device::default())
            .next()
            .unwrap()
            .unwrap();
    }
    assert_eq!(fit(), first);
}

#[test]
fn a_run_asks_for_each_epoch_by_its_number() {
    let model = Tiny::new(&Device::default());
    let seen = model.seen.clone();
    config("3ep")
        .init(model, eleven().loader())
        .logger(Quiet)
        .fit()
        .unwrap();
    let batches = [0, 1, 2].map(|index| values(eleven().batch(index).images));
    let expected: Vec<_> = (0..3)
        .flat_map(|epoch| (0..3).map(move |i| (epoch + i) % 3))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|&index: &usize| batches[index].clone())
        .collect();
    assert_eq!(read(&seen), expected);
}

#[test]
fn labels_of_any_integer_type_train_and_evaluate() {
    let run = |dtype| {
        let train = eleven().cast(dtype);
        let fit = trainer(config("1ep"), train.clone())
            .eval("val", train.loader())
            .algorithm(CutMix::new())
            .fit()
            .unwrap();
        scores(&fit)
    };
    let expected = run(IntDType::I64);
    for dtype in [IntDType::I32, IntDType::U8] {
        assert_eq!(run(dtype), expected, "{dtype:?}");
    }
}

#[test]
fn dense_targets_train_like_the_indices_that_they_stand_for() {
    let dense = eleven().whole().targets.into_dense(CLASSES).unwrap();
    let weights = |train| {
        let fit = trainer(config("2ep"), train).fit().unwrap();
        (
            wide(&fit.model.weights()),
            fit.history.last("train/accuracy"),
        )
    };
    let (indices, dense) = (weights(eleven()), weights(eleven().with_targets(dense)));
    assert_close(&indices.0, &dense.0, 1e-6);
    assert_eq!(indices.1, dense.1);
}

#[test]
fn a_batch_that_cannot_be_read_ends_the_run_with_the_name_of_the_set() {
    let broken = eleven().broken_at(1);
    let error = trainer(config("1ep"), broken.clone()).fit().unwrap_err();
    let Error::Data { set, source } = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (set.as_str(), source.to_string().as_str()),
        ("train", "image 7 is corrupt")
    );
    let error = trainer(config("1ep"), eleven())
        .eval("dev", broken.loader())
        .fit()
        .unwrap_err();
    assert!(matches!(error, Error::Data { set, .. } if set == "dev"));
}

#[test]
fn a_run_that_ends_before_a_broken_batch_does_not_fail_on_it() {
    let broken = eleven().broken_at(1);
    assert!(trainer(config("1ba"), broken).fit().unwrap().is_complete);
}

#[test]
fn a_class_out_of_range_is_refused() {
    let wrong = Samples::new(3, 3).with_classes(&[0, 1, 3]);
    let error = trainer(config("1ep"), wrong.clone()).fit().unwrap_err();
    assert_eq!(argument(error), ("targets", "class 3 for sample 2".into()));
    let error = trainer(config("1ep"), wrong)
        .algorithm(CutMix::new())
        .fit()
        .unwrap_err();
    assert!(matches!(&error, Error::Algorithm { algorithm, .. } if algorithm == "cutmix"));
    assert_eq!(argument(error), ("targets", "class 3 for sample 2".into()));
}

fn empty() -> Samples {
    let images = Tensor::zeros([0, 1, 4, 4], &Device::default());
    Samples::of(images, eleven().classes(), 3)
}

#[test]
fn a_loader_without_samples_is_refused() {
    let error = trainer(config("1ep"), empty()).fit().unwrap_err();
    assert_eq!(argument(error), ("loader", "train, without samples".into()));
    let (argument, value) = refused(config("1ep"), |trainer| {
        trainer.eval("val", empty().loader())
    });
    assert_eq!(
        (argument, value.as_str()),
        ("loader", "val, without samples")
    );
}

#[test]
fn a_loader_that_promises_samples_and_gives_none_is_refused() {
    let nothing = Samples::new(3, 4).without_last();
    let error = trainer(config("1ep"), nothing.clone()).fit().unwrap_err();
    assert_eq!(argument(error), ("loader", "train, without a batch".into()));
    let error = trainer(config("1ep"), eleven())
        .eval("val", nothing.loader())
        .fit()
        .unwrap_err();
    assert_eq!(argument(error), ("loader", "val, without samples".into()));
}

/// [`Samples`] as one of Burn's data loaders.
struct OfBurn(Samples);

impl DataLoader<Batch> for OfBurn {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        Box::new(Iter {
            samples: &self.0,
            next: 0,
        })
    }

    fn num_items(&self) -> usize {
        self.0.num_samples()
    }

    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(Self(self.0.clone()))
    }

    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<Batch>> {
        unreachable!("a loader of one process is not cut")
    }
}

struct Iter<'a> {
    samples: &'a Samples,
    next: usize,
}

impl Iterator for Iter<'_> {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        self.next += 1;
        if self.samples.is_broken_at(index) {
            let error = std::io::Error::other("image 7 is corrupt");
            return Some(Err(DatasetError::new(error)));
        }
        (index < 3).then(|| Ok(self.samples.batch(index)))
    }
}

impl DataLoaderIterator<Batch> for Iter<'_> {
    fn progress(&self) -> Progress {
        Progress::new(self.next, 3, None)
    }
}

fn of_burn(samples: Samples) -> Arc<dyn Loader> {
    Arc::new(BurnLoader::new(Arc::new(OfBurn(samples)), CLASSES))
}

#[test]
fn a_loader_of_burns_trains_and_evaluates_like_one_of_this_library() {
    let fit = |loader: Arc<dyn Loader>| {
        let fit = config("2ep")
            .init(Tiny::new(&Device::default()), loader.clone())
            .optimizer(SgdConfig::new().init())
            .logger(Quiet)
            .eval("val", loader)
            .algorithm(CutMix::new())
            .fit()
            .unwrap();
        (fit.model.weights(), scores(&fit))
    };
    assert_eq!(fit(of_burn(eleven())), fit(eleven().fixed().loader()));
    let evaluator = Evaluator::new(CrossEntropy::new());
    let model = Tiny::new(&Device::default());
    let broken = eleven().broken_at(2);
    let loader = of_burn(broken);
    let error = evaluator
        .run("test", &model, loader.as_ref(), &Device::default())
        .unwrap_err();
    assert!(matches!(error, Error::Data { set, .. } if set == "test"));
}
