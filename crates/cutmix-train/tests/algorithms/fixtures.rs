//! Networks, images of any size, and a recorder of events.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig, Linear};
use burn::tensor::{Device, Int, Tensor};
use cutmix_train::algorithms::Algorithm;
use cutmix_train::{Error, Event, Network, State};

use crate::common::{CLASSES, Samples, Shared, Tiny, random, values};

/// [`Tiny`] after a batch normalisation, whose running statistics copies of a model share.
#[derive(Module, Debug)]
pub struct Normed {
    norm: BatchNorm,
    tiny: Tiny,
}

impl Normed {
    pub fn new(device: &Device) -> Self {
        Self {
            norm: BatchNormConfig::new(1).init(device),
            tiny: Tiny::new(device),
        }
    }

    /// Gamma, beta and the weights of the linear layer.
    pub fn with_parameters(parameters: &[Vec<f32>; 3], device: &Device) -> Self {
        let [gamma, beta, weight] = parameters.each_ref().map(Vec::as_slice);
        let mut norm = BatchNormConfig::new(1).init(device);
        norm.gamma = Param::from_tensor(Tensor::from_floats(gamma, device));
        norm.beta = Param::from_tensor(Tensor::from_floats(beta, device));
        let weight = Tensor::<1>::from_floats(weight, device).reshape([16, CLASSES]);
        let mut tiny = Tiny::new(device);
        tiny.linear.weight = Param::from_tensor(weight);
        Self { norm, tiny }
    }

    pub fn parameters(&self) -> [Vec<f32>; 3] {
        let (gamma, beta) = (self.norm.gamma.val(), self.norm.beta.val());
        [values(gamma), values(beta), self.tiny.weights()]
    }

    /// The identity of the weights of the linear layer.
    pub fn weight(&self) -> ParamId {
        self.tiny.linear.weight.id
    }

    /// The gradients of the parameters, in their order.
    pub fn gradients(&self, gradients: &burn::optim::GradientsParams) -> [Vec<f32>; 3] {
        let (norm, weight) = (&self.norm, &self.tiny.linear.weight);
        [
            values(gradients.get::<1>(norm.gamma.id).unwrap()),
            values(gradients.get::<1>(norm.beta.id).unwrap()),
            values(gradients.get::<2>(weight.id).unwrap()),
        ]
    }

    /// The running mean and variance.
    pub fn statistics(&self) -> [Vec<f32>; 2] {
        let state = |state: &RunningState<Tensor<1>>| values(state.value_sync());
        [
            state(&self.norm.running_mean),
            state(&self.norm.running_var),
        ]
    }
}

impl Network for Normed {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.tiny.forward(self.norm.forward(images))
    }
}

/// The mean of each image as its logits: a network for images of any size.
#[derive(Module, Debug)]
pub struct Pooled {
    linear: Linear,
}

impl Pooled {
    pub fn new(device: &Device) -> Self {
        Self {
            linear: Linear {
                weight: Param::from_tensor(random([1, CLASSES], 3, device)),
                bias: None,
            },
        }
    }
}

impl Network for Pooled {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let flat: Tensor<2> = images.flatten(1, 3);
        self.linear.forward(flat.mean_dim(1))
    }
}

/// Random images of this size in batches, the same in every epoch.
pub fn images_of_size(samples: usize, batch: usize, [height, width]: [usize; 2]) -> Samples {
    let device = Device::default();
    let images = random([samples, 1, height, width], 2, &device);
    let classes: Vec<_> = (0..samples)
        .map(|sample| (sample % CLASSES) as i64)
        .collect();
    let targets = Tensor::<1, Int>::from_data(classes.as_slice(), &device);
    Samples::of(images, targets, batch).fixed()
}

/// Records every event, with the number of its batch.
#[derive(Clone, Default)]
pub struct Recorder(pub Shared<(Event, u64)>);

impl<M> Algorithm<M> for Recorder {
    fn name(&self) -> String {
        "recorder".into()
    }

    fn apply(&mut self, event: Event, state: &mut State<M>) -> Result<(), Error> {
        self.0.lock().unwrap().push((event, state.time().batch));
        Ok(())
    }
}
