//! The operations with gradients.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend};
use burn::tensor::ops::ConvOptions;

use crate::backend::{Maybe, NnGradients, NnOps, NormState};

impl<B: NnGradients, C: CheckpointStrategy> NnOps for Autodiff<B, C> {
    fn fast_conv2d(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let (images, image_node) = images.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let state = (images.clone(), weight.clone(), options.clone());
        let Some(bias) = bias.get() else {
            let output = B::fast_conv2d(images, weight, Maybe::Missing, options);
            return match Conv2d
                .prepare::<C>([image_node, weight_node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish(state, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            };
        };
        let (bias, bias_node) = bias.into_parts();
        let output = B::fast_conv2d(images, weight, Maybe::Given(bias), options);
        let nodes = [image_node, weight_node, bias_node];
        match Conv2d.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
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
            (residual.get().map(|residual| residual.into_parts())).unzip();
        let has_residual = residual.is_some();
        let (output, mean, variance) = B::fast_norm_train(
            images.clone(),
            gamma.clone(),
            beta,
            residual.into(),
            epsilon,
            relu,
        );
        let state = NormState {
            images,
            gamma,
            mean: mean.clone(),
            variance: variance.clone(),
            output: output.clone(),
            epsilon,
            relu,
            has_residual,
        };
        let nodes = [image_node, gamma_node, beta_node];
        let output = match residual_node {
            None => match Norm.prepare::<C>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish(state, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            },
            Some(residual) => {
                let [images, gamma, beta] = nodes;
                let nodes = [images, gamma, beta, residual];
                match Norm.prepare::<C>(nodes).compute_bound().stateful() {
                    OpsKind::Tracked(prep) => prep.finish(state, output),
                    OpsKind::UnTracked(prep) => prep.finish(output),
                }
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
        unreachable!("the modules use Burn's operations where gradients are tracked")
    }
}

type ConvState<B> = (FloatTensor<B>, FloatTensor<B>, ConvOptions<2>);

/// Backward of `fast_conv2d`, with or without a bias.
#[derive(Debug)]
struct Conv2d;

impl<B: NnGradients, const N: usize> Backward<B, N> for Conv2d {
    type State = ConvState<B>;

    fn backward(self, ops: Ops<ConvState<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (images, weight, options) = ops.state;
        for (number, parent) in ops.parents.into_iter().enumerate() {
            let Some(parent) = parent else { continue };
            let (images, weight) = (images.clone(), weight.clone());
            let (gradient, options) = (gradient.clone(), options.clone());
            let gradient = match number {
                0 => B::conv2d_input_gradient(images, weight, gradient, options),
                1 => B::conv2d_weight_gradient(images, weight, gradient, options),
                _ => B::conv2d_bias_gradient(gradient),
            };
            grads.register::<B>(parent.id, gradient);
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
        let gradients = B::norm_gradient(ops.state, gradient);
        let all = [
            Some(gradients.images),
            Some(gradients.gamma),
            Some(gradients.beta),
            gradients.residual,
        ];
        for (parent, gradient) in ops.parents.into_iter().zip(all) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}
