//! Several devices; here it is the CPU several times.

use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::tensor::Device;
use cutmix::algorithms::{Algorithm, CutMix, Step};
use cutmix::trainer::{
    BatchLog, Checkpoint, Checkpoints, Fit, Logger, Schedule, Trainer, evaluate,
};
use cutmix::{Batch, Classifier, Error};

use crate::setting::*;

/// Keeps what the batches report.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<BatchLog>>>);

impl Kept {
    fn losses(&self) -> Vec<f64> {
        let batches = self.0.lock().unwrap();
        batches.iter().map(|batch| batch.scores.loss).collect()
    }

    fn lambdas(&self) -> Vec<f64> {
        let batches = self.0.lock().unwrap();
        let notes = batches.iter().flat_map(|batch| &batch.notes);
        notes.map(|note| note.value).collect()
    }
}

impl Logger for Kept {
    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        self.0.lock().unwrap().push(batch.clone());
        Ok(())
    }
}

/// A run of batches of four parts, the last of an epoch shorter, on the CPU so many times.
fn run<M: Classifier>(model: M, devices: usize) -> (Trainer<M>, Kept) {
    let device = Device::default();
    let data: Batch = Batches::new(22, 22, &device).batch(0);
    let kept = Kept::default();
    let trainer = Trainer::new(model, Batches::of(data, 2).loader())
        .optimizer(SgdConfig::new().init())
        .learning_rate(0.1)
        .schedule(Schedule::constant())
        .devices(vec![device.clone(); devices])
        .accumulate(4)
        .max_duration("3ep".parse().unwrap())
        .algorithm(CutMix::new(CLASSES))
        .logger(kept.clone());
    (trainer, kept)
}

fn fit<M: Classifier>(model: M, devices: usize) -> (Fit<M>, Kept) {
    let (trainer, kept) = run(model, devices);
    (trainer.fit().unwrap(), kept)
}

#[test]
fn the_number_of_devices_changes_no_plan_and_no_weight() {
    let tiny = || Tiny::new(&Device::default());
    let (one, one_kept) = fit(tiny(), 1);
    // Eleven parts in an epoch are batches of four, four and three, each part with a plan of its own.
    assert_eq!(one_kept.lambdas().len(), 3 * 11);
    for devices in 2..=4 {
        let (several, kept) = fit(tiny(), devices);
        assert_eq!(one_kept.lambdas(), kept.lambdas(), "{devices}");
        assert_eq!(one_kept.losses(), kept.losses(), "{devices}");
        assert_eq!(one.model.weights(), several.model.weights(), "{devices}");
    }
}

#[test]
fn batch_normalisation_keeps_the_statistics_of_the_first_device() {
    let normed = || Normed::new(&Device::default());
    let (one, one_kept) = fit(normed(), 1);
    let (two, kept) = fit(normed(), 2);
    // What is trained does not depend on them.
    assert_eq!(one_kept.losses(), kept.losses());
    let ([one, two], again) = ([one, two].map(|fit| fit.model.values()), fit(normed(), 2).0);
    assert_eq!(one[..3], two[..3]);
    assert_ne!(one[3..], two[3..]);
    assert_eq!(two, again.model.values());
    // Of a batch of four parts two are the first of two devices', and one is the first of four's.
    assert_ne!(two[3], fit(normed(), 4).0.model.values()[3]);
}

#[test]
fn what_is_frozen_stays_frozen_on_every_device() {
    let normed = || {
        let mut model = Normed::new(&Device::default());
        model.norm.gamma = model.norm.gamma.no_grad();
        model
    };
    let (one, two) = (fit(normed(), 1).0, fit(normed(), 2).0);
    let [one, two] = [one, two].map(|fit| fit.model.values());
    assert_eq!(two[1], [1.0]);
    assert_ne!(two[2], [0.0]);
    assert_eq!(one[..3], two[..3]);
}

/// Panics at one part.
struct Panics {
    at: u64,
}

impl Algorithm for Panics {
    fn name(&self) -> String {
        "panics".into()
    }
    fn before_loss(&self, step: &mut Step) -> Result<(), Error> {
        assert_ne!(step.position(), self.at, "out of order");
        Ok(())
    }
}

#[test]
fn a_panic_on_a_device_ends_the_run_with_its_place_and_the_run_goes_on_elsewhere() {
    let normed = || Normed::new(&Device::default());
    // Parts 11 to 14 are those of the fourth batch, in turn for devices 0 to 2 and 0.
    let [_, _, _, folder] = [(11, 0), (12, 1), (13, 2), (14, 0)].map(|(at, device)| {
        let folder = tempfile::tempdir().unwrap();
        let (trainer, _) = run(normed(), 3);
        let error = trainer
            .checkpoints(Checkpoints::new(folder.path()).every("1ba".parse().unwrap()))
            .algorithm(Panics { at })
            .fit()
            .unwrap_err();
        let Error::Worker {
            device: failed,
            reason,
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(*failed, device);
        assert!(reason.contains("out of order"), "{reason}");
        assert!(!error.to_string().contains('\n'), "{error}");
        folder
    });
    let checkpoint = Checkpoint::latest(folder.path()).unwrap().checkpoint;
    assert_eq!(checkpoint.batches(), 3);
    let (trainer, _) = run(normed(), 2);
    let resumed = trainer.resume(checkpoint).fit().unwrap();
    let (whole, _) = fit(normed(), 3);
    assert_eq!(resumed.model.values()[..3], whole.model.values()[..3]);
}

#[test]
fn the_model_of_several_devices_is_whole_for_evaluation() {
    let device = Device::default();
    let loader = Batches::new(7, 3, &device).loader();
    let (trainer, _) = run(Normed::new(&device), 3);
    let fit = trainer.eval_loader(loader.clone()).fit().unwrap();
    let again = evaluate(&fit.model, &loader, &device).unwrap();
    assert_eq!(fit.history.last_eval(), Some(again));
    // The run goes where it was told to.
    assert_eq!(fit.model.devices(), [device]);
}
