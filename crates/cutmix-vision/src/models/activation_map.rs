//! Where in images a network sees a class.

use burn::tensor::{Int, Tensor};

use super::{Classifier, Features, ModelError, differentiable};
use crate::data::Size;

/// How much each place of the last map `[N, C, h, w]` of a network adds to the logit of a class, shape
/// `[N, h, w]`; a place that lowers the logit has a negative number. `features` are those of images by
/// the same network, and `classes` has a class for each image.
///
/// The channels of the map are summed with weights: the gradient of the logit with respect to a channel,
/// summed over its places. Where the network averages the map over the places and a linear layer makes
/// the logits, these are the weights of that layer, and the result is the class activation map of Zhou et
/// al. ("Learning Deep Features for Discriminative Localization", arXiv:1512.04150): its mean is the
/// logit without the bias. For other networks it is Grad-CAM (Selvaraju et al., arXiv:1610.02391)
/// before its rectifier and times the number of places, by which Grad-CAM divides.
///
/// The network is evaluated as by [`valid`](burn::module::Module::valid), whatever its state; the
/// features have to come from such a network as well.
///
/// ```
/// use burn::module::Module;
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::models::{Classifier, class_activation_map};
/// use cutmix_vision::ModelConfig;
///
/// let device = Device::default();
/// let model = ModelConfig::new("resnet8", 10).init(&device)?.valid();
/// let features = model.features(Tensor::ones([2, 3, 32, 32], &device));
/// let maps = class_activation_map(&model, features, &[3, 7])?;
/// assert_eq!(maps.dims(), [2, 8, 8]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
///
/// # Errors
/// [`ModelError::Argument`] where there is not one class for each image, or a class does not exist.
pub fn class_activation_map(
    model: &impl Classifier,
    features: Features,
    classes: &[usize],
) -> Result<Tensor<3>, ModelError> {
    let [count, channels, ..] = features.map.dims();
    check(classes, count, model.head().weight.dims()[1])?;
    let map = features.map.without_autodiff();
    let tracked = map.clone().autodiff().require_grad();
    let tokens = features
        .tokens
        .map(|tokens| tokens.without_autodiff().autodiff());
    let model = differentiable(model);
    let pooled = model.pool(Features {
        map: tracked.clone(),
        tokens,
    });
    let logits = model.head().forward(pooled);
    let classes: Vec<_> = classes.iter().map(|&class| class as i64).collect();
    let classes = Tensor::<1, Int>::from_data(classes.as_slice(), &logits.device());
    // The logits of an image depend on its own map alone, so one backward pass serves all.
    let gradients = logits.gather(1, classes.unsqueeze_dim(1)).sum().backward();
    let weights = match tracked.grad(&gradients) {
        Some(gradient) => gradient.sum_dim(2).sum_dim(3),
        // The head looks at tokens alone.
        None => Tensor::zeros([count, channels, 1, 1], &map.device()),
    };
    Ok((map * weights).sum_dim(1).squeeze_dim(1))
}

/// A map of the size `from`, row by row, as one of the size `to` that covers the same image: between the
/// middles of its places it is bilinear, and beyond them it stays the same.
///
/// ```
/// use cutmix_vision::Size;
/// use cutmix_vision::models::upsample;
///
/// let map = upsample(&[0.0, 4.0], Size::new(1, 2), Size::new(1, 4));
/// assert_eq!(map, [0.0, 1.0, 3.0, 4.0]);
/// ```
///
/// # Panics
/// Where the map has not a value for each place, or no place.
pub fn upsample(map: &[f32], from: Size, to: Size) -> Vec<f32> {
    assert_eq!(map.len(), from.area(), "the number of values");
    let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
    let columns: Vec<_> = (0..to.width)
        .map(|column| between(column, to.width, from.width))
        .collect();
    let mut upsampled = Vec::with_capacity(to.area());
    for row in 0..to.height {
        let (top, bottom, down) = between(row, to.height, from.height);
        let [above, below] = [top, bottom].map(|row| &map[row * from.width..][..from.width]);
        upsampled.extend(columns.iter().map(|&(left, right, across)| {
            let [above, below] = [above, below].map(|row| mix(row[left], row[right], across));
            mix(above, below, down)
        }));
    }
    upsampled
}

/// Where the middle of pixel `at` of `pixels` is among `places`, each of which stands for its middle: two
/// neighbouring places, and how far between them it is.
fn between(at: usize, pixels: usize, places: usize) -> (usize, usize, f32) {
    let position = (at as f32 + 0.5) * places as f32 / pixels as f32 - 0.5;
    let position = position.clamp(0.0, (places - 1) as f32);
    let first = position as usize;
    let second = (first + 1).min(places - 1);
    (first, second, position - first as f32)
}

fn check(classes: &[usize], images: usize, known: usize) -> Result<(), ModelError> {
    if classes.len() != images {
        let value = format!("of length {}", classes.len());
        let expected = format!("one for each of {images} images");
        return Err(ModelError::argument("classes", value, expected));
    }
    match classes.iter().find(|class| **class >= known) {
        Some(class) => {
            let expected = format!("classes below {known}");
            Err(ModelError::argument("classes", class, expected))
        }
        None => Ok(()),
    }
}
