//! The operations with gradients.

use std::cell::RefCell;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, TensorMetadata};
use burn::tensor::Shape;
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};

use crate::backend::{ConvState, Maybe, NnGradients, NnOps, NormState};
use crate::host::SgdStep;

impl<B: NnGradients, C: CheckpointStrategy> NnOps for Autodiff<B, C> {
    fn fast_conv2d(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let (images, image_node) = images.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_option().map(|bias| bias.into_parts()).unzip();
        let state = ConvState {
            images: images.clone(),
            weight: weight.clone(),
            options: options.clone(),
        };
        let output = B::fast_conv2d(images, weight, bias.into(), options);
        match bias_node {
            None => record::<B, C, _, 2>(Conv2d, [image_node, weight_node], state, output),
            Some(bias) => {
                record::<B, C, _, 3>(Conv2d, [image_node, weight_node, bias], state, output)
            }
        }
    }

    fn fast_norm_train(
        images: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Maybe<Self>,
        epsilon: f64,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (images, image_node) = images.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();
        let (residual, residual_node) =
            (residual.into_option().map(|residual| residual.into_parts())).unzip();
        let (output, mean, variance) = B::fast_norm_train(
            images.clone(),
            gamma.clone(),
            beta.clone(),
            residual.into(),
            epsilon,
            relu,
        );
        let state = NormState {
            images,
            gamma,
            beta,
            mean: mean.clone(),
            variance: variance.clone(),
            output: residual_node.as_ref().map(|_| output.clone()),
            epsilon,
            relu,
        };
        let [images, gamma, beta] = [image_node, gamma_node, beta_node];
        let output = match residual_node {
            None => record::<B, C, _, 3>(Norm, [images, gamma, beta], state, output),
            Some(residual) => {
                record::<B, C, _, 4>(Norm, [images, gamma, beta, residual], state, output)
            }
        };
        (output, Self::from_inner(mean), Self::from_inner(variance))
    }

    fn fast_scale(
        _images: FloatTensor<Self>,
        _scale: FloatTensor<Self>,
        _shift: FloatTensor<Self>,
        _residual: Maybe<Self>,
        _relu: bool,
    ) -> FloatTensor<Self> {
        unreachable!("the modules use it where no gradients are tracked")
    }

    fn fast_conv2d_scale(
        _images: FloatTensor<Self>,
        _weight: FloatTensor<Self>,
        _scale: FloatTensor<Self>,
        _shift: FloatTensor<Self>,
        _residual: Maybe<Self>,
        _options: ConvOptions<2>,
        _relu: bool,
    ) -> FloatTensor<Self> {
        unreachable!("the modules use it where no gradients are tracked")
    }

    fn fast_max_pool2d(images: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self> {
        let (images, node) = images.into_parts();
        let output = B::fast_max_pool2d(images.clone(), options.clone());
        record::<B, C, _, 1>(MaxPool2d, [node], (images, options), output)
    }

    fn fast_global_mean(images: FloatTensor<Self>) -> FloatTensor<Self> {
        let (images, node) = images.into_parts();
        let shape = images.shape();
        let output = B::fast_global_mean(images);
        record::<B, C, _, 1>(GlobalMean, [node], shape, output)
    }

    fn fast_subsample(
        images: FloatTensor<Self>,
        stride: [usize; 2],
        channels: usize,
    ) -> FloatTensor<Self> {
        let (images, node) = images.into_parts();
        let state = (images.shape(), stride);
        let output = B::fast_subsample(images, stride, channels);
        record::<B, C, _, 1>(Subsample, [node], state, output)
    }

    fn fast_sgd(
        _parameter: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _velocity: Maybe<Self>,
        _step: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("an optimizer gets tensors without gradients")
    }
}

/// Records an operation, where its gradient is needed.
fn record<B: NnGradients, C: CheckpointStrategy, O: Backward<B, N>, const N: usize>(
    operation: O,
    nodes: [NodeGuard; N],
    state: O::State,
    output: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    match operation.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(state, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

thread_local! {
    /// Tensors whose gradients these operations have registered and not taken again. Most are never
    /// taken; the oldest are forgotten, and Burn adds to their gradients.
    static REGISTERED: RefCell<Vec<NodeId>> = const { RefCell::new(Vec::new()) };
}

/// The number of tensors that are remembered.
const REMEMBERED: usize = 64;

/// Registers the gradient of a tensor, and remembers it for `take_sum!`.
macro_rules! register {
    ($grads:expr, $parent:expr, $gradient:expr) => {{
        let id = $parent.id;
        // The gradient of a tensor that the user made stays for the user.
        if $parent.order > 0 {
            REGISTERED.with_borrow_mut(|registered| {
                if registered.len() == REMEMBERED {
                    registered.remove(0);
                }
                registered.push(id);
            });
        }
        $grads.register::<B>(id, $gradient);
    }};
}

/// Takes the gradient of a tensor that was registered through another of its uses, so that the kernel
/// can add to it; Burn would do it in a pass of its own. A gradient that is not known to be there is
/// left to Burn.
macro_rules! take_sum {
    ($grads:expr, $parent:expr) => {{
        let id = $parent.id;
        let is_known = REGISTERED.with_borrow_mut(|registered| {
            let place = registered.iter().rposition(|known| *known == id);
            place.map(|place| registered.remove(place)).is_some()
        });
        is_known.then(|| $grads.consume::<B>($parent))
    }};
}

/// Backward of `fast_conv2d`, with or without a bias.
#[derive(Debug)]
struct Conv2d;

impl<B: NnGradients, const N: usize> Backward<B, N> for Conv2d {
    type State = ConvState<B>;

    fn backward(self, ops: Ops<ConvState<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let mut wanted = [false; 3];
        for (wanted, parent) in wanted.iter_mut().zip(&ops.parents) {
            *wanted = parent.is_some();
        }
        let sum = match &ops.parents[0] {
            Some(images) => take_sum!(grads, images),
            None => None,
        };
        let gradients = B::conv2d_gradients(ops.state, gradient, wanted, sum);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                register!(grads, parent, gradient);
            }
        }
    }
}

/// Backward of `fast_norm_train`, with or without a residual.
#[derive(Debug)]
struct Norm;

impl<B: NnGradients, const N: usize> Backward<B, N> for Norm {
    type State = NormState<B>;

    fn backward(self, ops: Ops<NormState<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let gradients = B::norm_gradients(ops.state, gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                register!(grads, parent, gradient);
            }
        }
    }
}

/// Backward of `fast_max_pool2d`.
#[derive(Debug)]
struct MaxPool2d;

impl<B: NnGradients> Backward<B, 1> for MaxPool2d {
    type State = (FloatTensor<B>, MaxPoolOptions<2>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (images, options) = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let gradient = B::max_pool2d_gradient(images, gradient, options);
            register!(grads, parent, gradient);
        }
    }
}

/// Backward of `fast_global_mean`.
#[derive(Debug)]
struct GlobalMean;

impl<B: NnGradients> Backward<B, 1> for GlobalMean {
    type State = Shape;

    fn backward(self, ops: Ops<Shape, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let gradient = B::global_mean_gradient(ops.state, gradient);
            register!(grads, parent, gradient);
        }
    }
}

/// Backward of `fast_subsample`.
#[derive(Debug)]
struct Subsample;

impl<B: NnGradients> Backward<B, 1> for Subsample {
    type State = (Shape, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (images, stride) = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let sum = take_sum!(grads, &parent);
            let gradient = B::subsample_gradient(images, gradient, stride, sum);
            register!(grads, parent, gradient);
        }
    }
}
