//! Accuracy under any targets.

use burn::tensor::{Int, IntDType, Tensor};
use cutmix::Targets;

use crate::parameters::widen;
use crate::state::Interpolation;

/// The weight of the predicted class in the target of each sample, shape `[N]`.
///
/// For class indices it is 1 where the prediction is right, so that its mean is the ordinary
/// accuracy. For a sample mixed of two classes it is lambda where the prediction is its own class
/// and `1 - lambda` where it is the partner's, and so at most `max(lambda, 1 - lambda)`: under CutMix
/// a training accuracy of 75 % can be as good as it gets. It is NaN where the targets do not have
/// the width of the logits, as in a regression.
pub(crate) fn shares(
    logits: Tensor<2>,
    targets: &Targets,
    interpolation: Option<&Interpolation>,
) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    if let Targets::Dense(dense) = targets
        && dense.dims()[1] != classes
    {
        return Tensor::full([batch], f32::NAN, &logits.device());
    }
    let predicted = widen(logits).argmax(1);
    let own = on_predicted(predicted.clone(), targets);
    match interpolation {
        None => own,
        Some(partners) => {
            let other = on_predicted(predicted, &partners.targets);
            own * partners.lambda + other * (1.0 - partners.lambda)
        }
    }
}

fn on_predicted(predicted: Tensor<2, Int>, targets: &Targets) -> Tensor<1> {
    let shares = match targets {
        Targets::Indices(indices) => {
            // Backends compare only integers of one type.
            let indices = indices.clone().cast(IntDType::from(predicted.dtype()));
            widen(predicted.equal(indices.unsqueeze_dim(1)).float())
        }
        Targets::Dense(dense) => widen(dense.clone().without_autodiff()).gather(1, predicted),
    };
    shares.squeeze_dim(1)
}
