//! A tiny model, tiny data and algorithms that write down what happens.

use std::sync::{Arc, Mutex};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::module::{Module, Param, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig, Linear};
use burn::tensor::{Device, Int, IntDType, Tensor};
use cutmix::algorithms::{Algorithm, Step};
use cutmix::plan::Stream;
use cutmix::time::Time;
use cutmix::trainer::{BatchLog, Logger};
use cutmix::{Batch, Classifier, Error, Targets};
use rand::RngExt;

pub const CLASSES: usize = 3;

pub type Log = Arc<Mutex<Vec<String>>>;
pub type Seen = Arc<Mutex<Vec<Vec<f32>>>>;

/// One linear layer on 1 x 4 x 4 images; keeps every batch that it is given.
#[derive(Module, Debug)]
pub struct Tiny {
    linear: Linear,
    #[module(skip)]
    pub seen: Seen,
}

impl Tiny {
    pub fn new(device: &Device) -> Self {
        Self {
            linear: Linear {
                weight: Param::from_tensor(random([16, CLASSES], 1, device) - 0.5),
                bias: None,
            },
            seen: Seen::default(),
        }
    }

    pub fn weights(&self) -> Vec<f32> {
        values(self.linear.weight.val())
    }
}

impl Classifier for Tiny {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        (self.seen.lock().unwrap()).push(values(images.clone()));
        self.linear.forward(images.flatten(1, 3))
    }
}

/// [`Tiny`] after a batch normalisation, which is where copies of a model can go wrong.
#[derive(Module, Debug)]
pub struct Normed {
    pub norm: BatchNorm,
    tiny: Tiny,
}

impl Normed {
    pub fn new(device: &Device) -> Self {
        Self {
            norm: BatchNormConfig::new(1).init(device),
            tiny: Tiny::new(device),
        }
    }

    /// Weights and statistics.
    pub fn values(&self) -> Vec<Vec<f32>> {
        let state = |state: &RunningState<Tensor<1>>| values(state.value());
        vec![
            self.tiny.weights(),
            values(self.norm.gamma.val()),
            values(self.norm.beta.val()),
            state(&self.norm.running_mean),
            state(&self.norm.running_var),
        ]
    }
}

impl Classifier for Normed {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.tiny.forward(self.norm.forward(images))
    }
}

/// Uniform numbers from a seed alone; the device's generator is shared by the tests of a process.
fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut rng = Stream::new(seed).at(0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random()).collect();
    Tensor::<1>::from_floats(values.as_slice(), device).reshape(shape)
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Batches in order, the same in every epoch.
#[derive(Clone)]
pub struct Batches {
    images: Tensor<4>,
    targets: Tensor<1, Int>,
    batch: usize,
    /// Fails at this batch.
    pub broken: Option<usize>,
    /// Leaves out a last short batch, whose samples still count in `num_items`.
    pub drops_last: bool,
}

impl Batches {
    /// `samples` random images in batches of `batch`, the last one short.
    pub fn new(samples: usize, batch: usize, device: &Device) -> Self {
        let images = random([samples, 1, 4, 4], 2, device);
        let classes = (0..samples as i64)
            .map(|i| i % CLASSES as i64)
            .collect::<Vec<_>>();
        Self {
            images,
            targets: Tensor::from_data(classes.as_slice(), device),
            batch,
            broken: None,
            drops_last: false,
        }
    }

    /// With labels of another integer type.
    pub fn cast(mut self, dtype: IntDType) -> Self {
        self.targets = self.targets.cast(dtype);
        self
    }

    /// A loader of this one batch.
    pub fn of(data: Batch, batch: usize) -> Self {
        let Targets::Indices(targets) = data.targets else {
            unreachable!("these batches hold indices")
        };
        Self {
            images: data.images,
            targets,
            batch,
            broken: None,
            drops_last: false,
        }
    }

    pub fn with_targets(mut self, targets: Vec<i64>) -> Self {
        self.targets = Tensor::from_data(targets.as_slice(), &self.targets.device());
        self
    }

    pub fn loader(self) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(self)
    }

    pub fn batch(&self, index: usize) -> Batch {
        let end = (self.batch * (index + 1)).min(self.num_items());
        let range = self.batch * index..end;
        Batch {
            images: self.images.clone().slice_dim(0, range.clone()),
            targets: self.targets.clone().slice_dim(0, range).into(),
        }
    }
}

impl DataLoader<Batch> for Batches {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        Box::new(Iter {
            batches: self,
            next: 0,
        })
    }

    fn num_items(&self) -> usize {
        self.images.dims()[0]
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch>> {
        let data = self.images.to_data();
        Arc::new(Self {
            images: Tensor::from_data(data, device),
            targets: self.targets.clone().to_device(device),
            ..self.clone()
        })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(Self {
            images: self.images.clone().slice_dim(0, start..end),
            targets: self.targets.clone().slice_dim(0, start..end),
            ..self.clone()
        })
    }
}

struct Iter<'a> {
    batches: &'a Batches,
    next: usize,
}

impl Iterator for Iter<'_> {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        let (batch, items) = (self.batches.batch, self.batches.num_items());
        let is_short = (index + 1) * batch > items;
        if index * batch >= items || (is_short && self.batches.drops_last) {
            return None;
        }
        self.next += 1;
        if self.batches.broken == Some(index) {
            return Some(Err(DatasetError::new(std::io::Error::other(
                "image 7 is corrupt",
            ))));
        }
        Some(Ok(self.batches.batch(index)))
    }
}

impl DataLoaderIterator<Batch> for Iter<'_> {
    fn progress(&self) -> Progress {
        let done = (self.next * self.batches.batch).min(self.batches.num_items());
        Progress::new(done, self.batches.num_items(), None)
    }
}

/// Prints nothing.
pub struct Quiet;

impl Logger for Quiet {}

/// Writes down every event with the batch's number and size.
pub struct Recorder {
    pub log: Log,
    pub label: &'static str,
}

impl Recorder {
    fn write(&self, entry: String) -> Result<(), Error> {
        (self.log.lock().unwrap()).push(format!("{}{entry}", self.label));
        Ok(())
    }

    fn step(&self, event: &str, step: &Step) -> Result<(), Error> {
        let [size, ..] = step.images().dims();
        self.write(format!("{event} {} of {size}", step.time().batch))
    }

    fn time(&self, event: &str, time: &Time) -> Result<(), Error> {
        self.write(format!(
            "{event} {}/{}/{}",
            time.epoch, time.batch, time.samples
        ))
    }
}

impl Algorithm for Recorder {
    fn name(&self) -> String {
        "recorder".into()
    }
    fn fit_start(&self, time: &Time) -> Result<(), Error> {
        self.time("fit_start", time)
    }
    fn epoch_start(&self, time: &Time) -> Result<(), Error> {
        self.time("epoch_start", time)
    }
    fn batch_start(&self, step: &mut Step) -> Result<(), Error> {
        assert!(step.logits.is_none() && step.loss.is_none());
        self.step("batch_start", step)
    }
    fn before_forward(&self, step: &mut Step) -> Result<(), Error> {
        self.step("before_forward", step)
    }
    fn after_forward(&self, step: &mut Step) -> Result<(), Error> {
        assert!(step.logits.is_some() && step.loss.is_none());
        self.step("after_forward", step)
    }
    fn before_loss(&self, step: &mut Step) -> Result<(), Error> {
        self.step("before_loss", step)
    }
    fn after_loss(&self, step: &mut Step) -> Result<(), Error> {
        assert!(step.loss.is_some());
        self.step("after_loss", step)
    }
    fn before_backward(&self, step: &mut Step) -> Result<(), Error> {
        self.step("before_backward", step)
    }
    fn after_backward(&self, step: &mut Step) -> Result<(), Error> {
        self.step("after_backward", step)
    }
    fn batch_end(&self, time: &Time) -> Result<(), Error> {
        self.time("batch_end", time)
    }
    fn epoch_end(&self, time: &Time) -> Result<(), Error> {
        self.time("epoch_end", time)
    }
    fn eval_start(&self, time: &Time) -> Result<(), Error> {
        self.time("eval_start", time)
    }
    fn eval_end(&self, time: &Time) -> Result<(), Error> {
        self.time("eval_end", time)
    }
    fn fit_end(&self, time: &Time) -> Result<(), Error> {
        self.time("fit_end", time)
    }
}

/// Keeps the targets of every batch as the loss will see them.
pub struct TargetsSeen(pub Seen);

impl Algorithm for TargetsSeen {
    fn name(&self) -> String {
        "targets-seen".into()
    }
    fn before_loss(&self, step: &mut Step) -> Result<(), Error> {
        let Targets::Dense(dense) = step.targets.clone() else {
            return Ok(());
        };
        (self.0.lock().unwrap()).push(values(dense));
        Ok(())
    }
}

/// Fails at one batch.
pub struct Failing {
    pub at: u64,
}

impl Algorithm for Failing {
    fn name(&self) -> String {
        "failing".into()
    }
    fn after_forward(&self, step: &mut Step) -> Result<(), Error> {
        if step.time().batch == self.at {
            return Err(Error::argument("mood", "bad", "a good one"));
        }
        Ok(())
    }
}

/// Keeps the loss of every batch.
#[derive(Clone, Default)]
pub struct Losses(pub Arc<Mutex<Vec<f64>>>);

impl Logger for Losses {
    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        self.0.lock().unwrap().push(batch.scores.loss);
        Ok(())
    }
}

/// Keeps the learning rate of every batch.
#[derive(Clone, Default)]
pub struct Rates(pub Arc<Mutex<Vec<f64>>>);

impl Logger for Rates {
    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        self.0.lock().unwrap().push(batch.learning_rate);
        Ok(())
    }
}
