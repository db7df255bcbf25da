//! The run as Burn's learner sees it.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;
use burn::train::{
    Learner, SupervisedLearningStrategy, TrainLoader, TrainingComponents, ValidLoader,
};

use super::{Processor, Run};
use crate::trainer::trainee::Trainee;
use crate::trainer::{Classifier, History};

/// What is left of a run.
pub(in crate::trainer) struct Finished<M> {
    pub model: M,
    pub history: History,
    /// Whether it went on for as long as it was to.
    pub is_complete: bool,
}

/// What Burn's learner runs: its strategies count in epochs, this one in any duration.
pub(in crate::trainer) struct Strategy<M: Classifier<D>, const D: usize> {
    /// Taken when it begins.
    run: Mutex<Option<Run<M, D>>>,
    finished: Arc<Mutex<Option<Finished<M>>>>,
}

impl<M: Classifier<D>, const D: usize> Strategy<M, D> {
    /// A strategy, and where it leaves what comes out of it.
    #[allow(clippy::type_complexity)] // the slot is named by its use
    pub fn new(run: Run<M, D>) -> (Self, Arc<Mutex<Option<Finished<M>>>>) {
        let finished = Arc::default();
        let strategy = Self {
            run: Mutex::new(Some(run)),
            finished: Arc::clone(&finished),
        };
        (strategy, finished)
    }
}

impl<M: Classifier<D>, const D: usize> SupervisedLearningStrategy<Trainee<M, D>>
    for Strategy<M, D>
{
    fn fit(
        &self,
        components: TrainingComponents<Trainee<M, D>>,
        learner: Learner<Trainee<M, D>>,
        _train: TrainLoader<Trainee<M, D>>,
        _valid: ValidLoader<Trainee<M, D>>,
        _starting_epoch: usize,
    ) -> (Trainee<M, D>, Processor<M, D>) {
        let mut processor = components.event_processor;
        let trainee = learner.model();
        let taken = self
            .run
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut run = taken.expect("a run is launched once");
        match run.go(trainee.clone(), &mut processor) {
            Ok((model, is_complete)) => {
                let finished = Finished {
                    model,
                    is_complete,
                    history: std::mem::take(&mut run.history),
                };
                let mut slot = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(finished);
            }
            Err(error) => run.hooks.fail(error),
        }
        (trainee, processor)
    }
}

/// The loaders that Burn's learner is given, and does not use: the run has its own.
pub(in crate::trainer) struct NoData<I>(PhantomData<fn() -> I>);

impl<I> NoData<I> {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(PhantomData))
    }
}

impl<I: 'static> DataLoader<I> for NoData<I> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<I> + 'a> {
        Box::new(Self(PhantomData))
    }

    fn num_items(&self) -> usize {
        0
    }

    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<I>> {
        Self::new()
    }

    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<I>> {
        Self::new()
    }
}

impl<I> Iterator for NoData<I> {
    type Item = Result<I, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl<I> DataLoaderIterator<I> for NoData<I> {
    fn progress(&self) -> Progress {
        Progress::new(0, 0, None)
    }
}
