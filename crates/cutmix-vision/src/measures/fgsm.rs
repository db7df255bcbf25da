//! Accuracy on images that were changed to mislead the network.

use burn::tensor::{Device, Int, Tensor, TensorData};
use cutmix::loss::{CrossEntropy, Reduction};
use cutmix_train::{Batch, Error, Loader, Network};
use serde::{Deserialize, Serialize};

use super::{RightCounts, black_and_white, check_each, classes, for_each_batch, read};
use crate::data::Normalize;
use crate::models::differentiable;

/// How far images are changed by the fast gradient sign method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct FgsmConfig {
    /// How far each value of a pixel moves, of the 255 levels between black and white, each in 0..=255.
    /// They are 1, 2, 4 and 8 by default.
    pub levels: Vec<f64>,
}

/// Accuracy on images that the fast gradient sign method has changed, by how far.
///
/// Each value of a pixel moves by the same number of levels, in the direction in which the cross-entropy
/// of the image rises, and stays between black and white; one on which the loss does not depend stays
/// where it is. After Goodfellow et al., "Explaining and Harnessing Adversarial Examples",
/// arXiv:1412.6572 (2014).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fgsm {
    /// How far each value has moved, of 255 levels.
    pub levels: Vec<f64>,
    /// Accuracy for each number of levels, in 0..=1.
    pub accuracy: Vec<f64>,
}

impl Default for FgsmConfig {
    fn default() -> Self {
        Self {
            levels: vec![1.0, 2.0, 4.0, 8.0],
        }
    }
}

impl FgsmConfig {
    /// The default numbers of levels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how far each value of a pixel moves, of 255 levels.
    pub fn with_levels(self, levels: Vec<f64>) -> Self {
        Self { levels }
    }

    /// Measures a network on the images of `loader`, which `normalize` has normalised, on `device`, where
    /// the network is. Each batch is read once, and one backward pass serves all levels.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use cutmix_vision::measures::FgsmConfig;
    /// use cutmix_vision::{ImageLoader, LoaderConfig, ModelConfig, Normalize, fashion_mnist};
    ///
    /// let device = Device::default();
    /// let test = fashion_mnist().test.expect("it has a test set").truncate(64);
    /// let normalize = Normalize::of(&test)?;
    /// let loader = ImageLoader::eval(test, LoaderConfig::new(64, normalize.clone()))?;
    /// let model = ModelConfig::new("resnet8", 10).with_channels(1).init(&device)?;
    ///
    /// let fgsm = FgsmConfig::new().measure(&model, &loader, &normalize, &device)?;
    /// assert_eq!(fgsm.levels, [1.0, 2.0, 4.0, 8.0]);
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no number of levels or one is out of range, `normalize` does not
    /// fit the images, or there is no image; [`Error::Mix`] where images have several classes;
    /// [`Error::Data`] where one cannot be read; [`Error::Device`] where the device fails.
    pub fn measure(
        &self,
        model: &impl Network,
        loader: &dyn Loader,
        normalize: &Normalize,
        device: &Device,
    ) -> Result<Fgsm, Error> {
        self.check()?;
        let model = model.valid();
        let tracking = differentiable(&model);
        let mut right = RightCounts::new(self.levels.len());
        let images = for_each_batch(loader, device, |Batch { images, targets }| {
            let classes = classes(targets)?;
            let [black, white] = black_and_white(normalize, &images)?;
            let level = (white.clone() - black.clone()) / 255.0;
            let [black, white] = [black, white].map(|end| end.expand(images.dims()));
            let direction = rising_loss(&tracking, &images, &classes)?.sign() * level;
            let logits = self.levels.iter().map(|&levels| {
                let changed = images.clone() + direction.clone() * levels;
                let changed = changed.max_pair(black.clone()).min_pair(white.clone());
                model.forward(changed)
            });
            right.add(logits, &classes)
        })?;
        Ok(Fgsm {
            levels: self.levels.clone(),
            accuracy: right.shares(images).collect(),
        })
    }

    fn check(&self) -> Result<(), Error> {
        check_each("levels", &self.levels, 0.0..=255.0)
    }
}

/// The gradient of the cross-entropy of each image with respect to the image.
fn rising_loss(
    model: &impl Network,
    images: &Tensor<4>,
    classes: &Tensor<1, Int>,
) -> Result<Tensor<4>, Error> {
    let tracked = images.clone().autodiff().require_grad();
    let classes = classes.clone().to_device(&tracked.device());
    // The sum: each image has its own gradient, which the number of images does not make smaller.
    let loss = CrossEntropy::new().with_reduction(Reduction::Sum);
    let loss = loss.forward(model.forward(tracked.clone()), classes)?;
    let gradient = loss.is_tracked().then(|| tracked.grad(&loss.backward()));
    match gradient.flatten() {
        // That of grey images is copied: as the output of a convolution to one channel it has the same
        // stride for channels and columns, and Burn 0.22.1's fused kernels on GPUs read such tensors wrongly.
        Some(gradient) if images.dims()[1] == 1 => {
            let numbers: Vec<f32> = read(gradient)?;
            let numbers = TensorData::new(numbers, images.dims());
            let device = &images.device();
            Ok(Tensor::from_data(numbers, (device, images.dtype())))
        }
        Some(gradient) => Ok(gradient),
        // A network may not look at the images.
        None => Ok(images.zeros_like()),
    }
}
