//! Checkpoints, when they are due.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::Loop;
use crate::Error;
use crate::trainer::Classifier;
use crate::trainer::checkpoint::{self, Checkpoint, State};

impl<M: Classifier<D>, const D: usize> Loop<'_, M, D> {
    pub(super) fn save(&mut self) -> Result<(), Error> {
        let Some(to) = self.run.checkpoints.clone() else {
            return Ok(());
        };
        // The numbers of the batches before have to be in the sums, and have to be good.
        self.flush()?;
        let devices = &self.run.devices;
        let encode = |error: burn::store::RecordError| Error::write(&to.folder, error);
        let bytes = |model: M| model.into_record().into_bytes().map_err(encode);
        // `valid` brings running statistics up to date: their last update waits for the next one.
        let model = devices.readable(&self.trainee.model.valid())?;
        if !is_finite(&model)? {
            return Err(self.not_finite(self.run.clock.now().batch, f64::NAN));
        }
        let weights = bytes(model)?;
        let average = self.run.average.as_ref();
        let average = average
            .map(|average| bytes(devices.readable(&average.model)?))
            .transpose()?;
        let optimizer = devices.guard(|| self.run.optimizer.to_record())?;
        let records = [weights, optimizer.into_bytes().map_err(encode)?];
        let counts = self.run.clock.counts();
        let batch = self.run.clock.now().batch;
        let best = self.run.best.as_ref().map(|best| best.batches);
        let state = State {
            seed: self.run.seed,
            epoch_samples: self.run.train_loader.num_items() as u64,
            counts,
            history: self.run.history.clone(),
            train: self.run.tally.train(),
            train_seconds: self.run.train_seconds + self.train_start.elapsed().as_secs_f64(),
            best,
            skipped: self.run.skipped,
        };
        Checkpoint::write(&to.folder, batch, state, records, average)?;
        checkpoint::prune(&to.folder, batch, to.keep, best)
            .map_err(|error| Error::write(&to.folder, error))?;
        self.saved = Some(batch);
        Ok(())
    }
}

/// Whether a model's weights are numbers: a step may have spoiled them that was none itself.
fn is_finite<M: Module>(model: &M) -> Result<bool, Error> {
    struct Sums(Result<bool, Error>);

    impl ModuleVisitor for Sums {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !matches!(self.0, Ok(true)) {
                return;
            }
            let sum = param.val().sum().try_into_scalar::<f32>();
            self.0 = match sum {
                Ok(sum) => Ok(sum.is_finite()),
                Err(error) => Err(Error::Device(error.to_string())),
            };
        }
    }

    let mut sums = Sums(Ok(true));
    model.visit(&mut sums);
    sums.0
}
