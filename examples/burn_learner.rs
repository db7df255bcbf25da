//! CutMix in a plain Burn `TrainStep`, under Burn's own learner: one line is new.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example burn_learner [EPOCHS]
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::module::Module;
use burn::optim::AdamConfig;
use burn::tensor::{Device, ExecutionError, Tensor};
use burn::train::metric::{Adaptor, LossInput, LossMetric};
use burn::train::{InferenceStep, ItemLazy, Learner, SupervisedTraining, TrainOutput, TrainStep};
use cutmix::Batch;
use cutmix::functional::cutmix_batch;
use cutmix::loss::CrossEntropy;
use cutmix::plan::Stream;
use cutmix_vision::{
    Architecture, Augment, Loader, LoaderOptions, Normalize, ResNet, ResNetConfig,
};

#[derive(Module, Debug)]
struct Model {
    resnet: ResNet,
    #[module(skip)]
    step: Arc<AtomicU64>,
}

impl TrainStep for Model {
    type Input = Batch;
    type Output = Loss;

    fn step(&self, Batch { images, targets }: Batch) -> TrainOutput<Loss> {
        let mut rng = Stream::new(42).at(self.step.fetch_add(1, Ordering::Relaxed));
        // The one new line. The alpha and the number of classes below cannot be refused.
        let (images, targets) = cutmix_batch(images, targets, 10, 1.0, &mut rng).unwrap();

        let logits = self.resnet.forward(images);
        let loss = CrossEntropy::new().forward(logits, targets).unwrap();
        TrainOutput::new(self, loss.backward(), Loss(loss))
    }
}

impl InferenceStep for Model {
    type Input = Batch;
    type Output = Loss;

    fn step(&self, Batch { images, targets }: Batch) -> Loss {
        let logits = self.resnet.forward(images);
        Loss(CrossEntropy::new().forward(logits, targets).unwrap()) // as above
    }
}

struct Loss(Tensor<1>);

impl ItemLazy for Loss {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(Loss(self.0.without_autodiff()))
    }
}

impl Adaptor<LossInput> for Loss {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.0.clone())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let epochs = std::env::args().nth(1).map_or(Ok(1), |n| n.parse())?;
    let device = Device::default().autodiff();
    device.seed(42);
    let model = Model {
        resnet: ResNetConfig::new(Architecture::ResNet8, 10)
            .with_channels(1)
            .init(&device)?,
        step: Arc::default(),
    };
    let (train, test) = cutmix_vision::fashion_mnist();
    let (train, test) = (train.truncate(1_024), test.truncate(500));
    let normalize = Normalize::of(&train)?;
    let options = LoaderOptions {
        batch_size: 128,
        seed: 42,
        augment: Augment::NONE,
        normalize: normalize.clone(),
        drop_last: true,
    };

    let folder = std::env::temp_dir().join("cutmix-burn-learner");
    let result = SupervisedTraining::new(
        folder,
        Arc::new(Loader::train(train, options)?),
        Arc::new(Loader::eval(test, 500, normalize)?),
    )
    .metrics((LossMetric::new(),))
    .num_epochs(epochs)
    .launch(Learner::new(model, AdamConfig::new().init(), 1e-3));
    match result.error {
        Some(error) => Err(error.to_string().into()),
        None => Ok(()),
    }
}
