//! The measures beside accuracy: toy networks and images whose results are known.

mod detection;
mod fgsm;
mod localisation;
mod occlusion;

use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use cutmix_train::{Batch, Batches, Loader, Network};
use cutmix_vision::Normalize;

/// Images `[N, C, H, W]` as a network sees them, with a class each, in batches.
struct Images {
    pixels: Vec<f32>,
    shape: [usize; 3],
    classes: Vec<usize>,
    batch_size: usize,
}

impl Images {
    fn new(shape: [usize; 3], pixels: Vec<f32>, classes: Vec<usize>) -> Self {
        assert_eq!(
            pixels.len(),
            classes.len() * shape.iter().product::<usize>()
        );
        Self {
            pixels,
            shape,
            batch_size: classes.len(),
            classes,
        }
    }

    fn in_batches_of(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }
}

impl Loader for Images {
    fn num_samples(&self) -> usize {
        self.classes.len()
    }

    fn num_classes(&self) -> usize {
        2
    }

    fn batches<'a>(&'a self, _epoch: u64, _skip: usize, device: &Device) -> Batches<'a> {
        let device = device.clone();
        let [channels, height, width] = self.shape;
        let image = channels * height * width;
        let pixels = self.pixels.chunks(self.batch_size * image);
        let batches = pixels.zip(self.classes.chunks(self.batch_size));
        Box::new(batches.map(move |(pixels, classes)| {
            let shape = [classes.len(), channels, height, width];
            let images = TensorData::new(pixels.to_vec(), shape);
            let classes: Vec<_> = classes.iter().map(|&class| class as i64).collect();
            Ok(Batch {
                images: Tensor::from_data(images, &device),
                targets: Tensor::<1, Int>::from_data(classes.as_slice(), &device).into(),
            })
        }))
    }
}

/// A network that keeps the images that it has seen without autodiff, and predicts the first of two
/// classes.
#[derive(Module, Debug)]
struct Recorder {
    #[module(skip)]
    seen: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Recorder {
    fn new() -> Self {
        Self {
            seen: Arc::default(),
        }
    }

    /// The images of each call.
    fn seen(&self) -> Vec<Vec<f32>> {
        self.seen.lock().unwrap().clone()
    }
}

impl Network for Recorder {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.seen.lock().unwrap().push(values(images.clone()));
        let first = Tensor::<2>::from_floats([[1.0, 0.0]], &images.device());
        first.repeat_dim(0, images.dims()[0])
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

/// Pixels of 0 to 1 are seen as -2 to 2.
fn normalize() -> Normalize {
    Normalize {
        mean: vec![0.5],
        std: vec![0.25],
    }
}
