//! CutMix in a plain Burn `TrainStep`, under Burn's own learner: one line is new.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example burn_learner [EPOCHS]
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::optim::AdamConfig;
use burn::tensor::{Device, ExecutionError, Int, Tensor};
use burn::train::metric::{Adaptor, LossInput, LossMetric};
use burn::train::{InferenceStep, ItemLazy, Learner, SupervisedTraining, TrainOutput, TrainStep};
use cutmix::functional::cutmix_batch;
use cutmix::loss::CrossEntropy;
use cutmix::plan::Stream;
use cutmix_train::Batch;
use cutmix_vision::{AnyNetwork, Dataset, Image, ModelConfig, Normalize, fashion_mnist, to_tensor};

#[derive(Module, Debug)]
struct Model {
    network: AnyNetwork,
    #[module(skip)]
    step: Arc<AtomicU64>,
}

impl TrainStep for Model {
    type Input = Batch;
    type Output = Loss;

    fn step(&self, Batch { images, targets }: Batch) -> TrainOutput<Loss> {
        let mut rng = Stream::new(42).at(self.step.fetch_add(1, Ordering::Relaxed));
        // The one new line. The alpha and the number of classes below are in range.
        let (images, targets) = cutmix_batch(images, targets, 10, 1.0, &mut rng).unwrap();

        let logits = self.network.forward(images);
        let loss = CrossEntropy::new().forward(logits, targets).unwrap();
        TrainOutput::new(self, loss.backward(), Loss(loss))
    }
}

impl InferenceStep for Model {
    type Input = Batch;
    type Output = Loss;

    fn step(&self, Batch { images, targets }: Batch) -> Loss {
        let logits = self.network.forward(images);
        Loss(CrossEntropy::new().forward(logits, targets).unwrap()) // the shapes fit
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

/// Makes batches of images and their classes.
#[derive(Clone)]
struct Images {
    normalize: Normalize,
}

impl Batcher<(Image, i32), Batch> for Images {
    fn batch(&self, items: Vec<(Image, i32)>, device: &Device) -> Batch {
        let (images, labels): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let images = to_tensor(&images, &self.normalize, device);
        Batch {
            images: images.unwrap(), // the images of a set have one shape
            targets: Tensor::<1, Int>::from_data(labels.as_slice(), device).into(),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let epochs = std::env::args().nth(1).map_or(Ok(1), |n| n.parse())?;
    let device = Device::default().autodiff();
    device.seed(42);
    let model = Model {
        network: ModelConfig::new("resnet8", 10)
            .with_channels(1)
            .init(&device)?,
        step: Arc::default(),
    };
    let data = fashion_mnist().truncate(1_024).split_val(0.1, 42)?;
    let val = data.val.ok_or("the split makes a validation set")?;
    let images = Images {
        normalize: Normalize::of(&data.train)?,
    };
    let loader = |set: &Dataset| -> Result<_, Box<dyn std::error::Error>> {
        let item = |index| {
            Ok((
                set.image(index)?,
                set.label(index).class().unwrap_or(0) as i32,
            ))
        };
        let items = (0..set.len()).map(item);
        let items = items.collect::<Result<_, cutmix_vision::DataError>>()?;
        let builder = DataLoaderBuilder::new(images.clone()).batch_size(128);
        Ok(builder.shuffle(42).build(InMemDataset::new(items)))
    };

    let folder = std::env::temp_dir().join("cutmix-burn-learner");
    let result = SupervisedTraining::new(folder, loader(&data.train)?, loader(&val)?)
        .metrics((LossMetric::new(),))
        .num_epochs(epochs)
        .launch(Learner::new(model, AdamConfig::new().init(), 1e-3));
    match result.error {
        Some(error) => Err(error.to_string().into()),
        None => Ok(()),
    }
}
